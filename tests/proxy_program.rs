//! `larder proxy` as a user starts it.

mod cluster_support;
mod proxy_support;
mod support;

use std::io::Read;
use std::process::Stdio;

use proxy_support::{Client, Program, command, end_of, eventually};

#[test]
fn without_an_upstream_the_error_shows_the_ways() {
    let directory = tempfile::tempdir().expect("a directory");
    let done = command(&["--protocol", "resp"])
        .current_dir(directory.path())
        .output()
        .expect("it runs");
    assert!(!done.status.success());
    let error = String::from_utf8_lossy(&done.stderr).into_owned();
    for way in ["--upstream", "--servers", "--cluster", "--demo"] {
        assert!(error.contains(way), "{error}");
    }
}

#[test]
fn the_demo_serves_both_protocols() {
    let resp = Program::start(&["--demo"]);
    let mut client = Client::connect(resp.address);
    client.ask(
        "MSET a x b y\r\nMGET a b\r\n",
        "+OK\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
    );
    let memcached = Program::start(&["--demo", "--protocol", "memcached"]);
    let mut client = Client::connect(memcached.address);
    client.ask("set a 0 0 1\r\nx\r\n", "STORED\r\n");
    client.ask("get a\r\n", "VALUE a 0 1\r\nx\r\nEND\r\n");
}

#[test]
fn a_cluster_is_learned_from_any_of_its_servers() {
    let Some(cluster) = cluster_support::Cluster::start(3, false) else {
        support::skip!("there is no redis-server to make a cluster of");
    };
    let unused = proxy_support::free_port().to_string();
    let one = format!("localhost:{}", cluster.masters[2].address.port());
    let proxy = Program::start(&["--cluster", &unused, &one]);
    let mut client = Client::connect(proxy.address);
    client.ask(
        "MSET a 1 b 2 c 3\r\nMGET a b c\r\n",
        "+OK\r\n*3\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n",
    );
    client.ask("DBSIZE\r\n", ":3\r\n");
    // It goes on after a HUP.
    proxy.signal("-HUP");
    client.ask("DBSIZE\r\n", ":3\r\n");
}

#[test]
fn an_upstream_may_be_named_by_its_host() {
    let server = larder::Server::start().expect("it starts");
    let upstream = format!("localhost:{}", server.resp_addr().port());
    let proxy = Program::start(&["--upstream", &upstream]);
    let mut client = Client::connect(proxy.address);
    client.ask("SET a b\r\n", "+OK\r\n");
    let proxy = Program::start(&["--upstream", "no-such-host.invalid:1"]);
    let mut client = Client::connect(proxy.address);
    client.send("GET a\r\n");
    let line = client.line();
    assert!(
        line.starts_with("-ERR upstream no-such-host.invalid:1 "),
        "{line}"
    );
}

#[test]
fn a_server_known_by_its_name_is_found_again_after_a_restart() {
    let first = larder::Server::start().expect("it starts");
    let port = first.resp_addr().port();
    let proxy = Program::start(&["--upstream", &format!("localhost:{port}")]);
    let mut client = Client::connect(proxy.address);
    client.ask("SET a 1\r\nGET a\r\n", "+OK\r\n$1\r\n1\r\n");
    drop(first);
    let address = format!("127.0.0.1:{port}");
    let _second = larder::Server::builder()
        .resp(Some(larder::server::Listen::Tcp(address)))
        .start()
        .expect("the port is free");
    eventually("the new server", || {
        client.send("EXISTS a\r\n");
        client.line() == ":0"
    });
}

#[test]
fn the_password_and_the_database_are_those_of_a_real_redis() {
    let Some(redis) = proxy_support::Real::start("redis-server") else {
        support::skip!("there is no redis-server that asks for a password");
    };
    let mut direct = Client::connect(redis.address);
    direct.ask("CONFIG SET requirepass sesame\r\n", "+OK\r\n");
    let upstream = redis.address.to_string();
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("password");
    std::fs::write(&file, "sesame\nand a remark\n").expect("it is written");
    let file = file.to_str().expect("a path");
    let arguments = ["--upstream", &upstream, "--database", "7"];
    let variable = [("LARDER_UPSTREAM_PASSWORD", "sesame")];
    for (number, proxy) in [
        Program::start(&[&arguments[..], &["--password-file", file]].concat()),
        Program::with(&arguments, &variable),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = Client::connect(proxy.address);
        client.ask("GET a\r\n", "-NOAUTH Authentication required.\r\n");
        client.ask("MULTI\r\n", "-NOAUTH Authentication required.\r\n");
        client.send("AUTH guess\r\n");
        assert!(client.line().starts_with("-WRONGPASS "));
        client.ask("AUTH sesame\r\n", "+OK\r\n");
        // Database 0 of the clients is 7, on shared connections and on their own.
        client.ask(format!("SET a {number}\r\n"), "+OK\r\n");
        client.ask(
            "MULTI\r\nSET b 7\r\nEXEC\r\n",
            "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
        );
        client.ask("SELECT 2\r\nSET a two\r\n", "+OK\r\n+OK\r\n");
        client.ask("SELECT 0\r\n", "+OK\r\n");
        client.ask("GET a\r\n", format!("$1\r\n{number}\r\n"));
        direct.ask(
            "SELECT 7\r\nMGET a b\r\n",
            format!("+OK\r\n*2\r\n$1\r\n{number}\r\n$1\r\n7\r\n"),
        );
        direct.ask("SELECT 2\r\nGET a\r\n", "+OK\r\n$3\r\ntwo\r\n");
        direct.ask("SELECT 0\r\nDBSIZE\r\n", "+OK\r\n:0\r\n");
        // Other users can't read it in the list of processes.
        #[cfg(target_os = "linux")]
        {
            let line = std::fs::read(format!("/proc/{}/cmdline", proxy.child.id()));
            assert!(!String::from_utf8_lossy(&line.expect("it runs")).contains("sesame"));
        }
    }
    let memcached = command(&["--protocol", "memcached", "--upstream", &upstream])
        .envs(variable)
        .output()
        .expect("it runs");
    let error = String::from_utf8_lossy(&memcached.stderr).into_owned();
    assert!(error.contains("give --user NAME"), "{error}");
}

#[test]
fn a_hangup_reads_the_list_again_and_a_wrong_list_changes_nothing() {
    let [one, two] = [(); 2].map(|()| larder::Server::start().expect("it starts"));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("servers.txt");
    std::fs::write(&file, format!("{} 1\n", one.resp_addr())).expect("it is written");
    let list = file.to_str().expect("a path");
    let proxy = Program::start(&["--servers", list]);
    let mut client = Client::connect(proxy.address);
    client.ask("SET a one\r\n", "+OK\r\n");

    std::fs::write(&file, "nonsense\n").expect("it is written");
    proxy.signal("-HUP");
    client.ask("GET a\r\n", "$3\r\none\r\n");

    std::fs::write(&file, format!("{} 1\n", two.resp_addr())).expect("it is written");
    proxy.signal("-HUP");
    eventually("the other server", || {
        client.send("EXISTS a\r\n");
        client.line() == ":0"
    });
    // The connections to the server that is gone have ended.
    eventually("the end", || one.connections().current() == 0);
}

/// The numbers that redis-server has given to its connections, except for the one that asks.
fn connections(direct: &mut Client) -> Vec<String> {
    direct.send("CLIENT LIST\r\n");
    let length: usize = direct.line()[1..].parse().expect("a length");
    let mut text = vec![0; length + 2];
    direct.0.read_exact(&mut text).expect("the list");
    let text = String::from_utf8(text).expect("text");
    let others = text.lines().filter(|line| !line.contains("cmd=client"));
    others
        .filter_map(|line| line.split(' ').next())
        .filter(|id| !id.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_hangup_keeps_the_connections_of_servers_that_stay_and_of_clients() {
    let servers: Vec<_> = (0..3)
        .map_while(|_| proxy_support::Real::start("redis-server"))
        .collect();
    if servers.len() < 3 {
        support::skip!("there is no redis-server that tells its connections apart");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("servers.txt");
    let write = |servers: &[proxy_support::Real]| {
        let lines = servers
            .iter()
            .map(|server| format!("{} 1\n", server.address));
        std::fs::write(&file, lines.collect::<String>()).expect("it is written");
    };
    write(&servers[..2]);
    let proxy = Program::start(&["--servers", file.to_str().expect("a path")]);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(proxy.address)).collect();
    for client in &mut clients {
        for number in 0..50 {
            client.ask(format!("SET k{number} v\r\n"), "+OK\r\n");
        }
    }
    let mut direct: Vec<Client> = servers.iter().map(|s| Client::connect(s.address)).collect();
    let before: Vec<_> = direct[..2].iter_mut().map(connections).collect();
    assert!(
        before.iter().all(|ids| (1..=4).contains(&ids.len())),
        "{before:?}"
    );
    assert_eq!(connections(&mut direct[2]).len(), 0);

    write(&servers);
    proxy.signal("-HUP");
    eventually("the third server", || {
        for number in 0..50 {
            clients[0].ask(format!("SET k{number} v\r\n"), "+OK\r\n");
        }
        !connections(&mut direct[2]).is_empty()
    });
    // The clients are the same, and so are the connections to the two.
    let mut moved = 0;
    for number in 0..50 {
        clients[0].ask(format!("SET k{number} v\r\n"), "+OK\r\n");
        clients[1].ask(format!("GET k{number}\r\n"), "$1\r\nv\r\n");
        direct[2].send(format!("EXISTS k{number}\r\n"));
        moved += usize::from(direct[2].line() == ":1");
    }
    assert!((1..40).contains(&moved), "{moved} of 50 keys moved");
    let after: Vec<_> = direct[..2].iter_mut().map(connections).collect();
    assert_eq!(after, before);

    write(&servers[..1]);
    proxy.signal("-HUP");
    eventually("the end of the others'", || {
        connections(&mut direct[1]).is_empty() && connections(&mut direct[2]).is_empty()
    });
    assert_eq!(connections(&mut direct[0]), before[0]);
    for client in &mut clients {
        client.ask("SET k v\r\n", "+OK\r\n");
    }
}

#[test]
fn settings_come_from_larder_toml_and_a_mistake_in_it_is_named() {
    let server = larder::Server::start().expect("it starts");
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("larder.toml");
    let text = format!(
        "[proxy]\nprotocol = \"resp\"\nupstream = [\"{}\"]\nread-timeout = 3\nhash = \"twemproxy\"\n",
        server.resp_addr()
    );
    std::fs::write(&file, text).expect("it is written");
    let path = file.to_str().expect("a path");
    let proxy = Program::start(&["--config", path]);
    Client::connect(proxy.address).ask("SET a b\r\n", "+OK\r\n");

    std::fs::write(&file, "[proxy]\nhash = \"modulo\"\n").expect("it is written");
    let mut child = command(&["--config", path])
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    assert!(!end_of(&mut child).success());
    let mut error = String::new();
    let said = child.stderr.as_mut().expect("it is piped");
    said.read_to_string(&mut error).expect("text");
    assert!(
        error.contains("line 2") && error.contains("libmemcached"),
        "{error}"
    );
}

/// Processor time of a process, in hundredths of a second.
#[cfg(target_os = "linux")]
fn processor_time(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it runs");
    let fields: Vec<&str> = stat
        .rsplit(") ")
        .next()
        .unwrap_or_default()
        .split(' ')
        .collect();
    [fields[11], fields[12]]
        .map(|field| field.parse::<u64>().expect("a number"))
        .iter()
        .sum()
}

#[cfg(target_os = "linux")]
#[test]
fn a_request_that_has_to_wait_costs_no_processor_time() {
    let Some(redis) = proxy_support::Real::start("redis-server") else {
        support::skip!("there is no redis-server to block on");
    };
    let proxy = Program::start(&["--upstream", &redis.address.to_string()]);
    let mut client = Client::connect(proxy.address);
    client.ask("PING\r\n", "+PONG\r\n");
    let before = processor_time(proxy.child.id());
    // The following requests wait for the first one, which waits for its second to pass. The last
    // comes when the others are known to be waiting.
    client.send("BLPOP list 1\r\nGET a\r\n");
    Client::connect(proxy.address).ask("GET a\r\n", "$-1\r\n");
    client.ask("GET a\r\n", "*-1\r\n$-1\r\n$-1\r\n");
    let spent = processor_time(proxy.child.id()) - before;
    assert!(spent < 30, "{spent} hundredths of the second");
}

//! Commands about whole servers, with several servers behind the proxy: each reaches all of them, and one reply comes
//! back, or the command is refused with the reason.

mod proxy_support;
mod support;

use std::collections::BTreeSet;
use std::io::Read;
use std::net::SocketAddr;

use larder::proxy::{OnFailure, Protocol, Settings};
use proxy_support::{Client, Real, TestProxy, eventually, free_port, list, proxy, settings};
use support::skip;

/// Three real servers and a proxy in front of them; `None` if they are not installed.
fn pool(program: &str) -> Option<(Vec<Real>, TestProxy)> {
    let servers: Vec<Real> = (0..3).map_while(|_| Real::start(program)).collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(|server| server.address).collect();
    let protocol = match program {
        "memcached" => Protocol::Memcached,
        _ => Protocol::Resp,
    };
    (servers.len() == 3).then(|| {
        let proxy = proxy(settings(protocol), &addresses);
        (servers, proxy)
    })
}

macro_rules! pool {
    ($program:literal) => {
        match pool($program) {
            Some(pool) => pool,
            None => skip!(concat!("there is no ", $program)),
        }
    };
}

/// A bulk string.
fn bulk(client: &mut Client, request: &str) -> String {
    client.send(request);
    let head = client.line();
    let length: usize = head
        .strip_prefix('$')
        .and_then(|length| length.parse().ok())
        .unwrap_or_else(|| panic!("{head}"));
    let mut text = vec![0; length + 2];
    client.0.read_exact(&mut text).expect("the string");
    text.truncate(length);
    String::from_utf8(text).expect("text")
}

/// An array of bulk strings, its head already read.
fn strings(client: &mut Client, count: &str) -> Vec<String> {
    let count = count
        .strip_prefix('*')
        .and_then(|count| count.parse().ok())
        .expect("a count");
    let string = |_: usize| {
        client.line();
        client.line()
    };
    (0..count).map(string).collect()
}

fn fill(client: &mut Client, count: usize) -> BTreeSet<String> {
    (0..count)
        .map(|number| {
            client.ask(format!("SET key{number} v\r\n"), "+OK\r\n");
            format!("key{number}")
        })
        .collect()
}

/// The result of an iteration with these options, and the number of its steps.
fn scan(client: &mut Client, options: &str) -> (Vec<String>, usize) {
    let (mut keys, mut cursor, mut steps) = (Vec::new(), "0".to_owned(), 0);
    loop {
        client.send(format!("SCAN {cursor}{options}\r\n"));
        assert_eq!(client.line(), "*2");
        client.line();
        cursor = client.line();
        let count = client.line();
        keys.extend(strings(client, &count));
        steps += 1;
        if cursor == "0" {
            return (keys, steps);
        }
    }
}

// CONFIG SET was answered OK when one of three servers had changed.
#[test]
fn commands_that_change_a_server_change_all_of_them() {
    let (servers, proxy) = pool!("redis-server");
    let mut client = proxy.connect();
    client.ask("CONFIG SET maxmemory 12345678\r\n", "+OK\r\n");
    client.ask("ACL SETUSER guest on >secret ~* +get\r\n", "+OK\r\n");
    client.ask("FLUSHALL SYNC\r\n", "+OK\r\n");
    let sha = bulk(
        &mut client,
        "*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n$8\r\nreturn 7\r\n",
    );
    for server in &servers {
        let mut direct = Client::connect(server.address);
        direct.ask(
            "CONFIG GET maxmemory\r\n",
            "*2\r\n$9\r\nmaxmemory\r\n$8\r\n12345678\r\n",
        );
        direct.ask("AUTH guest secret\r\n", "+OK\r\n");
    }
    client.ask(format!("SCRIPT EXISTS {sha}\r\n"), "*1\r\n:1\r\n");
    // One without it is enough for a 0.
    Client::connect(servers[1].address).ask("SCRIPT FLUSH\r\n", "+OK\r\n");
    client.ask(
        format!("SCRIPT EXISTS {sha} {sha}\r\n"),
        "*2\r\n:0\r\n:0\r\n",
    );
    client.ask("ACL DELUSER guest\r\n", ":1\r\n");
    client.ask(
        "CONFIG SET nosuch 1\r\n",
        "-ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'\r\n",
    );
    client.ask("CONFIG RESETSTAT\r\n", "+OK\r\n");
    client.ask(
        "SCRIPT KILL\r\n",
        "-NOTBUSY No scripts in execution right now.\r\n",
    );
}

// One of three servers was asked for RANDOMKEY, PUBSUB and SLOWLOG, and SCAN was refused.
#[test]
fn reads_about_all_keys_see_those_of_all_servers() {
    let (servers, proxy) = pool!("redis-server");
    let mut client = proxy.connect();
    client.ask("RANDOMKEY\r\nDBSIZE\r\n", "$-1\r\n:0\r\n");
    let keys = fill(&mut client, 200);
    client.ask("DBSIZE\r\n", ":200\r\n");
    client.send("KEYS *\r\n");
    let count = client.line();
    assert_eq!(
        strings(&mut client, &count)
            .into_iter()
            .collect::<BTreeSet<_>>(),
        keys
    );
    assert!(keys.contains(&bulk(&mut client, "RANDOMKEY\r\n")));
    for options in ["", " COUNT 7", " MATCH key* COUNT 1000 TYPE string"] {
        let (found, steps) = scan(&mut client, options);
        assert_eq!(found.len(), 200, "each key once{options}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), keys);
        assert!(steps >= 3, "{steps}");
    }
    let (found, _) = scan(&mut client, " TYPE hash");
    assert!(found.is_empty());
    client.ask("SCAN x\r\n", "-ERR invalid cursor\r\n");
    client.ask("SCAN 0 COUNT\r\n", "-ERR syntax error\r\n");
    // A key on one server only: the others have none to offer.
    client.ask("FLUSHALL\r\nSET one 1\r\n", "+OK\r\n+OK\r\n");
    for _ in 0..10 {
        assert_eq!(bulk(&mut client, "RANDOMKEY\r\n"), "one");
    }
    let mut channels: Vec<Client> = servers.iter().map(|s| Client::connect(s.address)).collect();
    for (number, subscriber) in channels.iter_mut().enumerate() {
        subscriber.send(format!("SUBSCRIBE all c{number}\r\n"));
        (0..12).for_each(|_| drop(subscriber.line()));
        subscriber.send("PSUBSCRIBE p*\r\n");
        (0..6).for_each(|_| drop(subscriber.line()));
    }
    client.ask(
        "PUBSUB NUMSUB all c1 no\r\n",
        "*6\r\n$3\r\nall\r\n:3\r\n$2\r\nc1\r\n:1\r\n$2\r\nno\r\n:0\r\n",
    );
    client.ask("PUBSUB NUMPAT\r\n", ":3\r\n");
    client.send("PUBSUB CHANNELS\r\n");
    let count = client.line();
    let names: BTreeSet<String> = strings(&mut client, &count).into_iter().collect();
    assert_eq!((&count[..], names.len()), ("*4", 4));
}

#[test]
fn commands_about_one_server_are_refused_with_the_reason() {
    let (_servers, proxy) = pool!("redis-server");
    let mut client = proxy.connect();
    for command in [
        "SHUTDOWN NOSAVE",
        "DEBUG SLEEP 0",
        "REPLICAOF NO ONE",
        "SLAVEOF NO ONE",
        "FAILOVER",
    ] {
        let name = command.split(' ').next().unwrap_or_default();
        client.ask(
            format!("{command}\r\n"),
            format!("-ERR {name} is about one server, and the proxy has several: ask that server itself\r\n"),
        );
    }
    client.ask(
        "LATENCY DOCTOR\r\n",
        "-ERR LATENCY DOCTOR is about one server, and the proxy has several: ask that server itself\r\n",
    );
    client.ask(
        "MULTI\r\nDBSIZE\r\nEXEC\r\n",
        "+OK\r\n-ERR DBSIZE is about all servers of the proxy, and a transaction is executed by one\r\n\
         -EXECABORT Transaction discarded because of previous errors.\r\n",
    );
    client.ask("ACL WHOAMI\r\n", "$7\r\ndefault\r\n");
}

// Clients read redis_version, and the proxy's INFO had its own section only.
#[test]
fn info_is_that_of_all_servers_with_the_version_of_the_first() {
    let (servers, proxy) = pool!("redis-server");
    let mut client = proxy.connect();
    fill(&mut client, 100);
    let info = bulk(&mut client, "INFO\r\n");
    let figure = |name: &str| {
        let of = |line: &str| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned());
        info.lines()
            .find_map(of)
            .unwrap_or_else(|| panic!("no {name} in {info}"))
    };
    assert!(figure("redis_version").split('.').count() == 3);
    assert_eq!(figure("redis_mode"), "standalone");
    assert_eq!(figure("db0"), "keys=100,expires=0,avg_ttl=0");
    assert!(
        figure("connected_clients")
            .parse::<u32>()
            .expect("a number")
            >= 3
    );
    for (number, server) in servers.iter().enumerate() {
        let start = format!("address={},state=up,", server.address);
        assert!(figure(&format!("upstream{number}")).starts_with(&start));
    }
    let keyspace = bulk(&mut client, "INFO keyspace\r\n");
    assert_eq!(
        keyspace,
        "# Keyspace\r\ndb0:keys=100,expires=0,avg_ttl=0\r\n\r\n"
    );
    // RESP3 has a string of its own for texts.
    client.send("HELLO 3\r\n");
    while client.line() != "*0" {}
    client.send("INFO keyspace\r\n");
    assert_eq!(client.line(), format!("={}", keyspace.len() + 4));
    assert_eq!(client.line(), "txt:# Keyspace");
}

#[test]
fn a_server_that_is_down_is_named_or_left_out_by_on_failure() {
    let Some(server) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    for on_failure in [OnFailure::Error, OnFailure::Next, OnFailure::Miss] {
        let down = free_port();
        let settings = Settings {
            failures: 1,
            on_failure,
            ..settings(Protocol::Resp)
        };
        let proxy = proxy(settings, &[server.address, down]);
        let mut client = proxy.connect();
        client.send("DBSIZE\r\n");
        let refused = client.line();
        assert!(refused.contains(&down.to_string()), "{refused}");
        client.send("CONFIG SET maxmemory 0\r\n");
        let refused = client.line();
        assert!(
            refused.contains(&format!("upstream {down} is ejected")),
            "{refused}"
        );
        client.send("DBSIZE\r\n");
        let size = client.line();
        match on_failure {
            OnFailure::Error => assert!(size.contains(&format!("upstream {down} is ejected"))),
            OnFailure::Next | OnFailure::Miss => assert_eq!(size, ":0"),
        }
        if on_failure != OnFailure::Error {
            assert_eq!(scan(&mut client, "").0, Vec::<String>::new());
        }
        // Available figures are reported.
        let info = bulk(&mut client, "INFO\r\n");
        assert!(
            info.contains("redis_version:") && info.contains("state=ejected"),
            "{info}"
        );
    }
}

#[test]
fn a_scan_continues_when_the_list_changes_in_the_middle() {
    let (servers, proxy) = pool!("redis-server");
    let mut client = proxy.connect();
    let keys = fill(&mut client, 300);
    client.send("SCAN 0 COUNT 1\r\n");
    (0..2).for_each(|_| drop(client.line()));
    let mut cursor = client.line();
    let count = client.line();
    let mut found: BTreeSet<String> = strings(&mut client, &count).into_iter().collect();
    // The second server leaves, and the order changes.
    let left = [servers[2].address, servers[0].address];
    proxy.control.replace_servers(&list(&left));
    let mut gone = Client::connect(servers[1].address);
    gone.send("KEYS *\r\n");
    let count = gone.line();
    let gone: BTreeSet<String> = strings(&mut gone, &count).into_iter().collect();
    eventually("the new list", || {
        bulk(&mut client, "INFO proxy\r\n")
            .matches("address=")
            .count()
            == 2
    });
    while cursor != "0" {
        client.send(format!("SCAN {cursor} COUNT 50\r\n"));
        (0..2).for_each(|_| drop(client.line()));
        cursor = client.line();
        let count = client.line();
        found.extend(strings(&mut client, &count));
    }
    assert!(keys.difference(&found).all(|key| gone.contains(key)));
}

// The proxy's own lines were the whole answer, and clients look for curr_items.
#[test]
fn stats_are_the_sums_of_all_servers_and_the_proxys_own_lines() {
    let (servers, proxy) = pool!("memcached");
    let mut client = proxy.connect();
    for number in 0..100 {
        client.ask(format!("set key{number} 0 0 1\r\nx\r\n"), "STORED\r\n");
    }
    client.send("stats\r\n");
    let lines: Vec<String> =
        std::iter::from_fn(|| Some(client.line()).filter(|line| line != "END")).collect();
    let has = |line: &str| lines.iter().any(|one| one == line);
    assert!(
        has("STAT curr_items 100") && has("STAT cmd_set 100"),
        "{lines:#?}"
    );
    assert!(has("STAT pointer_size 64"), "{lines:#?}");
    for server in &servers {
        assert!(
            has(&format!("STAT {}:state up", server.address)),
            "{lines:#?}"
        );
    }
    client.ask("stats reset\r\n", "RESET\r\n");
    client.send("stats settings\r\n");
    let settings: Vec<String> =
        std::iter::from_fn(|| Some(client.line()).filter(|line| line != "END")).collect();
    assert!(
        settings
            .iter()
            .any(|line| line.starts_with("STAT maxbytes "))
    );
    client.ask(
        "stats slabs\r\n",
        "SERVER_ERROR stats slabs is about one server, and the proxy has several: ask that server itself\r\n",
    );
}

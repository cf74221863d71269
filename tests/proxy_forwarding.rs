//! Forwarding without failures: a client gets the upstream's answers to its own requests, in its
//! order, of any size. With real servers if they are installed, else with larder's.

mod proxy_support;
mod support;

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;
use std::thread;

use larder::proxy::Protocol;
use proxy_support::{Client, Real, eventually, list, proxy, settings, upstream};
use support::skip;

#[test]
fn a_redis_client_reads_its_values() {
    let redis = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut client = proxy.connect();
    client.ask("PING\r\n", "+PONG\r\n");
    client.ask("SET a one\r\n", "+OK\r\n");
    client.ask("*2\r\n$3\r\nGET\r\n$1\r\na\r\n", "$3\r\none\r\n");
    client.ask("MGET a b\r\n", "*2\r\n$3\r\none\r\n$-1\r\n");
    client.ask(
        "INCR a\r\n",
        "-ERR value is not an integer or out of range\r\n",
    );
    client.ask(
        "GET\r\n",
        "-ERR wrong number of arguments for 'get' command\r\n",
    );
    client.ask(
        "CLIENT SETNAME me\r\nCLIENT GETNAME\r\n",
        "+OK\r\n$2\r\nme\r\n",
    );
    client.send("CLIENT LIST\r\n");
    client.line();
    let line = client.line();
    let fields = line.trim_end().split(' ');
    let fields: HashMap<&str, &str> = fields.filter_map(|it| it.split_once('=')).collect();
    for (name, value) in [
        ("name", "me"),
        ("flags", "N"),
        ("cmd", "client|list"),
        ("user", "default"),
        ("redir", "-1"),
    ] {
        assert_eq!(fields.get(name), Some(&value), "{line}");
    }
    assert!(fields["fd"].parse::<u32>().is_ok(), "{line}");
    client.ask("QUIT\r\n", "+OK\r\n");
    client.expect_end();
}

/// A client that named itself was closed without an answer.
#[test]
fn client_kill_closes_another_client_and_spares_the_one_that_asks() {
    let redis = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let (mut client, mut other) = (proxy.connect(), proxy.connect());
    let id = |client: &mut Client| {
        client.send("CLIENT ID\r\n");
        client.line().trim_start_matches(':').to_owned()
    };
    let (own, others) = (id(&mut client), id(&mut other));
    client.ask(format!("CLIENT KILL ID {own}\r\n"), ":0\r\n");
    client.ask(format!("CLIENT KILL ID {others}\r\n"), ":1\r\n");
    other.expect_end();
    for wrong in ["0", "-1", "x"] {
        client.ask(
            format!("CLIENT KILL ID {wrong}\r\n"),
            "-ERR client-id should be greater than 0\r\n",
        );
    }
}

#[test]
fn a_memcached_client_reads_its_values() {
    let memcached = upstream(Protocol::Memcached);
    let proxy = proxy(settings(Protocol::Memcached), &[memcached.address]);
    let mut client = proxy.connect();
    client.ask("set a 7 0 9\r\nEND\r\nget \r\n", "STORED\r\n");
    client.ask("get a b\r\n", "VALUE a 7 9\r\nEND\r\nget \r\nEND\r\n");
    client.ask("set n 0 0 1 noreply\r\n5\r\nincr n 2\r\n", "7\r\n");
    client.ask("delete n noreply\r\nget n\r\n", "END\r\n");
    client.ask(
        "set a b c\r\nmn\r\n",
        "CLIENT_ERROR bad command line format\r\nMN\r\n",
    );
    client.ask("touch a 0\r\n", "TOUCHED\r\n");
    client.send("version\r\n");
    assert!(client.line().starts_with("VERSION "));
    client.send("stats proxy\r\n");
    assert_eq!(
        client.line(),
        format!("STAT {}:state up", memcached.address)
    );
    while client.line() != "END" {}
    // Items are listed in lines of their own kind; larder's server has no such list.
    client.send("stats cachedump 1 10\r\n");
    loop {
        match client.line() {
            line if line.starts_with("ITEM ") => {}
            line if line == "END" || line == "ERROR" => break,
            line => panic!("{line}"),
        }
    }
    client.send("quit\r\n");
    client.expect_end();
}

/// Redis ends such a connection. If that were the one that clients share, three of them would have the upstream ejected.
#[test]
fn a_browser_is_disconnected_and_other_clients_are_not() {
    let redis = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut other = proxy.connect();
    other.ask("SET a one\r\n", "+OK\r\n");
    for _ in 0..4 {
        let mut browser = proxy.connect();
        browser.send("POST / HTTP/1.1\r\nHost: a\r\n\r\nDEL a\r\n");
        browser.expect_end();
        let mut browser = proxy.connect();
        browser.send("Host: a\r\nDEL a\r\n");
        browser.expect_end();
    }
    other.ask("GET a\r\n", "$3\r\none\r\n");
    other.send("INFO proxy\r\n");
    other.line();
    other.line();
    let stats = other.line();
    assert!(stats.contains(",errors=0,"), "{stats}");
}

/// The upstream's own list of its connections, except for the one that asks.
fn connections(protocol: Protocol, upstream: &mut Client) -> usize {
    match protocol {
        Protocol::Resp => upstream.send("INFO clients\r\n"),
        Protocol::Memcached => upstream.send("stats\r\n"),
    }
    let mut count = None;
    loop {
        let line = upstream.line();
        let number = line
            .strip_prefix("connected_clients:")
            .or_else(|| line.strip_prefix("STAT curr_connections "));
        count = count.or(number.and_then(|number| number.parse::<usize>().ok()));
        if line == "END" || count.is_some() && line.is_empty() {
            return count.expect("a count") - 1;
        }
    }
}

#[test]
fn two_hundred_clients_share_four_connections_and_get_their_own_answers() {
    for protocol in [Protocol::Resp, Protocol::Memcached] {
        let server = upstream(protocol);
        let mut direct = Client::connect(server.address);
        let before = connections(protocol, &mut direct);
        let proxy = proxy(settings(protocol), &[server.address]);
        let clients: Vec<Client> = (0..200).map(|_| proxy.connect()).collect();
        thread::scope(|scope| {
            for (number, mut client) in clients.into_iter().enumerate() {
                scope.spawn(move || {
                    for round in 0..20 {
                        let value = format!("{number}-{round}");
                        let length = value.len();
                        match protocol {
                            Protocol::Resp => {
                                let bulk = format!("${length}\r\n{value}\r\n");
                                client.ask(
                                    format!(
                                        "SET k{number} {value}\r\nGET k{number}\r\nECHO {value}\r\nPING {value}\r\n"
                                    ),
                                    format!("+OK\r\n{bulk}{bulk}{bulk}"),
                                );
                            }
                            Protocol::Memcached => client.ask(
                                format!(
                                    "set k{number} 0 0 {length}\r\n{value}\r\nget k{number} none\r\n"
                                ),
                                format!(
                                    "STORED\r\nVALUE k{number} 0 {length}\r\n{value}\r\nEND\r\n"
                                ),
                            ),
                        }
                    }
                });
            }
        });
        let shared = connections(protocol, &mut direct) - before;
        assert!((1..=4).contains(&shared), "{shared} connections");
    }
}

#[test]
fn a_large_value_passes_both_ways_and_delays_no_other_client() {
    const SIZE: usize = 20_000_000;
    let redis = upstream(Protocol::Resp);
    if !redis.is_real() {
        support::skip!("larder's items are smaller than the one that this test stores");
    }
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut client = proxy.connect();
    let value: Vec<u8> = (0..SIZE).map(|at| (at % 251) as u8).collect();
    client.send(format!("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n${SIZE}\r\n"));
    client.send(&value);
    client.send("\r\nGET big\r\nPING\r\n");
    let mut other = proxy.connect();
    other.ask("SET small 1\r\n", "+OK\r\n");
    client.expect("+OK\r\n");
    client.expect(format!("${SIZE}\r\n"));
    let mut got = vec![0; SIZE];
    client.0.read_exact(&mut got).expect("the value");
    assert!(got == value);
    client.expect("\r\n+PONG\r\n");
}

#[test]
fn transactions_subscriptions_and_blocking_reads_delay_no_other_client() {
    let redis = upstream(Protocol::Resp);
    if !redis.is_real() {
        support::skip!("larder has no lists to block on");
    }
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let mut one = proxy.connect();
    let mut two = proxy.connect();
    // One connection upstream would mix these.
    one.ask("MULTI\r\nINCR n\r\n", "+OK\r\n+QUEUED\r\n");
    two.ask("INCR n\r\n", ":1\r\n");
    one.ask("EXEC\r\nPING\r\n", "*1\r\n:2\r\n+PONG\r\n");
    one.ask("WATCH n\r\n", "+OK\r\n");
    two.ask("INCR n\r\n", ":3\r\n");
    one.ask("MULTI\r\nINCR n\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n*-1\r\n");
    one.send("BLPOP list 0\r\nGET n\r\n");
    let mut listener = proxy.connect();
    listener.ask(
        "SUBSCRIBE news\r\n",
        "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n",
    );
    two.ask("PUBLISH news hello\r\n", ":1\r\n");
    listener.expect("*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n");
    two.ask("RPUSH list x\r\n", ":1\r\n");
    one.expect("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n$1\r\n3\r\n");
}

#[test]
fn databases_and_versions_of_resp_are_each_clients_own() {
    let redis = upstream(Protocol::Resp);
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let (mut one, mut two) = (proxy.connect(), proxy.connect());
    one.ask("SELECT 3\r\nSET a three\r\n", "+OK\r\n+OK\r\n");
    two.ask("SET a zero\r\nHSET h f v\r\n", "+OK\r\n:1\r\n");
    one.ask("GET a\r\n", "$5\r\nthree\r\n");
    one.ask("SELECT 0\r\nGET a\r\n", "+OK\r\n$4\r\nzero\r\n");
    two.send("HELLO 3\r\n");
    assert_eq!(two.line(), "%7");
    // Its last line says that there are no modules.
    while two.line() != "*0" {}
    two.ask("HGETALL h\r\n", "%1\r\n$1\r\nf\r\n$1\r\nv\r\n");
    one.ask("HGETALL h\r\n", "*2\r\n$1\r\nf\r\n$1\r\nv\r\n");
}

#[test]
fn a_pool_divides_requests_and_joins_the_answers_in_order() {
    let servers = [upstream(Protocol::Resp), upstream(Protocol::Resp)];
    let addresses = servers.each_ref().map(|server| server.address);
    let proxy = proxy(settings(Protocol::Resp), &addresses);
    let mut client = proxy.connect();
    let keys: Vec<String> = (0..50).map(|n| format!("key{n}")).collect();
    let pairs: Vec<String> = keys.iter().map(|key| format!("{key} v-{key}")).collect();
    client.ask(format!("MSET {}\r\n", pairs.join(" ")), "+OK\r\n");
    let mut expected = String::from("*51\r\n");
    for key in &keys {
        expected += &format!("${}\r\nv-{key}\r\n", key.len() + 2);
    }
    expected += "$-1\r\n";
    client.ask(format!("MGET {} nothing\r\n", keys.join(" ")), expected);
    let mut sizes = Vec::new();
    for address in addresses {
        let mut direct = Client::connect(address);
        direct.send("DBSIZE\r\n");
        sizes.push(direct.line()[1..].parse::<usize>().expect("a number"));
    }
    assert_eq!(sizes.iter().sum::<usize>(), 50);
    assert!(sizes.iter().all(|size| *size > 0), "{sizes:?}");
    client.ask(format!("EXISTS {}\r\n", keys.join(" ")), ":50\r\n");
    client.ask(
        "MSET {t}a 1 {t}b 2\r\nRENAME {t}a {t}c\r\n",
        "+OK\r\n+OK\r\n",
    );
    client.ask(format!("DEL {}\r\n", keys.join(" ")), ":50\r\n");
    client.send(format!("SINTER {}\r\n", keys.join(" ")));
    assert!(client.line().starts_with("-CROSSSLOT "));
}

#[test]
fn a_pool_of_memcached_gives_values_in_the_order_of_the_keys() {
    let servers = [upstream(Protocol::Memcached), upstream(Protocol::Memcached)];
    let proxy = proxy(
        settings(Protocol::Memcached),
        &servers.each_ref().map(|server| server.address),
    );
    let mut client = proxy.connect();
    let (mut asked, mut expected) = (String::from("get"), String::new());
    for number in 0..40 {
        client.ask(
            format!("set k{number} {number} 0 5\r\nEND\r\n\r\n"),
            "STORED\r\n",
        );
        asked += &format!(" k{number}");
        expected += &format!("VALUE k{number} {number} 5\r\nEND\r\n\r\n");
    }
    client.ask(format!("{asked} none\r\n"), format!("{expected}END\r\n"));
}

#[test]
fn another_list_moves_only_the_keys_that_must_move() {
    let servers: Vec<_> = (0..3)
        .map(|_| larder::Server::start().expect("it starts"))
        .collect();
    let addresses: Vec<SocketAddr> = servers.iter().map(larder::Server::resp_addr).collect();
    let proxy = proxy(settings(Protocol::Resp), &addresses[..2]);
    let mut client = proxy.connect();
    for number in 0..200 {
        client.ask(format!("SET k{number} v\r\n"), "+OK\r\n");
    }
    let before = servers[0].connections().total() + servers[1].connections().total();
    proxy.control.replace_servers(&list(&addresses));
    eventually("the new server", || {
        client.ask("SET probe 1\r\n", "+OK\r\n");
        client.send("INFO proxy\r\n");
        let length: usize = client.line()[1..].parse().expect("a length");
        let mut text = vec![0; length + 2];
        client.0.read_exact(&mut text).expect("the section");
        String::from_utf8_lossy(&text).contains("upstream2:")
    });
    let mut kept = 0;
    for number in 0..200 {
        client.send(format!("EXISTS k{number}\r\n"));
        kept += usize::from(client.line() == ":1");
    }
    // About a third moves to the new server; ketama scatters a little.
    assert!((100..=170).contains(&kept), "{kept} of 200 keys stayed");
    let after = servers[0].connections().total() + servers[1].connections().total();
    assert_eq!(after, before, "connections to servers that stay are kept");
}

#[test]
fn monitor_shows_other_clients_commands_and_delays_none() {
    let Some(redis) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let (mut watcher, mut other) = (proxy.connect(), proxy.connect());
    watcher.ask("MONITOR\r\n", "+OK\r\n");
    other.ask("SET key value\r\n", "+OK\r\n");
    let shown = watcher.line();
    assert!(shown.ends_with(r#""SET" "key" "value""#), "{shown}");
    other.ask("GET key\r\n", "$5\r\nvalue\r\n");
}

#[test]
fn a_client_that_tracks_keys_is_notified_when_another_changes_one() {
    let Some(redis) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let (mut tracker, mut other) = (proxy.connect(), proxy.connect());
    tracker.send("HELLO 3\r\n");
    while tracker.line() != "modules" {}
    tracker.expect("*0\r\n");
    other.ask("SET key old\r\n", "+OK\r\n");
    tracker.ask("CLIENT TRACKING ON\r\n", "+OK\r\n");
    tracker.ask("GET key\r\n", "$3\r\nold\r\n");
    other.ask("SET key new\r\n", "+OK\r\n");
    tracker.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n");
    tracker.ask("GET key\r\n", "$3\r\nnew\r\n");
}

//! Subscribers behind the proxy: their channels are at any of the servers, the counts are their own, and a client that has
//! left its channels is an ordinary client again.

mod proxy_support;
mod support;

use larder::proxy::Protocol;
use proxy_support::{Client, Real, TestProxy, eventually, proxy, settings};

const CONTEXT: &str =
    "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

struct Pool {
    servers: Vec<Real>,
    proxy: TestProxy,
    /// Channels, which are keys as well, of one server and of another.
    here: String,
    there: String,
}

/// Two servers and a proxy; `None` if there is no Redis.
fn pool() -> Option<Pool> {
    let servers: Vec<Real> = (0..2).map_while(|_| Real::start("redis-server")).collect();
    if servers.len() < 2 {
        return None;
    }
    let addresses: Vec<_> = servers.iter().map(|server| server.address).collect();
    let proxy = proxy(settings(Protocol::Resp), &addresses);
    let mut client = proxy.connect();
    let mut direct = Client::connect(addresses[0]);
    let (mut here, mut there) = (String::new(), String::new());
    for number in 0.. {
        let key = format!("news{number}");
        client.ask(format!("SET {key} 0\r\n"), "+OK\r\n");
        direct.send(format!("EXISTS {key}\r\n"));
        match direct.line() == ":1" {
            true => here = key,
            false => there = key,
        }
        if !here.is_empty() && !there.is_empty() {
            break;
        }
    }
    Some(Pool {
        servers,
        proxy,
        here,
        there,
    })
}

/// An array of bulk strings and a number, as confirmations and messages are.
fn array(kind: char, words: &[&str], count: Option<usize>) -> String {
    let mut text = format!("{kind}{}\r\n", words.len() + usize::from(count.is_some()));
    for word in words {
        text += &format!("${}\r\n{word}\r\n", word.len());
    }
    count
        .iter()
        .for_each(|count| text += &format!(":{count}\r\n"));
    text
}

// The connection stayed bound to the server of the first channel, with everything that came after.
#[test]
fn a_client_that_has_left_its_channels_reaches_every_server_again() {
    let Some(pool) = pool() else {
        support::skip!("redis-server is not installed");
    };
    let (here, there) = (&pool.here, &pool.there);
    for again in ["UNSUBSCRIBE", "RESET"] {
        let mut client = pool.proxy.connect();
        client.ask(
            format!("SUBSCRIBE {here}\r\n"),
            array('*', &["subscribe", here], Some(1)),
        );
        client.send(format!("GET {there}\r\n"));
        assert!(client.line().ends_with(CONTEXT));
        client.ask(
            "PING\r\nPING x\r\n",
            "*2\r\n$4\r\npong\r\n$0\r\n\r\n*2\r\n$4\r\npong\r\n$1\r\nx\r\n",
        );
        client.send(format!("{again}\r\n"));
        match again {
            "RESET" => client.expect("+RESET\r\n"),
            _ => client.expect(array('*', &["unsubscribe", here], Some(0))),
        }
        for key in [here, there] {
            client.ask(
                format!("SET {key} 5\r\nGET {key}\r\n"),
                "+OK\r\n$1\r\n5\r\n",
            );
        }
    }
    // All connections of subscribers are closed.
    for server in &pool.servers {
        let mut direct = Client::connect(server.address);
        eventually("no subscriber is left", || {
            direct.send("CLIENT LIST TYPE pubsub\r\n");
            let empty = direct.line() == "$0";
            let _ = (!empty).then(|| direct.line());
            direct.line();
            empty
        });
    }
}

// A second channel, of another server, was confirmed by the first and never heard.
#[test]
fn a_subscriber_hears_channels_of_several_servers_and_counts_its_own() {
    let Some(pool) = pool() else {
        support::skip!("redis-server is not installed");
    };
    let (here, there) = (&pool.here, &pool.there);
    let mut client = pool.proxy.connect();
    let mut other = pool.proxy.connect();
    client.send(format!("SUBSCRIBE {there} {here} {there}\r\n"));
    client.expect(array('*', &["subscribe", there], Some(1)));
    client.expect(array('*', &["subscribe", here], Some(2)));
    client.expect(array('*', &["subscribe", there], Some(2)));
    for channel in [here, there] {
        other.ask(format!("PUBLISH {channel} hello\r\n"), ":1\r\n");
        client.expect(array('*', &["message", channel, "hello"], None));
    }
    client.ask(
        "PSUBSCRIBE new*\r\n",
        array('*', &["psubscribe", "new*"], Some(3)),
    );
    for channel in [here, there] {
        other.ask(format!("PUBLISH {channel} x\r\n"), ":2\r\n");
        // Of one server they come in its order.
        client.expect(array('*', &["message", channel, "x"], None));
        client.expect(array('*', &["pmessage", "new*", channel, "x"], None));
    }
    client.send(format!(
        "UNSUBSCRIBE {here} nothing\r\nPUNSUBSCRIBE\r\nUNSUBSCRIBE\r\nUNSUBSCRIBE\r\n"
    ));
    client.expect(array('*', &["unsubscribe", here], Some(2)));
    client.expect(array('*', &["unsubscribe", "nothing"], Some(2)));
    client.expect(array('*', &["punsubscribe", "new*"], Some(1)));
    client.expect(array('*', &["unsubscribe", there], Some(0)));
    client.expect("*3\r\n$11\r\nunsubscribe\r\n$-1\r\n:0\r\n");
    client.ask("PING\r\n", "+PONG\r\n");
    client.ask(
        "SUBSCRIBE\r\n",
        "-ERR wrong number of arguments for 'subscribe' command\r\n",
    );
}

#[test]
fn a_subscriber_in_resp3_sends_any_command() {
    let Some(pool) = pool() else {
        support::skip!("redis-server is not installed");
    };
    let (here, there) = (&pool.here, &pool.there);
    let mut client = pool.proxy.connect();
    let mut other = pool.proxy.connect();
    client.send("HELLO 3\r\n");
    while client.line() != "*0" {}
    client.send(format!("SUBSCRIBE {here} {there}\r\n"));
    client.expect(array('>', &["subscribe", here], Some(1)));
    client.expect(array('>', &["subscribe", there], Some(2)));
    client.ask(
        format!("SET {here} 1\r\nGET {here}\r\nPING\r\n"),
        "+OK\r\n$1\r\n1\r\n+PONG\r\n",
    );
    other.ask(format!("PUBLISH {there} hello\r\n"), ":1\r\n");
    client.expect(array('>', &["message", there, "hello"], None));
    client.ask(
        format!("MULTI\r\nSET {there} 1\r\nEXEC\r\n"),
        "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n",
    );
    client.send("UNSUBSCRIBE\r\nUNSUBSCRIBE\r\n");
    // All channels, in any order.
    for _ in 0..2 {
        assert_eq!(client.line(), ">3");
        client.expect("$11\r\nunsubscribe\r\n");
        client.line();
        client.line();
        client.line();
    }
    client.expect(">3\r\n$11\r\nunsubscribe\r\n_\r\n:0\r\n");
}

#[test]
fn a_subscriber_whose_server_dies_is_closed() {
    let Some(mut pool) = pool() else {
        support::skip!("redis-server is not installed");
    };
    let mut client = pool.proxy.connect();
    let (here, there) = (pool.here.clone(), pool.there.clone());
    client.send(format!("SUBSCRIBE {here} {there}\r\n"));
    client.expect(array('*', &["subscribe", &here], Some(1)));
    client.expect(array('*', &["subscribe", &there], Some(2)));
    pool.servers.clear();
    client.expect_end();
}

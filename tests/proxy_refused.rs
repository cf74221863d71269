//! Storage commands that are refused: the proxy and its upstreams agree about where the next request begins, so that no
//! client gets a request past the proxy inside of a value.

mod proxy_support;
mod support;

use std::net::SocketAddr;

use larder::proxy::Protocol;
use proxy_support::{Client, Real, TestProxy, proxy, settings};
use support::skip;

/// Two upstreams of one kind and a proxy in front of them, and a key of each upstream.
struct Pool {
    _real: Vec<Real>,
    _ours: Vec<larder::Server>,
    addresses: [SocketAddr; 2],
    proxy: TestProxy,
}

impl Pool {
    fn new(addresses: [SocketAddr; 2], real: Vec<Real>, ours: Vec<larder::Server>) -> Pool {
        Pool {
            _real: real,
            _ours: ours,
            addresses,
            proxy: proxy(settings(Protocol::Memcached), &addresses),
        }
    }

    fn memcached() -> Option<Pool> {
        let real: Vec<Real> = (0..2).map_while(|_| Real::start("memcached")).collect();
        let addresses = [real.first()?.address, real.get(1)?.address];
        Some(Pool::new(addresses, real, Vec::new()))
    }

    fn larder() -> Pool {
        let ours = [(); 2].map(|()| larder::Server::start().expect("it starts"));
        let addresses = ours.each_ref().map(larder::Server::memcached_addr);
        Pool::new(addresses, Vec::new(), ours.into())
    }

    /// A key with this beginning, of the upstream of this number.
    fn key(&self, name: &str, number: usize) -> String {
        let mut client = self.proxy.connect();
        let mut direct = Client::connect(self.addresses[number]);
        let is_there = |key: &String| {
            client.ask(format!("set {key} 0 0 1\r\nx\r\n"), "STORED\r\n");
            direct.send(format!("get {key}\r\n"));
            let found = direct.line() != "END";
            if found {
                direct.expect("x\r\nEND\r\n");
                client.ask(format!("delete {key}\r\n"), "DELETED\r\n");
            }
            found
        };
        let mut keys = (0..).map(|at| format!("{name}{at}"));
        keys.find(is_there).expect("there is one")
    }
}

/// Lines that are refused, with `KEY` and `LENGTH` as variables; whether an error comes; and whether the length can
/// be read, so that the next bytes are a value.
fn lines() -> Vec<(String, bool, bool)> {
    let long = format!("KEY{}", "k".repeat(250));
    let flags = " k".repeat(17);
    [
        (format!("set {long} 0 0 LENGTH"), true, true),
        (format!("set {long} 0 0 LENGTH noreply"), false, true),
        (format!("ms {long} LENGTH"), true, true),
        (format!("ms KEY LENGTH{flags}"), true, true),
    ]
    .into_iter()
    .chain(
        [
            ("set KEY x 0 LENGTH", true, true),
            ("set KEY -1 0 LENGTH", true, true),
            ("add KEY 0 x LENGTH", true, true),
            ("append KEY 0 x LENGTH noreply", false, true),
            ("cas KEY 0 0 LENGTH x", true, true),
            ("cas KEY 0 0 LENGTH x noreply", false, true),
            ("cas KEY 0 0 LENGTH", true, true),
            ("set KEY 0 0 LENGTH two words", true, true),
            // With nested keys the last number is the length.
            ("set KEY 0 0 LENGTH 0", true, true),
            ("cas KEY 0 0 LENGTH 0 1", true, true),
            ("set KEY\0x 0 0 LENGTH", true, true),
            ("set KEY 0 0 LENGTH\0", true, false),
            ("ms KEY\0 LENGTH", true, true),
            ("ms KEY LENGTH !", true, true),
            // These reach the upstream, which refuses them.
            ("ms KEY LENGTH S2 S3", true, true),
            ("ms KEY LENGTH Mx", true, true),
            ("ms KEY LENGTH C", true, true),
            ("ms KEY LENGTH Tx", true, true),
            // The length can't be read, so the next line is an ordinary request.
            ("set KEY 0 0 x", true, false),
            ("set KEY 0 0 -1", true, false),
            ("set KEY 0 0 99999999999", true, false),
            ("set KEY 0 0", true, false),
            ("ms KEY x", true, false),
            ("ms KEY", true, false),
            ("ms KEY -1", true, false),
        ]
        .map(|(line, replies, value)| (line.to_owned(), replies, value)),
    )
    .collect()
}

/// The values of these keys on a server.
fn holds(address: SocketAddr, keys: &[&str]) -> Vec<String> {
    let mut client = Client::connect(address);
    let mut found = Vec::new();
    for key in keys {
        client.send(format!("get {key}\r\n"));
        if client.line() != "END" {
            found.push((*key).to_owned());
            client.line();
            client.expect("END\r\n");
        }
    }
    found
}

fn nothing_gets_past(pool: &Pool) {
    let here = pool.key("here", 0);
    let [near, far] = [pool.key("near", 0), pool.key("far", 1)];
    let mut other = pool.proxy.connect();
    for (line, replies, is_value) in lines() {
        for spaces in ["", "  "] {
            let mut client = pool.proxy.connect();
            let inside = format!("set {far} 0 0 1\r\ny\r\nset {near} 0 0 1\r\nz\r\n");
            let value = &inside[..inside.len() - 2];
            let line = line
                .replace("KEY", &here)
                .replace("LENGTH", &value.len().to_string());
            let shown = line.escape_debug().to_string();
            client.send(format!("{spaces}{line}\r\n{value}\r\nget {here}\r\nmn\r\n"));
            if replies {
                let error = client.line();
                let is_error = error == "ERROR" || error.starts_with("CLIENT_ERROR ");
                assert!(is_error, "{error} to {shown}");
            }
            if !is_value {
                client.expect("STORED\r\nSTORED\r\n");
            }
            client.expect("END\r\nMN\r\n");
            // All requests went to the servers of their keys.
            let both = [&near[..], &far];
            let [first, second] = pool.addresses.map(|address| holds(address, &both));
            let expected = |key: &String| if is_value { vec![] } else { vec![key.clone()] };
            assert_eq!(
                (first, second),
                (expected(&near), expected(&far)),
                "{shown}"
            );
            // Other clients of the same connections are not out of step.
            other.ask(format!("set {here} 0 0 2\r\nok\r\n"), "STORED\r\n");
            other.ask(
                format!("get {here}\r\n"),
                format!("VALUE {here} 0 2\r\nok\r\nEND\r\n"),
            );
            for key in [&here, &near, &far] {
                other.send(format!("delete {key}\r\n"));
                other.line();
            }
        }
    }
}

// Some upstreams executed the bytes behind a storage line with a bad number, and others didn't.
#[test]
fn memcached_executes_nothing_of_a_refused_value() {
    match Pool::memcached() {
        Some(pool) => nothing_gets_past(&pool),
        None => skip!("there is no memcached"),
    }
}

#[test]
fn larder_executes_nothing_of_a_refused_value() {
    nothing_gets_past(&Pool::larder());
}

// Spaces before a verb were sent on with a value that is streamed; memcached 1.6.45 refuses such a line and executes
// the value.
#[test]
fn spaces_before_a_large_value_are_not_sent_on() {
    let pools = [Pool::memcached(), Some(Pool::larder())];
    for pool in pools.into_iter().flatten() {
        let here = pool.key("here", 0);
        let far = pool.key("far", 1);
        let inside = format!("set {far} 0 0 1\r\ny\r\n");
        let mut value = inside.repeat(2_000_000 / inside.len());
        value.truncate(value.len() - 2);
        let length = value.len();
        let mut client = pool.proxy.connect();
        for line in [
            format!("set {here} 0 0 {length}"),
            format!("ms {here} {length}"),
        ] {
            client.send(format!("  {line}\r\n{value}\r\nmn\r\n"));
            let stored = client.line();
            // ERROR is of a server without meta commands, to which the proxy sends no block.
            let known = [
                "STORED",
                "HD",
                "ERROR",
                "SERVER_ERROR object too large for cache",
            ];
            assert!(known.contains(&&stored[..]), "{stored}");
            client.expect("MN\r\n");
            for address in pool.addresses {
                assert!(holds(address, &[&far]).is_empty(), "{line}");
            }
        }
    }
}

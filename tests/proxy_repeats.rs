//! Requests whose connection breaks before their answers come. A read is retried, unless its client has sent a write
//! behind it. A write is not, because it may have been executed.

mod proxy_support;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use larder::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};
use larder::proxy::{OnFailure, Protocol, Settings};
use proxy_support::{Client, TestProxy, peer, proxy, settings};

const BOTH: [Protocol; 2] = [Protocol::Resp, Protocol::Memcached];

/// The requests that a server of these tests got, over all its connections.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    reads: AtomicUsize,
    writes: AtomicUsize,
}

/// A server that closes its first connections in place of an answer to the first of the requests
/// that come together, and answers over later ones.
fn closer(protocol: Protocol, closes: usize) -> (SocketAddr, Arc<Seen>) {
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    let address = peer(move |mut stream: TcpStream| {
        let number = counts.connections.fetch_add(1, Relaxed);
        let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            input.extend_from_slice(&buffer[..n]);
            let mut framer = match protocol {
                Protocol::Resp => RequestFramer::resp(),
                Protocol::Memcached => RequestFramer::memcached(),
            };
            let (mut at, mut scratch, mut answers) = (0, RequestBuffers::default(), String::new());
            while let RequestFrame::Request(request, used) =
                framer.frame(&input[at..], &mut scratch)
            {
                at += used;
                let counter = match request.repeat_safe {
                    true => &counts.reads,
                    false => &counts.writes,
                };
                counter.fetch_add(1, Relaxed);
                answers += answer(protocol, request.repeat_safe);
            }
            input.drain(..at);
            if number < closes || stream.write_all(answers.as_bytes()).is_err() {
                return;
            }
        }
    });
    (address, seen)
}

fn answer(protocol: Protocol, read: bool) -> &'static str {
    match (protocol, read) {
        (Protocol::Resp, true) => "$1\r\nx\r\n",
        (Protocol::Resp, false) => "+OK\r\n",
        (Protocol::Memcached, true) => "END\r\n",
        (Protocol::Memcached, false) => "STORED\r\n",
    }
}

fn set(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Resp => "SET a x\r\n",
        Protocol::Memcached => "set a 0 0 1\r\nx\r\n",
    }
}

fn closed(protocol: Protocol, address: SocketAddr) -> String {
    let start = match protocol {
        Protocol::Resp => "-ERR",
        Protocol::Memcached => "SERVER_ERROR",
    };
    format!("{start} upstream {address} closed the connection before it had answered\r\n")
}

fn start(protocol: Protocol, address: SocketAddr) -> TestProxy {
    let settings = Settings {
        connections: 1,
        ..settings(protocol)
    };
    proxy(settings, &[address])
}

#[test]
fn a_read_is_retried_without_an_error_for_its_client() {
    for protocol in BOTH {
        let (address, seen) = closer(protocol, 1);
        let proxy = start(protocol, address);
        let mut client = proxy.connect();
        client.ask("get a\r\n", answer(protocol, true));
        assert_eq!(seen.reads.load(Relaxed), 2);
        assert_eq!(seen.connections.load(Relaxed), 2);
    }
}

#[test]
fn a_write_may_have_been_executed_and_is_not_sent_twice() {
    for protocol in BOTH {
        let (address, seen) = closer(protocol, 1);
        let proxy = start(protocol, address);
        let mut client = proxy.connect();
        client.ask(set(protocol), closed(protocol, address));
        assert_eq!(seen.writes.load(Relaxed), 1);
        client.ask(set(protocol), answer(protocol, false));
        assert_eq!(seen.writes.load(Relaxed), 2);
    }
}

#[test]
fn answers_to_retried_and_other_requests_come_in_order() {
    for protocol in BOTH {
        let (address, seen) = closer(protocol, 1);
        let proxy = start(protocol, address);
        let (mut client, mut other) = (proxy.connect(), proxy.connect());
        let (read, write) = (answer(protocol, true), closed(protocol, address));
        let set = set(protocol);
        // In one write, so that all of it is under way when the connection breaks.
        client.ask(
            format!("get a\r\n{set}get a\r\n{set}get a\r\n"),
            format!("{write}{write}{write}{write}{read}"),
        );
        other.ask("get a\r\n", read);
        assert_eq!(seen.writes.load(Relaxed), 2);
        assert_eq!(seen.reads.load(Relaxed), 3 + 1 + 1);
    }
}

// The read was sent again behind the write of the same client, which the server had executed before the connection broke:
// the client saw its later write in the earlier reply.
#[test]
fn a_read_in_front_of_a_write_of_its_client_is_not_sent_again() {
    for protocol in BOTH {
        let (address, seen) = closer(protocol, 1);
        let proxy = start(protocol, address);
        let mut client = proxy.connect();
        let error = closed(protocol, address);
        client.ask(
            format!("get a\r\n{}", set(protocol)),
            format!("{error}{error}"),
        );
        assert_eq!(seen.reads.load(Relaxed), 1);
        client.ask("get a\r\n", answer(protocol, true));
    }
}

// As above, but nothing waited for the answer to the write, since it has none.
#[test]
fn a_read_in_front_of_a_write_without_a_reply_is_not_sent_again() {
    let (address, seen) = closer(Protocol::Memcached, 1);
    let proxy = start(Protocol::Memcached, address);
    let mut client = proxy.connect();
    client.ask(
        "get a\r\nset a 0 0 1 noreply\r\nx\r\n",
        closed(Protocol::Memcached, address),
    );
    assert_eq!(
        (seen.reads.load(Relaxed), seen.writes.load(Relaxed)),
        (1, 1)
    );
}

#[test]
fn a_retry_that_fails_is_an_error() {
    for protocol in BOTH {
        let (address, seen) = closer(protocol, usize::MAX);
        let proxy = start(protocol, address);
        let mut client = proxy.connect();
        client.ask("get a\r\n", closed(protocol, address));
        assert_eq!(seen.reads.load(Relaxed), 2);
    }
}

#[test]
fn an_idle_connection_that_the_upstream_closed_costs_no_request() {
    for protocol in BOTH {
        let (sender, ended) = crossbeam_channel::unbounded();
        let address = peer(move |mut stream| {
            let mut buffer = [0; 4096];
            if let Ok(1..) = stream.read(&mut buffer) {
                let _ = stream.write_all(answer(protocol, false).as_bytes());
                let _ = stream.shutdown(Shutdown::Write);
            }
            while let Ok(1..) = stream.read(&mut buffer) {}
            let _ = sender.send(());
        });
        let proxy = start(protocol, address);
        let mut client = proxy.connect();
        for _ in 0..5 {
            // A write, which would not be sent again.
            client.ask(set(protocol), answer(protocol, false));
            ended
                .recv_timeout(proxy_support::PATIENCE)
                .expect("the proxy closes its half");
        }
    }
}

#[test]
fn with_next_a_read_goes_to_the_next_server_when_its_own_is_ejected() {
    for protocol in BOTH {
        let (bad, seen) = closer(protocol, usize::MAX);
        let (good, _) = closer(protocol, 0);
        let settings = Settings {
            failures: 1,
            on_failure: OnFailure::Next,
            ..settings(protocol)
        };
        let proxy = proxy(settings, &[bad, good]);
        let mut client = proxy.connect();
        for number in 0..30 {
            client.ask(format!("get key{number}\r\n"), answer(protocol, true));
        }
        assert!(seen.reads.load(Relaxed) > 0, "no key was the bad server's");
    }
}

#[test]
fn parts_of_a_divided_read_are_sent_again_each_for_itself() {
    let (one, _) = closer(Protocol::Memcached, 1);
    let (two, _) = closer(Protocol::Memcached, 0);
    let proxy = proxy(
        Settings {
            connections: 1,
            ..settings(Protocol::Memcached)
        },
        &[one, two],
    );
    let mut client: Client = proxy.connect();
    let keys: String = (0..20).map(|number| format!(" key{number}")).collect();
    client.ask(format!("get{keys}\r\n"), "END\r\n");
}

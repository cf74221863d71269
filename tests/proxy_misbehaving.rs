//! Upstreams with all kinds of faults, in both protocols: a client gets an error in its protocol
//! within the deadline or, if a part of an answer has reached it, the end of its connection. It
//! never gets another client's bytes, and always an answer or an end. As soon as the upstream
//! behaves the proxy serves from it, without a restart.

mod proxy_support;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use larder::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer, Route};
use larder::proxy::{Protocol, Settings};
use proxy_support::{Client, TestProxy, eventually, impatient, peer, proxy, settings};

const BOTH: [Protocol; 2] = [Protocol::Resp, Protocol::Memcached];

/// Answers a `get` with its key as the value, and other commands as a probe expects.
fn behave(stream: &mut TcpStream, protocol: Protocol) {
    let mut framer = match protocol {
        Protocol::Resp => RequestFramer::resp(),
        Protocol::Memcached => RequestFramer::memcached(),
    };
    let (mut input, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = stream.read(&mut buffer) {
        input.extend_from_slice(&buffer[..n]);
        let (mut at, mut scratch) = (0, RequestBuffers::default());
        while let RequestFrame::Request(request, used) = framer.frame(&input[at..], &mut scratch) {
            let key = match request.route {
                Route::Key(key) => Some(String::from_utf8_lossy(key).into_owned()),
                _ => None,
            };
            at += used;
            if stream
                .write_all(answer(protocol, key.as_deref()).as_bytes())
                .is_err()
            {
                return;
            }
        }
        input.drain(..at);
    }
}

fn answer(protocol: Protocol, key: Option<&str>) -> String {
    match (protocol, key) {
        (Protocol::Resp, Some(key)) => format!("${}\r\n{key}\r\n", key.len()),
        (Protocol::Resp, None) => "+PONG\r\n".into(),
        (Protocol::Memcached, Some(key)) => {
            format!("VALUE {key} 0 {}\r\n{key}\r\nEND\r\n", key.len())
        }
        (Protocol::Memcached, None) => "VERSION 1\r\n".into(),
    }
}

/// A server that calls `vice` for its connections until it is `good`.
fn moody(
    protocol: Protocol,
    vice: impl Fn(&mut TcpStream, Protocol) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicBool>) {
    let good = Arc::new(AtomicBool::new(false));
    let is_good = Arc::clone(&good);
    let address = peer(move |mut stream| match is_good.load(Relaxed) {
        true => behave(&mut stream, protocol),
        false => vice(&mut stream, protocol),
    });
    (address, good)
}

/// Waits for the first request.
fn hear(stream: &mut TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
}

/// Reads to the end, answering nothing.
fn ignore(stream: &mut TcpStream) {
    let mut bin = [0; 4096];
    while let Ok(1..) = stream.read(&mut bin) {}
}

/// A proxy with one connection to this server.
fn start(settings: Settings, address: SocketAddr) -> TestProxy {
    let settings = Settings {
        connections: 1,
        ..settings
    };
    proxy(settings, &[address])
}

/// Reads the error or end that `client` gets instead of an answer.
#[track_caller]
fn error(client: &mut Client, protocol: Protocol, address: SocketAddr, what: &str) {
    let line = client.line();
    let start = match protocol {
        Protocol::Resp => "-ERR",
        Protocol::Memcached => "SERVER_ERROR",
    };
    let upstream = format!("{start} upstream {address} ");
    let error = line
        .strip_prefix(&upstream)
        .unwrap_or_else(|| panic!("{line}"));
    assert!(
        error.contains(what) || error.starts_with("is ejected"),
        "{line}"
    );
}

/// Reads the value of a key, or an error: whether it was the value.
#[track_caller]
fn reads(client: &mut Client, protocol: Protocol, key: &str) -> bool {
    let line = client.line();
    let is_value = !line.starts_with("-ERR") && !line.starts_with("SERVER_ERROR");
    if is_value {
        let whole = answer(protocol, Some(key));
        assert!(
            whole.starts_with(&format!("{line}\r\n")),
            "{line} for {key}"
        );
        client.expect(&whole[line.len() + 2..]);
    }
    is_value
}

/// Once the upstream behaves, each client gets its own answer. On a slow machine it may miss a deadline again.
#[track_caller]
fn recovers(proxy: &TestProxy, protocol: Protocol, good: &AtomicBool) {
    good.store(true, Relaxed);
    let mut clients: Vec<Client> = (0..8).map(|_| proxy.connect()).collect();
    eventually("the recovery", || {
        let mut values = 0;
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("get k{number}\r\nget l{number}\r\n"));
        }
        for (number, client) in clients.iter_mut().enumerate() {
            for key in ["k", "l"] {
                values += usize::from(reads(client, protocol, &format!("{key}{number}")));
            }
        }
        values == 2 * clients.len()
    });
}

/// The answers that two clients get from a server with this fault.
#[track_caller]
fn gives_an_error(vice: fn(&mut TcpStream, Protocol), what: &str) {
    gives_an_error_under(settings, vice, what);
}

#[track_caller]
fn gives_an_error_under(
    settings: fn(Protocol) -> Settings,
    vice: fn(&mut TcpStream, Protocol),
    what: &str,
) {
    for protocol in BOTH {
        let (address, good) = moody(protocol, vice);
        let proxy = start(settings(protocol), address);
        let mut clients = [proxy.connect(), proxy.connect()];
        for client in &mut clients {
            client.send("get a\r\nget b\r\n");
        }
        for client in &mut clients {
            error(client, protocol, address, what);
            error(client, protocol, address, what);
        }
        recovers(&proxy, protocol, &good);
    }
}

#[test]
fn one_that_closes_at_once() {
    gives_an_error(|_, _| {}, "closed the connection");
}

#[test]
fn one_that_resets_the_connection() {
    gives_an_error(
        |stream, _| {
            // If a socket closes with unread bytes, the system resets it.
            let _ = stream.peek(&mut [0]);
        },
        "closed the connection",
    );
}

#[test]
fn one_that_closes_its_sending_side_and_reads_on() {
    gives_an_error(
        |stream, _| {
            hear(stream);
            let _ = stream.shutdown(Shutdown::Write);
            ignore(stream);
        },
        "closed the connection",
    );
}

#[test]
fn one_that_reads_and_never_answers() {
    gives_an_error_under(
        impatient,
        |stream, _| ignore(stream),
        "did not answer within 2s",
    );
}

#[test]
fn one_that_speaks_another_protocol() {
    gives_an_error(
        |stream, _| {
            hear(stream);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            ignore(stream);
        },
        "don't follow the protocol",
    );
}

/// With these faults a part of an answer has reached the client, so only the end of its connection
/// can report the failure.
#[test]
fn one_that_stops_in_the_middle_of_a_value_by_closing_or_by_silence() {
    for protocol in BOTH {
        for closes in [true, false] {
            let half = match protocol {
                Protocol::Resp => "$10\r\nabc",
                Protocol::Memcached => "VALUE a 0 10\r\nabc",
            };
            let (address, good) = moody(protocol, move |stream, _| {
                hear(stream);
                let _ = stream.write_all(half.as_bytes());
                // The other client's request.
                hear(stream);
                if !closes {
                    ignore(stream);
                }
            });
            let settings = if closes { settings } else { impatient };
            let proxy = start(settings(protocol), address);
            let (mut client, mut behind) = (proxy.connect(), proxy.connect());
            client.send("get a\r\n");
            client.expect(half);
            good.store(true, Relaxed);
            behind.send("get b\r\n");
            client.expect_end();
            match closes {
                // It was retried over a new connection.
                true => behind.expect(answer(protocol, Some("b"))),
                false => error(&mut behind, protocol, address, "did not answer within 2s"),
            }
            recovers(&proxy, protocol, &good);
        }
    }
}

#[test]
fn one_that_sends_more_replies_than_requests() {
    for protocol in BOTH {
        let (address, good) = moody(protocol, |stream, protocol| {
            hear(stream);
            let twice = answer(protocol, Some("a")).repeat(2);
            let _ = stream.write_all(twice.as_bytes());
            ignore(stream);
        });
        let proxy = start(settings(protocol), address);
        // Surplus bytes are never taken for the answer to the next request.
        for _ in 0..3 {
            let (mut one, mut two) = (proxy.connect(), proxy.connect());
            one.ask("get a\r\n", answer(protocol, Some("a")));
            good.store(true, Relaxed);
            two.ask("get b\r\n", answer(protocol, Some("b")));
            good.store(false, Relaxed);
        }
        recovers(&proxy, protocol, &good);
    }
}

#[test]
fn one_that_never_reads() {
    for protocol in BOTH {
        let (sender, wait) = crossbeam_channel::bounded::<()>(0);
        let (address, good) = moody(protocol, move |_, _| {
            // Until the test ends. Bytes that arrive stay in the socket.
            let _ = wait.recv();
        });
        let proxy = start(impatient(protocol), address);
        let mut other = proxy.connect();
        // More than the sockets on the way take.
        let mut clients: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
        let value = "v".repeat(900_000);
        for client in &mut clients {
            client.send(match protocol {
                Protocol::Resp => format!("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$900000\r\n{value}\r\n"),
                Protocol::Memcached => format!("set a 0 0 900000\r\n{value}\r\n"),
            });
        }
        other.send("get b\r\n");
        error(&mut other, protocol, address, "did not answer within 2s");
        for client in &mut clients {
            error(client, protocol, address, "did not answer within 2s");
        }
        recovers(&proxy, protocol, &good);
        drop(sender);
    }
}

#[test]
fn one_that_is_slow_but_never_silent_is_waited_for() {
    support::with_growing_deadlines(slow_answers_are_waited_for);
}

fn slow_answers_are_waited_for(deadline: Duration) {
    for protocol in BOTH {
        let (address, _) = moody(protocol, move |stream, protocol| {
            hear(stream);
            let answer = answer(protocol, Some("abcdefgh"));
            // Together longer than the deadline, each far from it.
            let pause = deadline * 3 / 2 / answer.len() as u32;
            for byte in answer.as_bytes() {
                std::thread::sleep(pause);
                if stream.write_all(&[*byte]).is_err() {
                    return;
                }
            }
            ignore(stream);
        });
        let settings = Settings {
            read_timeout: deadline,
            ..settings(protocol)
        };
        let proxy = start(settings, address);
        let mut client = proxy.connect();
        client.ask("get abcdefgh\r\n", answer(protocol, Some("abcdefgh")));
    }
}

// Every well-formed reply was passed on. A reply to another request means that the connection is out of step, and then
// every client behind it reads another's values.
#[test]
fn a_reply_to_another_request_closes_the_connection_and_reaches_no_client() {
    for (protocol, requests, answer) in [
        (
            Protocol::Memcached,
            "get a\r\nget b\r\n",
            "VALUE zzz 0 1\r\n1\r\nEND\r\n",
        ),
        (
            Protocol::Memcached,
            "gat 9 a b\r\nget b\r\n",
            "VALUE 9 0 1\r\n1\r\nEND\r\n",
        ),
        (
            Protocol::Memcached,
            "mg a k v\r\nget b\r\n",
            "VA 1 kzzz\r\n1\r\n",
        ),
        (
            Protocol::Memcached,
            "set a 0 0 1\r\n1\r\nget b\r\n",
            "DELETED\r\n",
        ),
        (Protocol::Memcached, "incr a 1\r\nget b\r\n", "STORED\r\n"),
        (Protocol::Resp, "GET a\r\nGET b\r\n", ":1\r\n"),
        (
            Protocol::Resp,
            "MGET a b\r\nGET b\r\n",
            "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
        ),
        (Protocol::Resp, "INCR a\r\nGET b\r\n", "$1\r\n1\r\n"),
    ] {
        let (address, good) = moody(protocol, move |stream, _| {
            hear(stream);
            let _ = stream.write_all(answer.as_bytes());
            ignore(stream);
        });
        let proxy = start(settings(protocol), address);
        let mut client = proxy.connect();
        client.send(requests);
        for _ in 0..2 {
            error(
                &mut client,
                protocol,
                address,
                "sent a reply that doesn't fit",
            );
        }
        recovers(&proxy, protocol, &good);
    }
}

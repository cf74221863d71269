//! Faults of upstreams and the clients of memcached's binary protocol: an error with the opcode and the opaque of the
//! request, or a closed connection, and never the bytes of another reply.

mod binary_support;
mod proxy_support;
mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};

use binary_support::*;
use larder::Server;
use larder::protocol::memcached::binary::{HEADER_LENGTH, Header, REPLY_MAGIC};
use larder::proxy::{Protocol, Settings};
use proxy_support::{
    Real, TestProxy, answerer, eventually, free_port, impatient, peer, proxy, settings, sleeper,
};
use support::skip;

/// Reads one request; `None` at the end.
fn request(stream: &mut TcpStream) -> Option<(Header, Vec<u8>)> {
    let mut bytes = [0; HEADER_LENGTH];
    stream.read_exact(&mut bytes).ok()?;
    let header = Header::read(&bytes)?;
    let mut body = vec![0; header.body_length as usize];
    stream.read_exact(&mut body).ok()?;
    Some((header, body))
}

/// The reply without an error to a request, with this value.
fn answer(asked: &Header, value: &[u8]) -> Vec<u8> {
    let header = Header {
        magic: REPLY_MAGIC,
        key_length: 0,
        extras_length: 0,
        body_length: value.len() as u32,
        ..*asked
    };
    [&header.to_bytes()[..], value].concat()
}

/// A server that answers a connection's first request, which is the proxy's own, and gives all others to `each`. It closes
/// when that returns `false`.
fn scripted(
    each: impl Fn(&mut TcpStream, &Header, &[u8]) -> bool + Send + Sync + 'static,
) -> SocketAddr {
    peer(move |mut stream| {
        let Some((first, _)) = request(&mut stream) else {
            return;
        };
        assert_eq!(first.opcode, NOOP);
        let _ = stream.write_all(&answer(&first, b""));
        while let Some((header, body)) = request(&mut stream) {
            if !each(&mut stream, &header, &body) {
                return;
            }
        }
    })
}

/// A proxy whose clients share one connection.
fn narrow(settings: Settings, addresses: &[SocketAddr]) -> TestProxy {
    let settings = Settings {
        workers: 1,
        connections: 1,
        ..settings
    };
    proxy(settings, addresses)
}

#[test]
fn a_failed_upstream_is_named_with_its_fault() {
    let closer = scripted(|_, _, _| false);
    for (with, address, fault) in [
        (
            settings as fn(Protocol) -> Settings,
            free_port(),
            "refused the connection",
        ),
        (
            settings,
            closer,
            "closed the connection before it had answered",
        ),
        (
            settings,
            answerer(b"", true),
            "closed the connection before it had answered",
        ),
        (
            settings,
            answerer(b"ERROR\r\n", false),
            "does not speak memcached's binary protocol",
        ),
        (impatient, sleeper(), "did not answer within 2s"),
    ] {
        let proxy = proxy(with(Protocol::Memcached), &[address]);
        let mut client = proxy.connect();
        for (opcode, number) in [(SET, 1), (SETQ, 2), (GETK, 3), (GETKQ, 4), (FLUSHQ, 5)] {
            let key = if opcode == FLUSHQ { "" } else { "k" };
            let got = conversation(&mut client, &Ask::new(opcode, key).opaque(number).bytes());
            let errors = [fault, "is ejected after consecutive errors; it is probed"]
                .map(|fault| format!("{opcode:#04x} {number} 0x86 upstream {address} {fault}"));
            assert_eq!(got.len(), 1, "{got:?}");
            assert!(errors.contains(&got[0]), "{got:?}, not {}", errors[0]);
        }
    }
}

#[test]
fn a_read_is_sent_again_and_a_write_is_not() {
    let closed = "0x86 upstream ADDRESS closed the connection before it had answered";
    for (opcode, expected) in [
        (GETKQ, "0x0d 1 0x0 value".to_owned()),
        (SETQ, format!("0x11 1 {closed}")),
        (GAT, format!("0x1d 1 {closed}")),
    ] {
        // The first connection ends with its first request, later ones serve.
        let ended = AtomicBool::new(false);
        let address = scripted(move |stream, header, _| {
            ended.swap(true, Relaxed) && stream.write_all(&answer(header, b"value")).is_ok()
        });
        let proxy = narrow(settings(Protocol::Memcached), &[address]);
        let asked = Ask::new(opcode, "k").opaque(1).bytes();
        let got = conversation(&mut proxy.connect(), &asked);
        assert_eq!(got, [expected.replace("ADDRESS", &address.to_string())]);
    }
}

#[test]
fn a_reply_that_breaks_off_ends_the_connection_of_its_client_alone() {
    let (sender, release): (Sender<()>, Receiver<()>) = channel();
    let release = Mutex::new(release);
    let address = scripted(move |stream, header, body| {
        let whole = answer(header, &[b'v'; 100]);
        if body != b"broken" {
            return stream.write_all(&whole).is_ok();
        }
        let _ = stream.write_all(&whole[..50]);
        let _ = release.lock().expect("no panic").recv();
        false
    });
    let proxy = narrow(settings(Protocol::Memcached), &[address]);
    let (mut victim, mut neighbour) = (proxy.connect(), proxy.connect());
    victim.send(Ask::new(GET, "broken").bytes());
    victim.expect(&answer(&Header::request(GET, 0, 0, 0), &[b'v'; 100])[..3]);
    neighbour.send(Ask::new(GETK, "whole").opaque(7).bytes());
    sender.send(()).expect("it waits");
    let mut rest = Vec::new();
    let _ = victim.0.read_to_end(&mut rest);
    assert!(rest.len() <= 47, "{} bytes", rest.len());
    // Its read was behind the broken one, and is sent again.
    let value = "v".repeat(100);
    assert_eq!(reply_line(&mut neighbour), format!("0x0c 7 0x0 {value}"));
    assert_eq!(conversation(&mut neighbour, b""), [""; 0]);
}

#[test]
fn a_reply_to_another_request_reaches_nobody() {
    for (opcode, opaque) in [(SET, 1), (GET, 2)] {
        let address = scripted(move |stream, header, _| {
            let wrong = Header {
                opcode,
                opaque,
                ..*header
            };
            stream.write_all(&answer(&wrong, b"a secret")).is_ok()
        });
        let proxy = proxy(settings(Protocol::Memcached), &[address]);
        let got = conversation(&mut proxy.connect(), &Ask::new(GET, "k").opaque(1).bytes());
        let why = "sent a reply that doesn't fit the request";
        assert_eq!(got, [format!("0x00 1 0x86 upstream {address} {why}")]);
    }
}

#[test]
fn an_upstream_that_is_killed_in_flight_costs_its_requests_an_error_and_comes_back() {
    let Some(servers) = (0..2)
        .map(|_| Real::start("memcached"))
        .collect::<Option<Vec<_>>>()
    else {
        skip!("there is no memcached");
    };
    let addresses = [servers[0].address, servers[1].address];
    let proxy = narrow(settings(Protocol::Memcached), &addresses);
    let mut client = proxy.connect();
    let asks = |opcode: u8| -> Vec<u8> {
        let ask = |number| Ask::new(opcode, format!("k{number}")).opaque(number);
        let value = if opcode == SET { "x" } else { "" };
        (0..100)
            .flat_map(|number| ask(number).value(value).bytes())
            .collect()
    };
    assert_eq!(conversation(&mut client, &asks(SET)).len(), 100);
    assert_eq!(conversation(&mut client, &asks(GETQ)).len(), 100);
    // The stopped server has requests in flight when it is killed.
    let [mut first, second] = <[Real; 2]>::try_from(servers).unwrap_or_else(|_| panic!("two"));
    first.signal("-STOP");
    client.send(asks(SET));
    let mut neighbour = proxy.connect();
    neighbour.send(Ask::new(VERSION, "").bytes());
    drop(first);
    let (mut stored, mut failed) = (0, 0);
    for number in 0..100 {
        let (header, _) = reply(&mut client);
        assert_eq!((header.opcode, header.opaque), (SET, number));
        match header.status {
            0 => stored += 1,
            0x86 => failed += 1,
            status => panic!("{status:#x}"),
        }
    }
    assert!(stored > 0 && failed > 0, "{stored} {failed}");
    first = Real::start_at("memcached", addresses[0]).expect("it was there before");
    eventually("the server is back", || {
        let got = conversation(&mut client, &asks(SET));
        got.iter().all(|line| line.contains(" 0x0 "))
    });
    drop((first, second));
}

#[test]
fn an_upstream_without_the_binary_protocol_still_serves_text() {
    let Some(memcached) = Real::start_with("memcached", free_port(), &["-B", "ascii"]) else {
        skip!("there is no memcached");
    };
    let settings = Settings {
        failures: 1,
        ..settings(Protocol::Memcached)
    };
    let proxy = narrow(settings, &[memcached.address]);
    let (mut text, mut binary) = (proxy.connect(), proxy.connect());
    for _ in 0..3 {
        let got = conversation(&mut binary, &Ask::new(GETK, "k").bytes());
        let why = "does not speak memcached's binary protocol";
        assert_eq!(
            got,
            [format!("0x0c 0 0x86 upstream {} {why}", memcached.address)]
        );
        text.ask("set k 0 0 1\r\nx\r\n", "STORED\r\n");
    }
}

#[test]
fn a_server_that_wants_authentication_is_named_with_its_answer() {
    let directory = tempfile::tempdir().expect("a directory");
    let users = directory.path().join("users");
    std::fs::write(&users, "foo:bar\n").expect("it can be written");
    let server = Server::builder().auth_file(Some(users)).start();
    let server = server.expect("it starts on free ports");
    let address = server.memcached_addr();
    let proxy = proxy(settings(Protocol::Memcached), &[address]);
    let got = conversation(&mut proxy.connect(), &Ask::new(GETK, "k").bytes());
    let why = "refused the login: Auth failure.";
    assert_eq!(got, [format!("0x0c 0 0x86 upstream {address} {why}")]);
}

// Ejected servers were probed in text only, to which a memcached with `-B binary` never answers.
#[test]
fn a_server_that_speaks_only_the_binary_protocol_returns() {
    const PROGRAM: &str = "memcached";
    let only_binary = |address| Real::start_with(PROGRAM, address, &["-B", "binary"]);
    let Some(memcached) = only_binary(free_port()) else {
        skip!("memcached is not installed, so none that speaks only binary has returned");
    };
    let address = memcached.address;
    let impatient = || Settings {
        failures: 1,
        ..settings(Protocol::Memcached)
    };
    let is_up = |proxy: &TestProxy| {
        let stored = conversation(&mut proxy.connect(), &Ask::new(SET, "k").bytes());
        stored == ["0x01 0 0x0 cas "]
    };
    let answered_before = proxy(impatient(), &[address]);
    assert!(is_up(&answered_before));
    drop(memcached);
    let never_answered = proxy(impatient(), &[address]);
    eventually("both ejections", || {
        !is_up(&answered_before) && !is_up(&never_answered)
    });
    let _again = only_binary(address).expect("it starts");
    eventually("its return", || is_up(&answered_before));
    eventually("its first answer", || is_up(&never_answered));
}

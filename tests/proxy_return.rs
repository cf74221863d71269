//! An upstream that is back after an ejection: its old values are served, or deleted before it gets any request.

mod proxy_support;
mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder::proxy::{OnFailure, OnReturn, Protocol, Settings};
use proxy_support::{Client, Real, eventually, peer, proxy, settings};
use support::skip;

const BOTH: [(Protocol, &str); 2] = [
    (Protocol::Resp, "redis-server"),
    (Protocol::Memcached, "memcached"),
];

/// Stores a value; returns the server's answer.
fn set(client: &mut Client, protocol: Protocol, key: &str, value: &str) -> String {
    client.send(match protocol {
        Protocol::Resp => format!("SET {key} {value}\r\n"),
        Protocol::Memcached => format!("set {key} 0 0 {}\r\n{value}\r\n", value.len()),
    });
    client.line()
}

/// The value of a key.
fn get(client: &mut Client, protocol: Protocol, key: &str) -> Option<String> {
    client.send(format!("get {key}\r\n"));
    let head = client.line();
    match protocol {
        Protocol::Resp if head == "$-1" => return None,
        Protocol::Memcached if head == "END" => return None,
        _ => {}
    }
    assert!(head.starts_with(['$', 'V']), "{head}");
    let value = client.line();
    if protocol == Protocol::Memcached {
        client.expect("END\r\n");
    }
    Some(value)
}

/// Whether the proxy reports that an upstream is in this state.
fn is(client: &mut Client, protocol: Protocol, server: SocketAddr, state: &str) -> bool {
    match protocol {
        Protocol::Resp => {
            client.send("INFO proxy\r\n");
            let lines: Vec<String> = (0..4).map(|_| client.line()).collect();
            client.expect("\r\n");
            let line = lines.iter().find(|line| line.contains(&server.to_string()));
            line.expect("the upstream")
                .contains(&format!(",state={state},"))
        }
        Protocol::Memcached => {
            client.send("stats proxy\r\n");
            let mut lines = Vec::new();
            while lines.last().is_none_or(|line| line != "END") {
                lines.push(client.line());
            }
            lines.contains(&format!("STAT {server}:state {state}"))
        }
    }
}

// An upstream that was bypassed returned with its old values, and there was no way to have them deleted.
#[test]
fn old_values_are_served_or_deleted_by_on_return() {
    support::with_growing_deadlines(old_values_after_silence_of);
}

/// A server is silent for longer than the deadline, and the other one is not.
fn old_values_after_silence_of(deadline: Duration) {
    for (protocol, program) in BOTH {
        for on_return in [OnReturn::Keep, OnReturn::Flush] {
            let servers: Vec<Real> = (0..2).map_while(|_| Real::start(program)).collect();
            if servers.len() < 2 {
                skip!("there is no {program}");
            }
            let settings = Settings {
                failures: 1,
                on_failure: OnFailure::Next,
                on_return,
                read_timeout: deadline,
                ..settings(protocol)
            };
            let proxy = proxy(settings, &[servers[0].address, servers[1].address]);
            let mut client = proxy.connect();
            let stored = match protocol {
                Protocol::Resp => "+OK",
                Protocol::Memcached => "STORED",
            };
            // One key of each server.
            let mut keys = [None, None];
            for number in 0.. {
                let key = format!("key{number}");
                assert_eq!(set(&mut client, protocol, &key, "old"), stored);
                let mut first = Client::connect(servers[0].address);
                let home = usize::from(get(&mut first, protocol, &key).is_none());
                keys[home].get_or_insert(key);
                if keys.iter().all(Option::is_some) {
                    break;
                }
            }
            let [here, there] = keys.map(|key| key.expect("a key"));
            servers[0].signal("-STOP");
            client.send(format!("get {here}\r\n"));
            client.line();
            eventually("the ejection", || {
                is(&mut client, protocol, servers[0].address, "ejected")
            });
            assert_eq!(set(&mut client, protocol, &here, "new"), stored);
            assert_eq!(get(&mut client, protocol, &here).as_deref(), Some("new"));
            servers[0].signal("-CONT");
            eventually("the return", || {
                is(&mut client, protocol, servers[0].address, "up")
            });
            let expected = match on_return {
                OnReturn::Keep => Some("old"),
                OnReturn::Flush => None,
            };
            assert_eq!(
                get(&mut client, protocol, &here).as_deref(),
                expected,
                "{protocol} {on_return}"
            );
            // The other server has kept its own.
            assert_eq!(get(&mut client, protocol, &there).as_deref(), Some("old"));
        }
    }
}

/// A server that closes its connections until it is `back`, then answers every command, which it notes down by its
/// name; the flush with an error as long as it is not `willing`.
fn recorder(
    protocol: Protocol,
    back: Arc<AtomicBool>,
    willing: Arc<AtomicBool>,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let address = peer(move |mut stream| {
        let mut lines = BufReader::new(stream.try_clone().expect("a handle")).lines();
        while let Some(Ok(line)) = lines.next() {
            if !back.load(Relaxed) {
                return;
            }
            let name = match protocol {
                Protocol::Memcached => line.split(' ').next().unwrap_or_default().to_owned(),
                Protocol::Resp => {
                    let words: usize = line[1..].parse().expect("a count");
                    let words: Vec<String> = lines
                        .by_ref()
                        .take(2 * words)
                        .map(|line| line.expect("a line"))
                        .collect();
                    words[1].to_lowercase()
                }
            };
            let answer: &[u8] = match (&name[..], protocol) {
                ("flushall" | "flush_all", _) if !willing.load(Relaxed) => match protocol {
                    Protocol::Resp => b"-NOPERM no permission\r\n",
                    Protocol::Memcached => b"CLIENT_ERROR flush_all not allowed\r\n",
                },
                ("get", Protocol::Resp) => b"$-1\r\n",
                ("get", Protocol::Memcached) => b"END\r\n",
                ("version", _) => b"VERSION 1\r\n",
                (_, Protocol::Resp) => b"+OK\r\n",
                (_, Protocol::Memcached) => b"OK\r\n",
            };
            noted.lock().expect("no panic").push(name);
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    });
    (address, seen)
}

#[test]
fn an_upstream_gets_no_request_before_it_has_confirmed_the_flush() {
    for (protocol, flush, probe) in [
        (Protocol::Resp, "flushall", "ping"),
        (Protocol::Memcached, "flush_all", "version"),
    ] {
        let [back, willing] = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        let (address, seen) = recorder(protocol, Arc::clone(&back), Arc::clone(&willing));
        let settings = Settings {
            failures: 1,
            on_return: OnReturn::Flush,
            ..settings(protocol)
        };
        let proxy = proxy(settings, &[address]);
        let mut clients = [(); 4].map(|()| proxy.connect());
        clients[0].send("get a\r\n");
        assert!(clients[0].line().contains(&address.to_string()));
        back.store(true, Relaxed);
        let ask = |clients: &mut [Client; 4]| -> Vec<String> {
            let ask = |client: &mut Client| {
                client.send("get a\r\n");
                client.line()
            };
            clients.iter_mut().map(ask).collect()
        };
        // A flush that is refused keeps it ejected.
        eventually("refused flushes", || {
            let all = ask(&mut clients);
            assert!(
                all.iter().all(|answer| answer.contains("is ejected")),
                "{all:?}"
            );
            seen.lock()
                .expect("no panic")
                .iter()
                .filter(|name| *name == flush)
                .count()
                >= 2
        });
        willing.store(true, Relaxed);
        eventually("the return", || {
            ask(&mut clients)
                .iter()
                .all(|answer| answer == "$-1" || answer == "END")
        });
        let seen = seen.lock().expect("no panic").clone();
        let before: Vec<&String> = seen.iter().take_while(|name| *name != "get").collect();
        assert!(before.len() >= 3 && before.len() < seen.len(), "{seen:?}");
        let known = |name: &&String| **name == flush || **name == probe;
        assert!(before.iter().all(known), "{seen:?}");
        assert_eq!(before[before.len() - 2..], [flush, probe]);
    }
}

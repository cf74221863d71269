//! The end of the server core, under both models: requests in flight are answered, and no client waits without
//! end.

mod server_support;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use larder::server::{Model, Settings};
use server_support::*;

/// Longer than any test may take: an end that waits for the deadline fails.
const FOREVER: Duration = Duration::from_secs(3600);

fn big_reply() -> Vec<u8> {
    [vec![b'x'; BIG], vec![b'\n']].concat()
}

#[test]
fn idle_connections_are_closed_at_once() {
    for model in MODELS {
        let server = start(settings(model));
        let mut clients: Vec<_> = (0..50).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.echo("hello\n");
        }
        let address = server.address();
        server.running.shutdown(FOREVER);
        for client in &mut clients {
            client.expect_end();
        }
        assert_eq!(server.connections.current(), 0);
        assert!(TcpStream::connect(address).is_err());
    }
}

#[test]
fn requests_that_have_arrived_are_answered_to_a_slow_reader() {
    for model in MODELS {
        let server = start(settings(model));
        let mut slow = server.connect();
        slow.send(&b"big\n".repeat(200));
        eventually("all requests have arrived", || {
            server.connections.bytes_read() == 800
        });
        server.running.handle().begin_shutdown(FOREVER);
        for _ in 0..200 {
            slow.expect(&big_reply());
        }
        slow.expect_end();
        server.running.join();
    }
}

#[test]
fn a_request_that_has_arrived_by_half_may_be_completed() {
    for model in MODELS {
        let server = start(settings(model));
        let mut idle = server.connect();
        idle.echo("hello\n");
        let mut half = server.connect();
        half.send(b"hal");
        eventually("the half has arrived", || {
            server.connections.bytes_read() == 6 + 3
        });
        server.running.handle().begin_shutdown(FOREVER);
        idle.expect_end();
        server.wait_for_connections(1);
        half.echo_rest("half\n", "f\n");
        half.expect_end();
        server.running.join();
    }
}

#[test]
fn requests_in_flight_are_answered_whole_or_not_at_all() {
    for model in MODELS {
        let server = start(settings(model));
        let address = server.address();
        let clients: Vec<_> = (0..16)
            .map(|n| {
                thread::spawn(move || {
                    let mut stream = TcpStream::connect(address).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let request = format!("request of client {n}\n").into_bytes();
                    let mut answered = 0;
                    // Until the server ends it. Then a write or a read fails, or there is no reply; never half of one.
                    while stream.write_all(&request).is_ok() {
                        let mut reply = Vec::new();
                        while reply.len() < request.len() {
                            let mut piece = [0; 64];
                            match stream.read(&mut piece) {
                                Ok(0) => break,
                                Ok(n) => reply.extend_from_slice(&piece[..n]),
                                Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        if reply.is_empty() {
                            break;
                        }
                        assert_eq!(reply, request);
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        server.wait_for_connections(16);
        eventually("traffic", || server.connections.bytes_written() > 100_000);
        server.running.shutdown(FOREVER);
        for client in clients {
            let answered: usize = client.join().expect("a client saw half a reply");
            assert!(answered > 0);
        }
    }
}

#[test]
fn the_deadline_is_one_for_all_connections_together() {
    for model in MODELS {
        let server = start(settings(model));
        let mut stuck = Vec::new();
        for _ in 0..10 {
            let mut half = server.connect();
            half.send(b"never completed");
            let mut slow = server.connect();
            slow.send(&b"big\n".repeat(400));
            stuck.extend([half, slow]);
        }
        eventually("arrival", || {
            server.connections.bytes_read() == 10 * (15 + 1600)
        });
        // One after another, the twenty would take 40 s.
        let grace = Duration::from_secs(2);
        let begin = Instant::now();
        server.running.shutdown(grace);
        let took = begin.elapsed();
        assert!(took >= grace, "{model:?} gave them {took:?}");
        assert!(took < grace * 20, "{model:?} waited {took:?}");
        for mut client in stuck {
            client.expect_gone();
        }
    }
}

#[test]
fn a_second_request_to_end_brings_the_deadline_forward() {
    for model in MODELS {
        let server = start(settings(model));
        let mut half = server.connect();
        half.send(b"never completed");
        eventually("arrival", || server.connections.bytes_read() == 15);
        let handle = server.running.handle();
        handle.begin_shutdown(FOREVER);
        let end = thread::spawn(|| server.running.join());
        handle.begin_shutdown(Duration::ZERO);
        end.join().unwrap();
        half.expect_gone();
    }
}

#[test]
fn while_the_server_ends_no_new_connection_is_served() {
    for model in MODELS {
        let server = start(settings(model));
        let mut half = server.connect();
        half.send(b"hal");
        eventually("arrival", || server.connections.bytes_read() == 3);
        let address = server.address();
        server.running.handle().begin_shutdown(FOREVER);
        eventually("the listener closes", || {
            TcpStream::connect(address).is_err()
        });
        // A connection that was accepted at the last moment has left.
        server.wait_for_connections(1);
        half.echo_rest("half\n", "f\n");
        half.expect_end();
        server.running.join();
    }
}

// A client that had connected, and whose request was on its way, was disconnected without an answer.
#[test]
fn a_new_connection_gets_an_answer_to_its_first_request() {
    for model in MODELS {
        // Its time is a second. On a machine that stands still for as long, the client is too late and tries again.
        let mut answered = false;
        for _ in 0..50 {
            let server = start(settings(model));
            let begin = Instant::now();
            let mut new = server.connect();
            server.wait_for_connections(1);
            server.running.handle().begin_shutdown(FOREVER);
            let address = server.address();
            eventually("the listener closes", || {
                TcpStream::connect(address).is_err()
            });
            new.send(b"first\n");
            if begin.elapsed() > Duration::from_millis(700) {
                continue;
            }
            new.expect(b"first\n");
            new.expect_end();
            server.running.join();
            answered = true;
            break;
        }
        assert!(answered, "{model:?}: every client was late");
    }
}

#[test]
fn a_new_connection_that_stays_silent_is_closed_before_the_deadline() {
    for model in MODELS {
        let server = start(settings(model));
        let mut silent = server.connect();
        server.wait_for_connections(1);
        server.running.shutdown(FOREVER);
        silent.expect_end();
    }
}

#[test]
fn connections_that_wait_for_a_thread_are_answered_at_the_end() {
    let server = start(Settings {
        workers: Some(1),
        ..settings(Model::Threads)
    });
    let mut first = server.connect();
    first.echo("first\n");
    let mut asking = server.connect();
    asking.send(b"second\n");
    let mut silent = server.connect();
    server.wait_for_connections(3);
    server.running.shutdown(FOREVER);
    first.expect_end();
    asking.expect(b"second\n");
    asking.expect_end();
    silent.expect_end();
}

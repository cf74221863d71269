//! The server core while it runs, as clients see it, under both models.

mod server_support;
mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use larder::server::limits::READ_BUFFER;
use larder::server::{Connections, Listen, Model, Server, Settings, StartError};
use server_support::*;

#[test]
fn lines_come_back_whole_in_pieces_and_pipelined() {
    for model in MODELS {
        let server = start(settings(model));
        let mut client = server.connect();
        client.echo("hello\n");
        client.send(b"hal");
        client.send(b"f\nand ");
        client.expect(b"half\n");
        client.send(b"half\n");
        client.expect(b"and half\n");
        for byte in "byte by byte\n".bytes() {
            client.send(&[byte]);
        }
        client.expect(b"byte by byte\n");

        let many: String = (0..50_000).map(|n| format!("line {n}\n")).collect();
        let mut writer = Client(client.0.try_clone().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| writer.send(many.as_bytes()));
            client.expect(many.as_bytes());
        });
        client.send(b"quit\nnever\n");
        client.expect(b"bye\n");
        client.expect_end();
        server.wait_for_connections(0);
    }
}

#[test]
fn a_request_larger_than_the_read_buffer_arrives_whole() {
    for model in MODELS {
        let server = start(settings(model));
        let mut client = server.connect();
        let long = "x".repeat(3_000_000) + "\n";
        let mut writer = Client(client.0.try_clone().unwrap());
        std::thread::scope(|scope| {
            scope.spawn(|| writer.send(long.as_bytes()));
            client.expect(long.as_bytes());
        });
        client.echo("after\n");
    }
}

/// One worker serves both clients under turns: a delay must not hold it.
#[test]
fn a_wrong_password_delays_its_client_and_no_other() {
    for model in MODELS {
        let workers = Some(if model == Model::Turns { 1 } else { 2 });
        let server = start(Settings {
            workers,
            ..settings(model)
        });
        let (mut guesser, mut other) = (server.connect(), server.connect());
        other.echo("before\n");
        for _ in 0..2 {
            let sent = Instant::now();
            guesser.send(b"wrong\nafter\n");
            other.echo("meanwhile\n");
            guesser.expect(b"wrong\nafter\n");
            assert!(sent.elapsed() >= Duration::from_millis(200), "{model:?}");
        }
        // The connection stays open until its delay is over, though the client has closed it.
        guesser.send(b"wrong\n");
        drop(guesser);
        other.echo("last\n");
        server.wait_for_connections(1);
        other.echo("still served\n");
    }
}

/// The other client's echo shows that its worker is not held.
#[test]
fn a_session_has_turns_without_a_request_if_it_asks_for_them() {
    for model in MODELS {
        let server = start(settings(model));
        let (mut client, mut other) = (server.connect(), server.connect());
        client.echo("ticks\n");
        other.echo("meanwhile\n");
        client.expect(b"tick\ntick\ntick\n");
        client.echo("after\n");

        // A request ends no such wait, and the end of the client ends the connection.
        client.send(b"ticks\nin between\n");
        client.expect(b"ticks\nin between\n");
        client.expect(b"tick\n");
        drop(client);
        server.wait_for_connections(1);
        other.echo("still served\n");
    }
}

/// The next request arrives before the session has the turn after its output is written. If that
/// turn, which reads nothing, used up the poller's event, the request waited for ever.
#[test]
fn a_request_that_arrives_before_the_turn_after_much_output_is_seen() {
    for model in MODELS {
        let server = start(settings(model));
        let reply = [vec![b'x'; BIG], vec![b'\n']].concat().repeat(3);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut client = server.connect();
                    for _ in 0..50 {
                        client.send(&b"big\n".repeat(3));
                        client.expect(&reply);
                        client.echo("after\n");
                    }
                });
            }
        });
    }
}

#[test]
fn many_clients_are_served_side_by_side() {
    for model in MODELS {
        let server = start(settings(model));
        let mut clients: Vec<_> = (0..64).map(|_| server.connect()).collect();
        for round in 0..10 {
            for (n, client) in clients.iter_mut().enumerate() {
                client.send(format!("client {n} round {round}\n").as_bytes());
            }
            for (n, client) in clients.iter_mut().enumerate().rev() {
                client.expect(format!("client {n} round {round}\n").as_bytes());
            }
        }
        assert_eq!(server.connections.current(), 64);
        assert_eq!(server.connections.total(), 64);
        let bytes: usize = (0..64)
            .map(|n| {
                (0..10)
                    .map(|r| format!("client {n} round {r}\n").len())
                    .sum::<usize>()
            })
            .sum();
        assert_eq!(server.connections.bytes_read(), bytes as u64);
        // Written is counted after the write, so the last reply may be here before its count.
        eventually("count", || {
            server.connections.bytes_written() == bytes as u64
        });
        drop(clients);
        server.wait_for_connections(0);
        assert_eq!(server.connections.total(), 64);
    }
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_every_reply() {
    for model in MODELS {
        let server = start(settings(model));
        // Small replies, then ones that the socket does not take at once.
        for (line, count) in [("small\n", 1000), ("big\n", 100)] {
            let mut client = server.connect();
            client.send(line.repeat(count).as_bytes());
            client.send(b"and half a line");
            client.0.shutdown(Shutdown::Write).unwrap();
            let mut replies = Vec::new();
            client.0.read_to_end(&mut replies).expect("an orderly end");
            let reply = if line == "big\n" { BIG + 1 } else { line.len() };
            assert_eq!(replies.len(), count * reply, "{model:?} {line}");
        }
        server.wait_for_connections(0);
    }
}

#[test]
fn a_client_that_never_reads_is_parked_and_delays_no_other() {
    for model in MODELS {
        let server = start(settings(model));
        let mut other = server.connect();
        other.echo("before\n");
        let mut greedy = server.connect();
        greedy.0.set_nonblocking(true).unwrap();
        // Requests until the server takes no more, for as long as it takes to be sure.
        let requests = b"big\n".repeat(4096);
        let mut sent = 0;
        let mut refused = 0;
        let mut others = "before\n".len();
        while refused < 50 {
            match greedy.0.write(&requests) {
                Ok(n) => (sent, refused) = (sent + n, 0),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    refused += 1;
                    other.echo("others go on\n");
                    others += "others go on\n".len();
                }
                Err(error) => panic!("{error}"),
            }
        }
        // The server no longer reads from it: its further requests wait in its own socket.
        let from_greedy = server.connections.bytes_read() as usize - others;
        assert!(sent > 4 * READ_BUFFER, "only {sent} bytes were taken");
        assert!(from_greedy <= READ_BUFFER, "{from_greedy} bytes were read");
        // It gets all its replies when it reads at last.
        greedy.0.set_nonblocking(false).unwrap();
        let mut reply = vec![b'x'; BIG];
        reply.push(b'\n');
        for _ in 0..200 {
            greedy.expect(&reply);
        }
        drop(greedy);
        other.echo("after\n");
        server.wait_for_connections(1);
    }
}

#[test]
fn a_client_that_never_stops_sending_leaves_others_their_turns() {
    for model in MODELS {
        let workers = if model == Model::Turns { 1 } else { 2 };
        let server = start(Settings {
            workers: Some(workers),
            ..settings(model)
        });
        let flood = server.connect();
        let mut from = flood.0.try_clone().unwrap();
        let mut to = flood.0.try_clone().unwrap();
        std::thread::scope(|scope| {
            // Both end when the socket is shut down below.
            scope.spawn(move || {
                let lines = b"a line of many\n".repeat(20_000);
                while to.write_all(&lines).is_ok() {}
            });
            scope.spawn(move || {
                let mut bin = vec![0; 1 << 20];
                while from.read(&mut bin).is_ok_and(|n| n > 0) {}
            });
            let mut other = server.connect();
            for _ in 0..100 {
                let before = server.connections.bytes_read();
                other.echo("my turn\n");
                eventually("the flood goes on", || {
                    server.connections.bytes_read() > before + 100
                });
            }
            flood.0.shutdown(Shutdown::Both).unwrap();
        });
    }
}

#[test]
fn a_reset_ends_one_connection_and_no_other() {
    for model in MODELS {
        let server = start(settings(model));
        let mut other = server.connect();
        for _ in 0..20 {
            let mut rude = server.connect();
            rude.send(&b"big\n".repeat(100));
            // Closing with unread replies resets the connection.
            let mut one = [0; 1];
            rude.0.read_exact(&mut one).unwrap();
            drop(rude);
            other.echo("still here\n");
        }
        server.wait_for_connections(1);
    }
}

#[test]
fn one_connection_more_than_allowed_gets_an_error_and_is_closed() {
    for model in MODELS {
        let server = start(Settings {
            max_connections: 3,
            ..settings(model)
        });
        let mut clients: Vec<_> = (0..3).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.echo("in\n");
        }
        let mut one_more = server.connect();
        one_more.expect(b"full\n");
        one_more.expect_end();
        assert_eq!(server.connections.rejected(), 1);
        assert_eq!(server.connections.total(), 3);
        for client in &mut clients {
            client.echo("undisturbed\n");
        }
        clients.pop();
        server.wait_for_connections(2);
        let mut next = server.connect();
        next.echo("there is room again\n");
    }
}

#[test]
fn an_idle_connection_is_closed_and_a_busy_one_stays() {
    // The busy one must not be silent so long.
    support::with_growing_deadlines(idle_connections_are_closed_after);
}

fn idle_connections_are_closed_after(limit: Duration) {
    for model in MODELS {
        let server = start(Settings {
            idle_timeout: Some(limit),
            ..settings(model)
        });
        let begin = Instant::now();
        let mut silent = server.connect();
        let mut half = server.connect();
        half.send(b"half a request and then silence");
        let mut slow = server.connect();
        slow.send(&b"big\n".repeat(1000));
        let mut busy = server.connect();
        eventually("all accepted", || server.connections.total() == 4);
        while server.connections.current() > 1 {
            busy.echo("busy\n");
            assert!(
                begin.elapsed() < PATIENCE,
                "{model:?}: {:?}",
                server.connections
            );
        }
        assert!(begin.elapsed() >= limit);
        assert!(
            server.connections.idle_closed() >= 2,
            "{:?}",
            server.connections
        );
        silent.expect_end();
        half.expect_gone();
        slow.expect_gone();
        busy.echo("still here\n");
    }
}

#[test]
fn a_panic_closes_its_connection_only() {
    for model in MODELS {
        let server = start(settings(model));
        let mut other = server.connect();
        other.echo("before\n");
        // More often than there are workers: none is lost.
        for n in 0..100 {
            let mut victim = server.connect();
            if n % 2 == 0 {
                victim.send(b"answered or not\npanic\n");
                victim.expect_gone();
            } else {
                victim.echo("panic at the end\n");
                drop(victim);
            }
            other.echo("undisturbed\n");
        }
        server.wait_for_connections(1);
        // The scratch that the panic happened in is in use again.
        let mut new: Vec<_> = (0..8).map(|_| server.connect()).collect();
        for client in &mut new {
            client.echo("after\n");
        }
    }
}

#[test]
fn more_unconsumed_input_than_allowed_ends_the_connection() {
    for model in MODELS {
        let server = start(Settings {
            max_input: 1000,
            ..settings(model)
        });
        let mut client = server.connect();
        client.send(&[b'x'; 1000]);
        eventually("all read", || server.connections.bytes_read() == 1000);
        // A line of 1001 bytes is complete with its line feed, so nothing is left unconsumed.
        client.send(b"\n");
        client.expect(&[vec![b'x'; 1000], vec![b'\n']].concat());
        client.send(&[b'x'; 1001]);
        client.expect_gone();
        server.wait_for_connections(0);
    }
}

#[test]
fn a_connection_is_seen_and_killed_from_outside() {
    for model in MODELS {
        let server = start(settings(model));
        let mut first = server.connect();
        let mut second = server.connect();
        first.echo("one\n");
        second.echo("two\n");
        let mut seen = Vec::new();
        server.connections.for_each(|connection| {
            assert_eq!(connection.protocol(), "lines");
            assert_eq!(connection.local_addr(), server.address().to_string());
            seen.push((connection.id(), connection.peer_addr()));
        });
        let expected: Vec<_> = [&first, &second]
            .iter()
            .enumerate()
            .map(|(n, client)| (n as u64 + 1, client.0.local_addr().unwrap().to_string()))
            .collect();
        assert_eq!(seen, expected);
        let record = server.connections.get(1).expect("open");
        record.kill();
        first.expect_end();
        server.wait_for_connections(1);
        // The record outlives its connection and can do no harm.
        record.kill();
        assert!(server.connections.get(1).is_none());
        second.echo("undisturbed\n");
    }
}

#[test]
fn one_connection_more_than_threads_waits_and_is_served_then() {
    let server = start(Settings {
        workers: Some(1),
        ..settings(Model::Threads)
    });
    let mut first = server.connect();
    first.echo("first\n");
    let mut second = server.connect();
    second.send(b"second\n");
    first.echo("still first\n");
    server.wait_for_connections(2);
    drop(first);
    second.expect(b"second\n");
}

#[test]
fn a_unix_socket_is_served_replaced_when_stale_and_removed_at_the_end() {
    for model in MODELS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("larder.sock");
        // Left behind by a process that has ended.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let start = || {
            Server::new(Connections::new())
                .settings(settings(model))
                .listen(Listen::Unix(path.clone()), Arc::new(Lines))
                .start()
        };
        let running = start().expect("the stale file is replaced");
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(stream);
        client.echo("hello\n");
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        client.send(&b"big\n".repeat(100));
        for _ in 0..100 {
            client.expect(&[vec![b'x'; BIG], vec![b'\n']].concat());
        }
        running.connections().for_each(|connection| {
            assert_eq!(connection.peer_addr(), path.display().to_string());
            assert_eq!(connection.local_addr(), path.display().to_string());
        });
        let error = start().err().expect("the socket is in use");
        assert!(
            error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
        client.echo("undisturbed\n");
        running.shutdown(PATIENCE);
        client.expect_end();
        assert!(!path.exists());
        // A file that is no socket is not replaced.
        std::fs::write(&path, "precious").unwrap();
        assert!(start().is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"precious");
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = Server::new(Connections::new())
        .listen(Listen::Tcp("127.0.0.1:0".into()), Arc::new(Lines))
        .listen(Listen::Tcp(address.clone()), Arc::new(Lines))
        .start()
        .err()
        .expect("the port is taken");
    assert_eq!(
        error.to_string(),
        format!("can't listen on {address}: another process already does"),
    );
    assert!(matches!(error, StartError::Listen { index: 1, .. }));
}

#[test]
fn connections_that_the_system_has_no_descriptors_for_are_refused_at_the_start() {
    let error = Server::new(Connections::new())
        .settings(Settings {
            max_connections: usize::MAX / 2,
            ..Settings::default()
        })
        .start()
        .err()
        .expect("no process has so many");
    assert!(matches!(error, StartError::OpenFiles { .. }), "{error}");
}

#[test]
fn dropping_the_server_ends_it() {
    for model in MODELS {
        let server = start(settings(model));
        let mut client = server.connect();
        client.echo("hello\n");
        let address = server.address();
        drop(server);
        client.expect_end();
        assert!(TcpStream::connect(address).is_err());
    }
}

//! Shutdown and overload, tested with real signals on real processes, which a transcript can't do.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use super::console::{signal, until};
use super::running::Running;

/// The stages that serve echo, the first two chapters'.
const ECHO: [&str; 2] = ["01_echo", "02_pool"];

/// Checks both at the same time: most of it is waiting.
fn with_each(check: impl Fn(&str) + Sync) {
    thread::scope(|scope| {
        for stage in ECHO {
            let check = &check;
            scope.spawn(move || check(stage));
        }
    });
}

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.address()).expect("the stage accepts");
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout can be set");
    stream
}

/// A connection that has sent a line and got the answer, so the server has surely accepted it.
fn greeted(server: &Running) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(b"hello").expect("it is sent");
    let mut answer = [0; 5];
    stream.read_exact(&mut answer).expect("it is answered");
    assert_eq!(&answer, b"hello");
    stream
}

/// A connection whose client has a receive buffer of this many bytes, which the kernel then doesn't
/// change.
fn with_buffer(server: &Running, bytes: usize) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .set_recv_buffer_size(bytes)
        .expect("a buffer size can be set");
    let address: SocketAddr = server.address().parse().expect("an address");
    socket.connect(&address.into()).expect("the stage accepts");
    let stream = TcpStream::from(socket);
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout can be set");
    stream
}

/// Four connections whose clients have stopped reading, with more to answer than the kernel can
/// hold for them. First each exchanges some megabytes, so that the kernel lets more than a page
/// wait; at least two are surely stuck then.
fn stuck(server: &Running) -> Vec<TcpStream> {
    let block = [b'x'; 64 * 1024];
    let mut clients: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = with_buffer(server, 256 * 1024);
            let mut reader = stream.try_clone().expect("a second handle");
            thread::scope(|scope| {
                scope.spawn(move || reader.read_exact(&mut vec![0; 1024 * block.len()]));
                for _ in 0..1024 {
                    stream.write_all(&block).expect("the server reads");
                }
            });
            stream
        })
        .collect();
    // No client gets any further in a whole round, so the machine isn't just slow.
    let mut moved = true;
    while moved {
        moved = false;
        for client in &mut clients {
            let patience = Some(Duration::from_millis(300));
            client
                .set_write_timeout(patience)
                .expect("a timeout can be set");
            while client.write(&block).is_ok() {
                moved = true;
            }
        }
    }
    clients
}

#[test]
fn a_signal_ends_idle_connections_at_once() {
    with_each(|stage| {
        for name in ["TERM", "INT", "QUIT"] {
            let server = Running::start(stage, &["0", "60"], 1).unwrap();
            let mut idle = [greeted(&server), greeted(&server), greeted(&server)];
            let began = Instant::now();
            signal(server.process(), name).unwrap();
            for stream in &mut idle {
                assert_eq!(
                    stream.read(&mut [0; 1]).expect("a clean end"),
                    0,
                    "{stage} {name}"
                );
            }
            let (status, errors) = server.ended().unwrap();
            assert_eq!(
                (status.code(), errors.as_str()),
                (Some(0), ""),
                "{stage} {name}"
            );
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{stage} waited for idle clients"
            );
        }
    });
}

#[test]
fn requests_that_have_arrived_are_answered_before_the_end() {
    with_each(|stage| {
        let server = Running::start(stage, &["0", "60"], 1).unwrap();
        // Most of the answer is still with the server when the signal comes.
        let mut stream = with_buffer(&server, 4096);
        let question = [b'x'; 60_000];
        stream.write_all(&question).unwrap();
        stream
            .read_exact(&mut [0; 1])
            .expect("the server has begun to answer");
        signal(server.process(), "TERM").unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("a clean end");
        assert_eq!(answer.len(), question.len() - 1, "{stage}");
        let (status, errors) = server.ended().unwrap();
        assert_eq!((status.code(), errors.as_str()), (Some(0), ""), "{stage}");
    });
}

#[test]
fn all_connections_share_one_deadline() {
    with_each(|stage| {
        // At least two are left. One after another, they would be waited for twice the deadline each time. A busy machine
        // may be late by a short one, but not by all of them.
        let in_time = [2, 4, 8, 16, 32].into_iter().any(|deadline| {
            let server = Running::start(stage, &["0", &deadline.to_string()], 1).unwrap();
            let clients = stuck(&server);
            let began = Instant::now();
            signal(server.process(), "TERM").unwrap();
            let (status, errors) = server.ended().unwrap();
            let took = began.elapsed();
            assert_eq!(status.code(), Some(0), "{stage}");
            assert!(
                errors.contains(&format!("connections did not finish in {deadline}s")),
                "{stage}: {errors}"
            );
            assert!(took >= Duration::from_secs(deadline), "{stage}: {took:?}");
            drop(clients);
            took < Duration::from_secs(2 * deadline)
        });
        assert!(in_time, "{stage}");
    });
}

#[test]
fn no_client_waits_after_it_closes() {
    with_each(|stage| {
        let server = Running::start(stage, &["0", "60"], 1).unwrap();
        let clients = stuck(&server);
        signal(server.process(), "TERM").unwrap();
        // The listener is closed first: soon no client can connect, while the stuck clients are still
        // waited for.
        let mut between = Vec::new();
        until(|| match TcpStream::connect(server.address()) {
            Ok(stream) => {
                between.push(stream);
                false
            }
            Err(_) => true,
        })
        .expect("the listener closes");
        drop(clients);
        // A client that came in between is refused or served, and reads an end or a reset soon; none
        // is forgotten.
        for mut stream in between {
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            let end = stream.read_to_end(&mut Vec::new());
            let forgotten = matches!(&end, Err(error) if error.kind() == ErrorKind::WouldBlock);
            assert!(
                !forgotten,
                "{stage} left a client waiting that came while it closed"
            );
        }
        assert_eq!(server.ended().unwrap().0.code(), Some(0), "{stage}");
    });
}

#[test]
fn a_second_signal_ends_it_now() {
    with_each(|stage| {
        // A machine that does other things may let clients look stuck that are not, and then the first signal ends it.
        let ends = (0..10).any(|_| {
            let server = Running::start(stage, &["0", "60"], 1).unwrap();
            let clients = stuck(&server);
            signal(server.process(), "TERM").unwrap();
            until(|| TcpStream::connect(server.address()).is_err()).expect("the listener closes");
            signal(server.process(), "TERM").unwrap();
            let code = server.ended().unwrap().0.code();
            drop(clients);
            assert!(code == Some(1) || code == Some(0), "{stage}: {code:?}");
            code == Some(1)
        });
        assert!(ends, "{stage}");
    });
}

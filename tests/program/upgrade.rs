//! Upgrades through a socket that outlives larder: clients connect all the time while one larder ends and the next one
//! starts. No connection is refused, and every request is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

use super::run::{FREE, PATIENCE, Place, until};
use super::systemd::with_socket;

/// Clients that connect at the same time.
const CLIENTS: usize = 8;

/// Larders that follow one another.
const LARDERS: usize = 6;

/// A connection's first request is answered if it comes within a second of it. One that a slow machine has sent later than
/// this may be lost.
const IN_TIME: Duration = Duration::from_millis(500);

/// Connects, waits as a client does that is far away, asks and reads the answer. An error is a sentence; false means that the request
/// was late, and its connection was closed.
fn ask(address: SocketAddr, pause: Duration, request: &str, answer: &str) -> Result<bool, String> {
    let begin = Instant::now();
    let mut stream = TcpStream::connect(address).map_err(|error| format!("connect: {error}"))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .map_err(|error| error.to_string())?;
    thread::sleep(pause);
    let sent = stream.write_all(request.as_bytes());
    let late = begin.elapsed() > IN_TIME;
    let mut got = vec![0; answer.len()];
    match sent.and_then(|()| stream.read_exact(&mut got)) {
        Ok(()) if got == answer.as_bytes() => Ok(true),
        Ok(()) => Err(format!("{:?}", String::from_utf8_lossy(&got))),
        Err(_) if late => Ok(false),
        Err(error) => Err(format!("a request was not answered: {error}")),
    }
}

/// Clients of `address` while larders with these arguments follow one another on it.
fn upgrade(arguments: &[&str], socket: &TcpListener, request: &str, answer: &str) {
    let place = Place::new();
    let address = socket.local_addr().expect("bound");
    let start = || with_socket(&place, socket, arguments).ready(1);
    let (answered, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let client = |number: usize| {
        let pause = Duration::from_millis(number as u64 % 4);
        while !done.load(SeqCst) {
            if ask(address, pause, request, answer)? {
                answered.fetch_add(1, SeqCst);
            }
        }
        Ok::<(), String>(())
    };
    thread::scope(|scope| {
        let client = &client;
        let mut larder = start();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || client(number)))
            .collect();
        let all_served = || {
            let before = answered.load(SeqCst);
            until("clients are served", || {
                answered.load(SeqCst) >= before + 5 * CLIENTS
                    || clients.iter().any(|client| client.is_finished())
            });
        };
        for _ in 1..LARDERS {
            all_served();
            larder.signal("TERM");
            let printed = larder.printed();
            assert_eq!(printed.code, Some(0), "{}", printed.err);
            larder = start();
        }
        all_served();
        done.store(true, SeqCst);
        for client in clients {
            let end = client.join().expect("a client doesn't panic");
            assert_eq!(end, Ok(()), "{arguments:?}");
        }
    });
}

fn socket() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("bound").to_string();
    (socket, address)
}

#[test]
fn every_request_is_answered_while_larder_is_replaced() {
    let (bound, address) = socket();
    let arguments = ["--memcached", &address, "--resp", "off"];
    upgrade(&arguments, &bound, "mn\r\n", "MN\r\n");
}

#[test]
fn every_request_is_answered_while_a_larder_with_threads_is_replaced() {
    let (bound, address) = socket();
    let arguments = [
        "--memcached",
        "off",
        "--resp",
        &address,
        "--model",
        "threads",
    ];
    upgrade(&arguments, &bound, "PING\r\n", "+PONG\r\n");
}

#[test]
fn every_request_is_answered_while_a_proxy_is_replaced() {
    let place = Place::new();
    let server = place.serve(&FREE, 2);
    let (bound, address) = socket();
    let upstream = server.address("memcached");
    let to = ["--protocol", "memcached", "--upstream", upstream];
    let arguments = [&["proxy", "--listen", &address], &to[..]].concat();
    upgrade(&arguments, &bound, "get key\r\n", "END\r\n");
}

//! The sockets of the tap: accepts clients, connects each to the upstream, and copies bytes both ways.
//!
//! ```text
//!   client ──▶ thread ──▶ upstream          each thread tells what it has read before it writes it,
//!   client ◀── thread ◀── upstream          so that a reply never comes before its request
//!                 └── Event ──▶ one channel, read by the thread that prints
//! ```
//!
//! The channel is bounded: if printing is slower than the traffic, the traffic waits, and memory doesn't grow.

use std::io;
use std::net::{Shutdown, TcpListener};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use super::conversation::Direction;
use crate::server::Stream;
use crate::tools::transcript::Address;

/// The longest time that connecting to the upstream may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Bytes read at once.
const READ_BUFFER: usize = 64 * 1024;

/// An event of a connection.
#[derive(Debug)]
pub(super) enum Change {
    /// Bytes passed.
    Bytes(Vec<u8>),
    /// The side that sends in this direction has ended its stream.
    End,
    /// The upstream could not be reached.
    Unreachable(String),
}

/// A change of the connection with this number, from 1.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) connection: u64,
    pub(super) direction: Direction,
    /// Microseconds of the tap.
    pub(super) at: u64,
    pub(super) change: Change,
}

/// The listening socket for clients.
pub(super) enum TapListener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl TapListener {
    pub(super) fn bind(address: &Address) -> io::Result<TapListener> {
        match address {
            Address::Tcp(address) => TcpListener::bind(address).map(TapListener::Tcp),
            Address::Unix(path) => UnixListener::bind(path).map(TapListener::Unix),
        }
    }

    /// The address in use; port 0 has become a port.
    pub(super) fn address(&self, asked: &Address) -> String {
        match self {
            TapListener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.to_string(),
                Err(_) => asked.to_string(),
            },
            TapListener::Unix(_) => asked.to_string(),
        }
    }

    fn accept(&self) -> io::Result<Stream> {
        match self {
            TapListener::Tcp(listener) => listener.accept().map(|(stream, _)| Stream::Tcp(stream)),
            TapListener::Unix(listener) => {
                listener.accept().map(|(stream, _)| Stream::Unix(stream))
            }
        }
    }
}

/// Forwards all clients, each in threads of its own, until the reader of the events has ended.
pub(super) fn forward(
    listener: &TapListener,
    upstream: &Address,
    began: Instant,
    events: &Sender<Event>,
) {
    let mut connection = 0;
    loop {
        let Ok(client) = listener.accept() else {
            // Mostly a lack of descriptors, which ends when some are closed.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        connection += 1;
        let (upstream, events) = (upstream.clone(), events.clone());
        thread::spawn(move || join(client, &upstream, connection, began, &events));
    }
}

/// One client and its upstream connection.
fn join(
    client: Stream,
    upstream: &Address,
    connection: u64,
    began: Instant,
    events: &Sender<Event>,
) {
    let server = upstream.open(CONNECT).and_then(|server| {
        server.tune()?;
        client.tune()?;
        Ok(server)
    });
    let server = match server {
        Ok(server) => Arc::new(server),
        Err(error) => {
            let change = Change::Unreachable(error.to_string());
            // The tap ends when the reader of the events has ended.
            let _ = events.send(event(connection, Direction::Reply, began, change));
            return;
        }
    };
    let client = Arc::new(client);
    let (from, to, sender) = (Arc::clone(&server), Arc::clone(&client), events.clone());
    thread::spawn(move || copy(&from, &to, connection, Direction::Reply, began, &sender));
    copy(
        &client,
        &server,
        connection,
        Direction::Request,
        began,
        events,
    );
}

/// Copies one direction to its end. When a side has closed, the other direction ends, too.
fn copy(
    from: &Stream,
    to: &Stream,
    connection: u64,
    direction: Direction,
    began: Instant,
    events: &Sender<Event>,
) {
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        let count = from.read(&mut buffer).map_or(0, |read| read.count);
        let change = match count {
            0 => Change::End,
            count => Change::Bytes(buffer[..count].to_vec()),
        };
        if events
            .send(event(connection, direction, began, change))
            .is_err()
        {
            return;
        }
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match to.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(_) => {
                    let _ = from.shutdown(Shutdown::Both);
                    return;
                }
            }
        }
        if count == 0 {
            // A server that has closed reads nothing more; a client that has finished may still read.
            let how = match direction {
                Direction::Request => Shutdown::Write,
                Direction::Reply => Shutdown::Both,
            };
            let _ = to.shutdown(how);
            return;
        }
    }
}

fn event(connection: u64, direction: Direction, began: Instant, change: Change) -> Event {
    Event {
        connection,
        direction,
        at: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
        change,
    }
}

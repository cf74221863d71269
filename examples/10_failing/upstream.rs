//! The connection to one server of the pool, which all clients share, and the queue of the clients that wait for replies.
//!
//! ```text
//!   client a ─┐  lock: into the queue,   ┌───────┐  requests   ┌────────┐
//!   client b ─┼─ then the bytes ────────▶│ write │────────────▶│ server │
//!   client c ─┘        │                 └───────┘             └────────┘
//!        ▲       queue: a a b c                                     │
//!        │             │                 ┌───────┐  replies         │
//!        └─ a channel ─┴◀── next client ─│ read  │◀─────────────────┘
//!           for each                     └───────┘  one thread
//! ```
//!
//! A server answers in the order of its requests. So the client that has been in the queue for longest gets the next
//! reply.
//!
//! The thread that reads also keeps the deadline: when a reply is due and nothing has come for too long, it closes the
//! connection. `health.rs` counts such failures.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{mem, thread};

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use larder::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};

use super::health::Health;

/// The most by which the end of a deadline is noticed late.
const TICK: Duration = Duration::from_millis(50);
/// Bytes of the largest reply. With a larger one the connection is closed.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// A server, the connection to it if there is one, and its health.
pub(crate) struct Upstream {
    pub(crate) address: Arc<str>,
    pub(crate) health: Arc<Health>,
    open: Mutex<Option<Connection>>,
}

/// The side of a connection that is written to.
struct Connection {
    stream: TcpStream,
    waiting: Sender<Waiter>,
}

/// A client that waits for replies of these kinds.
struct Waiter {
    shapes: VecDeque<ReplyShape>,
    replies: Sender<Result<Vec<u8>, Failure>>,
    since: Instant,
}

/// The replies to a client's requests, as they come.
pub(crate) struct Replies(Result<Receiver<Result<Vec<u8>, Failure>>, Failure>);

/// The reason why there is no reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Failure {
    /// Connecting failed. Nothing was sent.
    Refused,
    /// The server is ejected. Nothing was sent.
    Ejected,
    /// No byte came within the deadline.
    Silent(Duration),
    /// The connection ended before the reply did.
    Lost,
    /// The received bytes are no reply.
    Garbage,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused => f.write_str("can't be connected to"),
            Failure::Ejected => f.write_str("is ejected after consecutive errors; it is probed"),
            Failure::Silent(deadline) => write!(f, "did not answer within {deadline:?}"),
            Failure::Lost => f.write_str("closed the connection before it had answered"),
            Failure::Garbage => f.write_str("sent bytes that are not a reply"),
        }
    }
}

impl Upstream {
    pub(crate) fn new(address: String, deadline: Duration) -> Upstream {
        let address: Arc<str> = address.into();
        Upstream {
            health: Arc::new(Health::new(Arc::clone(&address), deadline)),
            address,
            open: Mutex::new(None),
        }
    }

    /// Sends requests. Their replies come later, as many as there are shapes.
    pub(crate) fn ask(&self, requests: &[u8], shapes: &[ReplyShape]) -> Replies {
        Replies(self.send(requests, shapes))
    }

    fn send(
        &self,
        requests: &[u8],
        shapes: &[ReplyShape],
    ) -> Result<Receiver<Result<Vec<u8>, Failure>>, Failure> {
        let (sender, replies) = unbounded();
        if requests.is_empty() {
            return Ok(replies);
        }
        let mut waiter = Waiter {
            shapes: shapes.iter().copied().collect(),
            replies: sender,
            since: Instant::now(),
        };
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = match slot.take() {
                Some(connection) => connection,
                None => Connection::dial(&self.address, &self.health).map_err(|_| {
                    self.health.failed();
                    Failure::Refused
                })?,
            };
            // First into the queue, then the bytes: so a reply always finds its client. A
            // client that waits for no reply isn't queued.
            let queued = match shapes {
                [] => Ok(()),
                _ => connection.waiting.send(waiter),
            };
            match queued {
                Ok(()) => {
                    // If it fails, the connection is dropped, and the thread that reads answers the
                    // clients that wait.
                    if (&connection.stream).write_all(requests).is_ok() {
                        *slot = Some(connection);
                    }
                    return Ok(replies);
                }
                // The thread that reads this connection has ended, and nothing was sent: try
                // a new one.
                Err(SendError(back)) => waiter = back,
            }
        }
    }
}

impl Replies {
    /// Waits for the next reply, or the failure in its place.
    pub(crate) fn next(&self) -> Result<Vec<u8>, Failure> {
        match &self.0 {
            Ok(replies) => replies.recv().unwrap_or(Err(Failure::Lost)),
            Err(failure) => Err(*failure),
        }
    }
}

impl Connection {
    /// Connects, and starts the thread that reads the replies.
    fn dial(address: &str, health: &Arc<Health>) -> io::Result<Connection> {
        let mut last = io::Error::other("it has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, health.deadline) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(health.deadline))?;
                    let (waiting, queue) = unbounded();
                    let reading = stream.try_clone()?;
                    reading.set_read_timeout(Some(TICK))?;
                    let health = Arc::clone(health);
                    thread::Builder::new().spawn(move || scatter(&reading, queue, &health))?;
                    return Ok(Connection { stream, waiting });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Drop for Connection {
    /// Wakes the thread that reads. It ends, and the clients that wait get an error.
    fn drop(&mut self) {
        // Fails when the connection has ended, and then the thread has ended too.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// Hands each reply to the client that is next in the queue, until the connection ends.
fn scatter(mut stream: &TcpStream, queue: Receiver<Waiter>, health: &Arc<Health>) {
    let mut current: Option<(Waiter, ReplyFramer)> = None;
    let mut reply = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut heard = Instant::now();
    let failure = 'connection: loop {
        let read = match stream.read(&mut chunk) {
            Ok(0) => break Failure::Lost,
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                current = current.or_else(|| next(&queue));
                let late = |waiter: &Waiter| waiter.since.max(heard).elapsed() >= health.deadline;
                if current.as_ref().is_some_and(|(waiter, _)| late(waiter)) {
                    break Failure::Silent(health.deadline);
                }
                continue;
            }
            Err(_) => break Failure::Lost,
        };
        heard = Instant::now();
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            // A reply without a request: from here on no reply can be trusted.
            let Some((waiter, mut framer)) = current.take().or_else(|| next(&queue)) else {
                break 'connection Failure::Garbage;
            };
            let progress = framer.feed(rest);
            reply.extend_from_slice(&rest[..progress.used]);
            rest = &rest[progress.used..];
            match progress.state {
                FrameState::More => current = Some((waiter, framer)),
                FrameState::Garbage => {
                    current = Some((waiter, framer));
                    break 'connection Failure::Garbage;
                }
                FrameState::Done => {
                    health.answered();
                    // Fails when the client has left. Its reply is taken off the stream all
                    // the same.
                    let _ = waiter.replies.send(Ok(mem::take(&mut reply)));
                    current = due(waiter);
                }
            }
        }
        if reply.len() > MAX_REPLY {
            break Failure::Garbage;
        }
    };
    let _ = stream.shutdown(Shutdown::Both);
    // A connection that ends while no client waits is no failure: servers close idle ones.
    let waiting: Vec<Waiter> = current
        .map(|(waiter, _)| waiter)
        .into_iter()
        .chain(queue.try_iter())
        .collect();
    if !waiting.is_empty() {
        health.failed();
    }
    // In this order, so that a client that gets an error finds no queue to join.
    drop(queue);
    for waiter in &waiting {
        let _ = waiter.replies.send(Err(failure));
    }
}

/// The next client in the queue that waits for a reply.
fn next(queue: &Receiver<Waiter>) -> Option<(Waiter, ReplyFramer)> {
    queue.try_iter().find_map(due)
}

/// A waiter and the framer of its next reply, if it waits for one more.
fn due(mut waiter: Waiter) -> Option<(Waiter, ReplyFramer)> {
    let shape = waiter.shapes.pop_front()?;
    Some((waiter, ReplyFramer::new(shape)))
}

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

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use larder::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};

/// The deadline of connecting, and of a write to a server that doesn't read.
const DEADLINE: Duration = Duration::from_secs(2);
/// Bytes of the largest reply. With a larger one the connection is closed.
const MAX_REPLY: usize = 64 * 1024 * 1024;

/// A server, and the connection to it if there is one.
pub(crate) struct Upstream {
    address: String,
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
    replies: Sender<Vec<u8>>,
}

/// The replies to a client's requests, as they come.
pub(crate) struct Replies {
    address: String,
    sent: io::Result<Receiver<Vec<u8>>>,
}

impl Upstream {
    pub(crate) fn new(address: String) -> Upstream {
        Upstream {
            address,
            open: Mutex::new(None),
        }
    }

    /// Sends requests. Their replies come later, as many as there are shapes.
    pub(crate) fn ask(&self, requests: &[u8], shapes: &[ReplyShape]) -> Replies {
        Replies {
            address: self.address.clone(),
            sent: self.send(requests, shapes),
        }
    }

    fn send(&self, requests: &[u8], shapes: &[ReplyShape]) -> io::Result<Receiver<Vec<u8>>> {
        let (sender, replies) = unbounded();
        if requests.is_empty() {
            return Ok(replies);
        }
        let mut waiter = Waiter {
            shapes: shapes.iter().copied().collect(),
            replies: sender,
        };
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = match slot.take() {
                Some(connection) => connection,
                None => Connection::dial(&self.address)?,
            };
            // First into the queue, then the bytes: so a reply always finds its client. A
            // client that waits for no reply isn't queued.
            let queued = match shapes {
                [] => Ok(()),
                _ => connection.waiting.send(waiter),
            };
            match queued {
                Ok(()) => {
                    (&connection.stream).write_all(requests)?;
                    *slot = Some(connection);
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
    /// Waits for the next reply. If it doesn't come, an error takes its place.
    pub(crate) fn next(&self) -> Vec<u8> {
        let problem = match &self.sent {
            Ok(replies) => match replies.recv() {
                Ok(reply) => return reply,
                Err(_) => "closed the connection before it had answered",
            },
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                "refused the connection"
            }
            Err(_) => "can't be reached",
        };
        format!("SERVER_ERROR upstream {} {problem}\r\n", self.address).into_bytes()
    }
}

impl Connection {
    /// Connects, and starts the thread that reads the replies.
    fn dial(address: &str) -> io::Result<Connection> {
        let mut last = io::Error::other("it has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, DEADLINE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(DEADLINE))?;
                    let (waiting, queue) = unbounded();
                    let reading = stream.try_clone()?;
                    thread::Builder::new().spawn(move || scatter(&reading, queue))?;
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
fn scatter(mut stream: &TcpStream, queue: Receiver<Waiter>) {
    let mut current: Option<(Waiter, ReplyFramer)> = None;
    let mut reply = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    'connection: while reply.len() <= MAX_REPLY {
        let Ok(read @ 1..) = stream.read(&mut chunk) else {
            break;
        };
        let mut rest = &chunk[..read];
        while !rest.is_empty() {
            // A reply without a request: from here on no reply can be trusted.
            let Some((waiter, mut framer)) = current.take().or_else(|| next(&queue)) else {
                break 'connection;
            };
            let progress = framer.feed(rest);
            reply.extend_from_slice(&rest[..progress.used]);
            rest = &rest[progress.used..];
            match progress.state {
                FrameState::More => current = Some((waiter, framer)),
                FrameState::Garbage => break 'connection,
                FrameState::Done => {
                    // Fails when the client has left. Its reply is taken off the stream all
                    // the same.
                    let _ = waiter.replies.send(mem::take(&mut reply));
                    current = due(waiter);
                }
            }
        }
    }
    let _ = stream.shutdown(Shutdown::Both);
    // In this order, so that a client that gets an error finds no queue to join.
    drop(queue);
    drop(current);
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

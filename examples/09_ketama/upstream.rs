//! The connection to one server of the pool, which all clients share, and the queue of who waits for its replies.
//!
//! ```text
//!   client a ─┐  lock: into the queue,   ┌───────┐  requests   ┌────────┐
//!   client b ─┼─ then the bytes ────────▶│ write │────────────▶│ server │
//!   client c ─┘        │                 └───────┘             └────────┘
//!        ▲       queue: a a b c                                     │
//!        │             │                 ┌───────┐  replies         │
//!        └─ a channel ─┴◀── who is next ─│ read  │◀─────────────────┘
//!           for each                     └───────┘  one thread
//! ```
//!
//! A server answers in the order in which it was asked. So whoever has been in the queue for longest gets the next
//! reply, and nothing else has to be known.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use std::{mem, thread};

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use larder::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};

/// How long a connection may take to be made, and a write may find no room.
const DEADLINE: Duration = Duration::from_secs(2);
/// Bytes of the largest reply. A server that sends a larger one is hung up on.
const MAX_REPLY: usize = 64 * 1024 * 1024;

// ANCHOR: types
/// A server, and the connection to it if there is one.
pub(crate) struct Upstream {
    address: String,
    link: Mutex<Option<Link>>,
}

/// The side of a connection that is written to.
struct Link {
    stream: TcpStream,
    waiting: Sender<Waiter>,
}

/// A client that waits for replies of these kinds.
struct Waiter {
    shapes: VecDeque<ReplyShape>,
    replies: Sender<Vec<u8>>,
}

/// The replies to what was asked, as they come.
pub(crate) struct Replies {
    address: String,
    sent: io::Result<Receiver<Vec<u8>>>,
}
// ANCHOR_END: types

impl Upstream {
    pub(crate) fn new(address: String) -> Upstream {
        Upstream {
            address,
            link: Mutex::new(None),
        }
    }

    // ANCHOR: ask
    /// Sends requests. Their replies come later, as many as there are shapes.
    pub(crate) fn ask(&self, requests: &[u8], shapes: &[ReplyShape]) -> Replies {
        Replies {
            address: self.address.clone(),
            sent: self.send(requests, shapes),
        }
    }
    // ANCHOR_END: ask

    // ANCHOR: send
    fn send(&self, requests: &[u8], shapes: &[ReplyShape]) -> io::Result<Receiver<Vec<u8>>> {
        let (sender, replies) = unbounded();
        if requests.is_empty() {
            return Ok(replies);
        }
        let mut waiter = Waiter {
            shapes: shapes.iter().copied().collect(),
            replies: sender,
        };
        let mut slot = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let link = match slot.take() {
                Some(link) => link,
                None => Link::dial(&self.address)?,
            };
            // First the place in the queue, then the bytes: a reply always finds who waits
            // for it. Who waits for none needs no place.
            let queued = match shapes {
                [] => Ok(()),
                _ => link.waiting.send(waiter),
            };
            match queued {
                Ok(()) => {
                    (&link.stream).write_all(requests)?;
                    *slot = Some(link);
                    return Ok(replies);
                }
                // Nobody reads from this connection any more, and nothing was sent: try a
                // new one.
                Err(SendError(back)) => waiter = back,
            }
        }
    }
    // ANCHOR_END: send
}

impl Replies {
    /// Waits for the next reply. Where it doesn't come, an error stands in its place.
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

// ANCHOR: dial
impl Link {
    /// Connects, and starts the thread that reads the replies.
    fn dial(address: &str) -> io::Result<Link> {
        let mut last = io::Error::other("it has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, DEADLINE) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_write_timeout(Some(DEADLINE))?;
                    let (waiting, queue) = unbounded();
                    let reading = stream.try_clone()?;
                    thread::Builder::new().spawn(move || scatter(&reading, queue))?;
                    return Ok(Link { stream, waiting });
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

impl Drop for Link {
    /// Wakes the thread that reads; it ends, and with it all who still wait.
    fn drop(&mut self) {
        // Fails when the connection is gone, and then the thread knows.
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}
// ANCHOR_END: dial

// ANCHOR: scatter
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
            // A reply that nobody has asked for: from here on no reply can be trusted.
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
    // In this order: whoever learns that no reply comes finds no queue to join any more.
    drop(queue);
    drop(current);
}

/// The next in the queue to whom a reply is due.
fn next(queue: &Receiver<Waiter>) -> Option<(Waiter, ReplyFramer)> {
    queue.try_iter().find_map(due)
}

/// A waiter and what frames its next reply, if it waits for one more.
fn due(mut waiter: Waiter) -> Option<(Waiter, ReplyFramer)> {
    let shape = waiter.shapes.pop_front()?;
    Some((waiter, ReplyFramer::new(shape)))
}
// ANCHOR_END: scatter

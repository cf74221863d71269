//! The connection to the server behind us, which all clients share, and the queue of who waits for its replies.
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

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use super::frame;

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

/// A client that waits for so many replies.
struct Waiter {
    count: usize,
    replies: Sender<Vec<u8>>,
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
    /// Sends `count` requests, waits for their replies, and appends these to the output.
    /// Where one doesn't come, an error stands in its place.
    pub(crate) fn ask(&self, requests: &[u8], count: usize, output: &mut Vec<u8>) {
        let sent = self.send(requests, count);
        for _ in 0..count {
            let problem = match &sent {
                Ok(replies) => match replies.recv() {
                    Ok(reply) => {
                        output.extend_from_slice(&reply);
                        continue;
                    }
                    Err(_) => "closed the connection before it had answered",
                },
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    "refused the connection"
                }
                Err(_) => "can't be reached",
            };
            let error = format!("-ERR upstream {} {problem}\r\n", self.address);
            output.extend_from_slice(error.as_bytes());
        }
    }
    // ANCHOR_END: ask

    // ANCHOR: send
    fn send(&self, requests: &[u8], count: usize) -> io::Result<Receiver<Vec<u8>>> {
        let (sender, replies) = unbounded();
        let mut waiter = Waiter {
            count,
            replies: sender,
        };
        let mut slot = self.link.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let link = match slot.take() {
                Some(link) => link,
                None => Link::dial(&self.address)?,
            };
            // First the place in the queue, then the bytes: a reply always finds who waits
            // for it.
            match link.waiting.send(waiter) {
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
    let mut current: Option<Waiter> = None;
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    'connection: while buffer.len() <= MAX_REPLY {
        let Ok(read @ 1..) = stream.read(&mut chunk) else {
            break;
        };
        buffer.extend_from_slice(&chunk[..read]);
        let mut at = 0;
        loop {
            let length = match frame::value(&buffer[at..]) {
                Ok(Some(length)) => length,
                Ok(None) => break,
                Err(frame::Garbage) => break 'connection,
            };
            // A reply that nobody has asked for: from here on no reply can be trusted.
            let Some(mut waiter) = current.take().or_else(|| queue.try_recv().ok()) else {
                break 'connection;
            };
            // Fails when the client has left. Its reply is taken off the stream all the same.
            let _ = waiter.replies.send(buffer[at..at + length].to_vec());
            at += length;
            waiter.count -= 1;
            current = (waiter.count > 0).then_some(waiter);
        }
        buffer.drain(..at);
    }
    let _ = stream.shutdown(Shutdown::Both);
    // In this order: whoever learns that no reply comes finds no queue to join any more.
    drop(queue);
    drop(current);
}
// ANCHOR_END: scatter

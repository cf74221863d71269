//! The connection to the upstream, which all clients share, and the queue of the clients that wait for replies.
//!
//! A server answers the requests of a connection in their order. So each reply is for the client at the head of the
//! queue.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, SendError, Sender, unbounded};

use super::frame::{self, Garbage};

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

/// A client that waits for this many replies.
struct Waiter {
    count: usize,
    replies: Sender<Vec<u8>>,
}

impl Upstream {
    pub(crate) fn new(address: String) -> Upstream {
        Upstream {
            address,
            open: Mutex::new(None),
        }
    }

    /// Sends `count` requests, waits for their replies, and appends these to the output.
    /// For a reply that doesn't come it appends an error.
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

    fn send(&self, requests: &[u8], count: usize) -> io::Result<Receiver<Vec<u8>>> {
        let (replies, receiver) = unbounded();
        let mut waiter = Waiter { count, replies };
        let mut slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let connection = match slot.take() {
                Some(connection) => connection,
                None => Connection::dial(&self.address)?,
            };
            // First into the queue, then the bytes: so a reply always finds its client.
            match connection.waiting.send(waiter) {
                Ok(()) => {
                    (&connection.stream).write_all(requests)?;
                    *slot = Some(connection);
                    return Ok(receiver);
                }
                // The reading thread has ended, and nothing was sent: try a new connection.
                Err(SendError(back)) => waiter = back,
            }
        }
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
    let mut current = None;
    let mut buffer = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    while buffer.len() <= MAX_REPLY {
        let Ok(read @ 1..) = stream.read(&mut chunk) else {
            break;
        };
        buffer.extend_from_slice(&chunk[..read]);
        let Ok(used) = hand_out(&buffer, &queue, &mut current) else {
            break;
        };
        buffer.drain(..used);
    }
    let _ = stream.shutdown(Shutdown::Both);
    // In this order, so that a client that gets an error finds no queue to join.
    drop(queue);
    drop(current);
}

/// Hands out the whole replies in these bytes, and returns how many bytes they are.
fn hand_out(
    bytes: &[u8],
    queue: &Receiver<Waiter>,
    current: &mut Option<Waiter>,
) -> Result<usize, Garbage> {
    let mut at = 0;
    while let Some(length) = frame::value(&bytes[at..])? {
        // A reply without a request: no later reply of this connection can be trusted.
        let waiter = current.take().or_else(|| queue.try_recv().ok());
        let mut waiter = waiter.ok_or(Garbage)?;
        // Fails when the client has left. Its reply is taken off the stream anyway.
        let _ = waiter.replies.send(bytes[at..at + length].to_vec());
        at += length;
        waiter.count -= 1;
        *current = (waiter.count > 0).then_some(waiter);
    }
    Ok(at)
}

//! The seam between connections and protocols: a service is written without I/O.
//!
//! ```text
//!   socket ──read──▶ input ──▶ Session::turn ──▶ output ──write──▶ socket
//!                      ▲             │
//!                      └─ unconsumed input stays for the next turn
//! ```
//!
//! The server owns sockets and buffers and depends on no protocol. A [`Service`] opens a [`Session`]
//! per connection; the session gets the bytes that have arrived, consumes complete commands, appends
//! replies to the output and returns the next step. So a protocol is tested without sockets, and the
//! same session runs under either way of running connections.
//!
//! ```
//! use std::borrow::Cow;
//! use std::sync::Arc;
//! use larder::server::{Connections, Next, Peer, Refusal, Server, Service, Session, Turn};
//!
//! /// Answers every byte with `!`.
//! struct Shout;
//!
//! impl Service for Shout {
//!     fn protocol(&self) -> &'static str {
//!         "shout"
//!     }
//!     fn open(&self, _: Peer) -> Box<dyn Session> {
//!         Box::new(Shout)
//!     }
//!     fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
//!         Cow::Borrowed(b"")
//!     }
//! }
//!
//! impl Session for Shout {
//!     fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
//!         output.resize(output.len() + input.len(), b'!');
//!         Turn { consumed: input.len(), next: Next::Read }
//!     }
//! }
//!
//! let server = Server::new(Connections::new()).listen("127.0.0.1:0".parse()?, Arc::new(Shout)).start()?;
//! let mut client = std::net::TcpStream::connect(server.addresses()[0].tcp().unwrap())?;
//! std::io::Write::write_all(&mut client, b"hey")?;
//! let mut reply = [0; 3];
//! std::io::Read::read_exact(&mut client, &mut reply)?;
//! assert_eq!(&reply, b"!!!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Cost: one virtual call per turn, not per command; a turn handles every complete command of the
//! input.

use std::borrow::Cow;
use std::sync::Arc;

use super::connections::Connection;
use super::waiter::Waiter;

/// One protocol: opens a session for each connection that the server accepts.
pub trait Service: Send + Sync + 'static {
    /// The name printed in `listening on PROTOCOL ADDR` and in the log: `memcached`, `resp`,
    /// `echo`.
    fn protocol(&self) -> &'static str;

    /// Begins a connection.
    fn open(&self, peer: Peer) -> Box<dyn Session>;

    /// The reply to a client that is refused, before its connection is closed; empty for none.
    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]>;
}

/// One connection's side of a protocol: its state between commands.
///
/// Dropped when the connection ends, for any reason; a session that must undo something does it in
/// `Drop`. A session should be small: ten thousand quiet ones are held in memory.
pub trait Session: Send {
    /// Handles the complete commands of `input` and appends the replies to `output`.
    ///
    /// `input` is all bytes that have arrived and were not yet consumed. Incomplete input is left
    /// alone by counting it out of [`Turn::consumed`]; it comes again, longer, with the next turn.
    /// Once `output` has grown past [`OUTPUT_SOFT_LIMIT`](super::limits::OUTPUT_SOFT_LIMIT) since
    /// the start of the turn, the session stops between two commands and answers [`Next::Again`],
    /// so that a pipeline of reads can't grow memory without bound. A command that takes long, such as a read of a
    /// million fields, is done in pieces: the session answers [`Next::Continue`] after each and leaves the command in the
    /// input.
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn;

    /// After a turn that answered [`Next::Receive`]: the memory for the next bytes. They are read from the socket
    /// into this slice, so that a large value is not collected in the connection's input first; then
    /// [`arrived`](Session::arrived) is called.
    ///
    /// Bytes may come with the next turn's input all the same: a caller without a socket can ignore this.
    fn space(&mut self) -> Option<&mut [u8]> {
        None
    }

    /// The caller writes the session's [`insertions`](Session::insertions): from now on a turn may answer [`Next::Send`].
    /// Without this call, all bytes of a reply are in the output.
    fn allow_insertions(&mut self) {}

    /// After a turn that answered [`Next::Send`]: values that belong into the output of the turn and are not copied
    /// there, in their order.
    fn insertions(&mut self) -> Vec<Insertion> {
        Vec::new()
    }

    /// After a turn that answered [`Next::Wait`]: the waiter that another thread wakes. Without one the connection doesn't
    /// wait.
    fn waiter(&mut self) -> Option<Arc<Waiter>> {
        None
    }

    /// Notifies the session that this many bytes were written to the [`space`](Session::space). Replies are appended
    /// to the output, as in a turn.
    fn arrived(&mut self, bytes: usize, output: &mut Vec<u8>) -> Next {
        let _ = (bytes, output);
        Next::Read
    }
}

/// A protocol over datagrams. There are no connections: each datagram is a conversation of its own.
pub trait DatagramService: Send + Sync + 'static {
    /// Begins to serve a socket, whose record `peer` has. Called again if a session has panicked.
    fn open_socket(&self, peer: Peer) -> Box<dyn DatagramSession>;
}

/// One socket's side of a [`DatagramService`]: memory that is used again for each datagram, and nothing about clients.
pub trait DatagramSession: Send {
    /// Handles a datagram, and calls `send` with each datagram of the reply.
    fn answer(&mut self, datagram: &[u8], send: &mut dyn FnMut(&[u8]));
}

/// The result of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// Bytes consumed at the start of the input.
    pub consumed: usize,
    /// The connection's next step.
    pub next: Next,
}

/// The next step of a connection after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Write the output; come back when more bytes have arrived.
    Read,
    /// Write the output; when the client has received it, come back with the rest of the input even
    /// if nothing arrived.
    Again,
    /// Write the output; come back after the turns of the other connections, although nothing may have been consumed or
    /// answered: the session has a part of its work or of a reply left. That may be a millisecond later while other clients
    /// send requests. Nothing is read from the client until then. A session that keeps a part of a reply meanwhile counts
    /// it by [`Connections::keep_reply`](super::Connections::keep_reply).
    Continue,
    /// As [`Again`](Next::Again), but the session's [`insertions`](Session::insertions) belong into the output. Only
    /// after [`allow_insertions`](Session::allow_insertions).
    Send,
    /// Write the output; come back with the rest of the input when there is memory for the reply of
    /// the command that it begins with. [`Connections`](super::Connections) bounds the memory of replies.
    AwaitMemory,
    /// Write the output; come back with the rest of the input when the session's [`waiter`](Session::waiter) is woken.
    /// Nothing is read from the client until then.
    Wait,
    /// Write the output; come back after [`LATER`](super::limits::LATER) even if nothing arrived, or earlier with bytes
    /// that have. For output that no request asks for.
    Later,
    /// After [`FAILED_LOGIN_DELAY`](super::limits::FAILED_LOGIN_DELAY), write the output; then come back with the rest
    /// of the input. Nothing is read from the client until then, and the connection stays open even if the client closes
    /// it.
    Delay,
    /// Write the output; read the next bytes into the session's [`space`](Session::space).
    Receive,
    /// Write the output, then close.
    Close,
}

/// Bytes that are a part of the output, but stay where they are until they are written.
pub struct Insertion {
    /// Where in the output they belong: in front of the byte at this index.
    pub at: usize,
    /// The bytes.
    pub bytes: Box<dyn AsRef<[u8]> + Send + Sync>,
}

/// The client at the other end.
///
/// [`Connection`] is the server's record of a connection until it ends; services keep it to name
/// clients in `stats conns` or `CLIENT LIST` and to end one with `CLIENT KILL`.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The server's record of this connection.
    pub connection: Arc<Connection>,
}

impl Peer {
    /// A peer without a socket, for tests and for running a session inside a program.
    pub fn detached() -> Peer {
        Peer {
            connection: Arc::new(Connection::detached()),
        }
    }
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// As many connections as `--max-connections` allows are open.
    TooManyConnections,
}

//! One socket of the load and the requests on their way through it. It never blocks, apart from its opening.

use std::io::{self, ErrorKind};
use std::net::{Shutdown, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::connection::Connection;
use super::dialect::Dialect;
use super::server::LoadedServer;
use crate::server::{Received, Stream};

/// A connected socket.
pub(super) struct Socket {
    stream: Stream,
    /// The server's address, if it isn't a Unix socket.
    peer: Option<SocketAddr>,
    pub(super) connection: Connection,
    /// Whether the system takes more bytes.
    pub(super) writable: bool,
}

impl Socket {
    /// Takes a connected stream into a poller's set.
    pub(super) fn register(
        stream: Stream,
        dialect: Dialect,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Socket> {
        stream.tune()?;
        stream.set_nonblocking()?;
        register(&stream, registry, token)?;
        Ok(Socket {
            peer: stream.peer_addr(),
            stream,
            connection: Connection::new(dialect),
            writable: true,
        })
    }

    /// Opens a connection in place of this one, which is closed and thereby leaves the poller's set.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub(super) fn reopen(
        &mut self,
        server: &LoadedServer,
        patience: Duration,
        dialect: Dialect,
        registry: &Registry,
        token: Token,
    ) -> Result<(), String> {
        // The server learns of the end before the next connection arrives. It may have closed its side already.
        let _ = self.stream.shutdown(Shutdown::Both);
        let opened = match self.peer {
            Some(peer) => Socket::begin(server, peer, dialect, registry, token),
            None => server
                .open(patience)
                .and_then(|stream| Socket::register(stream, dialect, registry, token)),
        };
        *self = opened.map_err(|error| format!("can't connect: {error}"))?;
        Ok(())
    }

    /// Begins to connect. The poller reports the socket as writable when that is done, or its error.
    fn begin(
        server: &LoadedServer,
        peer: SocketAddr,
        dialect: Dialect,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Socket> {
        let stream = server.over(Stream::begin_to_connect(peer)?)?;
        register(&stream, registry, token)?;
        Ok(Socket {
            stream,
            peer: Some(peer),
            connection: Connection::new(dialect),
            writable: false,
        })
    }

    /// Whether a TLS handshake is not complete: bytes that come are its, and the output waits for its end.
    pub(super) fn is_handshaking(&self) -> bool {
        self.writable && self.stream.is_handshaking()
    }

    /// Sends as many bytes as the system accepts, behind a TLS handshake that is due. Returns their number.
    pub(super) fn flush(&mut self) -> Result<u64, String> {
        let mut sent = 0;
        if self.is_handshaking() {
            match self.stream.handshake(None) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                done => done.map_err(|error| lost(&error))?,
            }
        }
        while self.writable && !self.connection.output().is_empty() {
            match self.stream.write(self.connection.output()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(error) => return Err(lost(&error)),
                Ok(count) => {
                    self.connection.wrote(count);
                    sent += count as u64;
                }
            }
        }
        Ok(sent)
    }

    /// Reads the bytes that have come; `None` when there are no more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<Option<Received>, String> {
        match self.stream.read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(lost(&error)),
            Ok(Received { count: 0, .. }) => Err(match self.connection.unanswered() {
                0 => "the server closed a connection".into(),
                count => format!("the server closed a connection with {count} unanswered requests"),
            }),
            Ok(read) => Ok(Some(read)),
        }
    }
}

fn register(stream: &Stream, registry: &Registry, token: Token) -> io::Result<()> {
    let fd = stream.as_raw_fd();
    registry.register(
        &mut SourceFd(&fd),
        token,
        Interest::READABLE | Interest::WRITABLE,
    )
}

fn lost(error: &io::Error) -> String {
    format!("a connection is lost: {error}")
}

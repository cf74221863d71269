//! One type for the two kinds of socket, and for the addresses at their ends.
//!
//! Both ways of running connections use the same [`Stream`]: blocking under threads, non-blocking
//! and registered with a poller by its descriptor under turns.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use super::limits;

/// An accepted connection's socket. Reading and writing need only a shared reference.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Small replies are sent at once, and a peer whose machine is down is noticed.
    pub(crate) fn tune(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_nodelay(true)?;
                let keepalive = TcpKeepalive::new().with_time(limits::KEEPALIVE);
                SockRef::from(stream).set_tcp_keepalive(&keepalive)
            }
            Stream::Unix(_) => Ok(()),
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.set_nonblocking(true),
            Stream::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Bounds a blocking read, and the wait of a blocking write until the peer reads something.
    pub(crate) fn set_timeouts(&self, limit: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream
                .set_read_timeout(limit)
                .and_then(|()| stream.set_write_timeout(limit)),
            Stream::Unix(stream) => stream
                .set_read_timeout(limit)
                .and_then(|()| stream.set_write_timeout(limit)),
        }
    }

    /// Reads once, again only when a signal interrupted it.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self {
                Stream::Tcp(stream) => (&*stream).read(into),
                Stream::Unix(stream) => (&*stream).read(into),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Writes pieces with one call, as [`write`](Stream::write) writes one.
    pub(crate) fn write_pieces(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            let written = match self {
                Stream::Tcp(stream) => (&*stream).write_vectored(from),
                Stream::Unix(stream) => (&*stream).write_vectored(from),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                written => return written,
            }
        }
    }

    /// Writes once, again only when a signal interrupted it. A socket that accepts no byte is an
    /// error.
    pub(crate) fn write(&self, from: &[u8]) -> io::Result<usize> {
        loop {
            let written = match self {
                Stream::Tcp(stream) => (&*stream).write(from),
                Stream::Unix(stream) => (&*stream).write(from),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                written => return written,
            }
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }

    /// Ends a connection on the server's side: the end of the stream follows the last reply. Bytes that
    /// the client had sent meanwhile are discarded, up to a bound, so that the close that follows
    /// does not reset the connection.
    pub(crate) fn close_gracefully(&self) {
        if self.shutdown(Shutdown::Write).is_err() || self.set_nonblocking().is_err() {
            return;
        }
        let mut discarded = [0; 4096];
        for _ in 0..limits::DISCARD_LIMIT / discarded.len() {
            if !matches!(self.read(&mut discarded), Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// The address at our end; a Unix socket's is its listener's.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(stream) => stream.local_addr().ok(),
            Stream::Unix(_) => None,
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

/// One end of a connection, or the address of a listener. Its text is `127.0.0.1:11211` or
/// `/run/larder.sock`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket. Clients of one have no address of their own: theirs is the
    /// listener's.
    Unix(Arc<Path>),
    /// No socket: a session that runs inside a program.
    Detached,
}

impl Address {
    /// The address of a TCP socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(address) => Some(*address),
            _ => None,
        }
    }

    /// The path of a Unix socket.
    pub fn unix(&self) -> Option<&Path> {
        match self {
            Address::Unix(path) => Some(path),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
            Address::Detached => f.write_str("detached"),
        }
    }
}

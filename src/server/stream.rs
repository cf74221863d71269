//! One type for all kinds of socket, and for the addresses at their ends.
//!
//! Both ways of running connections use the same [`Stream`]: blocking under threads, non-blocking
//! and registered with a poller by its descriptor under turns. Its callers don't see whether TLS is on it.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, TcpKeepalive, Type};

use super::limits;
use super::system_calls::{Received, uninterrupted};
use super::tls::{ClientTls, TlsStream};

/// An accepted connection's socket. Reading and writing need only a shared reference.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// A socket without the TLS on it.
enum Socket<'a> {
    Tcp(&'a TcpStream),
    Unix(&'a UnixStream),
}

/// Whether an accepted socket has the options of its listener: Linux copies them.
pub(super) const INHERITS_OPTIONS: bool = cfg!(target_os = "linux");

/// [`Stream::tune`] for a TCP socket, or for a listener whose connections [inherit](INHERITS_OPTIONS) its options.
pub(super) fn tune(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(limits::KEEPALIVE))
}

impl Stream {
    fn socket(&self) -> Socket<'_> {
        match self {
            Stream::Tcp(stream) => Socket::Tcp(stream),
            Stream::Unix(stream) => Socket::Unix(stream),
            Stream::Tls(stream) => Socket::Tcp(&stream.socket),
        }
    }

    /// Small replies are sent at once, and a peer whose machine is down is noticed.
    pub(crate) fn tune(&self) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => tune(&SockRef::from(stream)),
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(crate) fn set_nonblocking(&self) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => stream.set_nonblocking(true),
            Socket::Unix(stream) => stream.set_nonblocking(true),
        }
    }

    /// Bounds a blocking read, and the wait of a blocking write until the peer reads something.
    pub(crate) fn set_timeouts(&self, limit: Option<Duration>) -> io::Result<()> {
        self.set_read_timeout(limit)?;
        match self.socket() {
            Socket::Tcp(stream) => stream.set_write_timeout(limit),
            Socket::Unix(stream) => stream.set_write_timeout(limit),
        }
    }

    /// Bounds a blocking read alone.
    pub(super) fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => stream.set_read_timeout(limit),
            Socket::Unix(stream) => stream.set_read_timeout(limit),
        }
    }

    /// Whether the peer has neither closed its side nor sent bytes that are unread. TLS messages without data count as
    /// bytes.
    pub(crate) fn is_quiet(&self) -> bool {
        let socket = match self.socket() {
            Socket::Tcp(stream) => SockRef::from(stream),
            Socket::Unix(stream) => SockRef::from(stream),
        };
        let flags = nix::libc::MSG_PEEK | nix::libc::MSG_DONTWAIT;
        let peeked = socket.recv_with_flags(&mut [MaybeUninit::uninit()], flags);
        peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }

    /// A connected socket, with TLS for the server at this `host:port` if it is asked for. The handshake is still to come.
    pub(crate) fn to_upstream(
        socket: TcpStream,
        address: &str,
        tls: Option<&ClientTls>,
    ) -> io::Result<Stream> {
        match tls {
            Some(tls) => Ok(Stream::Tls(Box::new(tls.connect(socket, address)?))),
            None => Ok(Stream::Tcp(socket)),
        }
    }

    /// The TCP socket below.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self.socket() {
            Socket::Tcp(socket) => Some(socket),
            Socket::Unix(_) => None,
        }
    }

    /// Bytes that a connection takes at most for this many unwritten ones: TLS may hold them as records, too.
    pub(crate) fn kept_for(&self, unwritten: usize) -> usize {
        match self {
            Stream::Tls(_) => unwritten + TlsStream::most_kept(unwritten),
            Stream::Tcp(_) | Stream::Unix(_) => unwritten,
        }
    }

    /// Whether it has TLS.
    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Stream::Tls(_))
    }

    /// Whether a TLS handshake is not complete.
    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Stream::Tls(stream) if stream.is_handshaking())
    }

    /// Completes the TLS handshake, if there is one. A blocking stream waits, at most until the deadline; any other returns
    /// [`WouldBlock`](ErrorKind::WouldBlock) as long as it is not complete.
    pub(crate) fn handshake(&self, deadline: Option<Instant>) -> io::Result<()> {
        match self {
            Stream::Tls(stream) => stream.handshake(deadline),
            Stream::Tcp(_) | Stream::Unix(_) => Ok(()),
        }
    }

    /// Reads once, again only when a signal interrupted it.
    pub(crate) fn read(&self, into: &mut [u8]) -> io::Result<Received> {
        if let Stream::Tls(stream) = self {
            return stream.read(into);
        }
        let count = self.read_socket(into)?;
        // A short read means that the socket is drained.
        let more = count == into.len();
        Ok(Received { count, more })
    }

    fn read_socket(&self, into: &mut [u8]) -> io::Result<usize> {
        uninterrupted(|| match self.socket() {
            Socket::Tcp(mut stream) => stream.read(into),
            Socket::Unix(mut stream) => stream.read(into),
        })
    }

    /// Writes pieces with one call, as [`write`](Stream::write) writes one.
    pub(crate) fn write_pieces(&self, from: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = uninterrupted(|| match self {
            Stream::Tcp(stream) => (&*stream).write_vectored(from),
            Stream::Unix(stream) => (&*stream).write_vectored(from),
            Stream::Tls(stream) => stream.write(from),
        });
        accepted(written)
    }

    /// Writes once, again only when a signal interrupted it. A socket that accepts no byte is an
    /// error. After [`WouldBlock`](ErrorKind::WouldBlock) the next call begins with the same bytes, because TLS may have
    /// encrypted them.
    pub(crate) fn write(&self, from: &[u8]) -> io::Result<usize> {
        let written = uninterrupted(|| match self {
            Stream::Tcp(stream) => (&*stream).write(from),
            Stream::Unix(stream) => (&*stream).write(from),
            Stream::Tls(stream) => stream.write(&[IoSlice::new(from)]),
        });
        accepted(written)
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self.socket() {
            Socket::Tcp(stream) => stream.shutdown(how),
            Socket::Unix(stream) => stream.shutdown(how),
        }
    }

    /// Ends a connection on the server's side: the end of the stream follows the last reply. Bytes that
    /// the client had sent meanwhile are discarded, up to a bound, so that the close that follows
    /// does not reset the connection.
    pub(crate) fn close_gracefully(&self) {
        if self.set_nonblocking().is_err() {
            return;
        }
        self.close_notify();
        if self.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let mut discarded = [0; 4096];
        for _ in 0..limits::DISCARD_LIMIT / discarded.len() {
            if !matches!(self.read_socket(&mut discarded), Ok(n) if n > 0) {
                return;
            }
        }
    }

    /// Ends a connection in both directions at once. Only for the thread that runs it.
    pub(crate) fn close(&self) {
        if self.is_tls() && self.set_nonblocking().is_ok() {
            self.close_notify();
        }
        let _ = self.shutdown(Shutdown::Both);
    }

    /// Under TLS the peer is notified of the end of the stream.
    fn close_notify(&self) {
        if let Stream::Tls(stream) = self {
            stream.close_notify();
        }
    }

    /// Begins to connect a non-blocking socket, on which small requests are sent at once. A poller reports it as writable
    /// when connecting has ended.
    pub(crate) fn begin_to_connect(to: SocketAddr) -> io::Result<TcpStream> {
        let socket =
            socket2::Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        match socket.connect(&to.into()) {
            // Otherwise connecting continues in the system.
            Err(error) if !would_go_on(&error) => Err(error),
            _ => Ok(socket.into()),
        }
    }

    /// The address at the other end; a Unix socket has none.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self.socket() {
            Socket::Tcp(stream) => stream.peer_addr().ok(),
            Socket::Unix(_) => None,
        }
    }

    /// The address at our end; a Unix socket's is its listener's.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self.socket() {
            Socket::Tcp(stream) => stream.local_addr().ok(),
            Socket::Unix(_) => None,
        }
    }
}

fn accepted(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(ErrorKind::WriteZero.into()),
        written => written,
    }
}

fn would_go_on(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

/// The system's error number for a nonblocking connect in progress.
#[cfg(any(target_os = "linux", target_os = "android"))]
const EINPROGRESS: i32 = 115;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EINPROGRESS: i32 = 36;

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self.socket() {
            Socket::Tcp(stream) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
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
    /// An address and a port of UDP.
    Udp(SocketAddr),
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

    /// The address of a UDP socket.
    pub fn udp(&self) -> Option<SocketAddr> {
        match self {
            Address::Udp(address) => Some(*address),
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
            Address::Tcp(address) | Address::Udp(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
            Address::Detached => f.write_str("detached"),
        }
    }
}

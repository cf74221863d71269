//! Listening sockets that this process was started with: systemd opens them and passes them on. They stay open when larder
//! ends, and clients that connect meanwhile wait for its successor.
//!
//! A socket takes the place of a listener with the same address, so the settings are the same with and without them. There
//! is one set, because there is one in a process.
//!
//! The other holders of such a socket share its state. So it isn't shut down to wake a blocked accept, as others are: the
//! acceptor waits for the socket and for a pipe, and a byte in the pipe wakes it. Cost: one more system call for each
//! connection.

use std::io::{self, PipeReader, PipeWriter, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::SockRef;

use super::stream::{self, Address, Stream};

/// The sockets that no listener has taken yet.
static SOCKETS: Mutex<Vec<PassedSocket>> = Mutex::new(Vec::new());

/// A listening socket that was passed to this process.
#[derive(Debug)]
pub(crate) enum PassedSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Keeps sockets for the listeners of their addresses.
pub(crate) fn keep(sockets: Vec<PassedSocket>) {
    let mut kept = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    kept.extend(sockets);
}

/// The addresses of sockets that no listener has taken. Clients would wait there for ever.
pub(crate) fn left() -> Vec<String> {
    let kept = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let address = |socket: &PassedSocket| {
        socket
            .address()
            .map_or_else(|error| error.to_string(), |address| address.to_string())
    };
    kept.iter().map(address).collect()
}

/// Whether there is a socket that could be taken.
pub(super) fn is_any_left() -> bool {
    !SOCKETS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .is_empty()
}

/// The socket with one of these addresses, if one was passed. Each is taken once.
pub(super) fn take(wanted: &[Address]) -> io::Result<Option<PassedListener>> {
    let mut kept = SOCKETS.lock().unwrap_or_else(PoisonError::into_inner);
    let found = kept
        .iter()
        .position(|socket| socket.address().is_ok_and(|at| wanted.contains(&at)));
    let socket = found.map(|place| kept.swap_remove(place));
    socket.map(PassedListener::new).transpose()
}

impl PassedSocket {
    fn address(&self) -> io::Result<Address> {
        match self {
            PassedSocket::Tcp(socket) => socket.local_addr().map(Address::Tcp),
            PassedSocket::Unix(socket) => {
                let address = socket.local_addr()?;
                let path = address
                    .as_pathname()
                    .unwrap_or(Path::new("a socket without a name"));
                Ok(Address::Unix(path.into()))
            }
        }
    }
}

/// A passed socket that clients are accepted from.
#[derive(Debug)]
pub(super) struct PassedListener {
    socket: PassedSocket,
    address: Address,
    wake: PipeWriter,
    woken: PipeReader,
}

impl PassedListener {
    fn new(socket: PassedSocket) -> io::Result<PassedListener> {
        match &socket {
            PassedSocket::Tcp(socket) => {
                socket.set_nonblocking(true)?;
                if stream::INHERITS_OPTIONS {
                    stream::tune(&SockRef::from(socket))?;
                }
            }
            PassedSocket::Unix(socket) => socket.set_nonblocking(true)?,
        }
        let (woken, wake) = io::pipe()?;
        Ok(PassedListener {
            address: socket.address()?,
            socket,
            wake,
            woken,
        })
    }

    pub(super) fn address(&self) -> Address {
        self.address.clone()
    }

    /// Makes a blocked accept, and every later one, return an error.
    pub(super) fn wake(&self) {
        let _ = (&self.wake).write_all(b"x");
    }

    /// Waits for a client. Those that have not been accepted at the end are the successor's.
    pub(super) fn accept(&self) -> io::Result<(Stream, Address)> {
        loop {
            let socket = match &self.socket {
                PassedSocket::Tcp(socket) => socket.as_fd(),
                PassedSocket::Unix(socket) => socket.as_fd(),
            };
            let mut waits =
                [socket, self.woken.as_fd()].map(|file| PollFd::new(file, PollFlags::POLLIN));
            match poll(&mut waits, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                other => other?,
            };
            if waits[1].any() != Some(false) {
                return Err(io::Error::other("the server ends"));
            }
            let accepted = match &self.socket {
                PassedSocket::Tcp(socket) => tcp(socket.accept()),
                PassedSocket::Unix(socket) => socket
                    .accept()
                    .map(|(stream, _)| (Stream::Unix(stream), self.address())),
            };
            match accepted {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                accepted => return accepted,
            }
        }
    }
}

fn tcp(accepted: io::Result<(std::net::TcpStream, SocketAddr)>) -> io::Result<(Stream, Address)> {
    accepted.map(|(stream, peer)| (Stream::Tcp(stream), Address::Tcp(peer)))
}

//! Listening sockets: binding them, replacing a stale Unix socket file, and waking a blocked
//! accept.

use std::fs;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{convert::Infallible, fmt, str::FromStr};

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::limits::SOCKET_MODE;
use super::passed::{self, PassedListener};
use super::stream::{self, Address, Stream};

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; port 0 asks for a free port. Of a name's addresses the first that can be bound
    /// is taken.
    Tcp(String),
    /// The path of a Unix socket. A socket file without a listener is replaced; the file is
    /// removed at the end.
    Unix(PathBuf),
}

/// A text with a slash is the path of a Unix socket, any other text a `host:port`.
impl FromStr for Listen {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Listen, Infallible> {
        Ok(if text.contains('/') {
            Listen::Unix(PathBuf::from(text))
        } else {
            Listen::Tcp(text.to_owned())
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => f.write_str(address),
            Listen::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A bound, listening socket. Dropping it closes it and removes a Unix socket's file.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(TcpListener, SocketAddr),
    Unix(UnixListener, Arc<Path>),
    Passed(PassedListener),
}

impl Listener {
    /// Listens on an address, with the socket that this process was started with if there is one for it. On another one, `backlog`
    /// connections may wait to be accepted.
    pub(super) fn bind(to: &Listen, backlog: u32) -> io::Result<Listener> {
        if passed::is_any_left()
            && let Some(passed) = passed::take(&addresses(to)?)?
        {
            return Ok(Listener::Passed(passed));
        }
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        match to {
            Listen::Tcp(address) => bind_tcp(address, backlog),
            Listen::Unix(path) => bind_unix(path, backlog),
        }
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Listener::Tcp(_, address) => Address::Tcp(*address),
            Listener::Unix(_, path) => Address::Unix(Arc::clone(path)),
            Listener::Passed(passed) => passed.address(),
        }
    }

    /// Makes a blocked accept, and every later one, return an error.
    pub(super) fn wake(&self) {
        let woken = match self {
            Listener::Tcp(listener, _) => SockRef::from(listener).shutdown(Shutdown::Both),
            Listener::Unix(listener, _) => SockRef::from(listener).shutdown(Shutdown::Both),
            Listener::Passed(passed) => return passed.wake(),
        };
        if woken.is_err() {
            // Systems that don't shut listening sockets down: a connection of our own wakes the
            // accept once, which is enough, because its thread checks the flag first.
            let _ = match self {
                Listener::Tcp(_, address) => TcpStream::connect(address).map(drop),
                Listener::Unix(_, path) => UnixStream::connect(path).map(drop),
                Listener::Passed(_) => Ok(()),
            };
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            // Before the socket closes: afterwards the file could be that of our successor.
            if let Err(error) = fs::remove_file(&**path) {
                log::warn!(
                    "could not remove the socket file {}: {error}",
                    path.display()
                );
            }
        }
    }
}

/// A source of connections; the acceptor's tests bring their own.
pub(super) trait Accept: Send + Sync + 'static {
    fn accept(&self) -> io::Result<(Stream, Address)>;
}

impl Accept for Listener {
    fn accept(&self) -> io::Result<(Stream, Address)> {
        match self {
            Listener::Tcp(listener, _) => listener
                .accept()
                .map(|(stream, peer)| (Stream::Tcp(stream), Address::Tcp(peer))),
            Listener::Unix(listener, path) => listener
                .accept()
                .map(|(stream, _)| (Stream::Unix(stream), Address::Unix(Arc::clone(path)))),
            Listener::Passed(passed) => passed.accept(),
        }
    }
}

/// The addresses of which one is listened on.
fn addresses(to: &Listen) -> io::Result<Vec<Address>> {
    match to {
        Listen::Tcp(address) => Ok(address.to_socket_addrs()?.map(Address::Tcp).collect()),
        Listen::Unix(path) => Ok(vec![Address::Unix(path.as_path().into())]),
    }
}

fn bind_tcp(address: &str, backlog: i32) -> io::Result<Listener> {
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match bind_address(address, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn bind_address(address: SocketAddr, backlog: i32) -> io::Result<Listener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Connections of the last run that the kernel is still closing must not block the port.
    socket.set_reuse_address(true)?;
    if stream::INHERITS_OPTIONS {
        stream::tune(&socket)?;
    }
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    let listener = TcpListener::from(socket);
    let address = listener.local_addr()?;
    Ok(Listener::Tcp(listener, address))
}

fn bind_unix(path: &Path, backlog: i32) -> io::Result<Listener> {
    let address = socket2::SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match socket.bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_stale(path) => {
            log::info!("replacing {}, which has no listener", path.display());
            fs::remove_file(path)?;
            socket.bind(&address)?;
        }
        bound => bound?,
    }
    // Set before it listens, so that no client connects under other rights.
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(backlog)?;
    Ok(Listener::Unix(
        UnixListener::from(OwnedFd::from(socket)),
        Arc::from(path),
    ))
}

/// A socket file that refuses connections was left behind by a process that has ended.
fn is_stale(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
        && UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_sockets_have_the_options_of_their_listener() {
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".into()), 16).unwrap();
        let address = listener.address().tcp().unwrap();
        let _client = TcpStream::connect(address).unwrap();
        let (stream, _) = listener.accept().unwrap();
        let Stream::Tcp(stream) = stream else {
            panic!("a TCP socket");
        };
        assert_eq!(stream.nodelay().unwrap(), stream::INHERITS_OPTIONS);
        let keepalive = SockRef::from(&stream).keepalive().unwrap();
        assert_eq!(keepalive, stream::INHERITS_OPTIONS);
    }
}

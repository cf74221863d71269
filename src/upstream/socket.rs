//! The socket of a connection that is made without waiting, for a thread that has a poller.
//!
//! The poller reports the socket as writable when connecting has ended; [`UpstreamSocket::outcome`] returns the result.
//! The bytes to send come from the [`UpstreamConnection`](crate::upstream::UpstreamConnection).

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Protocol, Socket, Type};

use crate::server::{ClientTls, Stream};

/// A socket that is connecting, or connected.
#[derive(Debug)]
pub(crate) struct UpstreamSocket {
    pub(crate) stream: Stream,
    pub(crate) connecting: bool,
    /// It may be writable.
    pub(crate) writable: bool,
}

impl UpstreamSocket {
    /// Begins to connect to an address of the server of this name, `host:port`.
    pub(crate) fn connect(
        address: SocketAddr,
        name: &str,
        tls: Option<&ClientTls>,
    ) -> io::Result<UpstreamSocket> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        match socket.connect(&address.into()) {
            Ok(()) => {}
            // Connecting continues in the system; the poller reports its end.
            Err(error) if would_go_on(&error) => {}
            Err(error) => return Err(error),
        }
        let stream = Stream::to_upstream(TcpStream::from(socket), name, tls)?;
        stream.tune()?;
        Ok(UpstreamSocket {
            stream,
            connecting: true,
            writable: false,
        })
    }

    /// The result of connecting, the TLS handshake included; `None` while it is in progress.
    pub(crate) fn outcome(&mut self) -> Option<io::Result<()>> {
        let Some(socket) = self.stream.tcp() else {
            return Some(Ok(()));
        };
        let outcome = match socket.take_error() {
            Ok(Some(error)) | Err(error) => Err(error),
            Ok(None) if socket.peer_addr().is_err() => return None,
            Ok(None) => match self.stream.handshake(None) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                done => done,
            },
        };
        self.connecting = false;
        Some(outcome)
    }

    /// Sends as many bytes as the socket accepts, and returns their number.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        send(&self.stream, &mut self.writable, bytes)
    }
}

/// Sends as many bytes as a socket accepts, if it is writable, and returns their number.
pub(crate) fn send(stream: &Stream, writable: &mut bool, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while *writable && sent < bytes.len() {
        match stream.write(&bytes[sent..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => *writable = false,
            taken => sent += taken?,
        }
    }
    Ok(sent)
}

fn would_go_on(error: &io::Error) -> bool {
    error.kind() == ErrorKind::WouldBlock || error.raw_os_error() == Some(EINPROGRESS)
}

/// The system's error number for a nonblocking connect in progress.
#[cfg(any(target_os = "linux", target_os = "android"))]
const EINPROGRESS: i32 = 115;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const EINPROGRESS: i32 = 36;

//! The socket of a connection that is made without waiting, for a thread that has a poller.
//!
//! The poller reports the socket as writable when connecting has ended; [`UpstreamSocket::outcome`] returns the result.
//! The bytes to send come from the [`UpstreamConnection`](crate::upstream::UpstreamConnection).

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

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
        let socket = Stream::begin_to_connect(address)?;
        let stream = Stream::to_upstream(socket, name, tls)?;
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

//! The types of TLS in a library without the feature `tls`: no value of them exists.

use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::time::Instant;

use super::system_calls::Received;

/// TLS for listeners.
#[derive(Debug)]
pub enum ServerTls {}

/// TLS towards upstreams.
#[derive(Debug)]
pub enum ClientTls {}

/// A socket with TLS.
#[derive(Debug)]
pub(crate) struct TlsStream {
    pub(crate) socket: TcpStream,
    never: ServerTls,
}

impl super::certificates::Certificates for ServerTls {
    fn read_again(&self) -> Result<(), String> {
        match *self {}
    }

    fn age(&self) -> std::time::Duration {
        match *self {}
    }

    fn chain(&self) -> &std::path::Path {
        match *self {}
    }

    fn key(&self) -> &std::path::Path {
        match *self {}
    }

    fn client_ca(&self) -> Option<&std::path::Path> {
        match *self {}
    }

    fn oldest_version(&self) -> &'static str {
        match *self {}
    }
}

impl ServerTls {
    pub(crate) fn accept(&self, _: TcpStream) -> io::Result<TlsStream> {
        match *self {}
    }
}

impl ClientTls {
    pub(crate) fn connect(&self, _: TcpStream, _: &str) -> io::Result<TlsStream> {
        match *self {}
    }
}

impl TlsStream {
    pub(crate) fn most_kept(_: usize) -> usize {
        0
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        match self.never {}
    }

    pub(crate) fn handshake(&self, _: Option<Instant>) -> io::Result<()> {
        match self.never {}
    }

    pub(crate) fn read(&self, _: &mut [u8]) -> io::Result<Received> {
        match self.never {}
    }

    pub(crate) fn write(&self, _: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.never {}
    }

    pub(crate) fn close_notify(&self) {
        match self.never {}
    }
}

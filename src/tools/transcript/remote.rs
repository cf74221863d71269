//! A server behind a socket, TCP or Unix.
//!
//! Each connection has a thread that reads, so that a client that still writes never keeps a server
//! from answering: a pipeline of large reads would otherwise leave both sides waiting for the
//! other. It sends its bytes through a channel, whose receiver waits with a timeout.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use super::datagrams::DatagramConnection;
use super::target::{Connection, Received, Target, Time};
use crate::server;

/// Bytes read in one piece.
const PIECE: usize = 64 * 1024;

/// The most bytes that are read from one connection, so that a server that never stops sending
/// can't fill this process's memory.
const MOST: usize = 256 * 1024 * 1024;

/// The address of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `host:port`.
    Tcp(String),
    /// A path.
    Unix(PathBuf),
}

impl Address {
    /// `unix:PATH` and a text with a slash are paths, any other text is `host:port`.
    pub fn parse(text: &str) -> Address {
        match text.strip_prefix("unix:") {
            Some(path) => Address::Unix(path.into()),
            None if text.contains('/') => Address::Unix(text.into()),
            None => Address::Tcp(text.to_owned()),
        }
    }

    /// Connects; each address of a host's name is tried for as long as `patience`.
    pub(crate) fn open(&self, patience: Duration) -> io::Result<server::Stream> {
        match self {
            Address::Tcp(address) => connect(address, patience).map(server::Stream::Tcp),
            Address::Unix(path) => UnixStream::connect(path).map(server::Stream::Unix),
        }
    }
}

fn connect(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "no such host");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A server behind a socket, and the clock that it reads.
pub struct Remote<'a> {
    address: Address,
    time: &'a dyn Time,
    patience: Duration,
    pause: Duration,
    over_udp: bool,
}

impl<'a> Remote<'a> {
    /// Conversations with the server at `address`, whose clock is `time`; `patience` bounds
    /// connecting and writing.
    pub fn new(address: Address, time: &'a dyn Time, patience: Duration) -> Remote<'a> {
        Remote {
            address,
            time,
            patience,
            pause: Duration::ZERO,
            over_udp: false,
        }
    }

    /// Conversations in datagrams to the same address.
    pub fn over_udp(self, over_udp: bool) -> Remote<'a> {
        Remote { over_udp, ..self }
    }

    /// Stops for `pause` in the middle of each block that is sent byte by byte, long enough for a
    /// server to read the sent bytes. Without it the cuts are left to chance.
    pub(crate) fn pausing(self, pause: Duration) -> Remote<'a> {
        Remote { pause, ..self }
    }
}

impl Target for Remote<'_> {
    fn connect(&self) -> io::Result<Box<dyn Connection>> {
        match &self.address {
            Address::Tcp(address) if self.over_udp => DatagramConnection::open(address),
            Address::Unix(_) if self.over_udp => {
                Err(io::Error::other("UDP needs an address host:port"))
            }
            Address::Tcp(address) => {
                let stream = connect(address, self.patience)?;
                SocketConnection::open(stream, self.patience, self.pause)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                SocketConnection::open(stream, self.patience, self.pause)
            }
        }
    }

    fn time(&self) -> &dyn Time {
        self.time
    }
}

/// The functions that TCP and Unix streams have in common, as far as they are needed here.
trait Stream: Read + Write + Send + Sized + 'static {
    fn prepare(&self, patience: Duration) -> io::Result<Self>;
    fn shut(&self, how: Shutdown) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn prepare(&self, patience: Duration) -> io::Result<Self> {
        // Each write of a byte must become a packet of its own.
        self.set_nodelay(true)?;
        self.set_write_timeout(Some(patience))?;
        self.try_clone()
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

impl Stream for UnixStream {
    fn prepare(&self, patience: Duration) -> io::Result<Self> {
        self.set_write_timeout(Some(patience))?;
        self.try_clone()
    }

    fn shut(&self, how: Shutdown) -> io::Result<()> {
        self.shutdown(how)
    }
}

struct SocketConnection<S: Stream> {
    stream: S,
    arrived: Receiver<io::Result<Vec<u8>>>,
    pause: Duration,
}

impl<S: Stream> SocketConnection<S> {
    fn open(stream: S, patience: Duration, pause: Duration) -> io::Result<Box<dyn Connection>> {
        let reader = stream.prepare(patience)?;
        let (sender, arrived) = unbounded();
        std::thread::Builder::new()
            .name("transcript reader".into())
            .spawn(move || read_all(reader, &sender))?;
        Ok(Box::new(SocketConnection {
            stream,
            arrived,
            pause,
        }))
    }
}

/// Reads to the end of the connection. The channel closes with it.
fn read_all(mut stream: impl Read, sender: &Sender<io::Result<Vec<u8>>>) {
    let mut buffer = vec![0; PIECE];
    let mut total = 0;
    loop {
        let arrived = match stream.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => Ok(buffer[..n].to_vec()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // The server closed while bytes of ours were unread. For the client that is an end like
            // any other.
            Err(error) if is_gone(&error) => return,
            Err(error) => Err(error),
        };
        let failed = arrived.is_err();
        total += arrived.as_ref().map_or(0, Vec::len);
        if sender.send(arrived).is_err() || failed {
            return;
        }
        if total > MOST {
            let _ = sender.send(Err(io::Error::other(format!(
                "more than {MOST} bytes came"
            ))));
            return;
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}

impl<S: Stream> Connection for SocketConnection<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.stream.write_all(bytes) {
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }

    fn pause(&mut self) {
        if !self.pause.is_zero() {
            std::thread::sleep(self.pause);
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self.stream.shut(Shutdown::Write) {
            Err(error) if is_gone(&error) => Ok(()),
            other => other,
        }
    }

    fn read(&mut self, patience: Duration) -> io::Result<Received> {
        match self.arrived.recv_timeout(patience) {
            Ok(bytes) => bytes.map(Received::Bytes),
            Err(RecvTimeoutError::Timeout) => Ok(Received::Nothing),
            Err(RecvTimeoutError::Disconnected) => Ok(Received::End),
        }
    }
}

impl<S: Stream> Drop for SocketConnection<S> {
    fn drop(&mut self) {
        // Wakes the thread that reads; it ends by itself.
        let _ = self.stream.shut(Shutdown::Both);
    }
}

//! The server that is loaded: its address, and TLS on the way to it.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::arguments::Args;
use crate::server::{ClientTls, Stream};
use crate::tools::probe::{Probe, protocol_of};
use crate::tools::transcript::{Address, Protocol};

/// Bytes of the answer by which the protocol is known.
const LONGEST_ANSWER: usize = 64 * 1024;

/// A server to load.
#[derive(Debug, Clone)]
pub(super) struct LoadedServer {
    pub(super) address: Address,
    tls: Option<Arc<ClientTls>>,
}

impl LoadedServer {
    /// The server, and that of `--versus`.
    ///
    /// # Errors
    /// A sentence about a file of TLS.
    pub(super) fn all(args: &Args) -> Result<Vec<LoadedServer>, String> {
        let one = (&args.address, &args.tls_ca);
        let other = args
            .versus
            .iter()
            .map(|address| (address, &args.versus_tls_ca));
        let servers = std::iter::once(one).chain(other);
        let server = |(address, ca): (&String, &Option<PathBuf>)| {
            let address = Address::parse(address);
            let Some(ca) = ca else {
                return Ok(LoadedServer { address, tls: None });
            };
            if matches!(address, Address::Unix(_)) {
                return Err(format!("{address}: there is no TLS on a Unix socket"));
            }
            let identity = args.tls_cert.clone().zip(args.tls_key.clone());
            let tls = ClientTls::new(ca, identity).map_err(|error| error.to_string())?;
            let tls = Some(Arc::new(tls));
            Ok(LoadedServer { address, tls })
        };
        servers.map(server).collect()
    }

    /// Whether the load goes over TLS.
    pub(super) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Connects and completes the TLS handshake. Each address of the host's name, and the handshake, have as long as
    /// `patience`.
    pub(super) fn open(&self, patience: Duration) -> io::Result<Stream> {
        let stream = match self.address.open(patience)? {
            Stream::Tcp(socket) => self.over(socket)?,
            other => other,
        };
        match stream.handshake(Some(Instant::now() + patience)) {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                let problem = format!("no TLS handshake within {patience:?}");
                Err(io::Error::new(ErrorKind::TimedOut, problem))
            }
            done => done.map(|()| stream),
        }
    }

    /// This connection, with TLS if the server has it. The handshake is still to come.
    pub(super) fn over(&self, socket: TcpStream) -> io::Result<Stream> {
        Stream::to_upstream(socket, &self.address.to_string(), self.tls.as_deref())
    }

    /// The protocol that it speaks.
    ///
    /// # Errors
    /// A sentence for the person at the terminal.
    pub(super) fn protocol(&self, patience: Duration) -> Result<Protocol, String> {
        if !self.has_tls() {
            return Probe::new(self.address.clone(), patience, Duration::ZERO).protocol();
        }
        let answer = self.ask(b"PING\r\n", patience);
        let answer = answer.map_err(|error| format!("no server answers at {self}: {error}"))?;
        protocol_of(&answer, &self.address)
    }

    /// The first line of the answer to a request.
    fn ask(&self, request: &[u8], patience: Duration) -> io::Result<Vec<u8>> {
        let stream = self.open(patience)?;
        stream.set_timeouts(Some(patience))?;
        stream.write(request)?;
        let mut answer = vec![0; LONGEST_ANSWER];
        let mut length = 0;
        while length < answer.len() {
            let count = stream.read(&mut answer[length..])?.count;
            length += count;
            let end = memchr::memchr(b'\n', &answer[..length]);
            if let Some(length) = end.map(|end| end + 1).or((count == 0).then_some(length)) {
                answer.truncate(length);
                break;
            }
        }
        Ok(answer)
    }
}

impl fmt::Display for LoadedServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)
    }
}

//! A connection to a server for a thread that waits for this server only.
//!
//! [`BlockingStream`] is the socket: connecting, sending and receiving each have a deadline, and the failure names the one that has passed.
//! [`BlockingConnection`] is such a socket and an [`Exchange`], for one request after the other. Deliveries of `larder invalidate` keep the
//! exchange in their own state and use only the socket; the thread that watches a cluster and `larder invalidate --inspect` use the whole. The
//! rules about requests and replies, the greeting and failures are those of the non-blocking
//! [`UpstreamConnection`](crate::upstream::UpstreamConnection), so a client library, peers, origins and tools can be built on either.

use std::io::{self, ErrorKind};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::pool::{Resolver, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::server::{ClientTls, Stream};
use crate::upstream::exchange::Exchange;
use crate::upstream::greeting::Greeting;

/// Bytes that a reply to a greeting may have.
const LONGEST_GREETING: usize = 64 << 10;

/// The longest times for connecting and answering.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// The time to connect, for each address of the name.
    pub(crate) connect: Duration,
    /// The time to send a request, and to receive its whole reply.
    pub(crate) read: Duration,
}

/// A socket with deadlines.
#[derive(Debug)]
pub(crate) struct BlockingStream {
    stream: Stream,
    /// The limit that the socket has now.
    limit: Option<Duration>,
}

impl BlockingStream {
    /// Connects to the first of the name's addresses that accepts. The lookup of the name, each connect, and the TLS
    /// handshake, if there is one, have this time each. A name with a slash, also behind `unix:`, is the path of a Unix socket, on
    /// which there is no TLS.
    ///
    /// # Errors
    /// When none does; the failure is that of the last.
    pub(crate) fn connect(
        name: &str,
        tls: Option<&ClientTls>,
        limit: Duration,
    ) -> Result<BlockingStream, UpstreamFailure> {
        if name.contains('/') {
            let path = name.strip_prefix("unix:").unwrap_or(name);
            let socket = UnixStream::connect(path).map_err(UpstreamFailure::Refused)?;
            return Ok(BlockingStream::of(Stream::Unix(socket)));
        }
        let addresses = Resolver::new().look_up_within(name, limit)?;
        let mut last = UpstreamFailure::Unknown("the name has no address".to_owned());
        for address in addresses {
            let connected = TcpStream::connect_timeout(&address, limit).and_then(|socket| {
                socket.set_nodelay(true)?;
                let stream = Stream::to_upstream(socket, name, tls)?;
                stream.handshake(Some(end_of(limit)))?;
                Ok(stream)
            });
            match connected {
                Ok(stream) => return Ok(BlockingStream::of(stream)),
                Err(error)
                    if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) =>
                {
                    last = UpstreamFailure::ConnectDeadline(limit);
                }
                Err(error) => last = UpstreamFailure::Refused(error),
            }
        }
        Err(last)
    }

    fn of(stream: Stream) -> BlockingStream {
        BlockingStream {
            stream,
            limit: None,
        }
    }

    /// Sends the greeting, if it has requests, and waits for the replies. They may take this time.
    ///
    /// # Errors
    /// Also when the server refuses one of them.
    pub(crate) fn greet(
        &mut self,
        greeting: &Greeting<'_>,
        limit: Duration,
    ) -> Result<(), UpstreamFailure> {
        let mut exchange = Exchange::<()>::new(LONGEST_GREETING);
        exchange.greet(greeting);
        self.send(exchange.output(), limit)?;
        let deadline = end_of(limit);
        while exchange.is_waiting() {
            self.feed(&mut exchange, deadline, limit)?;
            while exchange.next_reply()?.is_some() {}
        }
        Ok(())
    }

    /// Sends all of it. The server may accept no bytes for `limit` at most.
    pub(crate) fn send(&mut self, bytes: &[u8], limit: Duration) -> Result<(), UpstreamFailure> {
        let mut written = 0;
        while written < bytes.len() {
            written += self.send_some(&bytes[written..], limit)?;
        }
        Ok(())
    }

    /// Sends a part of it, at least one byte, and returns the number of bytes. The server may accept none for `limit` at
    /// most.
    pub(crate) fn send_some(
        &mut self,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<usize, UpstreamFailure> {
        self.set_limit(limit)?;
        let count = self.stream.write(bytes);
        count.map_err(|error| failed(error, limit))
    }

    /// Whether the server has neither closed the connection nor sent bytes that are unread.
    pub(crate) fn is_quiet(&self) -> bool {
        self.stream.is_quiet()
    }

    /// Waits for bytes, but no longer than `limit`. Returns their number, at least one.
    pub(crate) fn receive(
        &mut self,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<usize, UpstreamFailure> {
        match self.receive_or_end(buffer, limit)? {
            0 => Err(UpstreamFailure::Closed),
            count => Ok(count),
        }
    }

    /// The same, but 0 at the end of the stream.
    pub(crate) fn receive_or_end(
        &mut self,
        buffer: &mut [u8],
        limit: Duration,
    ) -> Result<usize, UpstreamFailure> {
        self.set_limit(limit)?;
        let read = self.stream.read(buffer);
        read.map(|read| read.count)
            .map_err(|error| failed(error, limit))
    }

    /// Whether the connection has TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.stream.is_tls()
    }

    /// Receives bytes for an exchange, but not after this deadline, which is the end of `limit`.
    fn feed<T>(
        &mut self,
        exchange: &mut Exchange<T>,
        deadline: Instant,
        limit: Duration,
    ) -> Result<(), UpstreamFailure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(UpstreamFailure::ReadDeadline(limit));
        }
        let mut buffer = [0; 16 << 10];
        let count = self
            .receive(&mut buffer, left)
            .map_err(|failure| match failure {
                UpstreamFailure::ReadDeadline(_) => UpstreamFailure::ReadDeadline(limit),
                other => other,
            })?;
        exchange.receive(&buffer[..count]);
        Ok(())
    }

    fn set_limit(&mut self, limit: Duration) -> Result<(), UpstreamFailure> {
        // A limit of zero would be no limit.
        let least = limit.max(Duration::from_millis(1));
        if self.limit != Some(least) {
            self.stream
                .set_timeouts(Some(least))
                .map_err(|error| failed(error, limit))?;
            self.limit = Some(least);
        }
        Ok(())
    }
}

/// The end of this time from now. A time beyond the clock is as good as none.
pub(crate) fn end_of(limit: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(limit)
        .unwrap_or(now + Duration::from_secs(1 << 30))
}

/// A deadline's error has different names in different systems.
fn failed(error: io::Error, limit: Duration) -> UpstreamFailure {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => UpstreamFailure::ReadDeadline(limit),
        _ => UpstreamFailure::lost(error),
    }
}

/// A connection for one request after the other.
#[derive(Debug)]
pub(crate) struct BlockingConnection {
    stream: BlockingStream,
    exchange: Exchange<()>,
    deadlines: Deadlines,
}

/// A whole reply.
#[derive(Debug)]
pub(crate) enum Answer {
    Value(Vec<u8>),
    /// An error, with the server's text.
    Error(String),
}

impl BlockingConnection {
    /// Connects. The greeting is sent with the first request. `limit` is the longest reply in bytes.
    ///
    /// # Errors
    /// When there is no connection in time.
    pub(crate) fn connect(
        (address, tls): (&str, Option<&ClientTls>),
        greeting: &Greeting<'_>,
        deadlines: Deadlines,
        limit: usize,
    ) -> Result<BlockingConnection, UpstreamFailure> {
        let stream = BlockingStream::connect(address, tls, deadlines.connect)?;
        let mut exchange = Exchange::new(limit);
        exchange.greet(greeting);
        Ok(BlockingConnection {
            stream,
            exchange,
            deadlines,
        })
    }

    /// Sends a request and waits for its reply, which has this form.
    ///
    /// # Errors
    /// When the reply is not complete in time, even if some of its bytes arrive, or is malformed. The connection
    /// can't be used then.
    pub(crate) fn ask(
        &mut self,
        request: &[u8],
        shape: ReplyShape,
    ) -> Result<Answer, UpstreamFailure> {
        let limit = self.deadlines.read;
        let deadline = end_of(limit);
        self.exchange.request(request, shape, ());
        self.stream.send(self.exchange.output(), limit)?;
        self.exchange.sent();
        loop {
            if let Some(reply) = self.exchange.next_reply()? {
                return Ok(match reply.is_error {
                    true => {
                        let said = String::from_utf8_lossy(reply.bytes);
                        Answer::Error(said.trim_start_matches('-').trim_end().to_owned())
                    }
                    false => Answer::Value(reply.bytes.to_vec()),
                });
            }
            self.stream.feed(&mut self.exchange, deadline, limit)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// A server for one connection that sends these bytes after its first read, and closes or waits for the client's
    /// end.
    fn server(reply: &'static [u8], close: bool) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut bin = [0; 1024];
            let _ = stream.read(&mut bin);
            let _ = stream.write_all(reply);
            while !close && matches!(stream.read(&mut bin), Ok(1..)) {}
        });
        address
    }

    /// The result of a request, as text.
    fn asked(address: &str, read: Duration) -> String {
        let deadlines = Deadlines {
            connect: Duration::from_secs(60),
            read,
        };
        let connected =
            BlockingConnection::connect((address, None), &Greeting::default(), deadlines, 1 << 10);
        match connected.and_then(|mut it| it.ask(b"PING\r\n", ReplyShape::Resp)) {
            Ok(Answer::Value(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
            Ok(Answer::Error(said)) => format!("error: {said}"),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn a_request_is_answered_or_the_error_names_the_cause() {
        let patient = Duration::from_secs(60);
        assert_eq!(asked(&server(b"+PONG\r\n", false), patient), "+PONG\r\n");
        assert_eq!(
            asked(&server(b"-ERR no\r\n", false), patient),
            "error: ERR no"
        );
        for (address, read, part) in [
            (server(b"+PO", true), patient, "closed the connection"),
            (
                server(b"+PO", false),
                Duration::from_millis(50),
                "did not answer within 50ms",
            ),
            (
                server(b"PONG\r\n", false),
                patient,
                "don't follow the protocol",
            ),
            ("127.0.0.1:1".to_owned(), patient, "refused the connection"),
            ("no port".to_owned(), patient, "can't be resolved"),
        ] {
            let found = asked(&address, read);
            assert!(found.contains(part), "{found}");
        }
    }
}

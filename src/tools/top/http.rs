//! Asks an admin listener for `/metrics`, over HTTP/1.0: one connection for each reading, which ends with the answer.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Bytes of an answer. That of a proxy with a thousand servers has 2 MiB.
const LONGEST_ANSWER: usize = 4 << 20;

/// The text of `/metrics`. Connecting, and the answer, may each take this time.
///
/// # Errors
/// A sentence part without the address, such as `refused the connection`.
pub(super) fn metrics(address: &str, limit: Duration) -> Result<String, String> {
    let failed = |error: io::Error| match error.kind() {
        ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("did not answer within {limit:?}")
        }
        _ => format!("can't be asked: {error}"),
    };
    let mut connection = Connection::open(address, limit).map_err(failed)?;
    let host = connection.host(address);
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let answer = connection.ask(request.as_bytes(), limit).map_err(failed)?;
    body(&answer)
}

/// The reason if an answer is not one of HTTP/1.0.
const NO_HTTP: &str = "sent bytes that don't follow the protocol";

/// The body of an answer with status 200, which has arrived whole.
fn body(answer: &[u8]) -> Result<String, String> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(answer) {
        Ok(httparse::Status::Complete(length)) if head.code == Some(200) => {
            let body = whole_body(head.headers, &answer[length..])?;
            Ok(String::from_utf8_lossy(body).into_owned())
        }
        Ok(httparse::Status::Complete(_)) => Err(format!(
            "answered /metrics with status {}",
            head.code.unwrap_or_default()
        )),
        _ => Err(NO_HTTP.to_owned()),
    }
}

/// What has arrived behind the head, if it is the whole body. A server that ends in the middle of its answer closes the
/// connection, too.
fn whole_body<'a>(
    headers: &[httparse::Header<'_>],
    arrived: &'a [u8],
) -> Result<&'a [u8], &'static str> {
    let header = |name: &str| {
        let mut headers = headers.iter();
        let found = headers.find(|header| header.name.eq_ignore_ascii_case(name));
        found.map(|header| str::from_utf8(header.value).unwrap_or_default())
    };
    if header("transfer-encoding").is_some() {
        // HTTP/1.0 has no chunks.
        return Err(NO_HTTP);
    }
    match header("content-length").map(str::parse) {
        None => Ok(arrived),
        Some(Ok(length)) => arrived
            .get(..length)
            .ok_or("closed in the middle of its answer"),
        Some(Err(_)) => Err(NO_HTTP),
    }
}

/// A connection with deadlines.
enum Connection {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Connection {
    fn open(address: &str, limit: Duration) -> io::Result<Connection> {
        if address.contains('/') {
            let path = address.strip_prefix("unix:").unwrap_or(address);
            return UnixStream::connect(path).map(Connection::Unix);
        }
        let mut last = io::Error::other("the name has no address");
        for address in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, limit) {
                Ok(stream) => return Ok(Connection::Tcp(stream)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The host that a request names. A listener that is reached on this machine answers no other name than `localhost`, and a name
    /// of this machine may lead there.
    fn host<'a>(&self, address: &'a str) -> &'a str {
        let is_elsewhere = match self {
            Connection::Tcp(stream) => stream
                .peer_addr()
                .is_ok_and(|peer| !peer.ip().to_canonical().is_loopback()),
            Connection::Unix(_) => false,
        };
        if is_elsewhere { address } else { "localhost" }
    }

    /// Sends a request and reads until the server closes the connection.
    fn ask(&mut self, request: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
        let end = Instant::now() + limit;
        self.wait_until(end)?;
        match self {
            Connection::Tcp(stream) => stream.write_all(request)?,
            Connection::Unix(stream) => stream.write_all(request)?,
        }
        let mut answer = Vec::new();
        let mut piece = [0; 16 << 10];
        loop {
            self.wait_until(end)?;
            let read = match self {
                Connection::Tcp(stream) => stream.read(&mut piece),
                Connection::Unix(stream) => stream.read(&mut piece),
            };
            match read {
                Ok(0) => return Ok(answer),
                Ok(length) if answer.len() + length <= LONGEST_ANSWER => {
                    answer.extend_from_slice(&piece[..length]);
                }
                Ok(_) => return Err(io::Error::other("the answer is longer than 4 MiB")),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Bounds the next read or write by the time that is left.
    fn wait_until(&self, end: Instant) -> io::Result<()> {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        match self {
            Connection::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
            Connection::Unix(stream) => {
                stream.set_read_timeout(Some(left))?;
                stream.set_write_timeout(Some(left))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The name of this machine may be one of 127.0.1.1: then the listener answered 421.
    #[test]
    fn a_request_to_this_machine_names_localhost() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let connection = Connection::open(&address, Duration::from_secs(60)).expect("it listens");
        assert_eq!(connection.host("this-machine.example:9121"), "localhost");
    }

    #[test]
    fn only_the_whole_body_of_an_answer_with_status_200_is_read() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nx 1\n", Ok("x 1\n")),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nx 1\nrest",
                Ok("x 1\n"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nx 12\n",
                Err("closed in the middle of its answer"),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx 12\n",
                Err("sent bytes that don't follow the protocol"),
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nx 1\n\r\n0\r\n\r\n",
                Err("sent bytes that don't follow the protocol"),
            ),
            (
                "HTTP/1.1 503 Service Unavailable\r\n\r\n",
                Err("answered /metrics with status 503"),
            ),
            (
                "HTTP/1.1 200 OK\r\n",
                Err("sent bytes that don't follow the protocol"),
            ),
            (
                "-ERR\r\n\r\n",
                Err("sent bytes that don't follow the protocol"),
            ),
        ] {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(body(answer.as_bytes()), expected, "{answer:?}");
        }
    }
}

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
    let host = match address.contains('/') {
        true => "localhost",
        false => address,
    };
    let request = format!("GET /metrics HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let mut connection = Connection::open(address, limit).map_err(failed)?;
    let answer = connection.ask(request.as_bytes(), limit).map_err(failed)?;
    body(&answer)
}

/// The body of an answer with status 200.
fn body(answer: &[u8]) -> Result<String, String> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(answer) {
        Ok(httparse::Status::Complete(length)) if head.code == Some(200) => {
            Ok(String::from_utf8_lossy(&answer[length..]).into_owned())
        }
        Ok(httparse::Status::Complete(_)) => Err(format!(
            "answered /metrics with status {}",
            head.code.unwrap_or_default()
        )),
        _ => Err("sent bytes that don't follow the protocol".to_owned()),
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

    #[test]
    fn only_the_body_of_an_answer_with_status_200_is_read() {
        for (answer, expected) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nx 1\n", Ok("x 1\n")),
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

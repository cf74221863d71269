//! A blocking client of one memcached server. Threads share it: a request takes an idle connection, or makes a new one.

use std::fmt;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes in which a line of a reply must end.
const LINE: u64 = 512;

/// Bytes of the longest value that is accepted.
const VALUE: usize = 1 << 20;

/// A connection, and the time at which its current request fails.
struct Connection {
    stream: TcpStream,
    until: Instant,
}

impl Connection {
    fn open(address: &str, deadline: Duration) -> io::Result<BufReader<Connection>> {
        let mut found = address.to_socket_addrs()?;
        let address = found.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let until = Instant::now() + deadline;
        let stream = TcpStream::connect_timeout(&address, deadline)?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(Connection { stream, until }))
    }

    /// The time that is left. A timeout of zero would be none at all.
    fn left(&self) -> io::Result<Option<Duration>> {
        match self.until.saturating_duration_since(Instant::now()) {
            Duration::ZERO => Err(ErrorKind::TimedOut.into()),
            left => Ok(Some(left)),
        }
    }
}

impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(buffer)
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(self.left()?)?;
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A request that failed.
#[derive(Debug)]
pub(crate) enum Error {
    /// There is no connection, it ended, or the deadline has passed.
    Connection(io::Error),
    /// The server answered with this error.
    Refused(String),
    /// This line is no reply to the request.
    Unexpected(String),
    /// The key can't be sent.
    Key,
}

impl Error {
    /// Whether the connection may be used again: no more bytes of this reply can follow.
    fn leaves_connection_usable(&self) -> bool {
        match self {
            // After its other errors a server may take the value of a storage command for a command.
            Error::Refused(line) => line.starts_with("SERVER_ERROR "),
            Error::Connection(_) | Error::Unexpected(_) | Error::Key => false,
        }
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.kind() {
            // A blocking read or write returns this when its timeout ends.
            ErrorKind::WouldBlock => Error::Connection(ErrorKind::TimedOut.into()),
            _ => Error::Connection(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Connection(error) => write!(f, "{error}"),
            Error::Refused(line) | Error::Unexpected(line) => write!(f, "it answered {line:?}"),
            Error::Key => write!(f, "the key has a space or a control character"),
        }
    }
}

/// An item as the server returns it.
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) unique: u64,
}

/// The client.
pub(crate) struct Client {
    address: String,
    /// The time for a connect, and for a request with its reply.
    deadline: Duration,
    /// Connections that wait for a request.
    idle: Mutex<Vec<BufReader<Connection>>>,
}

impl Client {
    pub(crate) fn new(address: &str, deadline: Duration) -> Client {
        Client {
            address: address.to_owned(),
            deadline,
            idle: Mutex::default(),
        }
    }

    /// Sends a request about a key, and reads its reply. The connection is kept if it may be used again.
    fn request<T>(
        &self,
        key: &str,
        request: &[u8],
        reply: impl Fn(&mut BufReader<Connection>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if key.is_empty() || key.bytes().any(|byte| byte <= b' ' || byte == 127) {
            return Err(Error::Key);
        }
        let mut connection = self.take()?;
        let sent = connection.get_mut().write_all(request);
        let result = sent
            .map_err(Error::from)
            .and_then(|()| reply(&mut connection));
        let failure = result.as_ref().err();
        let usable = failure.is_none_or(Error::leaves_connection_usable);
        if usable && connection.buffer().is_empty() {
            self.idle().push(connection);
        }
        result
    }

    /// An idle connection, or a new one.
    fn take(&self) -> io::Result<BufReader<Connection>> {
        let Some(mut connection) = self.idle().pop() else {
            return Connection::open(&self.address, self.deadline);
        };
        connection.get_mut().until = Instant::now() + self.deadline;
        Ok(connection)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<BufReader<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads an item, with its cas unique.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Item>, Error> {
        let request = format!("gets {key}\r\n");
        self.request(key, request.as_bytes(), |connection| {
            match line(connection)? {
                end if end == "END" => Ok(None),
                first => item(connection, key, first).map(Some),
            }
        })
    }

    /// Stores a value for this many seconds.
    pub(crate) fn set(&self, key: &str, value: &[u8], seconds: u32) -> Result<(), Error> {
        let head = format!("set {key} 0 {seconds} {}", value.len());
        self.store(key, &head, value).map(|_| ())
    }

    /// Stores a value and flags if there is no item.
    pub(crate) fn add(
        &self,
        key: &str,
        value: &[u8],
        flags: u32,
        seconds: u32,
    ) -> Result<bool, Error> {
        let head = format!("add {key} {flags} {seconds} {}", value.len());
        self.store(key, &head, value)
    }

    /// Stores a value if the item still has this cas unique.
    pub(crate) fn cas(
        &self,
        key: &str,
        value: &[u8],
        seconds: u32,
        unique: u64,
    ) -> Result<bool, Error> {
        let head = format!("cas {key} 0 {seconds} {} {unique}", value.len());
        self.store(key, &head, value)
    }

    /// Deletes an item, and returns whether there was one.
    pub(crate) fn delete(&self, key: &str) -> Result<bool, Error> {
        let request = format!("delete {key}\r\n");
        self.request(key, request.as_bytes(), done)
    }

    /// A storage command with this line.
    fn store(&self, key: &str, head: &str, value: &[u8]) -> Result<bool, Error> {
        let request = [head.as_bytes(), b"\r\n", value, b"\r\n"].concat();
        self.request(key, &request, done)
    }
}

/// A line of a reply, without its end. An error of the server is an error.
fn line(connection: &mut BufReader<Connection>) -> Result<String, Error> {
    let mut line = Vec::new();
    connection.take(LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Err(Error::Connection(ErrorKind::UnexpectedEof.into()));
    }
    let text = String::from_utf8_lossy(&line);
    match text.strip_suffix("\r\n") {
        None => Err(Error::Unexpected(text.into_owned())),
        Some(text) => match text.split(' ').next() {
            Some("ERROR" | "CLIENT_ERROR" | "SERVER_ERROR") => Err(Error::Refused(text.to_owned())),
            _ => Ok(text.to_owned()),
        },
    }
}

/// The flags, length and cas unique in the first line of this key's item.
fn head(line: &str, key: &str) -> Option<(u32, usize, u64)> {
    let words: Vec<&str> = line.split(' ').collect();
    let ["VALUE", name, flags, length, unique] = words[..] else {
        return None;
    };
    let length = length.parse().ok().filter(|&length| length <= VALUE)?;
    (name == key).then_some((flags.parse().ok()?, length, unique.parse().ok()?))
}

/// The item of a reply with this first line.
fn item(connection: &mut BufReader<Connection>, key: &str, first: String) -> Result<Item, Error> {
    let Some((flags, length, unique)) = head(&first, key) else {
        return Err(Error::Unexpected(first));
    };
    let mut value = vec![0; length];
    connection.read_exact(&mut value)?;
    for expected in ["", "END"] {
        let line = line(connection)?;
        if line != expected {
            return Err(Error::Unexpected(line));
        }
    }
    Ok(Item {
        value,
        flags,
        unique,
    })
}

/// A reply of one line: whether the change was made.
fn done(connection: &mut BufReader<Connection>) -> Result<bool, Error> {
    let line = line(connection)?;
    match &*line {
        "STORED" | "DELETED" => Ok(true),
        "NOT_STORED" | "EXISTS" | "NOT_FOUND" => Ok(false),
        _ => Err(Error::Unexpected(line)),
    }
}

//! One connection to an upstream: what it is told, and what it has to say to that.
//!
//! Blocking sockets with deadlines. A window of changes is written at once, then as many answers are read; a window is
//! small enough for the buffers of both sides. Only the answers that the protocol has for it count: whoever answers
//! something else, or nothing, has forgotten nothing.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::invalidate::delivery::DeliveryItem;
use crate::invalidate::settings::{ForgetMethod, Target, TargetKind, WINDOW, WINDOW_BYTES};
use crate::protocol::resp::request;

/// The longest line that is an answer.
const LINE: u64 = 1024;

/// A connection that is logged in.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
    out: Vec<u8>,
    line: Vec<u8>,
}

/// What an upstream said to one change.
enum Said {
    /// The key is forgotten.
    Done,
    /// It can't do that; it has to be deleted instead.
    Otherwise,
}

impl Wire {
    /// Connects to the first of the name's addresses that lets us.
    ///
    /// # Errors
    /// When none does in time, or when the server does not let us in.
    pub(crate) fn connect(target: &Target, address: &str, timeout: Duration) -> io::Result<Wire> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name leads nowhere");
        let addresses: Vec<SocketAddr> = address.to_socket_addrs()?.collect();
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout) {
                Err(error) => last = error,
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(timeout))?;
                    stream.set_write_timeout(Some(timeout))?;
                    let mut wire = Wire {
                        stream: BufReader::with_capacity(16 << 10, stream),
                        out: Vec::new(),
                        line: Vec::new(),
                    };
                    wire.log_in(target)?;
                    return Ok(wire);
                }
            }
        }
        Err(last)
    }

    /// Also shows that somebody is there: a frozen process accepts connections.
    fn log_in(&mut self, target: &Target) -> io::Result<()> {
        match target.kind {
            TargetKind::Memcached => {}
            TargetKind::Redis => {
                if let Some(password) = &target.password {
                    self.out.extend(request(&[b"AUTH", password.as_bytes()]));
                    self.send()?;
                    self.expect(|line| line == b"+OK")?;
                }
                if target.database > 0 {
                    let number = target.database.to_string();
                    self.out.extend(request(&[b"SELECT", number.as_bytes()]));
                    self.send()?;
                    self.expect(|line| line == b"+OK")?;
                }
            }
        }
        self.ping(target)
    }

    /// Sees whether it is still there.
    pub(crate) fn ping(&mut self, target: &Target) -> io::Result<()> {
        match target.kind {
            TargetKind::Memcached => {
                self.out.extend_from_slice(b"version\r\n");
                self.send()?;
                self.expect(|line| line.starts_with(b"VERSION "))
            }
            TargetKind::Redis => {
                self.out.extend(request(&[b"PING"]));
                self.send()?;
                self.expect(|line| line == b"+PONG")
            }
        }
    }

    /// Has the upstream forget everything.
    pub(crate) fn flush(&mut self, target: &Target) -> io::Result<()> {
        match target.kind {
            TargetKind::Memcached => {
                self.out.extend_from_slice(b"flush_all\r\n");
                self.send()?;
                self.expect(|line| line == b"OK")
            }
            TargetKind::Redis => {
                self.out.extend(request(&[b"FLUSHDB"]));
                self.send()?;
                self.expect(|line| line == b"+OK")
            }
        }
    }

    /// Tells the upstream of changes. `done` is how many at the start of `items` it has taken, also when an error ends it.
    pub(crate) fn deliver(
        &mut self,
        target: &Target,
        items: &[DeliveryItem],
        done: &mut usize,
    ) -> io::Result<()> {
        while *done < items.len() {
            let window = self.window(target, &items[*done..]);
            let window = &items[*done..*done + window];
            self.send()?;
            let mut others = Vec::new();
            for (number, item) in window.iter().enumerate() {
                match self.answer(target, item)? {
                    // What comes behind one that has to be deleted is counted when that is done.
                    Said::Done if others.is_empty() => *done += 1,
                    Said::Done => {}
                    Said::Otherwise => others.push(number),
                }
            }
            if others.is_empty() {
                continue;
            }
            for number in &others {
                delete(target.kind, &window[*number].key, &mut self.out);
            }
            self.send()?;
            for _ in &others {
                self.deleted(target.kind)?;
            }
            *done += window.len() - others[0];
        }
        Ok(())
    }

    /// Writes as many commands as are sent before an answer is read.
    fn window(&mut self, target: &Target, items: &[DeliveryItem]) -> usize {
        let mut count = 0;
        for item in items.iter().take(WINDOW) {
            command(target, item, &mut self.out);
            count += 1;
            if self.out.len() >= WINDOW_BYTES {
                break;
            }
        }
        count
    }

    fn answer(&mut self, target: &Target, item: &DeliveryItem) -> io::Result<Said> {
        match (target.forget, target.kind) {
            (ForgetMethod::Stale, _) => {
                self.read_line()?;
                // HD: marked. NF: not there. Before 1.6 memcached has no meta commands.
                match &self.line[..] {
                    b"HD" | b"NF" => Ok(Said::Done),
                    b"ERROR" => Ok(Said::Otherwise),
                    line if line.starts_with(b"CLIENT_ERROR") => Ok(Said::Otherwise),
                    line => Err(unexpected(line)),
                }
            }
            (ForgetMethod::Update, kind) if item.value.as_ref().is_some_and(|v| v.expires >= 0) => {
                self.read_line()?;
                match (&self.line[..], kind) {
                    (b"STORED", TargetKind::Memcached) | (b"+OK", TargetKind::Redis) => {
                        Ok(Said::Done)
                    }
                    // Too large for it, or no memory: the old value must go all the same.
                    (line, _) if line.starts_with(b"SERVER_ERROR") || line.starts_with(b"-OOM") => {
                        Ok(Said::Otherwise)
                    }
                    (line, _) => Err(unexpected(line)),
                }
            }
            (_, kind) => self.deleted(kind).map(|()| Said::Done),
        }
    }

    fn deleted(&mut self, kind: TargetKind) -> io::Result<()> {
        self.expect(|line| match kind {
            TargetKind::Memcached => line == b"DELETED" || line == b"NOT_FOUND",
            TargetKind::Redis => line == b":0" || line == b":1",
        })
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.stream.get_mut().write_all(&self.out);
        self.out.clear();
        self.out.shrink_to(4 * WINDOW_BYTES);
        sent.map_err(late)
    }

    fn expect(&mut self, right: impl Fn(&[u8]) -> bool) -> io::Result<()> {
        self.read_line()?;
        match right(&self.line) {
            true => Ok(()),
            false => Err(unexpected(&self.line)),
        }
    }

    fn read_line(&mut self) -> io::Result<()> {
        self.line.clear();
        let mut limited = (&mut self.stream).take(LINE);
        limited.read_until(b'\n', &mut self.line).map_err(late)?;
        match self.line.strip_suffix(b"\r\n").map(<[u8]>::len) {
            Some(length) => {
                self.line.truncate(length);
                Ok(())
            }
            None if self.line.is_empty() => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "it closed the connection",
            )),
            None => Err(unexpected(&self.line)),
        }
    }
}

/// A deadline's error is called differently by different systems.
fn late(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            io::Error::new(ErrorKind::TimedOut, "it did not answer in time")
        }
        _ => error,
    }
}

fn unexpected(line: &[u8]) -> io::Error {
    let line = &line[..line.len().min(100)];
    io::Error::new(
        ErrorKind::InvalidData,
        format!("it answered `{}`", line.escape_ascii()),
    )
}

fn delete(kind: TargetKind, key: &[u8], out: &mut Vec<u8>) {
    match kind {
        TargetKind::Memcached => {
            out.extend_from_slice(b"delete ");
            out.extend_from_slice(key);
            out.extend_from_slice(b"\r\n");
        }
        TargetKind::Redis => out.extend(request(&[b"UNLINK", key])),
    }
}

/// The command that makes an upstream forget.
fn command(target: &Target, item: &DeliveryItem, out: &mut Vec<u8>) {
    let value = item.value.as_ref().filter(|value| value.expires >= 0);
    match (target.forget, target.kind, value) {
        (ForgetMethod::Stale, _, _) => {
            out.extend_from_slice(b"md ");
            out.extend_from_slice(&item.key);
            out.extend_from_slice(format!(" I T{}\r\n", target.stale_seconds).as_bytes());
        }
        (ForgetMethod::Update, TargetKind::Memcached, Some(value)) => {
            out.extend_from_slice(b"set ");
            out.extend_from_slice(&item.key);
            let (flags, length) = (value.flags, value.bytes.len());
            let seconds = seconds_left(value.expires);
            out.extend_from_slice(format!(" {flags} {seconds} {length}\r\n").as_bytes());
            out.extend_from_slice(&value.bytes);
            out.extend_from_slice(b"\r\n");
        }
        (ForgetMethod::Update, TargetKind::Redis, Some(value)) => {
            let expires = value.expires.to_string();
            let words = [
                b"SET",
                &item.key[..],
                &value.bytes,
                b"PXAT",
                expires.as_bytes(),
            ];
            out.extend(request(if value.expires > 0 {
                &words
            } else {
                &words[..3]
            }));
        }
        (_, kind, _) => delete(kind, &item.key, out),
    }
}

/// memcached's expiration time for a time in Unix milliseconds; 0 stays "never".
fn seconds_left(expires: i64) -> i64 {
    if expires == 0 {
        return 0;
    }
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_millis() as i64);
    // Over 30 days it is a date to memcached; below 0 at once.
    match (expires - now).div_euclid(1000) {
        0 => 1,
        left @ ..0 => left.max(-1),
        left if left > 30 * 24 * 3600 => expires / 1000,
        left => left,
    }
}

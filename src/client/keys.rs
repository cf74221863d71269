//! The list of a server's keys, with sizes and remaining lifetimes.
//!
//! ```text
//!   memcached: lru_crawler metadump ─▶ a line for each key, over one connection
//!   RESP:      SCAN ─▶ some keys ─▶ PTTL and MEMORY USAGE of each, in one round trip ─▶ SCAN …
//! ```
//!
//! Cost: one round trip for memcached; two for some hundred keys of RESP. Memory: those keys, or what a read has brought.

use std::collections::VecDeque;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::commands::Client;
use crate::client::connection::{Connection, Deadline};
use crate::client::error::Error;
use crate::client::resp_reply::{self, RespReply};
use crate::pool::{Protocol, UpstreamFailure};
use crate::protocol::memcached::text::parse_unsigned;
use crate::protocol::resp;
use crate::upstream::end_of;

/// Keys that a server of RESP is asked to look at for one reply.
const SCAN_COUNT: &[u8] = b"512";

/// The request for a list that is made from the server's hash table: each item that stays is in it once.
const OF_THE_TABLE: &[u8] = b"lru_crawler metadump hash\r\n";

/// The request for a list by classes of items, for a server that can't make the other. An item that is read meanwhile may be
/// missing.
const OF_THE_CLASSES: &[u8] = b"lru_crawler metadump all\r\n";

/// The pause before a server that is busy is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// A key of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// The key.
    pub key: Vec<u8>,
    /// Bytes that the item takes in the server's memory, its key and overhead included, if the server reports them.
    pub size: Option<u64>,
    /// The remaining lifetime; `None` if the item doesn't expire.
    pub lifetime: Option<Duration>,
}

/// The keys of a server: see [`Client::keys`].
#[derive(Debug)]
pub struct Keys<'a> {
    client: &'a Client,
    walk: Walk,
    /// Entries that are to be returned before the walk goes on.
    ready: VecDeque<KeyEntry>,
}

#[derive(Debug)]
enum Walk {
    NotBegun,
    /// The lines of a memcached.
    Lines(Connection),
    /// The cursor of the next `SCAN`.
    Cursor(Vec<u8>),
    Ended,
}

impl Client {
    /// The keys of the server, in no order. A key that exists throughout is listed, in RESP perhaps twice; one that is added or
    /// removed meanwhile may be listed. The list ends after an error.
    ///
    /// ```
    /// # use larder::client::Cache;
    /// # let server = larder::Server::start()?;
    /// # let client = larder::client::Client::new(&server.memcached_addr().to_string());
    /// client.set("a", "1", None)?;
    /// for entry in client.keys() {
    ///     let entry = entry?;
    ///     println!("{} {:?}", entry.key.escape_ascii(), entry.size);
    /// #   assert_eq!(entry.key, b"a");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// A memcached lists its keys by `lru_crawler metadump`, one client at a time. While it makes another list, it is asked again, until
    /// the read deadline has passed.
    pub fn keys(&self) -> Keys<'_> {
        Keys {
            client: self,
            walk: Walk::NotBegun,
            ready: VecDeque::new(),
        }
    }
}

impl Iterator for Keys<'_> {
    type Item = Result<KeyEntry, Error>;

    fn next(&mut self) -> Option<Result<KeyEntry, Error>> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Some(Ok(entry));
            }
            let step = match std::mem::replace(&mut self.walk, Walk::Ended) {
                Walk::Ended => return None,
                Walk::NotBegun => self.begin(),
                Walk::Lines(connection) => self.next_line(connection),
                Walk::Cursor(cursor) => self.scan(&cursor),
            };
            match step {
                Ok(walk) => self.walk = walk,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Keys<'_> {
    fn begin(&mut self) -> Result<Walk, Error> {
        let server = &self.client.server;
        match server.settings.protocol {
            Protocol::Resp => Ok(Walk::Cursor(b"0".to_vec())),
            Protocol::Memcached => self.begin_lines(),
        }
    }

    /// memcached makes one list at a time. One of its own, for the removal of expired items, is soon done.
    fn begin_lines(&mut self) -> Result<Walk, Error> {
        let server = &self.client.server;
        let until = end_of(server.settings.read);
        let mut request = OF_THE_TABLE;
        loop {
            server.admit()?;
            let mut connection = server.take()?;
            let first = connection
                .send(request, server.settings.write)
                .and_then(|()| dumped(&mut connection, Deadline::after(server.settings.read)));
            match first {
                Ok(Some(entry)) => {
                    self.ready.push_back(entry);
                    return Ok(Walk::Lines(connection));
                }
                Ok(None) => return server.finish(connection, Ok(Walk::Ended)),
                Err(UpstreamFailure::ErrorLine(line))
                    if is_busy(&line) && Instant::now() < until =>
                {
                    thread::sleep(PAUSE);
                }
                Err(UpstreamFailure::ErrorLine(line))
                    if !is_busy(&line) && request == OF_THE_TABLE =>
                {
                    request = OF_THE_CLASSES;
                }
                Err(failure) => return server.finish(connection, Err(failure)),
            }
        }
    }

    fn next_line(&mut self, mut connection: Connection) -> Result<Walk, Error> {
        let server = &self.client.server;
        match dumped(&mut connection, Deadline::after(server.settings.read)) {
            Ok(Some(entry)) => {
                self.ready.push_back(entry);
                Ok(Walk::Lines(connection))
            }
            Ok(None) => server.finish(connection, Ok(Walk::Ended)),
            Err(failure) => server.finish(connection, Err(failure)),
        }
    }

    fn scan(&mut self, cursor: &[u8]) -> Result<Walk, Error> {
        let client = self.client;
        let scanned = client.resp(&[b"SCAN", cursor, b"COUNT", SCAN_COUNT], scanned);
        let (cursor, keys) = scanned?;
        if !keys.is_empty() {
            let mut request = Vec::new();
            for key in &keys {
                request.extend(resp::request(&[b"PTTL", key]));
                request.extend(resp::request(&[b"MEMORY", b"USAGE", key]));
            }
            let found = client.ask(&request, |connection, until| {
                keys.into_iter()
                    .map(|key| described(connection, until, key))
                    .collect::<Result<Vec<_>, _>>()
            });
            self.ready.extend(found?.into_iter().flatten());
        }
        Ok(match &cursor[..] {
            b"0" => Walk::Ended,
            _ => Walk::Cursor(cursor),
        })
    }
}

/// The reply to `SCAN`: the next cursor, and keys.
fn scanned(reply: RespReply) -> Result<(Vec<u8>, Vec<Vec<u8>>), RespReply> {
    let RespReply::Array(parts) = reply else {
        return Err(reply);
    };
    let [RespReply::Bulk(cursor), RespReply::Array(keys)] = &parts[..] else {
        return Err(RespReply::Array(parts));
    };
    let keys = keys.iter().filter_map(|key| match key {
        RespReply::Bulk(key) => Some(key.clone()),
        _ => None,
    });
    Ok((cursor.clone(), keys.collect()))
}

/// The replies to `PTTL` and `MEMORY USAGE` of a key; `None` if it is gone.
fn described(
    connection: &mut Connection,
    until: Deadline,
    key: Vec<u8>,
) -> Result<Option<KeyEntry>, UpstreamFailure> {
    let lifetime = match resp_reply::any(connection, until, usize::MAX)? {
        RespReply::Integer(number) => number,
        other => return Err(other.unexpected()),
    };
    let size = match resp_reply::any(connection, until, usize::MAX)? {
        RespReply::Integer(size) => u64::try_from(size).ok(),
        // It is gone by now, or the server or its user doesn't have the command.
        RespReply::Null | RespReply::Error(_) => None,
        other => return Err(other.unexpected()),
    };
    let lifetime = match u64::try_from(lifetime) {
        Ok(milliseconds) => Some(Duration::from_millis(milliseconds)),
        Err(_) if lifetime == -1 => None,
        Err(_) => return Ok(None),
    };
    Ok(Some(KeyEntry {
        key,
        size,
        lifetime,
    }))
}

/// Whether the server makes another list, so that it can make this one later.
fn is_busy(line: &str) -> bool {
    line.starts_with("BUSY") || line.starts_with("ERROR locked")
}

/// The next key of `lru_crawler metadump`; `None` at the end. memcached 1.6.18 doesn't begin the list with `OK`.
fn dumped(
    connection: &mut Connection,
    until: Deadline,
) -> Result<Option<KeyEntry>, UpstreamFailure> {
    loop {
        let line = connection.any_line(until)?.trim_ascii_end();
        match line {
            b"END" => return Ok(None),
            b"OK" => {}
            line if line.starts_with(b"key=") => {
                return entry(line).ok_or(UpstreamFailure::Garbage).map(Some);
            }
            // BUSY, BADCLASS, ERROR and what other servers say.
            line => {
                let line = String::from_utf8_lossy(line).into_owned();
                return Err(UpstreamFailure::ErrorLine(line));
            }
        }
    }
}

/// A line `key=KEY exp=UNIX_TIME … size=BYTES …`, whose key is encoded as in a URI. Its `exp` is -1 for an item that doesn't
/// expire.
fn entry(line: &[u8]) -> Option<KeyEntry> {
    let mut entry = KeyEntry {
        key: Vec::new(),
        size: None,
        lifetime: None,
    };
    for word in line.split(|byte| *byte == b' ') {
        if let Some(key) = word.strip_prefix(b"key=") {
            entry.key = uri_decode(key)?;
        } else if let Some(size) = word.strip_prefix(b"size=") {
            entry.size = Some(parse_unsigned(size)?);
        } else if let Some(expires) = word.strip_prefix(b"exp=").filter(|exp| *exp != b"-1") {
            let expires = Duration::from_secs(parse_unsigned(expires)?);
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            entry.lifetime = Some(expires.saturating_sub(now.unwrap_or_default()));
        }
    }
    Some(entry)
}

/// The bytes of a text in which `%` and two hexadecimal digits stand for a byte.
fn uri_decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => {
                let mut digit = || char::from(*bytes.next()?).to_digit(16);
                (digit()? << 4 | digit()?) as u8
            }
            byte => *byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_dump_is_read() {
        let line = b"key=a%25b%0a exp=-1 la=1 cas=2 fetch=yes cls=1 size=66 flags=5";
        let expected = KeyEntry {
            key: b"a%b\n".to_vec(),
            size: Some(66),
            lifetime: None,
        };
        assert_eq!(entry(line), Some(expected));
        let past = entry(b"key=k exp=1 size=1").expect("a line");
        assert_eq!(past.lifetime, Some(Duration::ZERO));
        let future = entry(b"key=k exp=99999999999 size=1").expect("a line");
        assert!(future.lifetime > Some(Duration::from_secs(1 << 32)));
        for line in [
            &b"key=%4"[..],
            b"key=%zz",
            b"key=%+1",
            b"key=k exp=x",
            b"key=k size=-1",
        ] {
            assert_eq!(entry(line), None, "{}", line.escape_ascii());
        }
    }
}

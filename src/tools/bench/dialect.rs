//! The protocols, as far as a load needs them: a get and a set as bytes, and the meaning of their replies. For an echo
//! server the key of a get is a line, and the reply is that line.

mod binary;
mod meta;

use clap::ValueEnum;

use super::action::{Action, Reply};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::reply::memcached::value_line;
use crate::protocol::resp::write_request;

/// The longest exptime in seconds that memcached counts from now: larger numbers are Unix times.
const LONGEST_TTL: u32 = 30 * 24 * 60 * 60;

/// The protocol of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// memcached's text protocol
    Memcached,
    /// memcached's meta commands
    Meta,
    /// memcached's binary protocol
    Binary,
    /// Redis's protocol
    Resp,
    /// Lines that come back
    Echo,
}

impl Dialect {
    /// Its name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Dialect::Memcached => "memcached",
            Dialect::Meta => "meta",
            Dialect::Binary => "binary",
            Dialect::Resp => "resp",
            Dialect::Echo => "echo",
        }
    }

    /// Appends a request. A value belongs to a set; it expires after `ttl` seconds, 0 for never.
    pub(super) fn write(
        self,
        out: &mut Vec<u8>,
        action: Action,
        key: &[u8],
        value: &[u8],
        ttl: u32,
    ) {
        match self {
            Dialect::Memcached => write_memcached(out, action, key, value, ttl),
            Dialect::Meta => meta::write(out, action, key, value, ttl.min(LONGEST_TTL)),
            Dialect::Binary => binary::write(out, action, key, value, ttl.min(LONGEST_TTL)),
            Dialect::Resp => write_resp(out, action, key, value, ttl),
            Dialect::Echo => {
                out.extend_from_slice(key);
                out.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends a get of several keys.
    pub(super) fn write_multi_get<'a>(
        self,
        out: &mut Vec<u8>,
        keys: impl ExactSizeIterator<Item = &'a [u8]>,
    ) {
        match self {
            Dialect::Memcached => {
                out.extend_from_slice(b"get");
                for key in keys {
                    out.push(b' ');
                    out.extend_from_slice(key);
                }
                out.extend_from_slice(b"\r\n");
            }
            Dialect::Resp => {
                let words: Vec<&[u8]> = std::iter::once(b"MGET".as_slice()).chain(keys).collect();
                write_request(out, words.into_iter());
            }
            Dialect::Meta | Dialect::Binary | Dialect::Echo => {
                unreachable!("a plan for this protocol has one key in a get")
            }
        }
    }

    /// The framing of the reply; `None` for a line of any content.
    pub(super) fn shape(self, action: Action) -> Option<ReplyShape> {
        match (self, action) {
            (Dialect::Resp, _) => Some(ReplyShape::Resp),
            (Dialect::Binary, action) => Some(binary::shape(action)),
            (Dialect::Meta, _) => Some(ReplyShape::Meta),
            (Dialect::Memcached, Action::Get) => Some(ReplyShape::Values),
            (Dialect::Memcached, Action::Set | Action::Delete) => Some(ReplyShape::Line),
            (Dialect::Echo, _) => None,
        }
    }

    /// The meaning of a complete reply for `key`.
    pub(super) fn read<'a>(self, action: Action, key: &[u8], reply: &'a [u8]) -> Reply<'a> {
        let read = match self {
            Dialect::Memcached => read_memcached(action, key, reply),
            Dialect::Meta => meta::read(action, reply),
            Dialect::Binary => binary::read(action, reply),
            Dialect::Resp => read_resp(action, reply),
            Dialect::Echo => (reply.strip_suffix(b"\r\n") == Some(key)).then_some(Reply::Done),
        };
        read.unwrap_or_else(|| Reply::Refused(first_line(reply)))
    }

    /// The values of several keys in a complete reply: each its value, or `None` if the key doesn't exist.
    ///
    /// # Errors
    /// The first line of a reply that isn't one to a get of these keys.
    pub(super) fn read_multi_get<'a, 'k>(
        self,
        keys: impl ExactSizeIterator<Item = &'k [u8]>,
        reply: &'a [u8],
    ) -> Result<Vec<Option<&'a [u8]>>, &'a [u8]> {
        let read = match self {
            Dialect::Memcached => read_values(keys, reply),
            Dialect::Resp => read_array(keys.len(), reply),
            Dialect::Meta | Dialect::Binary | Dialect::Echo => None,
        };
        read.ok_or_else(|| first_line(reply))
    }
}

fn write_memcached(out: &mut Vec<u8>, action: Action, key: &[u8], value: &[u8], ttl: u32) {
    let verb: &[u8] = match action {
        Action::Get => b"get ",
        Action::Set => b"set ",
        Action::Delete => b"delete ",
    };
    out.extend_from_slice(verb);
    out.extend_from_slice(key);
    if action == Action::Set {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(b" 0 ");
        out.extend_from_slice(digits.format(ttl.min(LONGEST_TTL)).as_bytes());
        out.push(b' ');
        out.extend_from_slice(digits.format(value.len()).as_bytes());
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(value);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_resp(out: &mut Vec<u8>, action: Action, key: &[u8], value: &[u8], ttl: u32) {
    let words: [&[u8]; 2] = match action {
        Action::Get => [b"GET", key],
        Action::Delete => [b"DEL", key],
        Action::Set if ttl > 0 => {
            let mut digits = itoa::Buffer::new();
            let ttl = digits.format(ttl).as_bytes();
            let words: [&[u8]; 5] = [b"SET", key, value, b"EX", ttl];
            return write_request(out, words.into_iter());
        }
        Action::Set => {
            let words: [&[u8]; 3] = [b"SET", key, value];
            return write_request(out, words.into_iter());
        }
    };
    write_request(out, words.into_iter());
}

fn read_memcached<'a>(action: Action, key: &[u8], reply: &'a [u8]) -> Option<Reply<'a>> {
    match (action, reply) {
        (Action::Get, b"END\r\n") => Some(Reply::Miss),
        (Action::Get, _) => {
            let line = first_line(reply);
            let value = value_line(line).filter(|value| value.key == key)?;
            let bytes = &reply[line.len() + 2..];
            let (value, rest) = bytes.split_at_checked(usize::try_from(value.length).ok()?)?;
            (rest == b"\r\nEND\r\n").then_some(Reply::Value(value))
        }
        (Action::Set, b"STORED\r\n") | (Action::Delete, b"DELETED\r\n") => Some(Reply::Done),
        (Action::Delete, b"NOT_FOUND\r\n") => Some(Reply::Miss),
        _ => None,
    }
}

/// memcached: a block for each key that was found. Most servers answer in the order of the keys; a proxy may not.
fn read_values<'a, 'k>(
    keys: impl ExactSizeIterator<Item = &'k [u8]>,
    reply: &'a [u8],
) -> Option<Vec<Option<&'a [u8]>>> {
    let keys: Vec<&[u8]> = keys.collect();
    let mut values = vec![None; keys.len()];
    let (mut rest, mut next) = (reply, 0);
    while rest != b"END\r\n" {
        let line = first_line(rest);
        let value = value_line(line)?;
        let free = |place: &usize| values[*place].is_none() && keys[*place] == value.key;
        let place = (next..keys.len()).chain(0..next).find(free)?;
        let bytes = rest.get(line.len() + 2..)?;
        let (found, after) = bytes.split_at_checked(usize::try_from(value.length).ok()?)?;
        values[place] = Some(found);
        next = place + 1;
        rest = after.strip_prefix(b"\r\n")?;
    }
    Some(values)
}

/// RESP: an array with a bulk string or a null for each key.
fn read_array(keys: usize, reply: &[u8]) -> Option<Vec<Option<&[u8]>>> {
    let (count, mut rest) = after_length(b'*', reply)?;
    if count != keys {
        return None;
    }
    let mut values = Vec::with_capacity(keys);
    for _ in 0..keys {
        let null = rest.strip_prefix(b"$-1\r\n");
        if let Some(after) = null.or_else(|| rest.strip_prefix(b"_\r\n")) {
            values.push(None);
            rest = after;
            continue;
        }
        let (length, bytes) = after_length(b'$', rest)?;
        let (value, after) = bytes.split_at_checked(length)?;
        values.push(Some(value));
        rest = after.strip_prefix(b"\r\n")?;
    }
    rest.is_empty().then_some(values)
}

/// The number behind `kind` in the first line, and the bytes behind the line.
fn after_length(kind: u8, bytes: &[u8]) -> Option<(usize, &[u8])> {
    let line = first_line(bytes);
    let digits = std::str::from_utf8(line.strip_prefix(&[kind])?).ok()?;
    Some((digits.parse().ok()?, bytes.get(line.len() + 2..)?))
}

fn read_resp(action: Action, reply: &[u8]) -> Option<Reply<'_>> {
    match (action, reply) {
        (Action::Get, b"$-1\r\n" | b"_\r\n") | (Action::Delete, b":0\r\n") => Some(Reply::Miss),
        (Action::Get, [b'$', ..]) => {
            let bytes = &reply[first_line(reply).len() + 2..];
            Some(Reply::Value(bytes.strip_suffix(b"\r\n")?))
        }
        (Action::Set, b"+OK\r\n") | (Action::Delete, b":1\r\n") => Some(Reply::Done),
        _ => None,
    }
}

/// The first line of a reply, without its end.
fn first_line(reply: &[u8]) -> &[u8] {
    let end = memchr::memchr(b'\r', reply).unwrap_or(reply.len());
    &reply[..end]
}

#[cfg(test)]
mod tests;

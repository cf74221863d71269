//! The replies of memcached's text protocol, read from a connection. A reply that doesn't fit the request is an error after
//! which the connection is closed.

use crate::client::connection::{Connection, Deadline};
use crate::client::item::Item;
use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::memcached::value_line;
use crate::protocol::memcached::text::parse_unsigned;

/// Lines that `stats` may have; memcached's longest list, `stats slabs`, has about 1,000.
const STATS_LIMIT: usize = 10_000;

/// One line, which has a meaning in this table.
pub(super) fn one_of<T: Copy>(
    connection: &mut Connection,
    until: Deadline,
    meanings: &[(&str, T)],
) -> Result<T, UpstreamFailure> {
    let line = connection.line(until)?;
    let found = meanings.iter().find(|(text, _)| text.as_bytes() == line);
    found
        .map(|(_, meaning)| *meaning)
        .ok_or_else(|| UpstreamFailure::unexpected(line))
}

/// The answer to `incr` or `decr`: a number, or `None` for `NOT_FOUND`.
pub(super) fn number(
    connection: &mut Connection,
    until: Deadline,
) -> Result<Option<u64>, UpstreamFailure> {
    let line = connection.line(until)?;
    // memcached pads a number that `decr` has shortened in `get`, and may do so here.
    match parse_unsigned(line.trim_ascii_end()) {
        Some(number) => Ok(Some(number)),
        None if line == b"NOT_FOUND" => Ok(None),
        None => Err(UpstreamFailure::unexpected(line)),
    }
}

/// The answer to `version`.
pub(super) fn version(
    connection: &mut Connection,
    until: Deadline,
) -> Result<String, UpstreamFailure> {
    let line = connection.line(until)?;
    let version = line.strip_prefix(b"VERSION ");
    let version = version.ok_or_else(|| UpstreamFailure::unexpected(line))?;
    Ok(String::from_utf8_lossy(version).into_owned())
}

/// `STAT` lines up to `END`: names and values.
pub(super) fn stats(
    connection: &mut Connection,
    until: Deadline,
) -> Result<Vec<(String, String)>, UpstreamFailure> {
    let mut found = Vec::new();
    while found.len() <= STATS_LIMIT {
        let line = connection.line(until)?;
        if line == b"END" || line == b"RESET" && found.is_empty() {
            return Ok(found);
        }
        let stat = line.strip_prefix(b"STAT ");
        let stat = stat.ok_or_else(|| UpstreamFailure::unexpected(line))?;
        let stat = String::from_utf8_lossy(stat);
        let (name, value) = stat.split_once(' ').unwrap_or((&stat, ""));
        found.push((name.to_owned(), value.to_owned()));
    }
    Err(UpstreamFailure::Garbage)
}

/// A value that has arrived.
pub(super) struct Received {
    /// The number of its key among those that were asked for.
    pub(super) key: usize,
    pub(super) item: Item,
    /// Its cas unique, if the reply has it.
    pub(super) cas: Option<u64>,
}

/// The values of these keys up to `END`. They come in the order of the keys; a key that doesn't exist is left out.
pub(super) fn values(
    connection: &mut Connection,
    until: Deadline,
    keys: &[&[u8]],
    max_value: usize,
    mut take: impl FnMut(Received),
) -> Result<(), UpstreamFailure> {
    let mut next = 0;
    loop {
        let line = connection.line(until)?;
        if line == b"END" {
            return Ok(());
        }
        let value = value_line(line).ok_or(UpstreamFailure::Garbage)?;
        let mut rest = keys[next..].iter();
        let passed = rest.position(|key| *key == value.key);
        let key = next + passed.ok_or(UpstreamFailure::OutOfStep)?;
        let flags = u32::try_from(value.flags).map_err(|_| UpstreamFailure::Garbage)?;
        let cas = value.cas.and_then(parse_unsigned);
        let length = usize::try_from(value.length).ok();
        let length = length
            .filter(|length| *length <= max_value)
            .ok_or(UpstreamFailure::TooLong(max_value))?;
        let value = connection.block(length, until)?;
        let item = Item { value, flags };
        take(Received { key, item, cas });
        next = key + 1;
    }
}

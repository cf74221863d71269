//! Replies of RESP2, read from a connection.
//!
//! Cost: a value is copied once. Memory: what has arrived, and 32 bytes or so for each element of an array; nothing is allocated by
//! an announced length. Nested arrays are kept on a stack of our own, so that no reply can exhaust the program's.

use crate::client::connection::{Connection, Deadline};
use crate::client::item::Item;
use crate::pool::UpstreamFailure;
use crate::protocol::resp::parse_integer;

/// The deepest nesting of arrays. Redis's own replies stay below 10.
const DEPTH: usize = 64;

/// Bytes of the limit of a reply that each of its elements counts for in addition to its own.
const ELEMENT: usize = size_of::<RespReply>();

/// A reply of RESP, or an element of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RespReply {
    /// No value: a null bulk string or a null array.
    Null,
    /// A simple string, such as `OK`.
    Status(String),
    /// A number.
    Integer(i64),
    /// A bulk string.
    Bulk(Vec<u8>),
    /// An array.
    Array(Vec<RespReply>),
    /// An error within an array. An error that is the whole reply is an [`Error`](crate::client::Error) of the request.
    Error(String),
}

impl RespReply {
    /// The failure for a reply that doesn't fit the request.
    pub(super) fn unexpected(&self) -> UpstreamFailure {
        match self {
            RespReply::Null => UpstreamFailure::unexpected(b"null"),
            RespReply::Status(text) | RespReply::Error(text) => {
                UpstreamFailure::unexpected(text.as_bytes())
            }
            RespReply::Integer(number) => {
                UpstreamFailure::unexpected(number.to_string().as_bytes())
            }
            RespReply::Bulk(bytes) => UpstreamFailure::unexpected(bytes),
            RespReply::Array(_) => UpstreamFailure::unexpected(b"an array"),
        }
    }
}

/// The beginning of a value.
enum Head {
    Whole(RespReply),
    /// A bulk string of so many bytes.
    Bulk(usize),
    /// An array of so many elements.
    Array(usize),
}

/// A reply that is no error.
pub(super) fn success(
    connection: &mut Connection,
    until: Deadline,
    limit: usize,
) -> Result<RespReply, UpstreamFailure> {
    match any(connection, until, limit)? {
        RespReply::Error(text) => Err(UpstreamFailure::ErrorReply(text)),
        reply => Ok(reply),
    }
}

/// A reply of at most `limit` bytes, which may be an error.
pub(super) fn any(
    connection: &mut Connection,
    until: Deadline,
    limit: usize,
) -> Result<RespReply, UpstreamFailure> {
    let mut open = Vec::new();
    let mut left = limit;
    loop {
        if !open.is_empty() {
            left = left
                .checked_sub(ELEMENT)
                .ok_or(UpstreamFailure::TooLong(limit))?;
        }
        let value = match head(connection.whole_line(until)?) {
            None => return Err(UpstreamFailure::Garbage),
            Some(Head::Whole(value)) => value,
            Some(Head::Array(0)) => RespReply::Array(Vec::new()),
            Some(Head::Array(_)) if open.len() == DEPTH => return Err(UpstreamFailure::Garbage),
            Some(Head::Array(count)) => {
                open.push((count, Vec::new()));
                continue;
            }
            Some(Head::Bulk(length)) => {
                left = left
                    .checked_sub(length)
                    .ok_or(UpstreamFailure::TooLong(limit))?;
                RespReply::Bulk(connection.block(length, until)?)
            }
        };
        if let Some(reply) = add(&mut open, value) {
            return Ok(reply);
        }
    }
}

/// An array that has begun, and the number of elements still to come.
type BegunArray = (usize, Vec<RespReply>);

/// Adds a value to the innermost array. Returns the reply when it is complete.
fn add(open: &mut Vec<BegunArray>, mut value: RespReply) -> Option<RespReply> {
    while let Some((to_come, mut elements)) = open.pop() {
        elements.push(value);
        if to_come > 1 {
            open.push((to_come - 1, elements));
            return None;
        }
        value = RespReply::Array(elements);
    }
    Some(value)
}

fn head(line: &[u8]) -> Option<Head> {
    let (kind, rest) = line.split_first()?;
    let text = || String::from_utf8_lossy(rest).into_owned();
    let length = || usize::try_from(parse_integer(rest)?).ok();
    Some(match kind {
        b'+' => Head::Whole(RespReply::Status(text())),
        b'-' => Head::Whole(RespReply::Error(text())),
        b':' => Head::Whole(RespReply::Integer(parse_integer(rest)?)),
        b'$' | b'*' if rest == b"-1" => Head::Whole(RespReply::Null),
        b'$' => Head::Bulk(length()?),
        b'*' => Head::Array(length()?),
        _ => return None,
    })
}

/// The values of so many keys, each with its number; a key that doesn't exist, or has no string, is left out.
pub(super) fn values(
    connection: &mut Connection,
    until: Deadline,
    keys: usize,
    limit: usize,
    mut take: impl FnMut(usize, Item),
) -> Result<(), UpstreamFailure> {
    let limit = limit.saturating_mul(keys);
    let elements = match success(connection, until, limit)? {
        RespReply::Array(elements) if elements.len() == keys => elements,
        RespReply::Array(_) => return Err(UpstreamFailure::OutOfStep),
        other => return Err(other.unexpected()),
    };
    for (number, element) in elements.into_iter().enumerate() {
        match element {
            RespReply::Bulk(value) => take(number, value.into()),
            RespReply::Null => {}
            other => return Err(other.unexpected()),
        }
    }
    Ok(())
}

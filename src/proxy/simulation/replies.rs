//! The parts of replies that a simulated client has read.

use crate::protocol::framing::reply::{ReplyFramer, ReplyShape};

pub(super) fn number(digits: &[u8]) -> usize {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// The bytes of a bulk string or of a status; none of null.
pub(super) fn value(reply: &[u8]) -> Option<&[u8]> {
    let end = reply.iter().position(|byte| *byte == b'\r')?;
    match reply[0] {
        b'$' if reply[1] == b'-' => None,
        b'$' => reply.get(end + 2..end + 2 + number(&reply[1..end])),
        b'_' => None,
        _ => Some(&reply[..end]),
    }
}

/// The elements of an array.
pub(super) fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let Some(end) = reply.iter().position(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let mut rest = match reply[0] {
        b'*' => &reply[end + 1..],
        _ => &[],
    };
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let used = ReplyFramer::new(ReplyShape::Resp).feed(rest).used;
        elements.push(&rest[..used]);
        rest = &rest[used..];
    }
    elements
}

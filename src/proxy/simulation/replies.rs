//! The parts of replies that a simulated client has read.

use crate::protocol::framing::reply::{ReplyFramer, ReplyShape};
use crate::protocol::memcached::binary::REPLY_MAGIC;
use crate::proxy::simulation::binary;

pub(super) fn number(digits: &[u8]) -> usize {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// The bytes of a bulk string, of a status, or of a value of memcached's binary protocol; none of null or a miss.
pub(super) fn value(reply: &[u8]) -> Option<&[u8]> {
    if reply.first() == Some(&REPLY_MAGIC) {
        return binary::value(reply);
    }
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

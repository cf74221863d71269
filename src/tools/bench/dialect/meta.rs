//! memcached's meta commands: a get asks for the value alone, and the replies name no keys.

use crate::protocol::memcached::text::parse_length;
use crate::tools::bench::action::{Action, Reply};

pub(super) fn write(out: &mut Vec<u8>, action: Action, key: &[u8], value: &[u8], ttl: u32) {
    let (verb, flags): (&[u8], &[u8]) = match action {
        Action::Get => (b"mg ", b" v\r\n"),
        Action::Set => (b"ms ", b" "),
        Action::Delete => (b"md ", b"\r\n"),
    };
    for part in [verb, key, flags] {
        out.extend_from_slice(part);
    }
    if action == Action::Set {
        let mut digits = itoa::Buffer::new();
        out.extend_from_slice(digits.format(value.len()).as_bytes());
        if ttl > 0 {
            out.extend_from_slice(b" T");
            out.extend_from_slice(digits.format(ttl).as_bytes());
        }
        for part in [b"\r\n", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
}

pub(super) fn read(action: Action, reply: &[u8]) -> Option<Reply<'_>> {
    match (action, reply) {
        (Action::Get, b"EN\r\n") | (Action::Delete, b"NF\r\n") => Some(Reply::Miss),
        (Action::Get, [b'V', b'A', b' ', ..]) => {
            let end = memchr::memchr(b'\r', reply)?;
            let length = parse_length(&reply[3..end])?;
            let (value, rest) = reply.get(end + 2..)?.split_at_checked(length)?;
            (rest == b"\r\n").then_some(Reply::Value(value))
        }
        (Action::Set | Action::Delete, b"HD\r\n") => Some(Reply::Done),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_those_of_a_client() {
        for (action, ttl, bytes) in [
            (Action::Get, 7, "mg k v\r\n"),
            (Action::Set, 0, "ms k 3\r\nabc\r\n"),
            (Action::Set, 7, "ms k 3 T7\r\nabc\r\n"),
            (Action::Delete, 7, "md k\r\n"),
        ] {
            let mut out = Vec::new();
            write(&mut out, action, b"k", b"abc", ttl);
            assert_eq!(String::from_utf8_lossy(&out), bytes);
        }
    }

    #[test]
    fn a_reply_is_read_by_its_code() {
        for (action, reply, meaning) in [
            (Action::Get, "EN\r\n", Some(Reply::Miss)),
            (Action::Get, "VA 3\r\nabc\r\n", Some(Reply::Value(b"abc"))),
            (
                Action::Get,
                "VA 4\r\na\r\nb\r\n",
                Some(Reply::Value(b"a\r\nb")),
            ),
            (Action::Get, "VA 0\r\n\r\n", Some(Reply::Value(b""))),
            (Action::Get, "VA 9\r\nabc\r\n", None),
            (Action::Get, "VA x\r\nabc\r\n", None),
            (Action::Get, "HD\r\n", None),
            (Action::Set, "HD\r\n", Some(Reply::Done)),
            (Action::Set, "NS\r\n", None),
            (Action::Delete, "HD\r\n", Some(Reply::Done)),
            (Action::Delete, "NF\r\n", Some(Reply::Miss)),
            (Action::Delete, "SERVER_ERROR no\r\n", None),
        ] {
            assert_eq!(read(action, reply.as_bytes()), meaning, "{reply:?}");
        }
    }
}

//! memcached's binary protocol.

use crate::protocol::framing::reply::{BinaryReply, ReplyShape};
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header, ReplyTo, Status};
use crate::tools::bench::action::{Action, Reply};

fn opcode(action: Action) -> u8 {
    match action {
        Action::Get => 0x00,
        Action::Set => 0x01,
        Action::Delete => 0x04,
    }
}

/// The framing of a reply to [`write()`].
pub(super) fn shape(action: Action) -> ReplyShape {
    let opcode = opcode(action);
    ReplyShape::Binary(BinaryReply::unchanged(ReplyTo { opcode, opaque: 0 }))
}

pub(super) fn write(out: &mut Vec<u8>, action: Action, key: &[u8], value: &[u8], ttl: u32) {
    let (extras, value) = match action {
        // The flags are 0.
        Action::Set => (Some(u64::from(ttl).to_be_bytes()), value),
        Action::Get | Action::Delete => (None, &b""[..]),
    };
    let extras = extras.as_ref().map_or(&[][..], |extras| extras);
    let header = Header::request(opcode(action), extras.len(), key.len(), value.len());
    for part in [&header.to_bytes()[..], extras, key, value] {
        out.extend_from_slice(part);
    }
}

pub(super) fn read(action: Action, reply: &[u8]) -> Option<Reply<'_>> {
    let header = Header::read(reply)?;
    let body = &reply[HEADER_LENGTH..];
    let (no_error, missing) = (Status::NoError.code(), Status::KeyNotFound.code());
    Some(match action {
        Action::Get if header.status == no_error => {
            Reply::Value(body.get(usize::from(header.extras_length)..)?)
        }
        Action::Get | Action::Delete if header.status == missing => Reply::Miss,
        Action::Set | Action::Delete if header.status == no_error => Reply::Done,
        _ => Reply::Refused(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::memcached::binary::reply::{self, ItemHead};
    use crate::protocol::memcached::binary::{Command, Parsed, ReplyTo, parse};

    #[test]
    fn requests_are_those_of_a_client() {
        let mut out = Vec::new();
        write(&mut out, Action::Set, b"k", b"abc", 7);
        let Parsed::Done { request, consumed } = parse(&out) else {
            panic!("{out:?}");
        };
        let Command::Store(store) = request.command else {
            panic!("{request:?}");
        };
        assert_eq!((store.key, store.flags, store.exptime), (&b"k"[..], 0, 7));
        assert_eq!((store.length, &out[consumed..]), (3, &b"abc"[..]));
        for (action, is_get) in [(Action::Get, true), (Action::Delete, false)] {
            out.clear();
            write(&mut out, action, b"k", b"abc", 7);
            let Parsed::Done { request, consumed } = parse(&out) else {
                panic!("{out:?}");
            };
            assert_eq!(consumed, out.len());
            let reads = matches!(request.command, Command::Retrieve { key: b"k", .. });
            assert_eq!(reads, is_get);
        }
    }

    #[test]
    fn a_reply_is_read_by_its_status() {
        let to = ReplyTo {
            opcode: 0,
            opaque: 0,
        };
        let head = ItemHead {
            key: b"",
            flags: 5,
            cas: 6,
        };
        let mut out = Vec::new();
        reply::value(&mut out, to, &head, b"abc");
        assert_eq!(read(Action::Get, &out), Some(Reply::Value(b"abc")));
        out.clear();
        reply::error(&mut out, to, Status::KeyNotFound);
        assert_eq!(read(Action::Get, &out), Some(Reply::Miss));
        assert_eq!(read(Action::Delete, &out), Some(Reply::Miss));
        assert_eq!(read(Action::Set, &out), Some(Reply::Refused(b"Not found")));
        out.clear();
        reply::done(&mut out, to, 6);
        assert_eq!(read(Action::Set, &out), Some(Reply::Done));
        assert_eq!(read(Action::Delete, &out), Some(Reply::Done));
    }
}

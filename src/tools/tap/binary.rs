//! memcached's binary protocol, field by field.

use super::frame::{CutResult, Frame};
use crate::protocol::memcached::binary::{
    HEADER_LENGTH, Header, REPLY_MAGIC, REQUEST_MAGIC, Status, opcode_name,
};

/// Whether a direction's bytes are in this protocol.
pub(super) fn is_meant(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(REQUEST_MAGIC | REPLY_MAGIC)))
}

/// The first request in a client's bytes. All count as answered: a quiet one may have an answer, too.
pub(super) fn request(bytes: &[u8]) -> CutResult {
    cut(bytes, REQUEST_MAGIC, "virtual bucket", |header, _| {
        let name = match opcode_name(header.opcode) {
            Some(name) => name.to_owned(),
            None => format!("opcode {:02x}", header.opcode),
        };
        (name, false)
    })
}

/// The first reply in a server's bytes.
pub(super) fn reply(bytes: &[u8]) -> CutResult {
    cut(bytes, REPLY_MAGIC, "status", |header, value| {
        let missing = header.status == Status::KeyNotFound.code();
        let name = match header.status {
            0 => "no error".to_owned(),
            _ if missing => Status::KeyNotFound.text().to_owned(),
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        (name, header.status != 0 && !missing)
    })
}

/// Cuts a frame. `describe` returns its name, and whether it is an error, by its header and its value.
fn cut(
    bytes: &[u8],
    magic: u8,
    sixth: &'static str,
    describe: impl FnOnce(&Header, &[u8]) -> (String, bool),
) -> CutResult {
    let Some(header) = Header::read(bytes) else {
        return CutResult::More;
    };
    let (extras, key) = (header.extras_length.into(), header.key_length.into());
    let value = (header.body_length as usize).checked_sub(extras + key);
    let Some(value) = value.filter(|_| header.magic == magic) else {
        return CutResult::Unknown;
    };
    let fields = [
        ("magic", 1),
        ("opcode", 1),
        ("key length", 2),
        ("extras length", 1),
        ("data type", 1),
        (sixth, 2),
        ("body length", 4),
        ("opaque", 4),
        ("cas unique", 8),
        ("extras", extras),
        ("key", key),
        ("value", value),
    ];
    if bytes.len() < HEADER_LENGTH + header.body_length as usize {
        return CutResult::More;
    }
    let mut frame = Frame {
        answered: true,
        ..Frame::default()
    };
    let mut rest = bytes;
    let mut field = &rest[..0];
    for (name, length) in fields {
        (field, rest) = rest.split_at(length);
        if length > 0 {
            frame.push(name, field);
        }
    }
    (frame.name, frame.is_error) = describe(&header, field);
    CutResult::Frame(frame)
}

/// Whether the reply belongs to the request.
pub(super) fn answers(reply: &Frame, request: &Frame) -> bool {
    ["opcode", "opaque"]
        .into_iter()
        .all(|name| reply.field(name) == request.field(name))
}

/// Whether the reply is followed by others to the same request: a statistic.
pub(super) fn has_successor(reply: &Frame) -> bool {
    let is_stat = reply
        .field("opcode")
        .is_some_and(|code| opcode_name(code[0]) == Some("stat"));
    is_stat && reply.field("key").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::memcached::binary::{ReplyTo, reply as write};

    fn get(opcode: u8, opaque: u32) -> Vec<u8> {
        let header = Header {
            opaque,
            ..Header::request(opcode, 0, 3, 0)
        };
        [&header.to_bytes()[..], b"key"].concat()
    }

    fn frame(cut: CutResult) -> Frame {
        match cut {
            CutResult::Frame(frame) => frame,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_fields_are_all_bytes_of_a_frame() {
        let bytes = get(0x0d, 7);
        let request = frame(request(&[&bytes[..], b"behind"].concat()));
        assert_eq!((request.bytes(), request.name.as_str()), (bytes, "getkq"));
        assert_eq!(request.words().collect::<Vec<_>>(), [b"key"]);
        let mut bytes = Vec::new();
        let to = ReplyTo {
            opcode: 0x0d,
            opaque: 7,
        };
        write::error(&mut bytes, to, Status::NotStored);
        let reply = frame(reply(&bytes));
        assert_eq!((reply.name.as_str(), reply.is_error), ("Not stored.", true));
        assert!(answers(&reply, &request));
        assert!(!answers(&reply, &frame(super::request(&get(0x0d, 8)))));
    }

    #[test]
    fn a_part_is_waited_for_and_other_bytes_are_unknown() {
        let bytes = get(0, 0);
        for end in 1..bytes.len() {
            assert_eq!(request(&bytes[..end]), CutResult::More);
        }
        assert_eq!(reply(&bytes), CutResult::Unknown);
    }
}

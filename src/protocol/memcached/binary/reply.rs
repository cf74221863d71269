//! Replies, as bytes appended to the output.

use super::header::{HEADER_LENGTH, Header, REPLY_MAGIC};
use super::request::ReplyTo;
use super::status::Status;

/// The lengths of a reply's parts, in bytes.
#[derive(Default)]
struct Lengths {
    extras: usize,
    key: usize,
    value: usize,
}

/// The parts are shorter than their fields allow: a key has at most 250 bytes, and no item has 4 GiB.
fn header(out: &mut Vec<u8>, to: ReplyTo, status: Status, cas: u64, lengths: &Lengths) {
    let body = lengths.extras + lengths.key + lengths.value;
    let header = Header {
        magic: REPLY_MAGIC,
        opcode: to.opcode,
        key_length: lengths.key as u16,
        extras_length: lengths.extras as u8,
        status: status.code(),
        body_length: body as u32,
        opaque: to.opaque,
        cas,
    };
    out.extend_from_slice(&header.to_bytes());
}

/// Done; without a body. `cas` is the item's new one, or 0.
pub fn done(out: &mut Vec<u8>, to: ReplyTo, cas: u64) {
    header(out, to, Status::NoError, cas, &Lengths::default());
}

/// A status with its text.
pub fn error(out: &mut Vec<u8>, to: ReplyTo, status: Status) {
    error_text(out, to, status, status.text());
}

/// A status with a text of its own.
pub fn error_text(out: &mut Vec<u8>, to: ReplyTo, status: Status, text: &str) {
    let value = text.len();
    header(
        out,
        to,
        status,
        0,
        &Lengths {
            value,
            ..Lengths::default()
        },
    );
    out.extend_from_slice(text.as_bytes());
}

/// A missing item; a reply with a key has the key instead of a text.
pub fn missing(out: &mut Vec<u8>, to: ReplyTo, key: &[u8]) {
    if key.is_empty() {
        return error(out, to, Status::KeyNotFound);
    }
    let lengths = Lengths {
        key: key.len(),
        ..Lengths::default()
    };
    header(out, to, Status::KeyNotFound, 0, &lengths);
    out.extend_from_slice(key);
}

/// An item: its flags, the key if it is not empty, and the value.
pub fn value(out: &mut Vec<u8>, to: ReplyTo, item: &ItemHead<'_>, value: &[u8]) {
    out.reserve(HEADER_LENGTH + FLAGS + item.key.len() + value.len());
    value_head(out, to, item, value.len());
    out.extend_from_slice(value);
}

/// The part of a reply before a value of `length` bytes.
pub(crate) fn value_head(out: &mut Vec<u8>, to: ReplyTo, item: &ItemHead<'_>, length: usize) {
    let lengths = Lengths {
        extras: FLAGS,
        key: item.key.len(),
        value: length,
    };
    header(out, to, Status::NoError, item.cas, &lengths);
    out.extend_from_slice(&item.flags.to_be_bytes());
    out.extend_from_slice(item.key);
}

/// Bytes of the flags before a value.
const FLAGS: usize = size_of::<u32>();

/// The facts of an item before its value.
#[derive(Debug, Clone, Copy)]
pub struct ItemHead<'a> {
    /// The key, empty in a reply without one.
    pub key: &'a [u8],
    /// The client's flags.
    pub flags: u32,
    /// The cas unique.
    pub cas: u64,
}

/// The number after an increment or decrement.
pub fn number(out: &mut Vec<u8>, to: ReplyTo, number: u64, cas: u64) {
    let value = size_of::<u64>();
    header(
        out,
        to,
        Status::NoError,
        cas,
        &Lengths {
            value,
            ..Lengths::default()
        },
    );
    out.extend_from_slice(&number.to_be_bytes());
}

/// A text, such as the version.
pub fn text(out: &mut Vec<u8>, to: ReplyTo, text: &str) {
    error_text(out, to, Status::NoError, text);
}

/// One statistic: its name as the key. The list ends with [`done`].
pub fn stat(out: &mut Vec<u8>, to: ReplyTo, name: &str, value: impl std::fmt::Display) {
    stat_bytes(out, to, name, value.to_string().as_bytes());
}

/// One statistic whose value is any bytes.
pub fn stat_bytes(out: &mut Vec<u8>, to: ReplyTo, name: &str, value: &[u8]) {
    let lengths = Lengths {
        extras: 0,
        key: name.len(),
        value: value.len(),
    };
    header(out, to, Status::NoError, 0, &lengths);
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(value);
}

/// The statistics of the lines `STAT NAME VALUE` of the text protocol, and the end of their list.
pub fn stats(out: &mut Vec<u8>, to: ReplyTo, lines: &str) {
    for line in lines.lines() {
        if let Some((name, value)) = line.strip_prefix("STAT ").and_then(|it| it.split_once(' ')) {
            stat(out, to, name, value);
        }
    }
    done(out, to, 0);
}

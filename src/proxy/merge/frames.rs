//! Replies in memcached's binary protocol that are put together: frames become the lines of the text protocol, which are
//! merged, and the lines become frames.

use crate::protocol::framing::reply::BinaryReply;
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header, Status, reply};
use crate::proxy::merge::figures;

/// Whether a reply is an error.
pub(super) fn is_error(reply: &[u8]) -> bool {
    Header::read(reply).is_none_or(|header| header.status != Status::NoError.code())
}

/// The reply of several servers that did the same. Nothing, if the client doesn't get it.
pub(super) fn same(replies: &[&[u8]], binary: &BinaryReply) -> Vec<u8> {
    match replies.first() {
        Some(reply) if !binary.withholds(Status::NoError.code()) => reply.to_vec(),
        _ => Vec::new(),
    }
}

/// The figures of several servers, and those of the proxy.
pub(super) fn stats(replies: &[&[u8]], tail: &str, binary: &BinaryReply) -> Vec<u8> {
    let texts: Vec<Vec<u8>> = replies.iter().map(|reply| lines(reply)).collect();
    let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
    let merged = figures::stats(&texts, tail);
    let mut out = Vec::new();
    reply::stats(&mut out, binary.to, &String::from_utf8_lossy(&merged));
    out
}

/// The frames of a list of statistics as lines.
fn lines(mut frames: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(header) = Header::read(frames).filter(|header| header.key_length > 0) {
        let (_, body) = frames.split_at(HEADER_LENGTH);
        let (extras, key) = (
            usize::from(header.extras_length),
            usize::from(header.key_length),
        );
        let (Some(body), Some(rest)) = (
            body.get(extras..header.body_length as usize),
            body.get(header.body_length as usize..),
        ) else {
            break;
        };
        let (key, value) = body.split_at(key.min(body.len()));
        for part in [&b"STAT "[..], key, b" ", value, b"\r\n"] {
            out.extend_from_slice(part);
        }
        frames = rest;
    }
    out.extend_from_slice(b"END\r\n");
    out
}

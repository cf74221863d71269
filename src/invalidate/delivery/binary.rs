//! The requests that report changes to memcached servers in their binary protocol, and the meaning of the replies.
//!
//! A server with `-B binary` closes every other connection, and one with `-S` answers nothing before the login by SASL. Keys
//! may have any bytes. There is no request to mark an item stale.

use super::request_kind::{DeliveryRequest, ReplyMeaning};
use crate::invalidate::change::NewValue;
use crate::protocol::framing::reply::{BinaryReply, ReplyShape};
use crate::protocol::memcached::binary::{HEADER_LENGTH, REQUEST_MAGIC, ReplyTo, Status};

const SET: u8 = 0x01;
const DELETE: u8 = 0x04;

/// Appends a request without a cas unique. Returns the form of its reply.
fn request(opcode: u8, extras: &[u8], key: &[u8], value: &[u8], out: &mut Vec<u8>) -> ReplyShape {
    let body = (extras.len() + key.len() + value.len()) as u32;
    out.extend_from_slice(&[REQUEST_MAGIC, opcode]);
    out.extend_from_slice(&(key.len() as u16).to_be_bytes());
    out.extend_from_slice(&[extras.len() as u8, 0, 0, 0]);
    out.extend_from_slice(&body.to_be_bytes());
    out.extend_from_slice(&[0; 12]);
    for part in [extras, key, value] {
        out.extend_from_slice(part);
    }
    ReplyShape::Binary(BinaryReply::unchanged(ReplyTo { opcode, opaque: 0 }))
}

/// Appends the request to delete a key.
pub(super) fn delete(key: &[u8], out: &mut Vec<u8>) -> ReplyShape {
    request(DELETE, &[], key, &[], out)
}

/// Appends the request to set a key to a value for so many seconds, as memcached counts them.
pub(super) fn set(key: &[u8], value: &NewValue, seconds: i64, out: &mut Vec<u8>) -> ReplyShape {
    let exptime = u32::try_from(seconds).unwrap_or(u32::MAX);
    let extras = [value.flags.to_be_bytes(), exptime.to_be_bytes()].concat();
    request(SET, &extras, key, &value.bytes, out)
}

/// The meaning of a reply. `written`: the request was to set a key.
pub(super) fn meaning(asked: DeliveryRequest, written: bool, reply: &[u8]) -> ReplyMeaning {
    let Some(status) = reply.get(6..8).filter(|_| reply.len() >= HEADER_LENGTH) else {
        return ReplyMeaning::Unexpected;
    };
    let status = u16::from_be_bytes([status[0], status[1]]);
    let is = |one: Status| status == one.code();
    match asked {
        _ if is(Status::NoError) => ReplyMeaning::Done,
        // Too large for it, or no memory: the old value must be deleted all the same.
        DeliveryRequest::Change(_)
            if written && (is(Status::TooLarge) || is(Status::OutOfMemory)) =>
        {
            ReplyMeaning::Delete
        }
        DeliveryRequest::Change(_) | DeliveryRequest::Delete if is(Status::KeyNotFound) => {
            match asked {
                DeliveryRequest::Change(_) if written => ReplyMeaning::Unexpected,
                _ => ReplyMeaning::Done,
            }
        }
        _ => ReplyMeaning::Unexpected,
    }
}

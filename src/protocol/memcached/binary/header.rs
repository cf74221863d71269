//! The 24 bytes before every request and every reply. All numbers are in network byte order.
//!
//! ```text
//!    0        1        2        3        4        5        6        7
//!   ┌────────┬────────┬─────────────────┬────────┬────────┬─────────────────┐
//!   │ magic  │ opcode │ key length      │ extras │ type 0 │ status (reply)  │
//!   ├────────┴────────┴─────────────────┼────────┴────────┴─────────────────┤
//!   │ length of the body                │ opaque: the reply repeats it      │
//!   ├───────────────────────────────────┴───────────────────────────────────┤
//!   │ cas unique                                                            │
//!   └───────────────────────────────────────────────────────────────────────┘
//!   body: extras, key, value
//! ```
//!
//! Bytes 5 to 7 of a request (its data type and a virtual bucket) have no meaning in memcached, which ignores them.

use super::status::Status;

/// The length of a header, in bytes.
pub const HEADER_LENGTH: usize = 24;

/// The first byte of a request, and so of a connection that speaks this protocol. No line of text begins with it.
pub const REQUEST_MAGIC: u8 = 0x80;

/// The first byte of a reply.
pub const REPLY_MAGIC: u8 = 0x81;

/// The header of a request or a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// [`REQUEST_MAGIC`] or [`REPLY_MAGIC`].
    pub magic: u8,
    /// The command. A reply repeats it.
    pub opcode: u8,
    /// The length of the key, in bytes.
    pub key_length: u16,
    /// The length of the extras, in bytes.
    pub extras_length: u8,
    /// The status of a reply; 0 in a request.
    pub status: u16,
    /// The length of extras, key and value together, in bytes.
    pub body_length: u32,
    /// A number of the client's. The reply repeats it.
    pub opaque: u32,
    /// The cas unique of the item; 0 for none.
    pub cas: u64,
}

impl Header {
    /// Whether a reply is an error. A miss and a condition that doesn't hold are none, as in the text protocol.
    pub(crate) fn is_error(&self) -> bool {
        let outcomes = [
            Status::NoError,
            Status::KeyNotFound,
            Status::KeyExists,
            Status::NotStored,
        ];
        !outcomes.map(Status::code).contains(&self.status)
    }

    /// The header of a request whose extras, key and value have these lengths, in bytes. Its opaque and its cas unique are
    /// 0.
    pub fn request(opcode: u8, extras: usize, key: usize, value: usize) -> Header {
        Header {
            magic: REQUEST_MAGIC,
            opcode,
            key_length: key as u16,
            extras_length: extras as u8,
            status: 0,
            body_length: (extras + key + value) as u32,
            opaque: 0,
            cas: 0,
        }
    }

    /// The header that the bytes begin with; `None` if they are too few. Nothing in it has been checked.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let bytes: &[u8; HEADER_LENGTH] = bytes.first_chunk()?;
        let u16_at = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let u32_at = |at: usize| u32::from(u16_at(at)) << 16 | u32::from(u16_at(at + 2));
        Some(Header {
            magic: bytes[0],
            opcode: bytes[1],
            key_length: u16_at(2),
            extras_length: bytes[4],
            status: u16_at(6),
            body_length: u32_at(8),
            opaque: u32_at(12),
            cas: u64::from(u32_at(16)) << 32 | u64::from(u32_at(20)),
        })
    }

    /// The header as bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[0] = self.magic;
        bytes[1] = self.opcode;
        bytes[2..4].copy_from_slice(&self.key_length.to_be_bytes());
        bytes[4] = self.extras_length;
        bytes[6..8].copy_from_slice(&self.status.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.body_length.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.opaque.to_be_bytes());
        bytes[16..].copy_from_slice(&self.cas.to_be_bytes());
        bytes
    }

    /// The bytes of the header, the extras and the key.
    pub(super) fn before_value(&self) -> usize {
        HEADER_LENGTH + usize::from(self.extras_length) + usize::from(self.key_length)
    }
}

//! memcached's binary protocol: bytes to [`Request`]s, replies to bytes.
//!
//! ```text
//!   input ──▶ header ──▶ lengths ──▶ table of opcodes ──▶ command ──▶ Done
//!               │           │               │                │
//!               └▶ More     └▶ Bad          └▶ Bad           └▶ Bad
//! ```
//!
//! [`parse`] is a pure function. It waits for the header, the extras and the key, which are at most 64 KiB. The value of a
//! storage command is not its business: the length is in the command, within 1 GiB, and the bytes follow.
//! [`reply`] writes the replies. memcached has declared this protocol as deprecated, in favour of the meta commands, but many
//! clients speak it.
//!
//! The checks and their order are those of the program memcached 1.6.45 (`proto_bin.c`), because its documents describe
//! only a part:
//! - Any first byte but [`REQUEST_MAGIC`] closes the connection without an answer.
//! - Lengths are checked when the announced extras and key have arrived, not earlier.
//! - A body that is shorter than extras and key is an `Unknown command`, and the connection is closed.
//! - A body over 1 GiB, a key over 250 bytes and lengths that an opcode can't have are `Invalid arguments`, and the
//!   connection is closed.
//! - An unknown opcode is an `Unknown command`; its body is discarded and the connection stays. memcached discards the
//!   length of extras and key twice, so that it loses the beginning of the next request; this parser discards the body.
//!
//! Cost: no allocation; one look-up in a table.

mod header;
mod opcodes;
pub mod reply;
mod request;
pub(crate) mod sasl;
mod status;
#[cfg(test)]
mod tests;

pub use header::{HEADER_LENGTH, Header, REPLY_MAGIC, REQUEST_MAGIC};
pub use opcodes::opcode_names;
pub(crate) use opcodes::{answered_opcode, opcode_name};
pub use request::{
    AfterBadRequest, BadRequest, Command, Count, ReplyTo, Request, Sasl, SaslStep, Store,
};
pub use status::Status;

use super::text::KEY_LIMIT;
use opcodes::{Frame, Opcode};

/// The longest body, in bytes, as in memcached (`ITEM_SIZE_MAX_UPPER_LIMIT`).
const BODY_LIMIT: u32 = 1 << 30;

/// The result of parsing the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A request.
    Done {
        /// The request, borrowing from the input.
        request: Request<'a>,
        /// The bytes of its header, extras and key. A value follows.
        consumed: usize,
    },
    /// Not all of header, extras and key has arrived.
    More {
        /// The least number of bytes that are worth another call.
        needed: usize,
    },
    /// A request that is refused.
    Bad {
        /// The error, and the way to continue.
        bad: BadRequest,
        /// The bytes of its header, extras and key.
        consumed: usize,
    },
    /// Bytes of another protocol: the connection is closed without an answer.
    Foreign,
}

/// Reads one request from the start of `input`.
pub fn parse(input: &[u8]) -> Parsed<'_> {
    let Some(header) = Header::read(input) else {
        return Parsed::More {
            needed: HEADER_LENGTH,
        };
    };
    if header.magic != REQUEST_MAGIC {
        return Parsed::Foreign;
    }
    let consumed = header.before_value();
    let Some(head) = input.get(HEADER_LENGTH..consumed) else {
        return Parsed::More { needed: consumed };
    };
    let (extras, key) = head.split_at(usize::from(header.extras_length));
    let frame = Frame {
        header,
        extras,
        key,
    };
    match checked(&frame) {
        Ok(request) => Parsed::Done { request, consumed },
        Err((status, then)) => Parsed::Bad {
            bad: BadRequest {
                to: ReplyTo::from(&header),
                status,
                then,
            },
            consumed,
        },
    }
}

fn checked<'a>(frame: &Frame<'a>) -> Result<Request<'a>, (Status, AfterBadRequest)> {
    use AfterBadRequest::{Close, Continue};
    let header = &frame.header;
    let parts = frame.extras.len() + frame.key.len();
    let Some(discard) = (header.body_length as usize).checked_sub(parts) else {
        return Err((Status::UnknownCommand, Close));
    };
    if header.body_length > BODY_LIMIT || frame.key.len() > KEY_LIMIT {
        return Err((Status::InvalidArguments, Close));
    }
    let Some(opcode) = Opcode::from_code(header.opcode) else {
        return Err((Status::UnknownCommand, Continue { discard }));
    };
    let command = (opcode.build)(frame).ok_or((Status::InvalidArguments, Close))?;
    Ok(Request {
        to: ReplyTo::from(header),
        quiet: opcode.is_quiet(),
        cas: header.cas,
        command,
    })
}

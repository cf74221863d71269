//! The framing of replies, and the progress of a framer within one.

use crate::protocol::memcached::binary::{HEADER_LENGTH, ReplyTo, Status, reply};

/// The framing of the reply to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyShape {
    /// No reply comes.
    Nothing,
    /// One value of RESP.
    Resp,
    /// memcached's binary protocol: one frame, or those of a list.
    Binary(BinaryReply),
    /// memcached: one line.
    Line,
    /// memcached: `VALUE` blocks up to `END`.
    Values,
    /// memcached: `STAT` lines up to `END`, or one line.
    Stats,
    /// memcached's meta commands: `VA` and a block, or one line.
    Meta,
    /// One of these or none, and then `MN`.
    Fenced,
}

/// The reply to a request of memcached's binary protocol.
///
/// A quiet request may have no reply, so a proxy sends the command of the same effect that is always answered. Its reply
/// gets the opcode of the client's request, or is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinaryReply {
    /// The opcode and the opaque of the client's request.
    pub to: ReplyTo,
    /// The opcode that the server gets, and repeats.
    pub sent_opcode: u8,
    /// The reply that the client doesn't get.
    pub withheld: WithheldReply,
}

/// The reply that a client of the binary protocol doesn't get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithheldReply {
    /// It gets every reply.
    None,
    /// That a change was made.
    Success,
    /// That there is no item.
    Miss,
}

impl BinaryReply {
    /// The reply to a request that is sent as it came.
    pub const fn unchanged(to: ReplyTo) -> BinaryReply {
        BinaryReply {
            to,
            sent_opcode: to.opcode,
            withheld: WithheldReply::None,
        }
    }

    /// Whether the client doesn't get a reply of this status.
    pub(crate) fn withholds(&self, status: u16) -> bool {
        match self.withheld {
            WithheldReply::None => false,
            WithheldReply::Success => status == Status::NoError.code(),
            WithheldReply::Miss => status == Status::KeyNotFound.code(),
        }
    }
}

impl ReplyShape {
    /// An error in the form of the reply: `text` with memcached's word for an error of the server, or Redis's, or with
    /// this status.
    pub(crate) fn error(self, status: Status, text: &str) -> Vec<u8> {
        match self {
            ReplyShape::Resp => format!("-ERR {text}\r\n").into_bytes(),
            ReplyShape::Binary(BinaryReply { to, .. }) => {
                let mut out = Vec::new();
                reply::error_text(&mut out, to, status, text);
                out
            }
            _ => format!("SERVER_ERROR {text}\r\n").into_bytes(),
        }
    }

    /// The same for a client that gets every reply.
    pub(crate) fn without_withholding(self) -> ReplyShape {
        match self {
            ReplyShape::Binary(binary) => ReplyShape::Binary(BinaryReply {
                withheld: WithheldReply::None,
                ..binary
            }),
            shape => shape,
        }
    }
}

/// The result of reading some bytes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameProgress {
    /// The number of the bytes that belong to the reply.
    pub used: usize,
    /// Whether it is complete with them.
    pub state: FrameState,
}

/// Whether a reply is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameState {
    /// The used bytes belong to it, and more do.
    More,
    /// It is complete. The framer can be given the next.
    Done,
    /// These bytes are no reply.
    Garbage,
}

/// The bytes that the client gets of a piece of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ShownPiece {
    /// All of it.
    Whole,
    /// This header in its place.
    Header([u8; HEADER_LENGTH]),
    /// None.
    Nothing,
}

//! A piece of a reply on a connection that many clients share: its place in the reply, and what its client gets of it.

use crate::protocol::framing::reply::ShownPiece;

/// A piece of a reply.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FramedPiece {
    /// The number of the bytes that belong to it.
    pub(crate) used: usize,
    /// Whether the reply is complete with it.
    pub(crate) done: bool,
    /// Whether the reply begins with it.
    pub(crate) is_first: bool,
    pub(crate) is_error: bool,
    /// It is no reply, but a message that belongs to no request.
    pub(crate) is_push: bool,
    /// The bytes of it that the client gets.
    pub(crate) shown: ShownPiece,
}

impl FramedPiece {
    /// The bytes that the client gets of this piece, whose bytes are given. None of a message: no client on a shared
    /// connection asked for one.
    pub(crate) fn shown_bytes<'a>(&'a self, piece: &'a [u8]) -> &'a [u8] {
        match &self.shown {
            ShownPiece::Whole if !self.is_push => piece,
            ShownPiece::Header(header) => header,
            ShownPiece::Whole | ShownPiece::Nothing => b"",
        }
    }
}

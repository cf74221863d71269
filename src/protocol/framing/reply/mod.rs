//! Replies: finds the end of the next one in the bytes of an upstream.
//!
//! ```text
//!   $3 CRLF foo CRLF +O        what was read from the upstream
//!   └────────────────┘ └ More: the second reply has begun
//!    Done, used 9 of it
//! ```
//!
//! A [`ReplyFramer`] goes by the lengths that replies name: the bytes of a value are counted and never read, so that a
//! value may contain `END`, `$5` or a whole reply. It keeps a few numbers and no bytes of the reply, so that a reply of
//! any size passes in constant memory. Anything else is [`FrameState::Garbage`]: the next reply's start is unknown, and
//! the connection can't be used again.

mod binary;
mod fit;
pub mod memcached;
mod progress;
mod resp;

pub(crate) use progress::ShownPiece;
pub use progress::{BinaryReply, FrameProgress, FrameState, ReplyShape, WithheldReply};

/// Finds the end of replies.
#[derive(Debug)]
pub enum ReplyFramer {
    /// In RESP2 and RESP3.
    Resp(resp::RespReplyFramer),
    /// In memcached's binary protocol.
    Binary(binary::BinaryReplyFramer),
    /// In memcached's text protocol.
    Memcached(memcached::MemcachedReplyFramer),
}

impl ReplyFramer {
    /// For replies of this shape.
    pub fn new(shape: ReplyShape) -> ReplyFramer {
        match shape {
            ReplyShape::Resp => ReplyFramer::Resp(resp::RespReplyFramer::default()),
            ReplyShape::Binary(expected) => {
                ReplyFramer::Binary(binary::BinaryReplyFramer::new(expected))
            }
            shape => ReplyFramer::Memcached(memcached::MemcachedReplyFramer::new(shape)),
        }
    }

    /// Reads the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        self.feed_reply_to(&[], bytes)
    }

    /// Reads the next bytes of the reply to this request. Bytes that don't fit the request are garbage as well, and
    /// the connection is [out of step](ReplyFramer::is_out_of_step).
    pub(crate) fn feed_reply_to(&mut self, request: &[u8], bytes: &[u8]) -> FrameProgress {
        match self {
            ReplyFramer::Resp(framer) => framer.feed(bytes),
            ReplyFramer::Binary(framer) => framer.feed(bytes),
            ReplyFramer::Memcached(framer) => framer.feed(request, bytes),
        }
    }

    /// Whether the received bytes don't fit the request.
    pub(crate) fn is_out_of_step(&self, request: &[u8]) -> bool {
        match self {
            ReplyFramer::Resp(framer) => {
                let (kind, count) = framer.head();
                kind != 0 && !framer.is_push() && !fit::is_resp_of(request, kind, count)
            }
            ReplyFramer::Binary(framer) => framer.is_out_of_step(),
            ReplyFramer::Memcached(framer) => framer.is_out_of_step(),
        }
    }

    /// The bytes that the client gets of the piece that was read last.
    pub(crate) fn shown(&self) -> ShownPiece {
        match self {
            ReplyFramer::Binary(framer) => framer.shown(),
            ReplyFramer::Resp(_) | ReplyFramer::Memcached(_) => ShownPiece::Whole,
        }
    }

    /// Whether the reply that has begun, or was complete last, is an error.
    pub fn is_error(&self) -> bool {
        match self {
            ReplyFramer::Resp(framer) => framer.is_error(),
            ReplyFramer::Binary(framer) => framer.is_error(),
            ReplyFramer::Memcached(framer) => framer.is_error(),
        }
    }

    /// Whether it is a simple string of RESP.
    pub(crate) fn is_status(&self) -> bool {
        matches!(self, ReplyFramer::Resp(framer) if framer.head().0 == b'+')
    }

    /// Remembers the types of the elements of the next reply, if it is an array: a byte for each.
    pub(crate) fn keep_elements(&mut self) {
        if let ReplyFramer::Resp(framer) = self {
            framer.keep_elements();
        }
    }

    /// The types of the reply's elements, as far as they have come.
    pub(crate) fn elements(&self) -> &[u8] {
        match self {
            ReplyFramer::Resp(framer) => framer.elements(),
            ReplyFramer::Binary(_) | ReplyFramer::Memcached(_) => &[],
        }
    }

    /// Whether it is no reply at all but a message that RESP3 lets a server send at any time.
    pub(crate) fn is_push(&self) -> bool {
        match self {
            ReplyFramer::Resp(framer) => framer.is_push(),
            ReplyFramer::Binary(_) | ReplyFramer::Memcached(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;

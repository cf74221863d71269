//! Replies: where the next one in the bytes of an upstream ends.
//!
//! ```text
//!   $3 CRLF foo CRLF +O        what was read from the upstream
//!   └────────────────┘ └ More: the second reply has begun
//!    Done, used 9 of it
//! ```
//!
//! A [`ReplyFramer`] goes by the lengths that replies name: the bytes of a value are counted, never looked at, so that a
//! value may hold `END`, `$5` or a whole reply. It keeps a few numbers, nothing of the reply, so that a reply of any
//! size passes in constant memory. What is no reply is [`FrameState::Garbage`]: where the next reply begins is not known
//! any more, and the connection can't be used again.

pub mod memcached;
mod progress;
mod resp;

pub use progress::FrameProgress;
pub use progress::{FrameState, ReplyShape};

/// Finds the end of replies.
#[derive(Debug)]
pub enum ReplyFramer {
    /// In RESP2 and RESP3.
    Resp(resp::RespReplyFramer),
    /// In memcached's text protocol.
    Memcached(memcached::MemcachedReplyFramer),
}

impl ReplyFramer {
    /// For replies of this shape.
    pub fn new(shape: ReplyShape) -> ReplyFramer {
        match shape {
            ReplyShape::Resp => ReplyFramer::Resp(resp::RespReplyFramer::default()),
            shape => ReplyFramer::Memcached(memcached::MemcachedReplyFramer::new(shape)),
        }
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        match self {
            ReplyFramer::Resp(framer) => framer.feed(bytes),
            ReplyFramer::Memcached(framer) => framer.feed(bytes),
        }
    }

    /// Whether the reply that has begun, or was complete last, is an error.
    pub fn is_error(&self) -> bool {
        match self {
            ReplyFramer::Resp(framer) => framer.is_error(),
            ReplyFramer::Memcached(framer) => framer.is_error(),
        }
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
            ReplyFramer::Memcached(_) => &[],
        }
    }

    /// Whether it is no reply at all but a message that RESP3 lets a server send at any time.
    pub(crate) fn is_push(&self) -> bool {
        match self {
            ReplyFramer::Resp(framer) => framer.is_push(),
            ReplyFramer::Memcached(_) => false,
        }
    }
}

#[cfg(test)]
mod tests;

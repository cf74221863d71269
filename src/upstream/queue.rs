//! The requests of a connection whose replies have not come, and the one rule by which replies are matched to them.
//!
//! A server answers in the order of the requests. The front of the queue has the framing of the next reply, so a reply
//! need not be decoded to find its end. Bytes that are no reply, and bytes without a request, are
//! [`UpstreamFailure::Garbage`]: the start of the next reply is no longer known, and it could be taken for the answer to
//! another request.
//!
//! The connection that many clients share, [`UpstreamConnection`](crate::upstream::UpstreamConnection), has the same rule
//! and framer, but not this queue. It gives a reply to its client piece by piece, with no bound on its length, so the
//! framer's state outlives a piece: it compares the reply with the bytes of its request, looks for redirections, notes the
//! elements of `EXEC`, and remembers how far it has seen bytes that a client can't take yet. A retry needs the requests'
//! bytes beside the queue, and a client may take the bytes of its own connection unframed. A user of this queue needs a
//! whole reply that it has room for, and none of that.

use std::collections::VecDeque;

use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};

/// Requests without their reply, in the order in which they were sent. `T` is the purpose of each.
#[derive(Debug)]
pub(crate) struct RequestQueue<T> {
    waiting: VecDeque<(ReplyShape, T)>,
    /// Reads the reply that has begun to come.
    framer: Option<ReplyFramer>,
}

/// A piece of the reply at the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReplyPiece {
    /// The number of the bytes that belong to it.
    pub(crate) used: usize,
    /// Whether it is complete with them.
    pub(crate) done: bool,
    /// Whether it is an error.
    pub(crate) is_error: bool,
    /// Whether it is a message that belongs to no request: the reply is still to come.
    pub(crate) is_push: bool,
}

impl<T> RequestQueue<T> {
    pub(crate) fn new() -> RequestQueue<T> {
        RequestQueue {
            waiting: VecDeque::new(),
            framer: None,
        }
    }

    /// Notes that a request has been sent, or is about to be. A request without a reply is not
    /// queued.
    pub(crate) fn push(&mut self, shape: ReplyShape, what: T) {
        if shape != ReplyShape::Nothing {
            self.waiting.push_back((shape, what));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Looks at the next bytes of the connection.
    ///
    /// # Errors
    /// When they are no reply, or no request waits for one. The connection can't be used then.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<ReplyPiece, UpstreamFailure> {
        let (shape, _) = self.waiting.front().ok_or(UpstreamFailure::Garbage)?;
        let framer = self.framer.get_or_insert_with(|| ReplyFramer::new(*shape));
        let progress = framer.feed(bytes);
        let done = match progress.state {
            FrameState::Garbage => return Err(UpstreamFailure::Garbage),
            state => state == FrameState::Done,
        };
        let piece = ReplyPiece {
            used: progress.used,
            done,
            is_error: framer.is_error(),
            is_push: framer.is_push(),
        };
        if done {
            self.framer = None;
        }
        Ok(piece)
    }

    /// Takes the front, whose reply is complete.
    pub(crate) fn pop(&mut self) -> Option<T> {
        self.waiting.pop_front().map(|(_, what)| what)
    }
}

//! The state of a framer of memcached's lines between two calls.

use crate::protocol::framing::request::frame::RequestFrame;
use crate::protocol::memcached::binary::{self, Header, REQUEST_MAGIC, ReplyTo, Status};
use crate::protocol::memcached::text::AfterBadLine;

/// The state of a client's lines beyond the unread input.
#[derive(Debug, Default)]
pub struct LineFramer {
    /// Bytes at the start of the input that are known not to end a line.
    pub(super) scanned: usize,
    /// Bytes of a refused command's value that are still to be discarded.
    discard: usize,
    /// The first byte has been seen, and is that of a line.
    begun: bool,
}

impl LineFramer {
    /// Refuses a client that speaks memcached's binary protocol, by its first byte: such a client would wait for an answer
    /// to a line that never ends. `None` for a client that sends lines.
    pub(super) fn refuse_binary(&mut self, input: &[u8]) -> Option<RequestFrame<'static>> {
        if self.begun || input.is_empty() {
            return None;
        }
        if input[0] != REQUEST_MAGIC {
            self.begun = true;
            return None;
        }
        let Some(header) = Header::read(input) else {
            return Some(RequestFrame::Incomplete);
        };
        let mut reply = Vec::new();
        binary::reply::error(&mut reply, ReplyTo::from(&header), Status::UnknownCommand);
        Some(RequestFrame::Bad {
            reply: reply.into(),
            consumed: input.len(),
            close: true,
        })
    }

    /// The number of input bytes that belong to the value of a refused command; `None` if none do.
    pub(super) fn discard(&mut self, input: &[u8]) -> Option<usize> {
        let discarded = self.discard.min(input.len());
        self.discard -= discarded;
        (discarded > 0).then_some(discarded)
    }

    /// Refuses a line, which no upstream gets, and notes the start of the next command.
    pub(super) fn refuse(
        &mut self,
        reply: &'static [u8],
        consumed: usize,
        then: AfterBadLine,
    ) -> RequestFrame<'static> {
        if let AfterBadLine::Continue { discard } = then {
            self.discard = discard;
        }
        RequestFrame::Bad {
            reply: reply.into(),
            consumed,
            close: then == AfterBadLine::Close,
        }
    }
}

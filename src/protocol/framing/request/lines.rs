//! The state of a framer of memcached's lines between two calls.

use crate::protocol::framing::request::frame::RequestFrame;
use crate::protocol::memcached::binary::REQUEST_MAGIC;
use crate::protocol::memcached::text::AfterBadLine;

/// The state of a client's lines beyond the unread input.
#[derive(Debug, Default)]
pub struct LineFramer {
    /// Bytes at the start of the input that are known not to end a line.
    pub(super) scanned: usize,
    /// Bytes of a refused command's value that are still to be discarded.
    discard: usize,
    /// The first byte has been seen.
    begun: bool,
}

impl LineFramer {
    /// Whether these are the first bytes of a client that speaks memcached's binary protocol. The first byte decides.
    pub(super) fn begins_binary(&mut self, input: &[u8]) -> bool {
        let first = input.first().filter(|_| !self.begun);
        self.begun |= first.is_some();
        first == Some(&REQUEST_MAGIC)
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

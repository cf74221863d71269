//! Replies in memcached's binary protocol: a header names the length of the body.

use super::progress::{FrameProgress, FrameState};
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header, REPLY_MAGIC};

/// Finds the end of replies, one frame each.
#[derive(Debug, Default)]
pub struct BinaryReplyFramer {
    header: [u8; HEADER_LENGTH],
    /// The bytes of the header that have arrived.
    filled: usize,
    /// The bytes of the body that are still to come, once the header has arrived.
    left: usize,
}

impl BinaryReplyFramer {
    /// Whether the reply that has begun, or was complete last, is an error. A miss is none.
    pub(super) fn is_error(&self) -> bool {
        let header = Header::read(&self.header);
        self.filled == HEADER_LENGTH && header.is_some_and(|header| header.status > 1)
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        if self.filled == HEADER_LENGTH && self.left == 0 {
            self.filled = 0;
        }
        let mut used = 0;
        if self.filled < HEADER_LENGTH {
            let space = &mut self.header[self.filled..];
            used = space.len().min(bytes.len());
            space[..used].copy_from_slice(&bytes[..used]);
            self.filled += used;
            if self.filled > 0 && self.header[0] != REPLY_MAGIC {
                let state = FrameState::Garbage;
                return FrameProgress { used: 0, state };
            }
            let header = Header::read(&self.header[..self.filled]);
            let Some(header) = header else {
                let state = FrameState::More;
                return FrameProgress { used, state };
            };
            self.left = header.body_length as usize;
        }
        let taken = self.left.min(bytes.len() - used);
        self.left -= taken;
        let state = match self.left {
            0 => FrameState::Done,
            _ => FrameState::More,
        };
        FrameProgress {
            used: used + taken,
            state,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::memcached::binary::{ReplyTo, Status, reply};

    const TO: ReplyTo = ReplyTo {
        opcode: 0,
        opaque: 1,
    };

    #[test]
    fn an_error_is_a_status_above_a_miss() {
        for (status, is_error) in [
            (Status::NoError, false),
            (Status::KeyNotFound, false),
            (Status::KeyExists, true),
        ] {
            let mut bytes = Vec::new();
            reply::error(&mut bytes, TO, status);
            let mut framer = BinaryReplyFramer::default();
            assert!(!framer.is_error());
            assert_eq!(framer.feed(&bytes).used, bytes.len());
            assert_eq!(framer.is_error(), is_error);
        }
    }

    #[test]
    fn a_request_and_text_are_no_reply() {
        for bytes in [&b"\x80"[..], b"ERROR\r\n"] {
            let state = BinaryReplyFramer::default().feed(bytes).state;
            assert_eq!(state, FrameState::Garbage);
        }
    }

    proptest! {
        #[test]
        fn frames_are_found_in_any_pieces(bodies in proptest::collection::vec(0..60usize, 1..5), piece in 1..100usize) {
            let mut bytes = Vec::new();
            let mut ends = Vec::new();
            for length in bodies {
                reply::text(&mut bytes, TO, &"x".repeat(length));
                ends.push(bytes.len());
            }
            let mut framer = BinaryReplyFramer::default();
            let (mut at, mut found) = (0, Vec::new());
            for arrived in bytes.chunks(piece) {
                let mut rest = arrived;
                while !rest.is_empty() {
                    let FrameProgress { used, state } = framer.feed(rest);
                    at += used;
                    rest = &rest[used..];
                    prop_assert_ne!(state, FrameState::Garbage);
                    if state == FrameState::Done {
                        found.push(at);
                    }
                }
            }
            prop_assert_eq!(found, ends);
        }
    }
}

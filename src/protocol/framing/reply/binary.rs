//! Replies in memcached's binary protocol: a header names the length of the body, the opcode and the opaque of the request.
//!
//! The reply to a `stat` is a list of frames, each with a name for its key; the last has none.
//!
//! A request that was sent under another opcode gets its reply under its own, and some replies are withheld
//! ([`BinaryReply`]). Only the header decides on that: it is one piece, which the client gets when it is complete, and the
//! body is another.

use super::progress::{BinaryReply, FrameProgress, FrameState, ShownPiece};
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header, REPLY_MAGIC};

/// The opcode of `stat`.
const STAT: u8 = 0x10;

/// Finds the end of replies to one kind of request.
#[derive(Debug)]
pub struct BinaryReplyFramer {
    expected: BinaryReply,
    header: [u8; HEADER_LENGTH],
    /// The bytes of the header that have arrived.
    filled: usize,
    /// The bytes of the body that are still to come, once the header has arrived.
    left: usize,
    /// The reply is that to another request.
    out_of_step: bool,
    shown: ShownPiece,
}

impl BinaryReplyFramer {
    pub(super) fn new(expected: BinaryReply) -> BinaryReplyFramer {
        BinaryReplyFramer {
            expected,
            header: [0; HEADER_LENGTH],
            filled: 0,
            left: 0,
            out_of_step: false,
            shown: ShownPiece::Whole,
        }
    }

    /// Whether the reply that has begun, or was complete last, is an error.
    pub(super) fn is_error(&self) -> bool {
        self.head().is_some_and(|header| header.is_error())
    }

    pub(super) fn is_out_of_step(&self) -> bool {
        self.out_of_step
    }

    /// The bytes that the client gets of the last piece.
    pub(super) fn shown(&self) -> ShownPiece {
        self.shown
    }

    /// The header, if it is complete.
    fn head(&self) -> Option<Header> {
        Header::read(&self.header).filter(|_| self.filled == HEADER_LENGTH)
    }

    /// Reads the next piece. The header of a reply with another opcode is a piece of its own.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        let mut used = 0;
        loop {
            let (taken, state) = self.feed_frame(&bytes[used..]);
            used += taken;
            let is_list = self.expected.sent_opcode == STAT;
            let follows = is_list && self.head().is_some_and(|header| header.key_length > 0);
            let state = match state {
                FrameState::Done if follows => FrameState::More,
                state => state,
            };
            if state != FrameState::More || used == bytes.len() || self.is_translated() {
                return FrameProgress { used, state };
            }
        }
    }

    /// Whether the client's request had another opcode.
    fn is_translated(&self) -> bool {
        self.expected.sent_opcode != self.expected.to.opcode
    }

    fn feed_frame(&mut self, bytes: &[u8]) -> (usize, FrameState) {
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
                return (0, FrameState::Garbage);
            }
            self.shown = match self.is_translated() {
                true => ShownPiece::Nothing,
                false => ShownPiece::Whole,
            };
            let Some(header) = self.head() else {
                return (used, FrameState::More);
            };
            let expected = &self.expected;
            if header.opcode != expected.sent_opcode || header.opaque != expected.to.opaque {
                self.out_of_step = true;
                return (0, FrameState::Garbage);
            }
            self.left = header.body_length as usize;
            if self.is_translated() {
                if !expected.withholds(header.status) {
                    let opcode = expected.to.opcode;
                    self.shown = ShownPiece::Header(Header { opcode, ..header }.to_bytes());
                }
                return (used, self.state());
            }
        } else if self.is_translated() {
            self.shown = match self.withholds() {
                true => ShownPiece::Nothing,
                false => ShownPiece::Whole,
            };
        }
        let taken = self.left.min(bytes.len() - used);
        self.left -= taken;
        (used + taken, self.state())
    }

    fn withholds(&self) -> bool {
        let header = self.head();
        header.is_some_and(|header| self.expected.withholds(header.status))
    }

    fn state(&self) -> FrameState {
        match self.left {
            0 => FrameState::Done,
            _ => FrameState::More,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::framing::reply::{ReplyFramer, ReplyShape, WithheldReply};
    use crate::protocol::memcached::binary::reply::{self, ItemHead};
    use crate::protocol::memcached::binary::{ReplyTo, Status};

    const TO: ReplyTo = ReplyTo {
        opcode: 0,
        opaque: 1,
    };

    fn framer(shape: BinaryReply) -> ReplyFramer {
        ReplyFramer::new(ReplyShape::Binary(shape))
    }

    fn plain() -> ReplyFramer {
        framer(BinaryReply::unchanged(TO))
    }

    /// The bytes that the client gets of these, fed in pieces of this length, with the position where the reply ends.
    fn shown(framer: &mut ReplyFramer, bytes: &[u8], piece: usize) -> (Vec<u8>, Option<usize>) {
        let (mut out, mut at) = (Vec::new(), 0);
        for mut rest in bytes.chunks(piece) {
            while !rest.is_empty() {
                let FrameProgress { used, state } = framer.feed(rest);
                match framer.shown() {
                    ShownPiece::Whole => out.extend_from_slice(&rest[..used]),
                    ShownPiece::Header(header) => out.extend_from_slice(&header),
                    ShownPiece::Nothing => {}
                }
                at += used;
                rest = &rest[used..];
                match state {
                    FrameState::More => {}
                    FrameState::Done => return (out, Some(at)),
                    FrameState::Garbage => return (out, None),
                }
            }
        }
        (out, None)
    }

    #[test]
    fn a_miss_and_a_condition_that_does_not_hold_are_no_errors() {
        for (status, is_error) in [
            (Status::NoError, false),
            (Status::KeyNotFound, false),
            (Status::KeyExists, false),
            (Status::NotStored, false),
            (Status::TooLarge, true),
            (Status::NonNumeric, true),
            (Status::AuthError, true),
            (Status::AuthContinue, true),
            (Status::TemporaryFailure, true),
        ] {
            let mut bytes = Vec::new();
            reply::error(&mut bytes, TO, status);
            let mut framer = plain();
            assert!(!framer.is_error());
            assert_eq!(framer.feed(&bytes).used, bytes.len());
            assert_eq!(framer.is_error(), is_error);
        }
    }

    #[test]
    fn a_request_and_text_are_no_reply() {
        for bytes in [&b"\x80"[..], b"ERROR\r\n"] {
            assert_eq!(plain().feed(bytes).state, FrameState::Garbage);
        }
    }

    #[test]
    fn a_reply_with_another_opcode_or_opaque_is_out_of_step() {
        for (opcode, opaque, is_right) in [(0, 1, true), (1, 1, false), (0, 2, false)] {
            let mut bytes = Vec::new();
            reply::done(&mut bytes, ReplyTo { opcode, opaque }, 0);
            let mut framer = plain();
            assert_eq!(framer.feed(&bytes).state == FrameState::Done, is_right);
            assert_eq!(framer.is_out_of_step(&[]), !is_right);
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
            let mut framer = plain();
            let (mut at, mut found) = (0, Vec::new());
            while let (_, Some(used)) = shown(&mut framer, &bytes[at..], piece) {
                at += used;
                found.push(at);
            }
            prop_assert_eq!(found, ends);
        }

        #[test]
        fn a_list_ends_with_the_frame_without_a_name(count in 0..5usize, piece in 1..100usize) {
            let to = ReplyTo { opcode: STAT, opaque: 7 };
            let mut bytes = Vec::new();
            reply::stats(&mut bytes, to, &"STAT name a value\r\n".repeat(count));
            let end = bytes.len();
            bytes.extend_from_slice(b"more");
            let (shown, ended) = shown(&mut framer(BinaryReply::unchanged(to)), &bytes, piece);
            prop_assert_eq!(ended, Some(end));
            prop_assert_eq!(shown, &bytes[..end]);
        }

        #[test]
        fn a_quiet_request_gets_its_opcode_and_no_usual_reply(
            status in prop::sample::select(vec![Status::NoError, Status::KeyNotFound, Status::KeyExists]),
            withheld in prop::sample::select(vec![WithheldReply::None, WithheldReply::Success, WithheldReply::Miss]),
            length in 0..60usize,
            piece in 1..100usize,
        ) {
            let write = |to| {
                let mut bytes = Vec::new();
                match status {
                    Status::NoError => {
                        let head = ItemHead { key: b"key", flags: 3, cas: 4 };
                        reply::value(&mut bytes, to, &head, &vec![b'v'; length]);
                    }
                    _ => reply::error_text(&mut bytes, to, status, &"x".repeat(length)),
                }
                bytes
            };
            let to = ReplyTo { opcode: 0x0d, opaque: 7 };
            let shape = BinaryReply { to, sent_opcode: 0x0c, withheld };
            let is_withheld = matches!(
                (withheld, status),
                (WithheldReply::Success, Status::NoError) | (WithheldReply::Miss, Status::KeyNotFound)
            );
            let sent = write(ReplyTo { opcode: 0x0c, ..to });
            let (shown, ended) = shown(&mut framer(shape), &[&sent[..], b"more"].concat(), piece);
            prop_assert_eq!(ended, Some(sent.len()));
            prop_assert_eq!(shown, if is_withheld { Vec::new() } else { write(to) });
        }
    }
}

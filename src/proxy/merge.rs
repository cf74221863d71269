//! One reply from the replies to the parts of a request.
//!
//! ```text
//!   part 0  *2 A C ──▶ buffer ─┐ heads: all have begun, none with an error
//!   part 1  *1 B   ──▶ buffer ─┴──────────▶ *3 A B C ──▶ the client
//! ```
//!
//! No byte goes to the client before every part has begun. Then the length of the whole is known, and whether one of
//! them is an error, which is the answer to the whole request, as in twemproxy. From there the reply streams in the
//! order of the keys: the bytes of the next part pass through, the others wait in a buffer of at most [`PART_LIMIT`]
//! bytes, and a part that is full takes no more. Two requests can't wait for each other as long as all parts of a
//! request are sent before any part of the next: all parts of the oldest request are then at the head of their
//! connections, so its next part can continue.
//!
//! If parts share a connection, as in a cluster, a full part may stand before one that has not begun. Then the merge is
//! [eager](ReplyMerge::eager): the reply begins when a part is full, and a later error ends the connection. The parts have
//! to be sent in the order of their keys then.
//!
//! Replies about whole servers, like a minimum, a union or the text of INFO, are [collected](collect): each is held until
//! all are complete, and has to be short.
//!
//! Cost: the bytes of a part are copied one time more than those of an undivided reply.

use crate::protocol::framing::reply::{
    BinaryReply, FrameProgress, FrameState, ReplyFramer, ReplyShape,
};
use crate::protocol::framing::request::MergeRule;
use crate::proxy::scan::ScanPosition;

mod collect;
mod figures;
mod frames;
mod pump;

/// Most bytes of a part's reply that wait for their turn.
pub(crate) const PART_LIMIT: usize = 64 * 1024;

/// Most bytes of a reply that is collected. A hundred thousand names of channels take about 3 MiB.
const COLLECTED_LIMIT: usize = 4 * 1024 * 1024;

fn part_limit(rule: MergeRule) -> usize {
    match rule.needs_whole_replies() {
        true => COLLECTED_LIMIT,
        false => PART_LIMIT,
    }
}

/// Puts the replies to the parts of one request together.
#[derive(Debug)]
pub(crate) struct ReplyMerge {
    join: MergeRule,
    parts: Vec<PartReply>,
    /// The part of each key, in the client's order; for a request to all upstreams each part once.
    order: Vec<u32>,
    /// The keys, if the replies name them.
    keys: Vec<Vec<u8>>,
    /// The key whose value is next.
    next: usize,
    /// Parts that have begun.
    begun: usize,
    /// The reply may begin before all parts have, and one of them is so full that it has to.
    eager: bool,
    pressed: bool,
    phase: MergePhase,
    /// The proxy's own figures, which come behind those of the upstreams.
    tail: String,
    /// The reply is one of memcached's binary protocol.
    binary: Option<BinaryReply>,
    /// The position of a SCAN, which decides the cursor that the client gets.
    scan: Option<ScanPosition>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MergePhase {
    /// Some part has not begun.
    Heads,
    /// The reply is on its way.
    Streaming,
    /// The client has all of it; further bytes are dropped.
    Complete,
    /// The client has a part of it, and won't get the rest.
    Broken,
}

/// The reply to one part.
#[derive(Debug)]
struct PartReply {
    /// Finds the end of the part's reply.
    whole: ReplyFramer,
    /// Finds the ends of the values in an array.
    value: ReplyFramer,
    /// Bytes of a `VALUE` block that are still to come.
    block: u64,
    head: PartStart,
    /// The number of its keys.
    asked: u64,
    /// Received bytes; those from `at` on have not been passed on.
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

/// The start of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
enum PartStart {
    /// It has not begun.
    Unknown,
    /// With a number: of elements, or the answer itself.
    Good(u64),
    /// With an error: the line with its end.
    Error(Vec<u8>),
    /// No reply comes; its keys are as if they did not exist.
    Missed,
}

/// The client has been given a part of a reply that can't be completed; its connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokenReply;

impl ReplyMerge {
    /// For a `get` of these keys, each of them asked of the part that `order` says.
    pub(crate) fn values<'a>(
        parts: usize,
        order: Vec<u32>,
        keys: impl Iterator<Item = &'a [u8]>,
    ) -> ReplyMerge {
        ReplyMerge {
            keys: keys.map(<[u8]>::to_vec).collect(),
            ..ReplyMerge::new(MergeRule::Values, ReplyShape::Values, parts, order)
        }
    }

    /// For another request whose keys are each in the part that `order` says.
    pub(crate) fn keyed(join: MergeRule, parts: usize, order: Vec<u32>) -> ReplyMerge {
        ReplyMerge::new(join, ReplyShape::Resp, parts, order)
    }

    /// For a request that was sent to this many upstreams, with replies of this shape.
    pub(crate) fn every(join: MergeRule, shape: ReplyShape, parts: usize) -> ReplyMerge {
        let binary = match shape {
            ReplyShape::Binary(binary) => Some(binary),
            _ => None,
        };
        // The parts come translated.
        let shape = binary.map_or(shape, |binary| {
            ReplyShape::Binary(BinaryReply::unchanged(binary.to))
        });
        let order = (0..parts as u32).collect();
        ReplyMerge {
            binary,
            ..ReplyMerge::new(join, shape, parts, order)
        }
    }

    /// For a request to which there may be no reply before the one that tells the end.
    pub(crate) fn fenced() -> ReplyMerge {
        let mut merge = ReplyMerge::new(MergeRule::Fenced, ReplyShape::Fenced, 1, vec![0]);
        merge.parts[0].value = ReplyFramer::new(ReplyShape::Meta);
        merge
    }

    fn new(join: MergeRule, shape: ReplyShape, parts: usize, order: Vec<u32>) -> ReplyMerge {
        let part = || PartReply {
            whole: ReplyFramer::new(shape),
            value: ReplyFramer::new(ReplyShape::Resp),
            block: 0,
            head: PartStart::Unknown,
            asked: 0,
            buffer: Vec::new(),
            at: 0,
            ended: false,
        };
        let mut parts: Vec<PartReply> = std::iter::repeat_with(part).take(parts).collect();
        order
            .iter()
            .for_each(|part| parts[*part as usize].asked += 1);
        ReplyMerge {
            join,
            parts,
            order,
            keys: Vec::new(),
            next: 0,
            begun: 0,
            eager: false,
            pressed: false,
            phase: MergePhase::Heads,
            tail: String::new(),
            binary: None,
            scan: None,
        }
    }

    /// For a SCAN that was sent to one upstream.
    pub(crate) fn scan(position: ScanPosition) -> ReplyMerge {
        ReplyMerge {
            scan: Some(position),
            ..ReplyMerge::new(MergeRule::Scan, ReplyShape::Resp, 1, vec![0])
        }
    }

    /// Adds the proxy's own figures to those of the upstreams.
    pub(crate) fn with_tail(self, tail: String) -> ReplyMerge {
        ReplyMerge { tail, ..self }
    }

    /// Lets an array begin before all parts have, when one of them is full.
    pub(crate) fn eager(self) -> ReplyMerge {
        ReplyMerge {
            eager: self.join == MergeRule::Array,
            ..self
        }
    }

    /// Takes bytes of a part's reply, and appends to `out` the bytes that can go to the client.
    ///
    /// [`FrameState::More`] with fewer bytes used than given means that the part is full: the rest is to be given again when
    /// another part has gone on. With [`FrameState::Garbage`] the part has failed: call [`ReplyMerge::fail`].
    pub(crate) fn feed(&mut self, part: usize, bytes: &[u8], out: &mut Vec<u8>) -> FrameProgress {
        let mut used = 0;
        loop {
            let dropping = self.is_over();
            let this = &mut self.parts[part];
            let room = match dropping {
                true => usize::MAX,
                false => part_limit(self.join) - (this.buffer.len() - this.at),
            };
            let given = &bytes[used..][..room.min(bytes.len() - used)];
            let progress = this.whole.feed(given);
            if !dropping && progress.state != FrameState::Garbage {
                this.buffer.drain(..std::mem::take(&mut this.at));
                this.buffer.extend_from_slice(&given[..progress.used]);
            }
            this.ended = progress.state == FrameState::Done;
            used += progress.used;
            if progress.state != FrameState::Garbage {
                self.read_start(part);
                self.pump(out);
            }
            if progress.state != FrameState::More || used == bytes.len() || given.is_empty() {
                return FrameProgress {
                    used,
                    state: progress.state,
                };
            }
        }
    }

    /// A part's reply does not come, or not all of it; `error` is the line for the client, with its line end. If the
    /// client already has too much of the reply, its connection has to be closed.
    pub(crate) fn fail(
        &mut self,
        part: usize,
        error: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), BrokenReply> {
        let this = &mut self.parts[part];
        match self.phase {
            MergePhase::Complete | MergePhase::Broken => {}
            _ if this.ended => {}
            MergePhase::Streaming => return Err(BrokenReply),
            MergePhase::Heads => {
                self.begun += usize::from(this.head == PartStart::Unknown);
                this.head = PartStart::Error(error.to_vec());
                this.ended = true;
                self.pump(out);
            }
        }
        self.parts[part].ended = true;
        Ok(())
    }

    /// A part was sent to no upstream: its keys count as missing. Only for requests that change nothing.
    pub(crate) fn miss(&mut self, part: usize, out: &mut Vec<u8>) {
        let this = &mut self.parts[part];
        self.begun += usize::from(this.head == PartStart::Unknown);
        this.head = PartStart::Missed;
        this.ended = true;
        self.pump(out);
    }

    /// Whether a part would take more bytes.
    pub(crate) fn has_room(&self, part: usize) -> bool {
        let this = &self.parts[part];
        self.is_over() || this.buffer.len() - this.at < part_limit(self.join)
    }

    /// Whether no more bytes go to the client.
    fn is_over(&self) -> bool {
        matches!(self.phase, MergePhase::Complete | MergePhase::Broken)
    }

    /// Whether the client has part of a reply that can't be completed; its connection is to be closed.
    pub(crate) fn is_broken(&self) -> bool {
        self.phase == MergePhase::Broken
    }

    /// Whether the client has its whole reply; parts may still have to be read to their ends.
    pub(crate) fn is_complete(&self) -> bool {
        self.phase == MergePhase::Complete
    }
}

#[cfg(test)]
mod tests;

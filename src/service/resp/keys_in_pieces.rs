//! KEYS and SCAN over many keys, in pieces.
//!
//! A piece looks at [`PIECE`] keys, and holds one shard's lock at a time. A command that looks at more than [`AT_ONCE`] keys ends its
//! turn after each piece and runs again in the next turn, as one that reads a [large hash](super::fields_in_pieces) does. So the
//! other connections of the worker have their turns meanwhile. A key that is stored from the first to the last piece is
//! returned; a key that is added or removed meanwhile may be.
//!
//! So KEYS of a large database returns what SCAN would return in as many steps, and KEYS of a small one is the state of one moment
//! for commands of RESP. In a transaction all keys are looked at in one turn.
//!
//! Cost: a copy of the keys that are found. They are collected as bytes of the reply, because it begins with their number.

use std::time::{Duration, Instant};

use super::context::Context;
use super::key_walk::{FoundKeys, KeyWalk};
use super::large_reply::LargeReply;
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::store::Item;

/// Keys that a piece looks at: a lock is held for some tens of microseconds.
const PIECE: usize = 512;
/// Keys that a command looks at in one turn, about.
const AT_ONCE: usize = 4096;
/// Bytes of a reply that is put into the output whole.
const SMALL_REPLY: usize = 64 << 10;

impl Context<'_> {
    /// Answers the keys that are accepted, of the next `count` after the cursor. `head` begins the reply, with the next cursor,
    /// before the number of keys.
    pub(super) fn answer_keys(
        &mut self,
        cursor: u64,
        count: usize,
        head: impl FnOnce(&mut Reply<'_>, u64),
        accepts: impl Fn(&Item<'_>) -> bool,
    ) {
        let begun = self.large.as_mut().and_then(|large| large.take());
        let (mut walk, in_pieces) = match begun.map(|large| *large) {
            Some(LargeReply::Walking(walk)) => (walk, true),
            _ => {
                let walk = KeyWalk {
                    cursor,
                    left: count,
                    found: FoundKeys::default(),
                    time: Duration::ZERO,
                };
                (walk, self.large.is_some() && self.is_long(count))
            }
        };
        let began = Instant::now();
        loop {
            let piece = walk.left.min(PIECE);
            let found = &mut walk.found;
            walk.cursor = self
                .store
                .scan(self.client.db(), walk.cursor, piece, |item| {
                    if accepts(item) {
                        found.push(item.key());
                    }
                });
            walk.left -= piece;
            if !self.reply.may_keep(walk.found.bytes) {
                return;
            }
            if walk.left == 0 || walk.cursor == 0 {
                break;
            }
            if in_pieces {
                walk.time += began.elapsed();
                return self.keep(LargeReply::Walking(walk));
            }
        }
        self.earlier = walk.time;
        self.answer_found(walk, head);
    }

    /// Whether a walk over so many keys is to be done in pieces.
    fn is_long(&self, count: usize) -> bool {
        count > AT_ONCE && self.store.items() > AT_ONCE
    }

    fn answer_found(&mut self, walk: KeyWalk, head: impl FnOnce(&mut Reply<'_>, u64)) {
        let FoundKeys {
            pages,
            count,
            bytes,
        } = walk.found;
        if self.large.is_none() || bytes <= SMALL_REPLY {
            head(&mut self.reply, walk.cursor);
            self.reply.array(count);
            return pages.iter().for_each(|page| self.reply.elements(page));
        }
        let mut first = Vec::new();
        let mut reply = Reply::new(&mut first, self.reply.resp3(), usize::MAX);
        head(&mut reply, walk.cursor);
        reply.array(count);
        self.keep(LargeReply::Sending(KeptReply::new(first, pages)));
    }
}

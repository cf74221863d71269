//! HGETALL, HKEYS and HVALS of a large hash, in pieces.
//!
//! ```text
//!   HGETALL big ─▶ first piece ─▶ Next::Continue ─▶ piece ─▶ … ─▶ last piece: the reply is whole
//!                                                                   │
//!                        part of the reply ◀─ Next::Again ◀─ part ◀─┘
//! ```
//!
//! The command stays in the connection's input until all fields are read, and runs again in each turn; the session keeps its
//! [`LargeRead`]. Between two pieces no lock is held, and the other connections of the worker have their turns. The reply is
//! the state of the hash at the moment of the first piece. It is sent in parts, too: [`KeptReply`].
//!
//! A hash is read at once, whatever its size, in a transaction, and by a command whose hash was replaced by another one again
//! and again.
//!
//! Cost: a hash with up to [`SMALL`] fields is read at once, into the output. Each byte of a larger one is copied twice.

use std::time::Instant;

use super::context::Context;
use super::hashes::{find_hash, peek_hash};
use super::large_reply::{FieldsReply, LargeReply};
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::service::large_read::{LargeRead, PastReads};
use crate::store::{Item, Node, ReadState, Tree};

/// Fields of a hash that is read at once.
const SMALL: usize = 512;
/// Bytes of a reply after which the reading of such a hash begins again, in pieces.
const SMALL_REPLY: usize = 64 << 10;

impl Context<'_> {
    /// Whether the command has begun to read all fields in an earlier turn.
    pub(super) fn is_reading(&self) -> bool {
        let large = self.large.as_ref().and_then(|large| large.as_deref());
        matches!(large, Some(LargeReply::Reading(_)))
    }

    /// Answers all fields of the hash under the command's key.
    pub(super) fn answer_fields(&mut self, form: FieldsReply) {
        let large = self.large.as_mut().and_then(|large| large.take());
        let Some(LargeReply::Reading(large)) = large.map(|large| *large) else {
            if let Ok((tree, hash)) = find_hash(self) {
                self.answer_hash(tree, hash, form, PastReads::default());
            }
            return;
        };
        self.go_on(large, form);
    }

    /// Answers the fields of a hash that was found, or an empty reply: at once if they are few, or may not be read in pieces.
    pub(super) fn answer_hash(
        &mut self,
        mut tree: Tree<'_>,
        hash: Option<Node>,
        form: FieldsReply,
        past: PastReads,
    ) {
        let Some(hash) = hash else {
            return (form.head)(&mut self.reply, 0);
        };
        let in_pieces = self.large.is_some() && past.may_begin_another();
        if in_pieces && tree.listed_children(hash) > SMALL {
            return self.begin(tree, hash, form, past);
        }
        let start = self.reply.position();
        let count = tree.child_count(hash);
        (form.head)(&mut self.reply, count);
        for position in 0..count {
            if self.reply.overflowed() {
                return;
            }
            if in_pieces && self.reply.position() - start > SMALL_REPLY {
                self.reply.truncate(start);
                return self.begin(tree, hash, form, past);
            }
            if let Some(node) = tree.child_at(hash, position) {
                (form.field)(&mut self.reply, &tree.item(node));
            }
        }
    }

    /// Begins to read a hash in pieces.
    fn begin(&mut self, mut tree: Tree<'_>, hash: Node, form: FieldsReply, past: PastReads) {
        let children = tree.begin_children_read(hash);
        drop(tree);
        self.go_on(LargeRead::new(children, past), form);
    }

    /// Reads the next piece.
    fn go_on(&mut self, mut large: LargeRead, form: FieldsReply) {
        let began = Instant::now();
        let (key, resp3) = (self.args.get(1), self.reply.resp3());
        let mut tree = self.lock(key);
        let field = |bytes: &mut Vec<u8>, item: &Item<'_>| {
            (form.field)(&mut Reply::new(bytes, resp3, usize::MAX), item);
        };
        let state = tree.read_children(&mut large.children, &[key], field);
        drop(tree);
        if !self.reply.may_keep(large.children.bytes()) {
            return;
        }
        match state {
            ReadState::Partial => {
                large.add_piece(began);
                self.keep(LargeReply::Reading(large));
            }
            ReadState::Whole => {
                self.earlier = large.past.time;
                let mut head = Vec::new();
                let count = large.children.children();
                (form.head)(&mut Reply::new(&mut head, resp3, usize::MAX), count);
                let reply = KeptReply::new(head, large.children.into_pages());
                self.keep(LargeReply::Sending(reply));
            }
            ReadState::Gone => {
                self.earlier = large.past.time;
                if let Ok((tree, hash)) = peek_hash(self) {
                    self.answer_hash(tree, hash, form, large.past);
                }
            }
        }
    }

    /// Keeps the state of the command, or the rest of its reply, for the session's next turn.
    pub(super) fn keep(&mut self, reply: LargeReply) {
        if let Some(large) = &mut self.large {
            **large = Some(Box::new(reply));
        }
    }
}

//! Commands that read all fields of a large hash, in pieces.
//!
//! ```text
//!   HGETALL big ─▶ first piece ─▶ Next::Continue ─▶ piece ─▶ … ─▶ last piece: the reply is whole
//!                                                                   │
//!                        part of the reply ◀─ Next::Again ◀─ part ◀─┘
//! ```
//!
//! The command stays in the connection's input until all is read, and runs again in each turn. Its [read](crate::store::ChildrenRead) is kept in the
//! session. Between two pieces, no lock is held and the other connections of the worker have their turns. The reply is the
//! state of the hash in the moment of the last piece, or, if another hash has come into its place each time,
//! after [`MOST_READS`] reads, it is read as a small one: at once. Then it is sent in parts, too: [`KeptReply`].
//!
//! In a transaction a hash is read at once, whatever its size.
//!
//! Cost: a hash with up to [`SMALL`] fields is read at once, into the output. Of others each byte is copied twice.

use std::time::Instant;

use super::context::Context;
use super::hashes::{find_hash, peek_hash};
use super::large_reply::{FieldsReply, LargeRead, LargeReply, Progress};
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::store::{Item, Node, ReadState, Tree};

/// Fields of a hash that is read at once.
const SMALL: usize = 512;
/// Bytes of a reply after which the reading of such a hash begins again, in pieces.
const SMALL_REPLY: usize = 64 << 10;
/// Reads of hashes that were removed before they were read, after which the next one is read at once.
const MOST_READS: u8 = 3;

impl Context<'_> {
    /// Answers all fields of the hash under the command's key.
    pub(super) fn answer_fields(&mut self, form: FieldsReply) {
        let large = self.large.as_mut().and_then(|large| large.take());
        let Some(LargeReply::Reading(large)) = large.map(|large| *large) else {
            if let Ok((tree, hash)) = find_hash(self) {
                self.answer_hash(tree, hash, form, Progress::default());
            }
            return;
        };
        self.go_on(large, form);
    }

    fn answer_hash(
        &mut self,
        mut tree: Tree<'_>,
        hash: Option<Node>,
        form: FieldsReply,
        progress: Progress,
    ) {
        let Some(hash) = hash else {
            return (form.head)(&mut self.reply, 0);
        };
        let in_pieces = self.large.is_some() && progress.reads < MOST_READS;
        if in_pieces && tree.listed_children(hash) > SMALL {
            return self.begin(tree, hash, form, progress);
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
                return self.begin(tree, hash, form, progress);
            }
            if let Some(node) = tree.child_at(hash, position) {
                (form.field)(&mut self.reply, &tree.item(node));
            }
        }
    }

    fn begin(&mut self, mut tree: Tree<'_>, hash: Node, form: FieldsReply, mut progress: Progress) {
        let read = tree.begin_children_read(hash);
        drop(tree);
        progress.reads += 1;
        self.go_on(LargeRead { read, progress }, form);
    }

    /// Reads a piece.
    fn go_on(&mut self, mut large: LargeRead, form: FieldsReply) {
        let began = Instant::now();
        let (key, resp3) = (self.args.get(1), self.reply.resp3());
        let mut tree = self.store.lock(key);
        let field = |bytes: &mut Vec<u8>, item: &Item<'_>| {
            (form.field)(&mut Reply::new(bytes, resp3, usize::MAX), item);
        };
        let state = tree.read_children(&mut large.read, self.client.db(), &[key], field);
        drop(tree);
        if !self.reply.may_keep(large.read.bytes()) {
            return;
        }
        match state {
            ReadState::Partial => {
                large.progress.time += began.elapsed();
                self.keep(LargeReply::Reading(large));
            }
            ReadState::Whole => {
                self.earlier = large.progress.time;
                let mut head = Vec::new();
                let count = large.read.children();
                (form.head)(&mut Reply::new(&mut head, resp3, usize::MAX), count);
                let mut pages = vec![head];
                pages.extend(large.read.into_pages());
                self.keep(LargeReply::Sending(KeptReply::new(pages)));
            }
            ReadState::Gone => {
                self.earlier = large.progress.time;
                if let Ok((tree, hash)) = peek_hash(self) {
                    self.answer_hash(tree, hash, form, large.progress);
                }
            }
        }
    }

    pub(super) fn keep(&mut self, reply: LargeReply) {
        if let Some(large) = &mut self.large {
            **large = Some(Box::new(reply));
        }
    }
}

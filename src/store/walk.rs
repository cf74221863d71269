//! A walk over all items of all databases, in pieces, for a snapshot.
//!
//! ```text
//!   shard 0:  a    b ─┬─ b x ─── b x z    c        a piece is some items of one shard, shown under its lock;
//!                     └─ b y                       between two pieces no lock is held
//!   shown as: a  b  b y  b x  b x z  c             an item follows its parent, at once or after other trees below it
//! ```
//!
//! A [`Walk`] is the position: a shard, the slot of its next top-level item, and the open nodes from the top of a tree
//! down to the one whose children come next. Nodes are found again by their keys, because another item may have got
//! their slot.
//!
//! While other clients write:
//! - an item that is stored throughout, under the same path, is shown, as it is at some time during the walk;
//! - an item that is added, removed, renamed or flushed meanwhile may be shown or not;
//! - an item is never shown without its parent before it. If flags or expiry of an open node have changed, it and the open
//!   nodes below it are shown again, so that no child is kept longer than its parent. A child may be shown twice, too;
//! - a tree that is larger than a piece may be shown as it was at several times.
//!
//! Cost: a lock is held for [`LOOKS`] units at most, some tens of microseconds, or until `each` has enough. A large
//! value is [shared](SharedValue), not copied. No recursion: a tree may have any depth.

use std::sync::MutexGuard;

use super::entry::Item;
use super::saved_item::SavedItem;
use super::shard::{Shard, hash_top};
use super::shards::{Store, locked};
use super::shared_value::SharedValue;
use super::slot::NONE;

/// Units of work under one lock: a free slot is one, an item [`ITEM`].
const LOOKS: usize = 4096;
const ITEM: usize = 16;

/// The position of a walk; a new one is at the beginning.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    shard: usize,
    slot: usize,
    open: Vec<OpenNode>,
}

/// A node whose children are being shown.
#[derive(Debug)]
struct OpenNode {
    db: u8,
    key: Vec<u8>,
    index: u32,
    /// As they were when the node was shown.
    flags: u32,
    expires_ms: Option<u64>,
    /// The children in front of this position have not been shown. A child that stays keeps its position or moves to the
    /// front, so from the end to the front none is missed.
    left: usize,
}

/// One piece of a walk.
struct Piece<'a, F> {
    store: &'a Store,
    shard: MutexGuard<'a, Shard>,
    now_ms: u64,
    each: F,
}

impl Store {
    /// Shows `each` the next items, and returns whether there may be more. If `each` returns false, the piece ends.
    /// A large value is also given as one that can be read when the lock is released.
    ///
    /// `each` runs under a shard's lock: it must not come back to the store.
    pub(crate) fn walk(
        &self,
        walk: &mut Walk,
        each: impl FnMut(&SavedItem<'_>, Option<SharedValue>) -> bool,
    ) -> bool {
        let now_ms = self.now();
        let Some(shard) = self.shards.get(walk.shard) else {
            return false;
        };
        let mut piece = Piece {
            store: self,
            shard: locked(shard),
            now_ms,
            each,
        };
        if walk.show_piece(&mut piece) {
            *walk = Walk {
                shard: walk.shard + 1,
                ..Walk::default()
            };
        }
        walk.shard < self.shards.len()
    }
}

impl Walk {
    /// Shows the next items of a shard, and returns whether that was the last of its pieces.
    fn show_piece<F>(&mut self, piece: &mut Piece<'_, F>) -> bool
    where
        F: FnMut(&SavedItem<'_>, Option<SharedValue>) -> bool,
    {
        let mut goes_on = self.reopen(piece);
        let mut looks = 0;
        while goes_on && looks < LOOKS {
            let index = match self.open.last_mut() {
                Some(OpenNode { left: 0, .. }) => {
                    self.open.pop();
                    continue;
                }
                Some(node) => {
                    node.left -= 1;
                    piece.shard.slab.children(node.index)[node.left]
                }
                None if self.slot >= piece.shard.slab.end() => return true,
                None => {
                    self.slot += 1;
                    (self.slot - 1) as u32
                }
            };
            looks += 1;
            if piece.is_next(index, self.open.is_empty()) {
                looks += ITEM - 1;
                // That of the top, which is the first of the open nodes.
                let top = self.open.first().map(|top| top.db);
                let db = top.unwrap_or_else(|| piece.shard.slab.item(index).db());
                goes_on = piece.show(index, db, self.open.len());
                self.open_node(piece, index, db);
            }
        }
        false
    }

    /// The children of a node that was just shown come next, if it has any.
    fn open_node<F>(&mut self, piece: &Piece<'_, F>, index: u32, db: u8) {
        let item = piece.shard.slab.item(index);
        if item.has_children() {
            self.open.push(OpenNode {
                db,
                key: item.key().to_vec(),
                index,
                flags: item.flags(),
                expires_ms: item.expires_ms(),
                left: piece.shard.slab.children(index).len(),
            });
        }
    }

    /// Finds the open nodes again. Those below one that is gone are closed. Returns whether `each` wants more.
    fn reopen<F>(&mut self, piece: &mut Piece<'_, F>) -> bool
    where
        F: FnMut(&SavedItem<'_>, Option<SharedValue>) -> bool,
    {
        let (mut parent, mut has_changed, mut goes_on) = (NONE, false, true);
        for depth in 0..self.open.len() {
            let node = &mut self.open[depth];
            let Some(index) = piece.find(parent, node) else {
                self.open.truncate(depth);
                break;
            };
            let item = piece.shard.slab.item(index);
            has_changed |= (item.flags(), item.expires_ms()) != (node.flags, node.expires_ms);
            (node.flags, node.expires_ms) = (item.flags(), item.expires_ms());
            node.index = index;
            node.left = node.left.min(piece.shard.slab.children(index).len());
            if has_changed {
                goes_on &= piece.show(index, node.db, depth);
            }
            parent = index;
        }
        goes_on
    }
}

impl<F> Piece<'_, F> {
    fn find(&self, parent: u32, node: &OpenNode) -> Option<u32> {
        let hash = match parent {
            NONE => hash_top(&self.store.hasher, &node.key),
            parent => self.shard.hash_child(parent, &node.key),
        };
        let index = self.shard.lookup(parent, node.db, &node.key, hash)?;
        let is_alive = !self.shard.slab.item(index).is_expired(self.now_ms);
        is_alive.then_some(index)
    }

    /// Whether there is a live item with this index, at the top if only those are looked for.
    fn is_next(&self, index: u32, top: bool) -> bool {
        let item = self.shard.slab.get(index as usize);
        item.is_some_and(|item| {
            (!top || item.parent() == NONE && !self.shard.hides(index))
                && !item.is_expired(self.now_ms)
        })
    }
}

impl<F> Piece<'_, F>
where
    F: FnMut(&SavedItem<'_>, Option<SharedValue>) -> bool,
{
    fn show(&mut self, index: u32, db: u8, depth: usize) -> bool {
        let shared = self.shard.share_value(index);
        let stored = self.shard.slab.item(index);
        let item = Item {
            stored,
            started_ms: self.store.started_ms(),
        };
        let saved = SavedItem {
            depth,
            db,
            key: item.key(),
            value: item.value(),
            flags: item.flags(),
            expires_ms: item.expires_ms(),
            cas: item.cas(),
            marks: item.marks(),
            is_fetched: item.is_fetched(),
        };
        (self.each)(&saved, shared)
    }
}

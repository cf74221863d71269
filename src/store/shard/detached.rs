//! Detached trees: a removed tree that is too large to be freed under one lock.
//!
//! ```text
//!   DEL h      h ─┬─ f1                       (h) ─┬─ f1        h is in no table and no list, and has no value;
//!                 ├─ f2     ──detach──▶            ├─ f2        its slot stays the parent of those below it
//!                 ⋮                                ⋮
//!                 └─ f1000000                      └─ f999744   freed from the end, a piece at a time
//! ```
//!
//! A removal frees some hundred items at once, which is all of an ordinary tree. What is left of a larger one is
//! *detached*: no path leads to it, and clients that watch it are notified, as for any removal. Its items keep their
//! places in the table below their parents' slots, which nothing looks up. They are freed by:
//! - the [`Sweeper`](crate::store::Sweeper), which is woken for it, with pauses in which others get the lock;
//! - each later write to the shard, some at a time, so that memory returns also in a store without a sweeper;
//! - a write that needs memory, before anything alive is evicted and before a write is refused.
//!
//! Until then they take memory, which counts, and the number of stored items includes them. Those of a tree that has
//! expired count as expired when they are freed, or never if a flush comes first.
//!
//! Cost: a removal of any tree takes at most [`AT_ONCE`] steps under the lock, some tens of microseconds. A large value takes
//! more steps, because the system takes its pages back.

use std::sync::{Mutex, MutexGuard, TryLockError};

use super::*;
use crate::store::pending_removals::{AT_ONCE, PIECE, STEP_BYTES};
use crate::store::shards::{Store, locked};
use crate::store::slot::DETACHED;

impl Shard {
    /// Frees what is below an item that is about to go. Returns the number of freed items, and if they are not all, the one
    /// from which to go on.
    #[inline]
    pub(super) fn free_children(&mut self, top: u32) -> (usize, Option<u32>) {
        match self.slab.slot(top).has_children() {
            true => self.free_below(top, top, AT_ONCE),
            false => (0, None),
        }
    }

    pub(super) fn free_below(&mut self, top: u32, rest: u32, steps: usize) -> (usize, Option<u32>) {
        let (mut freed, mut left, mut index) = (0, steps, rest);
        loop {
            let child = self.slab.children(index).last().copied();
            if child.is_none() && index == top {
                return (freed, None);
            }
            if left == 0 {
                return (freed, Some(index));
            }
            left -= 1;
            index = match child {
                Some(child) => child,
                None => {
                    let item = self.slab.item(index);
                    let parent = item.parent();
                    left = left.saturating_sub(item.record.len() / STEP_BYTES);
                    self.free_last_child(parent, index);
                    freed += 1;
                    parent
                }
            };
        }
    }

    /// Frees the last child of an item that goes away itself. The child has no children.
    fn free_last_child(&mut self, parent: u32, child: u32) {
        self.count_expiry(child, -1);
        let hash = hash_item(&self.hasher, self.slab.item(child));
        self.table.remove(hash, child);
        self.slab.pop_child(parent);
        self.slab.remove(child);
    }

    /// Detaches an item with what is left below it. Returns its parent's slot, [`NONE`] at the top. `rest` is where
    /// [`free_children`](Shard::free_children) stopped.
    pub(super) fn detach(&mut self, top: u32, rest: u32, has_expired: bool) -> u32 {
        if !self.copies.is_empty() {
            self.note_for_copies(top, true);
        }
        let parent = self.unlink(top);
        self.copies.remove_unfinished(top);
        let head = ItemHeader {
            parent: Some((DETACHED, 0)),
            expires_ms: None,
            flags: 0,
            valueless: true,
            ..self.slab.item(top).head()
        };
        self.slab.rewrite(top, &head, &[]);
        self.detached.push(DetachedTree {
            top,
            rest,
            has_expired,
        });
        self.bell.note_detached();
        parent
    }

    /// Frees some items that no path leads to, in so many steps. Returns whether there were any.
    #[inline]
    pub(in crate::store) fn free_detached(&mut self, steps: usize) -> bool {
        self.has_detached() && self.free_piece(steps)
    }

    fn free_piece(&mut self, steps: usize) -> bool {
        if !self.emptied.is_empty() {
            self.free_emptied(steps);
            return true;
        }
        let Some(tree) = self.detached.pop() else {
            return self.remove_hidden(steps) < steps;
        };
        let (mut freed, rest) = self.free_below(tree.top, tree.rest, steps);
        match rest {
            Some(rest) => self.detached.push(DetachedTree { rest, ..tree }),
            None => {
                self.free_slot(tree.top);
                freed += 1;
                self.bell.note_freed(1);
            }
        }
        if tree.has_expired {
            self.counters.expired += freed as u64;
        }
        true
    }

    /// Whether anything is to be freed: items that no path leads to, or buffers without items.
    pub(in crate::store) fn has_detached(&self) -> bool {
        !self.emptied.is_empty() || self.has_pathless_items()
    }

    /// Whether items are stored that no path leads to.
    pub(in crate::store) fn has_pathless_items(&self) -> bool {
        !self.detached.is_empty() || !self.hidden.is_empty()
    }

    /// Whether no path leads to an item, because its tree is detached, flushed, or an unfinished copy. It takes a step for
    /// each item above it.
    pub(in crate::store) fn is_detached(&self, index: u32) -> bool {
        if !self.has_pathless_items() && self.copies.is_empty() {
            return false;
        }
        let mut top = index;
        loop {
            match self.slab.item(top).parent() {
                NONE => return self.hides(top),
                DETACHED => return true,
                parent => top = parent,
            }
        }
    }
}

impl Store {
    /// Frees detached trees, a piece under each lock, until none is left, or `goes_on` returns false after a piece. The
    /// caller holds no lock.
    pub(in crate::store) fn free_detached(&self, mut goes_on: impl FnMut() -> bool) {
        if !self.sweep_bell.has_detached() {
            return;
        }
        for shard in &self.shards {
            while self.free_piece(locked(shard)) {
                if !goes_on() {
                    return;
                }
            }
        }
    }

    /// Frees a piece of a detached tree of another shard, for a caller that holds the lock of one and needs memory. Locked
    /// shards are left out. Returns whether one had a tree.
    pub(in crate::store) fn free_detached_elsewhere(&self) -> bool {
        let free = |shard: &Mutex<Shard>| match shard.try_lock() {
            Ok(shard) => self.free_piece(shard),
            Err(TryLockError::Poisoned(poisoned)) => self.free_piece(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => false,
        };
        self.sweep_bell.has_detached() && self.shards.iter().any(free)
    }

    fn free_piece(&self, mut shard: MutexGuard<'_, Shard>) -> bool {
        let freed = shard.free_detached(PIECE);
        if freed {
            self.settle(&mut shard);
        }
        freed
    }
}

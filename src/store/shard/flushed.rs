//! Flushes of one database while others have items.
//!
//! ```text
//!   slots    0 … p-1 │ p … end           a top-level item of the database is gone if its slot is p or higher,
//!            new     │ gone, or new      unless it is one of the new ones; p moves to the end, a piece at a time
//! ```
//!
//! If only one database has items, the shard goes on without them and with new buffers; its old ones are
//! [freed in pieces](crate::store::emptied_memory). Otherwise the items
//! of the database would have to be found among all others under one lock. So they are only *hidden*: no look-up, scan or
//! walk finds them from that moment on, and they are removed as [detached trees](super::detached) are freed. New items with
//! the same keys may be stored meanwhile; their slots are noted if they lie where the removal hasn't been. An
//! [unfinished copy](super::copies) is a new item, too: it comes into the database when it is whole, after the flush.
//!
//! Cost: one look at an empty list for each look-up at the top; while items are hidden, a look at a hash set for those of
//! the database.

use std::collections::HashSet;

use super::*;

/// Free slots that a removal passes in one step.
const SLOTS_PER_STEP: usize = 64;

impl Shard {
    /// Removes a database's items, and frees some of their memory, in so many steps. Returns how many steps are left, and what
    /// is to be dropped when the lock is released.
    pub(in crate::store) fn flush(&mut self, db: u8, steps: usize) -> (usize, Option<Shard>) {
        // Also without items, for those who asked for a value elsewhere.
        self.note_flush(db);
        let here = self.items[usize::from(db)];
        let is_alone = here == self.items.iter().sum::<usize>();
        if is_alone && (here > 0 || self.has_pathless_items()) {
            let gone = self.take_all();
            return (self.free_emptied(steps), Some(gone));
        }
        if here == 0 {
            return (steps, None);
        }
        self.hide_database(db);
        (self.remove_hidden(steps), None)
    }

    /// Frees some buffers of flushed items, in so many steps. Returns how many steps are left.
    pub(super) fn free_emptied(&mut self, steps: usize) -> usize {
        let left = self.emptied.free_some(steps);
        if self.emptied.is_empty() {
            self.bell.note_freed(1);
        }
        left
    }

    /// Hides the items of a database, to be removed in pieces.
    fn hide_database(&mut self, db: u8) {
        self.items[usize::from(db)] = 0;
        self.expiring_items[usize::from(db)] = 0;
        let mut newer = HashSet::with_hasher(self.hasher.clone());
        newer.extend(self.copies.unfinished());
        let hidden = HiddenItems {
            db,
            position: 0,
            newer,
        };
        match self.hidden.iter_mut().find(|hidden| hidden.db == db) {
            Some(earlier) => *earlier = hidden,
            None => {
                self.hidden.push(hidden);
                self.bell.note_detached();
            }
        }
    }

    /// Whether no path leads to the item at the top that is stored with this index: a flush has hidden it, or it is an
    /// [unfinished copy](super::copies).
    #[inline]
    pub(in crate::store) fn hides(&self, index: u32) -> bool {
        let hidden_by_flush = |db| self.hidden.iter().any(|hidden| hidden.contain(db, index));
        !self.hidden.is_empty() && hidden_by_flush(self.slab.slot(index).db())
            || !self.copies.is_empty() && self.copies.is_unfinished(index)
    }

    /// Notes that an item at the top was stored, or has come into its database.
    #[inline]
    pub(in crate::store) fn note_new_top(&mut self, db: u8, index: u32) {
        for hidden in &mut self.hidden {
            if hidden.db == db && index as usize >= hidden.position {
                hidden.newer.insert(index);
            }
        }
    }

    /// Removes some of the hidden items, in so many steps. Returns how many steps are left.
    pub(in crate::store) fn remove_hidden(&mut self, steps: usize) -> usize {
        let mut left = steps;
        while left > 0 {
            let Some(hidden) = self.hidden.last_mut() else {
                break;
            };
            let from = hidden.position;
            let Some(index) = self.slab.slots().item_from(from) else {
                self.hidden.pop();
                self.bell.note_freed(1);
                left -= 1;
                continue;
            };
            left = left.saturating_sub(1 + (index - from) / SLOTS_PER_STEP);
            let is_top = !self.slab.slot(index as u32).is_child();
            if is_top && hidden.contain(self.slab.slot(index as u32).db(), index as u32) {
                self.remove_hidden_tree(index as u32, left);
            }
            if let Some(hidden) = self.hidden.last_mut() {
                hidden.newer.remove(&(index as u32));
                hidden.position = index + 1;
            }
        }
        left
    }

    fn remove_hidden_tree(&mut self, top: u32, steps: usize) {
        if !self.copies.is_empty() {
            self.note_for_copies(top, true);
        }
        match self.free_below(top, top, steps) {
            (_, None) => self.remove_leaf(top),
            (_, Some(rest)) => self.detach(top, rest, false),
        };
    }
}

//! Copies that are being made in a shard, or of its trees: `tree/copying` makes them.
//!
//! The top of an unfinished copy is stored under its key, and no look-up, scan or walk finds it, as if a flush had
//! [hidden](super::flushed) it. Its changes are no changes for others.

use super::*;
use crate::store::ongoing_copies::{ItemChanges, NamesBelow};
use crate::store::slot::DETACHED;

impl Shard {
    /// Stores the top of a copy at a place at the top, to which no path leads until it is [attached](Shard::attach).
    pub(in crate::store) fn insert_unfinished(
        &mut self,
        place: ItemPlace<'_>,
        entry: &Entry<'_>,
        access: u32,
        changes: &ItemChanges,
    ) -> u32 {
        let cas = self.next_cas();
        let index = self.add_item(place, entry, access, cas);
        self.copies.add_unfinished(index, changes.clone());
        self.note_new_top(place.db, index);
        index
    }

    /// Makes a copy visible in a database, in which there is no item with its key.
    pub(in crate::store) fn attach(&mut self, top: u32, db: u8, expires_ms: Option<u64>) {
        self.copies.remove_unfinished(top);
        let head = ItemHeader {
            db,
            expires_ms,
            cas: self.next_cas(),
            ..self.slab.item(top).head()
        };
        self.slab.rewrite_header(top, &head);
        self.items[usize::from(db)] += 1;
        self.note_new_top(db, top);
        self.count_expiry(top, 1);
        self.note_change(top);
        self.counters.total_items += 1;
    }

    /// Removes the unfinished copy with these changes, if it is still there.
    pub(in crate::store) fn remove_unfinished(&mut self, changes: &ItemChanges) {
        if let Some(top) = self.copies.unfinished_of(changes) {
            self.detach(top, top, false);
        }
    }

    /// Removes an item below an unfinished copy with its subtree. Its parent stays.
    pub(in crate::store) fn remove_copied(&mut self, index: u32) {
        match self.free_children(index) {
            (_, Some(rest)) => self.detach(index, rest, false),
            (_, None) => self.remove_leaf(index),
        };
    }

    /// Notes a change of an item for the copies that are being made of its tree. `is_emptied` is whether all that was below it
    /// is gone. Returns whether the item belongs to an unfinished copy itself.
    #[cold]
    pub(super) fn note_for_copies(&mut self, index: u32, is_emptied: bool) -> bool {
        let mut top = index;
        loop {
            match self.slab.item(top).parent() {
                NONE => break,
                DETACHED => return false,
                parent => top = parent,
            }
        }
        if self.copies.is_unfinished(top) {
            return true;
        }
        if self.copies.is_source(top) {
            let mut names = NamesBelow::new();
            let mut at = index;
            while at != top {
                let item = self.slab.item(at);
                names.push(item.key().into());
                at = item.parent();
            }
            names.reverse();
            self.copies.note_change(top, &names, is_emptied);
        }
        false
    }
}

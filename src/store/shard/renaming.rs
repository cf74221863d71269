//! Another name or database for a top-level item, with all below it, within its shard.

use super::*;
use crate::store::entry::Marks;

impl Shard {
    /// A top-level item that is stored under a key, or under another one with its hash and database.
    pub(in crate::store) fn top_of(&self, key: HashedKey) -> Option<u32> {
        self.other_top_of(key, NONE)
    }

    /// The same, other than this one.
    pub(in crate::store) fn other_top_of(&self, key: HashedKey, but: u32) -> Option<u32> {
        self.table.find(key.hash, |index| {
            let slot = self.slab.slot(index);
            let is_top = !slot.is_child() && slot.db() == key.db && !self.hides(index);
            let is_other_top = index != but && is_top;
            is_other_top && hash_top(&self.hasher, self.slab.item(index).key()) == key.hash
        })
    }

    /// Whether a node has more than so many nodes, itself included, or they take more than so many bytes. It looks at no
    /// more nodes than that.
    pub(in crate::store) fn is_larger(&self, top: u32, nodes: usize, bytes: usize) -> bool {
        let mut waiting = vec![top];
        let (mut counted, mut taken) = (1, 0);
        while let Some(index) = waiting.pop() {
            let children = self.slab.children(index);
            counted += children.len();
            taken += self.size(index);
            if counted > nodes || taken > bytes {
                return true;
            }
            waiting.extend_from_slice(children);
        }
        false
    }

    /// Gives a top-level item, with all below it, the key and database of a place at which there is nothing.
    pub(in crate::store) fn rename(&mut self, index: u32, place: ItemPlace<'_>, access: u32) {
        self.note_change(index);
        let stored = self.slab.item(index);
        let (before, has_expiry) = (usize::from(stored.db()), stored.slot.has_expiry());
        let old_hash = hash_item(&self.hasher, stored);
        let marks = Marks::from_access(stored.slot.access).elsewhere();
        let head = ItemHeader {
            db: place.db,
            cas: self.next_cas(),
            ..self.slab.item(index).head()
        };
        self.table.remove(old_hash, index);
        self.slab.rewrite_key(index, &head, place.key);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.table.insert(place.hash, index, |other| {
            hash_item(hasher, slab.item(other))
        });
        let after = usize::from(place.db);
        self.items[before] -= 1;
        self.items[after] += 1;
        self.note_new_top(place.db, index);
        if has_expiry {
            self.expiring_items[before] -= 1;
            self.expiring_items[after] += 1;
        }
        let slot = self.slab.slot_mut(index);
        slot.access = marks.in_access(slot.access);
        slot.visit(access);
        self.note_change(index);
    }
}

//! Removal of items from a shard: one with its subtree, one to make room, or all.

use super::changes::path_of;
use super::*;
use crate::store::pending_removals::PER_EVICTION;

impl Shard {
    /// Removes an item with its subtree, and the ancestors without a value that this leaves without
    /// children.
    pub(in crate::store) fn remove(&mut self, index: u32) {
        self.remove_tree(index, false);
    }

    /// The same; returns the number of items that were freed. A large tree is [detached], with the reason
    /// whether it has expired.
    pub(super) fn remove_tree(&mut self, index: u32, has_expired: bool) -> usize {
        // An item without an expiry whose children have expired has changed now.
        let expiry = self.slab.item(index).expires_ms();
        let expired_ms = expiry.filter(|_| has_expired);
        let (mut removed, mut rest) = self.free_children(index);
        let mut index = index;
        let mut change = PathChange::Subtree;
        loop {
            self.note_path_change(index, change, expired_ms);
            change = PathChange::Node;
            let parent = match rest.take() {
                Some(rest) => self.detach(index, rest, has_expired),
                None => {
                    removed += 1;
                    self.remove_leaf(index)
                }
            };
            if parent == NONE {
                break;
            }
            let slot = self.slab.item(parent);
            // An unfinished copy without children may get some.
            if slot.is_valueless() && !slot.has_children() && !self.copies.is_unfinished(parent) {
                index = parent;
            } else {
                self.renew_cas(parent);
                break;
            }
        }
        removed
    }

    /// Removes an item that has no children, and returns its parent's slot, [`NONE`] at the top.
    pub(super) fn remove_leaf(&mut self, index: u32) -> u32 {
        let parent = self.unlink(index);
        self.free_slot(index);
        parent
    }

    /// Frees the slot of an item that nothing leads to any more.
    pub(super) fn free_slot(&mut self, index: u32) {
        self.slab.remove(index);
        if self.slab.items() == 0 {
            self.order = self.order.fresh();
        }
    }

    /// Takes an item out of the counts, the table and its parent's list. Returns its parent's slot, [`NONE`] at the top.
    pub(super) fn unlink(&mut self, index: u32) -> u32 {
        self.count_expiry(index, -1);
        let slot = self.slab.item(index);
        let (parent, position) = match slot.slot.is_child() {
            true => (slot.parent(), slot.position()),
            false => (NONE, 0),
        };
        let hash = hash_item(&self.hasher, slot);
        if parent == NONE && !self.hides(index) {
            self.items[usize::from(slot.db())] -= 1;
        }
        self.table.remove(hash, index);
        if parent != NONE
            && let Some(moved) = self.slab.remove_child(parent, position)
        {
            self.slab.set_position(moved, position);
            if !self.copies.is_empty() {
                self.note_for_copies(moved, false);
            }
        }
        parent
    }

    /// Makes room by removing one item, a leaf. [`EvictionOrder`] names those that are judged. While there are detached trees,
    /// only they are freed, so that no other item of them is judged. `false` if nothing could be removed.
    pub(in crate::store) fn evict(&mut self, now_ms: u64, spared: Spared) -> bool {
        if self.free_detached(PER_EVICTION) {
            return true;
        }
        while let Some(index) = self.order.next_on_probation(self.footprint()) {
            let is_there = self.slab.get(index as usize).is_some();
            if is_there && self.judge(index, now_ms, spared, Judgement::EndOfProbation) {
                return true;
            }
        }
        // The first of the rounds may only clear marks.
        for why in [
            Judgement::UnderHand,
            Judgement::UnderHand,
            Judgement::LastRound,
        ] {
            for _ in 0..self.slab.items() {
                let next = self.order.next_under_hand(self.slab.slots());
                if next.is_some_and(|index| self.judge(index, now_ms, spared, why)) {
                    return true;
                }
            }
        }
        false
    }

    /// Removes an item if it has expired, or if the order of eviction says so. Clears its mark otherwise.
    fn judge(&mut self, index: u32, now_ms: u64, spared: Spared, why: Judgement) -> bool {
        let item = self.slab.item(index);
        let slot = item.slot;
        let is_spared = index == spared.index || spared.newest && self.order.is_newest(index);
        let leaf = !slot.has_children() && !is_spared && !self.copies.is_unfinished(index);
        if leaf && item.is_expired(now_ms) {
            self.expire(index);
            self.counters.reclaimed += 1;
            return true;
        }
        let (visited, unfetched) = (slot.is_visited(), !slot.is_fetched());
        let (size, items) = (self.size(index), self.slab.items());
        let mean = self.footprint() / items;
        if !leaf || !self.order.evicts(why, visited, size, mean) {
            self.slab.slot_mut(index).clear_visited();
            return false;
        }
        if why == Judgement::EndOfProbation {
            let hash = hash_item(&self.hasher, self.slab.item(index));
            self.order.note_evicted(hash, size, mean, items);
        }
        self.counters.evicted_unfetched += u64::from(unfetched);
        // Clients know nothing of an unfinished copy.
        if self.evictions.is_wanted() && !self.is_detached(index) {
            self.report_eviction(index, now_ms);
        }
        self.remove(index);
        self.counters.evictions += 1;
        true
    }

    fn report_eviction(&self, index: u32, now_ms: u64) {
        let stored = self.slab.item(index);
        let (_, path) = path_of(&self.slab, index);
        self.evictions.report(&EvictedItem {
            path,
            item: Item {
                stored,
                started_ms: self.evictions.started_ms,
            },
            now_ms,
        });
    }

    /// Removes everything. The buffers are to be freed, see [`EmptiedMemory`]; the rest is for the caller to drop when the lock
    /// is released. The counters go on.
    pub(super) fn take_all(&mut self) -> Shard {
        self.bell
            .note_freed(self.detached.len() + self.hidden.len());
        if self.emptied.is_empty() {
            self.bell.note_detached();
        }
        self.slab.empty_into(&mut self.emptied);
        self.table.empty_into(&mut self.emptied);
        self.order.empty_into(&mut self.emptied);
        let empty = Shard {
            slab: self.slab.fresh(),
            table: self.table.fresh(),
            order: self.order.fresh(),
            hasher: self.hasher.clone(),
            settled: self.settled,
            items: [0; DATABASES as usize],
            expiring_items: [0; DATABASES as usize],
            expiring: 0,
            next_expiry: u64::MAX,
            swept_expiry: u64::MAX,
            detached: Vec::new(),
            hidden: Vec::new(),
            emptied: std::mem::take(&mut self.emptied),
            copies: OngoingCopies::default(),
            bell: Arc::clone(&self.bell),
            evictions: Arc::clone(&self.evictions),
            counters: std::mem::take(&mut self.counters),
            watched: std::mem::take(&mut self.watched),
            cas: std::mem::take(&mut self.cas),
            cas_source: Arc::clone(&self.cas_source),
        };
        std::mem::replace(self, empty)
    }
}

//! Who is whose child: for each item that has children, their slots.
//!
//! A child's record knows its place in its parent's list, so that it leaves in constant time: the
//! last one takes its place. A walk over the list from the end to the front therefore misses no
//! child that stays, whatever else comes and goes meanwhile.

use ahash::RandomState;
use hashbrown::HashMap;

use super::memory;

/// The lists of children of one shard, by the slot of the parent.
#[derive(Debug)]
pub(super) struct ChildLists {
    lists: HashMap<u32, ChildList, RandomState>,
    /// Bytes of heap that the lists take.
    list_bytes: usize,
}

/// The children of one item.
#[derive(Debug, Default)]
struct ChildList {
    slots: Vec<u32>,
    /// How many of them have an expiry of their own: while none has, nobody need be asked whether
    /// they are alive.
    expiring: u32,
}

impl ChildList {
    fn bytes(&self) -> usize {
        memory::allocated_bytes(self.slots.capacity() * size_of::<u32>())
    }
}

impl ChildLists {
    pub(super) fn new(hasher: RandomState) -> ChildLists {
        ChildLists {
            lists: HashMap::with_hasher(hasher),
            list_bytes: 0,
        }
    }

    /// Bytes of heap taken.
    pub(super) fn bytes(&self) -> usize {
        self.lists.allocation_size() + self.list_bytes
    }

    /// The children of an item.
    pub(super) fn of(&self, parent: u32) -> &[u32] {
        self.lists.get(&parent).map_or(&[], |list| &list.slots)
    }

    /// How many children of an item have an expiry of their own.
    pub(super) fn expiring(&self, parent: u32) -> usize {
        self.lists
            .get(&parent)
            .map_or(0, |list| list.expiring as usize)
    }

    /// Says that so many children more, or fewer, have an expiry.
    pub(super) fn count_expiring(&mut self, parent: u32, change: i32) {
        if let Some(list) = self.lists.get_mut(&parent) {
            list.expiring = list.expiring.saturating_add_signed(change);
        }
    }

    /// Adds a child at the end.
    pub(super) fn push(&mut self, parent: u32, child: u32) {
        let list = self.lists.entry(parent).or_default();
        let before = list.bytes();
        list.slots.push(child);
        self.list_bytes += list.bytes() - before;
    }

    /// Takes the child at a place out, and says which child stands there now, if one does.
    pub(super) fn remove(&mut self, parent: u32, position: u32) -> Option<u32> {
        let list = self.lists.get_mut(&parent)?;
        let before = list.bytes();
        list.slots.swap_remove(position as usize);
        if list.slots.len() < list.slots.capacity() / 4 {
            list.slots.shrink_to(list.slots.len() * 2);
        }
        self.list_bytes = self.list_bytes + list.bytes() - before;
        let moved = list.slots.get(position as usize).copied();
        if list.slots.is_empty() {
            self.list_bytes -= list.bytes();
            self.lists.remove(&parent);
            if self.lists.is_empty() || self.lists.len() < self.lists.capacity() / 4 {
                self.lists.shrink_to(self.lists.len() * 2);
            }
        }
        moved
    }
}

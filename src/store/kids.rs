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
pub(super) struct Kids {
    broods: HashMap<u32, Brood, RandomState>,
    /// Bytes of heap that the lists take.
    list_bytes: usize,
}

/// The children of one item.
#[derive(Debug, Default)]
struct Brood {
    slots: Vec<u32>,
    /// How many of them have an expiry of their own: while none has, nobody need be asked whether
    /// they are alive.
    expiring: u32,
}

impl Brood {
    fn bytes(&self) -> usize {
        memory::chunk(self.slots.capacity() * size_of::<u32>())
    }
}

impl Kids {
    pub(super) fn new(hasher: RandomState) -> Kids {
        Kids {
            broods: HashMap::with_hasher(hasher),
            list_bytes: 0,
        }
    }

    /// Bytes of heap taken.
    pub(super) fn bytes(&self) -> usize {
        self.broods.allocation_size() + self.list_bytes
    }

    /// The children of an item.
    pub(super) fn of(&self, parent: u32) -> &[u32] {
        self.broods.get(&parent).map_or(&[], |brood| &brood.slots)
    }

    /// How many children of an item have an expiry of their own.
    pub(super) fn expiring(&self, parent: u32) -> usize {
        self.broods
            .get(&parent)
            .map_or(0, |brood| brood.expiring as usize)
    }

    /// Says that so many children more, or fewer, have an expiry.
    pub(super) fn count_expiring(&mut self, parent: u32, change: i32) {
        if let Some(brood) = self.broods.get_mut(&parent) {
            brood.expiring = brood.expiring.saturating_add_signed(change);
        }
    }

    /// Adds a child at the end.
    pub(super) fn push(&mut self, parent: u32, child: u32) {
        let brood = self.broods.entry(parent).or_default();
        let before = brood.bytes();
        brood.slots.push(child);
        self.list_bytes += brood.bytes() - before;
    }

    /// Takes the child at a place out, and says which child stands there now, if one does.
    pub(super) fn remove(&mut self, parent: u32, position: u32) -> Option<u32> {
        let brood = self.broods.get_mut(&parent)?;
        let before = brood.bytes();
        brood.slots.swap_remove(position as usize);
        if brood.slots.len() < brood.slots.capacity() / 4 {
            brood.slots.shrink_to(brood.slots.len() * 2);
        }
        self.list_bytes = self.list_bytes + brood.bytes() - before;
        let moved = brood.slots.get(position as usize).copied();
        if brood.slots.is_empty() {
            self.list_bytes -= brood.bytes();
            self.broods.remove(&parent);
            if self.broods.is_empty() || self.broods.len() < self.broods.capacity() / 4 {
                self.broods.shrink_to(self.broods.len() * 2);
            }
        }
        moved
    }
}

//! One shard: the items of some of the top-level keys, everything under one lock. `placements` says which keys.
//!
//! ```text
//!   (parent or database, key) ──hash──▶ table ──index──▶ slab ──▶ record
//!                                                         │ ▲
//!                                     order of eviction: indices
//! ```
//!
//! A shard has no access to limits, paths or other shards: [`Tree`](super::Tree) is the guard
//! through which all other modules use it. Invariants between any two of its methods:
//! - an item is in the slab and the table, or in neither of them; a child also in its parent's list;
//! - every child has its parent in the same shard;
//! - no path leads to an item of a detached tree, or to a flushed one, which are stored until they are freed; see
//!   `detached` and `flushed`; nor to one of an unfinished copy, see `copies`;
//! - an item that is changed, and each of its ancestors, gets a CAS number that no item had before, unless a client
//!   chose one;
//! - [`footprint`](Shard::footprint) is the heap that all of it takes, computed from its parts.
//!
//! No code here recurses: a tree may have any depth.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::RandomState;

use super::config::DATABASES;
use super::emptied_memory::EmptiedMemory;
use super::entry::{Entry, Item, item_cost};
use super::eviction::{EvictionOrder, Judgement, Spared};
use super::eviction_observer::{EvictedItem, EvictionObserver};
use super::hash_table::HashTable;
use super::ongoing_copies::OngoingCopies;
use super::pages::{PageBuffer, PagePool};
use super::pending_removals::{DetachedTree, HiddenItems, PER_WRITE};
use super::placements::HashedKey;
use super::record::ItemHeader;
use super::slab::ItemSlab;
use super::slot::{NONE, VISITED};
use super::stats::ShardCounters;
use super::stored_item::StoredItem;
use super::sweep_bell::SweepBell;
use super::watched_keys::{PathChange, WatchedKeys};

mod changes;
#[cfg(any(test, feature = "internals"))]
mod check;
mod copies;
pub(super) mod detached;
mod expiry;
pub(super) mod flushed;
mod growth;
mod removal;
mod renaming;

pub(super) use expiry::ExpiryWalk;

/// CAS numbers that a shard takes at a time from the store's counter, so that shards seldom contend
/// for it.
const CAS_BLOCK: u64 = 64;

/// The items of one part of the keys, guarded by one lock of the store.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) slab: ItemSlab,
    table: HashTable,
    order: EvictionOrder,
    hasher: RandomState,
    /// The footprint last added to the store's total.
    pub(super) settled: usize,
    /// Top-level items of each database.
    pub(super) items: [usize; DATABASES as usize],
    /// Those of them that have an expiry.
    pub(super) expiring_items: [usize; DATABASES as usize],
    /// Items of any depth that have an expiry: while there are none, the sweep skips the shard.
    pub(super) expiring: usize,
    /// No item expires before this, in Unix milliseconds: while it lies ahead, the sweep skips the shard.
    pub(super) next_expiry: u64,
    /// The same, for the items that the sweep has checked since it began with this shard, and for those
    /// stored since.
    pub(super) swept_expiry: u64,
    /// Removed trees that were too large to be freed at once.
    detached: Vec<DetachedTree>,
    /// Flushed items that are not removed yet, of each database.
    hidden: Vec<HiddenItems>,
    /// Buffers of flushed items that are not freed yet.
    emptied: EmptiedMemory,
    pub(super) copies: OngoingCopies,
    bell: Arc<SweepBell>,
    evictions: Arc<EvictionObserver>,
    pub(super) counters: ShardCounters,
    pub(super) watched: WatchedKeys,
    cas: std::ops::Range<u64>,
    cas_source: Arc<AtomicU64>,
}

/// The place of an item that is looked for or stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemPlace<'a> {
    /// The slot of the parent, [`NONE`] at the top.
    pub(super) parent: u32,
    /// The database, at the top. Below an item any number will do.
    pub(super) db: u8,
    pub(super) key: &'a [u8],
    pub(super) hash: u64,
}

/// The hash of a top-level key: the same in every database.
pub(super) fn hash_top(hasher: &RandomState, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(key);
    state.finish()
}

fn hash_child(hasher: &RandomState, parent: u32, key: &[u8]) -> u64 {
    let mut state = hasher.build_hasher();
    state.write_u32(parent);
    state.write(key);
    state.finish()
}

fn hash_item(hasher: &RandomState, slot: StoredItem<'_>) -> u64 {
    match slot.parent() {
        NONE => hash_top(hasher, slot.key()),
        parent => hash_child(hasher, parent, slot.key()),
    }
}

impl Shard {
    pub(super) fn new(
        hasher: RandomState,
        pool: Arc<PagePool>,
        cas_source: Arc<AtomicU64>,
        bell: Arc<SweepBell>,
        evictions: Arc<EvictionObserver>,
    ) -> Shard {
        Shard {
            table: HashTable::new(&pool),
            slab: ItemSlab::new(Arc::clone(&pool)),
            order: EvictionOrder::new(pool),
            hasher,
            settled: 0,
            items: [0; DATABASES as usize],
            expiring_items: [0; DATABASES as usize],
            expiring: 0,
            next_expiry: u64::MAX,
            swept_expiry: u64::MAX,
            detached: Vec::new(),
            hidden: Vec::new(),
            emptied: EmptiedMemory::default(),
            copies: OngoingCopies::default(),
            bell,
            evictions,
            counters: ShardCounters::default(),
            watched: WatchedKeys::default(),
            cas: 0..0,
            cas_source,
        }
    }

    /// Bytes of heap that the shard takes, malloc's rounding included.
    pub(super) fn footprint(&self) -> usize {
        self.slab.bytes() + self.table_bytes() + self.order.bytes() + self.emptied.bytes()
    }

    /// Prepares an empty shard for so many items.
    pub(super) fn expect(&mut self, items: usize) {
        self.table.expect(items);
    }

    /// Bytes of heap that the hash table takes.
    pub(super) fn table_bytes(&self) -> usize {
        self.table.bytes()
    }

    /// Bytes that an item takes.
    fn size(&self, index: u32) -> usize {
        item_cost(self.slab.item(index).record.len())
    }

    /// Gives an item that was just stored a value that was received into a buffer; see [`ItemSlab::adopt`].
    pub(super) fn adopt(&mut self, index: u32, bytes: PageBuffer, at: usize, value: usize) {
        self.slab.adopt(index, bytes, at, value);
        self.order.note_size(index, self.size(index));
    }

    fn next_cas(&mut self) -> u64 {
        if self.cas.is_empty() {
            let first = self.cas_source.fetch_add(CAS_BLOCK, Ordering::Relaxed);
            self.cas = first..first + CAS_BLOCK;
        }
        let cas = self.cas.start;
        self.cas.start += 1;
        cas
    }

    /// A CAS number that neither this shard nor another has given to an item; nor any higher one.
    pub(super) fn next_cas_block(&self) -> u64 {
        self.cas_source.load(Ordering::Relaxed)
    }

    /// Continues with CAS numbers from `next` on.
    pub(super) fn continue_cas(&mut self, next: u64) {
        self.cas_source.fetch_max(next, Ordering::Relaxed);
        self.cas = 0..0;
    }

    /// The hash under which a child is found.
    pub(super) fn hash_child(&self, parent: u32, key: &[u8]) -> u64 {
        hash_child(&self.hasher, parent, key)
    }

    /// The item that is stored under a key, alive or expired.
    pub(super) fn lookup(&self, parent: u32, db: u8, key: &[u8], hash: u64) -> Option<u32> {
        let slab = &self.slab;
        self.table.find(hash, |index| {
            slab.slot(index)
                .may_answer_to(db, key.len(), parent != NONE)
                && slab.item(index).answers_to(parent, key)
                && (parent != NONE || !self.hides(index))
        })
    }

    /// The same, at this place.
    #[inline]
    pub(super) fn lookup_place(&self, place: ItemPlace<'_>) -> Option<u32> {
        self.lookup(place.parent, place.db, place.key, place.hash)
    }

    /// An item that may be stored under a key with this hash, by what the first bucket says.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        self.table.candidate(hash)
    }

    /// Notes a read or write: see [`ItemSlot::visit`](super::slot::ItemSlot::visit).
    #[inline]
    pub(super) fn visit(&mut self, index: u32, access: u32) {
        self.slab.slot_mut(index).visit(access);
    }

    /// Stores a new item at a place where there is none. The parent exists.
    pub(super) fn insert(&mut self, place: ItemPlace<'_>, entry: &Entry<'_>, access: u32) -> u32 {
        let cas = self.next_cas();
        self.insert_with_cas(place, entry, access, cas)
    }

    /// The same, with this CAS number.
    pub(super) fn insert_with_cas(
        &mut self,
        place: ItemPlace<'_>,
        entry: &Entry<'_>,
        access: u32,
        cas: u64,
    ) -> u32 {
        let ItemPlace { parent, db, .. } = place;
        let index = self.add_item(place, entry, access, cas);
        if parent == NONE {
            self.items[usize::from(db)] += 1;
            self.note_new_top(db, index);
        } else {
            self.slab.push_child(parent, index);
            self.renew_cas(parent);
        }
        let change = match entry.value {
            Some(_) => PathChange::Subtree,
            None => PathChange::Node,
        };
        self.note_path_change(index, change, None);
        if entry.expires_ms.is_some() {
            self.count_one_expiry(index, 1);
        }
        self.counters.total_items += 1;
        self.free_detached(PER_WRITE);
        index
    }

    /// Adds an item to the slab, the table and the order of eviction.
    fn add_item(&mut self, place: ItemPlace<'_>, entry: &Entry<'_>, access: u32, cas: u64) -> u32 {
        let ItemPlace {
            parent,
            db,
            key,
            hash,
        } = place;
        let position = (parent != NONE).then(|| (parent, self.slab.children(parent).len() as u32));
        let head = ItemHeader {
            cas,
            expires_ms: entry.expires_ms,
            flags: entry.flags,
            db,
            parent: position,
            list: None,
            valueless: entry.value.is_none(),
        };
        let value = entry.value.unwrap_or_default();
        let index = self.slab.insert(&head, key, value, access);
        let (slab, hasher) = (&self.slab, &self.hasher);
        self.table
            .insert(hash, index, |other| hash_item(hasher, slab.item(other)));
        let (size, items) = (self.size(index), self.slab.items());
        self.order.insert(index, hash, size, items);
        index
    }

    /// Replaces an item whole: value, flags and expiry are new, its children are gone. Returns its slot, which is another
    /// one if there were many children.
    pub(super) fn replace(
        &mut self,
        index: u32,
        place: ItemPlace<'_>,
        entry: &Entry<'_>,
        access: u32,
    ) -> u32 {
        if let (_, Some(rest)) = self.free_children(index) {
            self.note_change(index);
            self.detach(index, rest, false);
            return self.insert(place, entry, access | VISITED);
        }
        self.count_expiry(index, -1);
        let head = ItemHeader {
            cas: self.next_cas(),
            expires_ms: entry.expires_ms,
            flags: entry.flags,
            valueless: entry.value.is_none(),
            ..self.slab.item(index).head()
        };
        self.slab
            .rewrite(index, &head, entry.value.unwrap_or_default());
        self.count_expiry(index, 1);
        let slot = self.slab.slot_mut(index);
        slot.access = access | VISITED;
        if slot.is_child() {
            let parent = self.slab.item(index).parent();
            self.renew_cas(parent);
        }
        self.note_change(index);
        self.counters.total_items += 1;
        self.free_detached(PER_WRITE);
        index
    }

    /// Gives an item and all its ancestors new CAS numbers, because it has changed.
    pub(super) fn touch(&mut self, index: u32) {
        self.note_change(index);
        self.renew_cas(index);
    }

    /// Gives an item and all its ancestors new CAS numbers.
    pub(super) fn renew_cas(&mut self, index: u32) {
        let mut index = index;
        while index != NONE {
            let cas = self.next_cas();
            self.slab.set_cas(index, cas);
            index = self.slab.item(index).parent();
        }
    }
}

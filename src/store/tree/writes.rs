//! Writes of items: the sizes that are refused, the memory that is reported, and the evictions that make room, or the writes that are
//! refused instead.

use super::*;
use crate::store::pending_removals::PIECE;

/// Numbers for segments that are left for evacuations and for large records.
pub(super) const SPARE_ADDRESSES: usize = 16;

impl Tree<'_> {
    /// Stores an item under a path: a new one, or in place of the old one with all that was below
    /// it.
    ///
    /// The parent must exist. Neither the item nor its ancestors are evicted to make room for it.
    pub fn put(&mut self, path: &[&[u8]], entry: Entry<'_>) -> Result<Node, Refused> {
        let (key, above) = path.split_last().ok_or(Refused::NoParent)?;
        self.check(key.len(), entry.value_length())?;
        if above.is_empty() {
            return self.store_item(self.top_place(key), &entry);
        }
        let parent = self.peek(above).ok_or(Refused::NoParent)?;
        self.put_child(parent, key, entry)
    }

    /// Stores an item below a node; otherwise as [`put`](Tree::put).
    pub fn put_child(
        &mut self,
        parent: Node,
        name: &[u8],
        entry: Entry<'_>,
    ) -> Result<Node, Refused> {
        self.check(name.len(), entry.value_length())?;
        let place = ItemPlace {
            parent: parent.0,
            db: 0,
            key: name,
            hash: self.shard.hash_child(parent.0, name),
        };
        self.store_item(place, &entry)
    }

    /// The old item is replaced even if it has expired: removing it first could take a parent
    /// without value along.
    pub(super) fn store_item(
        &mut self,
        place: ItemPlace<'_>,
        entry: &Entry<'_>,
    ) -> Result<Node, Refused> {
        let there = self.shard.lookup_place(place);
        if self.trim.store.refuses() {
            let overwrites = there.is_some_and(|index| self.shard.overwrites(index, entry));
            if !overwrites {
                self.set_aside(place.parent, place.key.len() + entry.value_length(), 0)?;
            }
        }
        let index = self.replace_or_insert(there, place, entry);
        self.make_room(index);
        Ok(Node(index))
    }

    fn replace_or_insert(
        &mut self,
        there: Option<u32>,
        place: ItemPlace<'_>,
        entry: &Entry<'_>,
    ) -> u32 {
        match there {
            Some(index) => self.shard.replace(index, place, entry, self.access),
            None => self.shard.insert(place, entry, self.access),
        }
    }

    /// The place of a top-level item with the key that the lock was taken for.
    #[inline]
    pub(super) fn top_place<'k>(&self, key: &'k [u8]) -> ItemPlace<'k> {
        let HashedKey { hash, db } = self.trim.key;
        ItemPlace {
            parent: NONE,
            db,
            key,
            hash,
        }
    }

    /// In a store that refuses, counts the memory that an item with this key and value may need, and so much more.
    pub(super) fn set_aside(
        &mut self,
        parent: u32,
        length: usize,
        more: usize,
    ) -> Result<(), Refused> {
        let store = self.trim.store;
        if !store.refuses() {
            return Ok(());
        }
        loop {
            let growth = self.shard.most_growth(parent, length) + more;
            let is_short = self.shard.slab.is_short_of_addresses(SPARE_ADDRESSES);
            if !is_short && store.set_aside(growth) {
                self.shard.settled += growth;
                return Ok(());
            }
            if !self.shard.free_detached(PIECE) && !store.free_detached_elsewhere() {
                return Err(Refused::OutOfMemory);
            }
            self.settle();
        }
    }

    /// Stores a top-level item as [`put`](Tree::put) does, with a value that was received into memory of the store. The
    /// value of `entry` is not looked at.
    pub(crate) fn put_received(
        &mut self,
        key: &[u8],
        entry: Entry<'_>,
        mut received: Reservation,
    ) -> Result<Node, Refused> {
        self.check(key.len(), received.length())?;
        let entry = Entry {
            value: Some(&[]),
            ..entry
        };
        self.set_aside(NONE, key.len(), received.uncounted())?;
        let place = self.top_place(key);
        let there = self.shard.lookup_place(place);
        let index = self.replace_or_insert(there, place, &entry);
        let (at, length) = (received.at, received.length());
        let (bytes, counted) = received.take_counted();
        self.shard.settled += counted;
        self.shard.adopt(index, bytes, at, length);
        self.make_room(index);
        Ok(Node(index))
    }

    pub(super) fn check(&self, key: usize, value: usize) -> Result<(), Refused> {
        let store = self.trim.store;
        let length = key.saturating_add(value);
        if length > store.max_item_size() || key >= KEY_LIMIT {
            return Err(Refused::TooLarge);
        }
        if store.least_for(length) > store.limit() {
            return Err(Refused::OutOfMemory);
        }
        Ok(())
    }

    /// Reports this shard's memory to the store, and returns whether the store exceeds its limit.
    #[inline]
    pub(super) fn settle(&mut self) -> bool {
        let footprint = self.shard.footprint();
        let settled = self.shard.settled;
        if footprint != settled {
            self.shard.settled = footprint;
            let used = self.trim.store.count(settled, footprint);
            let limit = self.trim.store.limit();
            self.trim.due = used > limit;
            self.shard.slab.set_scarce(used > limit - limit / 8);
        }
        self.trim.due
    }

    /// Whether this shard makes the room for its writes. If it doesn't, others do so when its lock is released.
    fn evicts_here(&self) -> bool {
        let store = self.trim.store;
        store.used() > store.memory() || store.is_grown(self.shard.footprint())
    }

    pub(super) fn make_room(&mut self, keep: u32) {
        self.trim.just_stored = keep;
        if self.trim.store.refuses() {
            // The memory that it took was set aside.
            self.settle();
            return;
        }
        while self.settle() || self.shard.slab.is_short_of_addresses(SPARE_ADDRESSES) {
            let store = self.trim.store;
            let is_short = self.shard.slab.is_short_of_addresses(SPARE_ADDRESSES);
            if !is_short && !self.shard.has_detached() && store.sweep_bell.has_detached() {
                // Another shard has a tree that nobody reads. While that shard is locked, the memory can wait until this
                // lock is released.
                if !store.free_detached_elsewhere() {
                    return;
                }
                self.trim.due = store.used() > store.limit();
                continue;
            }
            if !is_short && !self.evicts_here() {
                return;
            }
            let spared = Spared {
                index: keep,
                newest: true,
            };
            if !self.shard.evict(self.now_ms, spared) {
                self.shard.slab.evacuate_all();
                self.settle();
                return;
            }
        }
    }

    /// Gives a node a new value, put together from parts. Children, flags and expiry stay.
    pub fn set_value(&mut self, node: Node, value: &[&[u8]]) -> Result<(), Refused> {
        let length = value.iter().map(|part| part.len()).sum();
        self.check(self.shard.slab.item(node.0).key().len(), length)?;
        let item = self.shard.slab.item(node.0);
        let mut head = item.head();
        head.valueless = false;
        let key = item.key().len();
        if self.trim.store.refuses() && !self.shard.slab.keeps_room(node.0, &head, length) {
            self.set_aside(NONE, key + length, 0)?;
        }
        self.shard.slab.rewrite(node.0, &head, value);
        self.changed(node);
        Ok(())
    }

    /// Puts bytes in front of and behind a node's value. Children, flags and expiry stay.
    pub fn extend_value(&mut self, node: Node, before: &[u8], after: &[u8]) -> Result<(), Refused> {
        let item = self.shard.slab.item(node.0);
        let value = item.value().unwrap_or_default().to_vec();
        self.set_value(node, &[before, &value, after])
    }

    fn changed(&mut self, node: Node) {
        self.shard.visit(node.0, self.access);
        self.shard.touch(node.0);
        self.make_room(node.0);
    }
}

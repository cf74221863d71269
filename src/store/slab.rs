//! A shard's items: slots by index, and their records in a log.
//!
//! Cost: a few writes for a slot and one copy for a record; a record that keeps its length, to within the log's
//! rounding, is written in place. A write that leaves too much of the log dead also evacuates a piece of a segment.

use std::sync::Arc;

use super::emptied_memory::EmptiedMemory;
use super::ongoing_reads::OngoingReads;
use super::pages::{PageBuffer, PagePool};
use super::record::{self, ItemHeader};
use super::record_log::{HEADER, PIECE, RecordLog, room};
use super::slot::{ItemSlot, NONE, key_length};
use super::slots::Slots;
use super::stored_item::StoredItem;

/// At least the bytes of a record before its key, and of its number in its parent's list.
const LONGEST_HEAD: usize = 64;

/// The items of one shard, by index.
#[derive(Debug)]
pub(super) struct ItemSlab {
    slots: Slots,
    pub(super) log: RecordLog,
    /// Reads of children, which have to know what changes.
    pub(super) reads: OngoingReads,
    pool: Arc<PagePool>,
}

impl ItemSlab {
    pub(super) fn new(pool: Arc<PagePool>) -> ItemSlab {
        ItemSlab {
            slots: Slots::new(Arc::clone(&pool)),
            log: RecordLog::new(Arc::clone(&pool)),
            reads: OngoingReads::default(),
            pool,
        }
    }

    /// An empty slab on the same pool.
    pub(super) fn fresh(&self) -> ItemSlab {
        ItemSlab::new(Arc::clone(&self.pool))
    }

    /// Gives its buffers away. It must be replaced afterwards.
    pub(super) fn empty_into(&mut self, emptied: &mut EmptiedMemory) {
        self.slots.empty_into(emptied);
        self.log.empty_into(emptied);
    }

    /// The number of items.
    pub(super) fn items(&self) -> usize {
        self.slots.items()
    }

    /// One more than the highest index that an item can have now.
    pub(super) fn end(&self) -> usize {
        self.slots.end()
    }

    /// Bytes of memory that slots and records take.
    pub(super) fn bytes(&self) -> usize {
        self.slots.bytes() + self.log.bytes()
    }

    /// The most bytes that a record of this room may add, its slot included.
    pub(super) fn most_growth(&self, room: usize) -> usize {
        self.slots.most_growth() + self.log.most_growth(room)
    }

    /// Whether a record with this head and a value of this length takes the room of the item's old one.
    pub(super) fn keeps_room(&self, index: u32, head: &ItemHeader, value: usize) -> bool {
        let item = self.item(index);
        let bits = head.bits(key_length(item.slot.bits));
        let length = record::value_at(bits) + value;
        item.slot.has_shape(bits) && room(length) == room(item.record.len())
    }

    /// The segments that items with keys and values of these lengths need, about.
    pub(super) fn segments_for(&self, lengths: impl Iterator<Item = usize>) -> usize {
        self.log
            .segments_for(lengths.map(|length| length + LONGEST_HEAD))
    }

    /// Whether the segments might run out with items that need this many more, however much memory
    /// there is.
    pub(super) fn is_short_of_addresses(&self, more: usize) -> bool {
        self.log.is_short_of_addresses(more)
    }

    /// The item with this index, if one is stored.
    pub(super) fn get(&self, index: usize) -> Option<StoredItem<'_>> {
        let slot = self.slots.get(index)?;
        let record = self.log.record(slot.record);
        Some(StoredItem { slot, record })
    }

    /// The item with this index, which must be stored.
    #[inline]
    pub(super) fn item(&self, index: u32) -> StoredItem<'_> {
        let slot = self.slots.slot(index);
        let record = self.log.record(slot.record);
        StoredItem { slot, record }
    }

    /// All slots.
    pub(super) fn slots(&self) -> &Slots {
        &self.slots
    }

    /// The slot of the item with this index.
    #[inline]
    pub(super) fn slot(&self, index: u32) -> &ItemSlot {
        self.slots.slot(index)
    }

    /// The slot of the item with this index, to be changed.
    #[inline]
    pub(super) fn slot_mut(&mut self, index: u32) -> &mut ItemSlot {
        self.slots.slot_mut(index)
    }

    pub(super) fn set_cas(&mut self, index: u32, cas: u64) {
        let &ItemSlot { record, bits, .. } = self.slot(index);
        record::write_cas(bits, self.log.record_mut(record), cas);
    }

    pub(super) fn set_position(&mut self, index: u32, position: u32) {
        let &ItemSlot { record, bits, .. } = self.slot(index);
        record::write_position(bits, self.log.record_mut(record), position);
    }

    /// Keeps a child that is about to change for the reads of its parent's children.
    #[inline]
    pub(super) fn keep_for_reads(&mut self, index: u32) {
        if !self.reads.is_empty() && self.slot(index).is_child() {
            let slot = self.slots.slot(index);
            let record = self.log.record(slot.record);
            let item = StoredItem { slot, record };
            self.reads.keep(item.parent(), item.position(), item);
        }
    }

    /// Gives an item another head and value; the key stays.
    pub(super) fn rewrite(&mut self, index: u32, head: &ItemHeader, value: &[&[u8]]) {
        self.keep_for_reads(index);
        let slot = self.slots.slot_mut(index);
        let (old, old_bits) = (slot.record, slot.bits);
        let bits = head.bits(key_length(old_bits));
        let length = record::length(bits, value);
        let has_shape = slot.has_shape(bits);
        slot.bits = bits;
        if has_shape && let Some(record) = self.log.resize(old, length) {
            head.overwrite(bits, value, record);
            return;
        }
        let key = record::key(old_bits);
        let record = self.log.replace(old, key, index, length, |key, record| {
            head.fill(bits, key, value, record);
        });
        self.slots.slot_mut(index).record = record;
        self.evacuate();
    }

    /// Gives an item another head and key; the value stays.
    pub(super) fn rewrite_key(&mut self, index: u32, head: &ItemHeader, key: &[u8]) {
        let item = self.item(index);
        let (old, old_bits, length) = (item.slot.record, item.slot.bits, item.record.len());
        let bits = head.bits(key.len());
        if item.slot.has_shape(bits) {
            // The value stays where it is.
            let record = self.log.record_mut(old);
            head.write(record, bits);
            record[record::key(bits)].copy_from_slice(key);
            self.slot_mut(index).bits = bits;
            return;
        }
        let value = record::value_at(old_bits)..length;
        let length = record::value_at(bits) + value.len();
        let record = self
            .log
            .replace(old, value, index, length, |value, record| {
                head.fill(bits, key, &[value], record);
            });
        let slot = self.slot_mut(index);
        (slot.record, slot.bits) = (record, bits);
        self.evacuate();
    }

    /// Gives an item the value that lies at `at` in a buffer, which becomes its record; head and key stay.
    pub(super) fn adopt(&mut self, index: u32, mut bytes: PageBuffer, at: usize, value: usize) {
        let item = self.item(index);
        let (old, bits) = (item.slot.record, item.slot.bits);
        let start = record::value_at(bits);
        if at != HEADER + start {
            bytes.copy_within(at..at + value, HEADER + start);
        }
        bytes[HEADER..HEADER + start].copy_from_slice(&item.record[..start]);
        let record = self.log.adopt(index, start + value, bytes);
        self.log.free(old);
        self.slot_mut(index).record = record;
        self.evacuate();
    }

    /// Gives an item another head; key and value stay.
    pub(super) fn rewrite_header(&mut self, index: u32, head: &ItemHeader) {
        let item = self.item(index);
        let bits = head.bits(key_length(item.slot.bits));
        let record = item.slot.record;
        if item.slot.has_shape(bits) {
            self.keep_for_reads(index);
            head.write(self.log.record_mut(record), bits);
            self.slot_mut(index).bits = bits;
        } else {
            let value = item.value().unwrap_or_default().to_vec();
            self.rewrite(index, head, &[&value]);
        }
    }

    /// Sets whether the store is short of memory, so that less of the log may be dead.
    #[inline]
    pub(super) fn set_scarce(&mut self, scarce: bool) {
        self.log.scarce = scarce;
    }

    /// Continues to empty the segments of the log that have too much dead room, a piece at a time.
    pub(super) fn evacuate(&mut self) {
        if self.log.is_evacuation_due(false) {
            self.evacuate_piece();
        }
    }

    /// Empties every segment that has dead room. For a shard that has nothing left to evict.
    pub(super) fn evacuate_all(&mut self) {
        while self.log.is_evacuation_due(true) {
            self.evacuate_piece();
        }
    }

    /// Goes on to empty the segments with dead room, by one piece. Returns whether there is more.
    pub(super) fn gather_piece(&mut self) -> bool {
        let is_due = self.log.is_evacuation_due(true);
        if is_due {
            self.evacuate_piece();
        }
        is_due
    }

    fn evacuate_piece(&mut self) {
        let mut looked_at = 0;
        while looked_at < PIECE
            && let Some(found) = self.log.next_to_evacuate()
        {
            looked_at += found.room;
            if found.owner == NONE {
                continue; // dead
            }
            let moved = self.log.move_record(&found);
            let slot = self.slots.slot_mut(found.owner);
            if slot.record == found.address {
                slot.record = moved;
            } else {
                self.set_list(found.owner, moved);
            }
        }
    }

    /// Writes the address of the list of an item's children; the item has one.
    pub(super) fn set_list(&mut self, index: u32, list: u32) {
        let &ItemSlot { record, bits, .. } = self.slot(index);
        record::write_list(bits, self.log.record_mut(record), list);
    }

    /// For tests: bytes of memory, added up from every buffer.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.slots.held() + self.log.held()
    }

    /// For tests: bytes that the log believes to be live.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn live_bytes(&self) -> usize {
        self.log.live()
    }

    /// Stores an item; its index stays until it is removed.
    pub(super) fn insert(
        &mut self,
        head: &ItemHeader,
        key: &[u8],
        value: &[&[u8]],
        access: u32,
    ) -> u32 {
        let index = self.slots.next_index();
        let bits = head.bits(key.len());
        let record = self.log.push(index, record::length(bits, value), |record| {
            head.fill(bits, key, value, record);
        });
        let slot = ItemSlot {
            record,
            access,
            bits,
        };
        self.slots.fill(index, slot);
        index
    }

    /// Frees an item's slot and record.
    pub(super) fn remove(&mut self, index: u32) {
        if !self.reads.is_empty() {
            self.reads.note_removal(index);
        }
        self.log.free(self.slot(index).record);
        self.slots.free(index);
        if self.items() == 0 {
            *self = self.fresh();
        } else {
            self.evacuate();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: ItemHeader = ItemHeader {
        cas: 1,
        expires_ms: None,
        flags: 0,
        db: 0,
        parent: None,
        list: None,
        valueless: false,
    };

    #[test]
    fn dead_records_are_squeezed_out_and_live_ones_keep_their_bytes() {
        let mut slab = ItemSlab::new(Arc::new(PagePool::new(1 << 20, 1)));
        let value = |i: usize| vec![i as u8; i * 37 % 500];
        let mut indices = Vec::new();
        for i in 0..4000usize {
            indices.push(slab.insert(&HEAD, &i.to_le_bytes(), &[&value(i)], 0));
        }
        for (i, index) in indices.iter().enumerate().filter(|(i, _)| i % 8 != 0) {
            match i % 8 {
                1 => slab.rewrite(*index, &HEAD, &[b"another ", b"value"]),
                _ => slab.remove(*index),
            }
        }
        for (i, index) in indices.iter().enumerate().filter(|(i, _)| i % 8 < 2) {
            assert_eq!(slab.item(*index).key(), i.to_le_bytes());
            let expected = if i % 8 == 0 {
                value(i)
            } else {
                b"another value".to_vec()
            };
            assert_eq!(slab.item(*index).value(), Some(&expected[..]));
        }
        let live = slab.live_bytes();
        assert!(
            slab.log.bytes() < live * 5 / 4 + (1 << 17),
            "{} for {live}",
            slab.log.bytes()
        );
    }
}

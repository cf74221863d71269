//! Where a shard keeps its items: slots in chunks of 128, so that growth never copies and what
//! empties is given back, and their records in a log of its own.
//!
//! A slot's index is its chunk's number times 128 plus its place, and stays the same for as long as
//! the item lives. Chunks with a free slot form a stack; the next item goes into the one on top. A
//! chunk whose last item went is freed but keeps its number and its place on the stack, to be
//! allocated again when its turn comes. So a cache that held many small items and now holds few
//! large ones isn't weighed down by empty slots.
//!
//! Cost: taking and giving back a slot is a few writes; every 128th time it allocates or frees a
//! chunk. A record that keeps its length, to within the log's rounding, is written in place.

use std::sync::Arc;

use super::memory;
use super::record_log::RecordLog;
use super::segments::SegmentPool;
use super::slot::{self, ItemHeader, ItemSlot, NONE, StoredItem};

const CHUNK: usize = 128;

/// The items of one shard, by index.
#[derive(Debug)]
pub(super) struct ItemSlab {
    chunks: Vec<SlotChunk>,
    /// The chunk on top of the stack of those with a free slot.
    open: u32,
    items: usize,
    /// Chunks that are allocated.
    held: usize,
    log: RecordLog,
}

#[derive(Debug)]
struct SlotChunk {
    /// 128 slots, or none while the chunk is freed.
    slots: Box<[ItemSlot]>,
    /// Place of the first free slot in the chunk; they are linked by `ItemSlot::next`.
    free: u32,
    live: u32,
    /// The chunk below on the stack of open chunks.
    below: u32,
}

impl ItemSlab {
    pub(super) fn new(pool: Arc<SegmentPool>) -> ItemSlab {
        ItemSlab::on(RecordLog::new(pool))
    }

    /// An empty slab on the same pool.
    pub(super) fn fresh(&self) -> ItemSlab {
        ItemSlab::on(self.log.fresh())
    }

    fn on(log: RecordLog) -> ItemSlab {
        ItemSlab {
            chunks: Vec::new(),
            open: NONE,
            items: 0,
            held: 0,
            log,
        }
    }

    /// How many items there are.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// One more than the highest index that an item can have now.
    pub(super) fn end(&self) -> usize {
        self.chunks.len() * CHUNK
    }

    /// Bytes of memory that slots and records take.
    pub(super) fn bytes(&self) -> usize {
        self.held * Self::chunk_bytes()
            + self.chunks.capacity() * size_of::<SlotChunk>()
            + self.log.bytes()
    }

    /// Bytes that one chunk takes: what a shard with a single item has at least.
    pub(super) fn chunk_bytes() -> usize {
        memory::allocated_bytes(CHUNK * size_of::<ItemSlot>())
    }

    /// Whether so many items more might find no place, however much memory there is.
    pub(super) fn is_crowded(&self, more: usize) -> bool {
        self.log.is_crowded(more)
    }

    /// The item with this index, if there is one.
    pub(super) fn get(&self, index: usize) -> Option<StoredItem<'_>> {
        let slot = self.chunks.get(index / CHUNK)?.slots.get(index % CHUNK)?;
        (!slot.is_free()).then(|| StoredItem {
            slot,
            record: self.log.record(slot.record),
        })
    }

    /// The item with this index, which is there.
    pub(super) fn item(&self, index: u32) -> StoredItem<'_> {
        let slot = self.slot(index);
        StoredItem {
            slot,
            record: self.log.record(slot.record),
        }
    }

    /// The slot of the item with this index.
    pub(super) fn slot(&self, index: u32) -> &ItemSlot {
        &self.chunks[index as usize / CHUNK].slots[index as usize % CHUNK]
    }

    /// The slot of the item with this index, to be changed.
    pub(super) fn slot_mut(&mut self, index: u32) -> &mut ItemSlot {
        &mut self.chunks[index as usize / CHUNK].slots[index as usize % CHUNK]
    }

    pub(super) fn set_cas(&mut self, index: u32, cas: u64) {
        slot::write_cas(self.log.record_mut(self.slot(index).record), cas);
    }

    pub(super) fn set_position(&mut self, index: u32, position: u32) {
        let ItemSlot { record, bits, .. } = *self.slot(index);
        slot::write_position(bits, self.log.record_mut(record), position);
    }

    /// Gives an item another head and value; the key stays.
    pub(super) fn rewrite(&mut self, index: u32, head: &ItemHeader, value: &[&[u8]]) {
        let item = self.item(index);
        let (old, key_length) = (item.slot.record, item.key().len());
        let bits = head.bits(key_length);
        let length = head.length(key_length, value);
        if item.slot.has_shape(bits) && self.log.resize(old, length) {
            head.overwrite(bits, value, self.log.record_mut(old));
            self.slot_mut(index).set_bits(bits);
            return;
        }
        let key = self.item(index).key().to_vec();
        self.log.free(old);
        let record = self
            .log
            .push(index, length, |record| head.fill(&key, value, record));
        let slot = self.slot_mut(index);
        slot.record = record;
        slot.set_bits(bits);
        self.compact();
    }

    /// Gives an item another head; key and value stay.
    pub(super) fn rehead(&mut self, index: u32, head: &ItemHeader) {
        let item = self.item(index);
        let (record, bits) = (item.slot.record, head.bits(item.key().len()));
        if item.slot.has_shape(bits) {
            head.write(self.log.record_mut(record), bits);
            self.slot_mut(index).set_bits(bits);
        } else {
            let value = item.value().unwrap_or_default().to_vec();
            self.rewrite(index, head, &[&value]);
        }
    }

    /// Moves records out of the segments that are mostly dead.
    fn compact(&mut self) {
        while let Some(mut moving) = self.log.compact() {
            while let Some((owner, address, bytes)) = moving.next() {
                let (number, place) = (owner as usize / CHUNK, owner as usize % CHUNK);
                let slot = self
                    .chunks
                    .get_mut(number)
                    .and_then(|chunk| chunk.slots.get_mut(place));
                if let Some(slot) = slot
                    && slot.record == address
                {
                    slot.record = self.log.push(owner, bytes.len(), |record| {
                        record.copy_from_slice(bytes);
                    });
                }
            }
            self.log.finish(moving);
        }
    }

    /// For tests: bytes that the log believes to be live.
    #[cfg(test)]
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
        if self.open == NONE {
            self.chunks.push(SlotChunk {
                slots: Box::default(),
                free: NONE,
                live: 0,
                below: NONE,
            });
            self.open = self.chunks.len() as u32 - 1;
        }
        let number = self.open;
        let chunk = &mut self.chunks[number as usize];
        if chunk.slots.is_empty() {
            let next = |place: usize| {
                if place + 1 < CHUNK {
                    place as u32 + 1
                } else {
                    NONE
                }
            };
            chunk.slots = (0..CHUNK)
                .map(|place| ItemSlot::free(next(place)))
                .collect();
            chunk.free = 0;
            self.held += 1;
        }
        let place = chunk.free;
        let free = &mut chunk.slots[place as usize];
        chunk.free = free.next;
        let index = number * CHUNK as u32 + place;
        let length = head.length(key.len(), value);
        let record = self
            .log
            .push(index, length, |record| head.fill(key, value, record));
        *free = ItemSlot {
            record,
            prev: NONE,
            next: NONE,
            access,
            bits: head.bits(key.len()),
        };
        chunk.live += 1;
        if chunk.free == NONE {
            self.open = chunk.below;
        }
        self.items += 1;
        index
    }

    /// Frees an item's slot and record.
    pub(super) fn remove(&mut self, index: u32) {
        let (number, place) = (index / CHUNK as u32, index % CHUNK as u32);
        let chunk = &mut self.chunks[number as usize];
        if chunk.free == NONE {
            chunk.below = self.open;
            self.open = number;
        }
        let slot = &mut chunk.slots[place as usize];
        self.log.free(slot.record);
        *slot = ItemSlot::free(chunk.free);
        chunk.free = place;
        chunk.live -= 1;
        if chunk.live == 0 {
            chunk.slots = Box::default();
            self.held -= 1;
        }
        self.items -= 1;
        if self.items == 0 {
            *self = self.fresh();
        } else {
            self.compact();
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
        valueless: false,
    };

    fn slab() -> ItemSlab {
        ItemSlab::new(Arc::new(SegmentPool::new(1 << 20, 1)))
    }

    #[test]
    fn indices_stay_and_free_slots_are_used_again_before_the_slab_grows() {
        let mut slab = slab();
        let indices: Vec<u32> = (0..1000u32)
            .map(|i| slab.insert(&HEAD, &i.to_le_bytes(), &[], 0))
            .collect();
        let end = slab.end();
        for index in indices.iter().step_by(2) {
            slab.remove(*index);
        }
        for i in 0..500u32 {
            slab.insert(&HEAD, &(5000 + i).to_le_bytes(), &[], 0);
        }
        assert_eq!((slab.end(), slab.items()), (end, 1000));
        for (i, index) in indices.iter().enumerate().skip(1).step_by(2) {
            assert_eq!(slab.item(*index).key(), (i as u32).to_le_bytes());
        }
    }

    #[test]
    fn dead_records_are_squeezed_out_and_live_ones_keep_their_bytes() {
        let mut slab = slab();
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

    #[test]
    fn emptied_chunks_are_given_back_and_taken_again() {
        let mut slab = slab();
        let indices: Vec<u32> = (0..1280)
            .map(|_| slab.insert(&HEAD, b"k", &[], 0))
            .collect();
        assert_eq!(slab.held, 10);
        for index in &indices[..1279] {
            slab.remove(*index);
        }
        assert_eq!(slab.held, 1);
        for _ in 0..1279 {
            slab.insert(&HEAD, b"k", &[], 0);
        }
        assert_eq!((slab.held, slab.end()), (10, 1280));
        for index in indices {
            slab.remove(index);
        }
        assert_eq!((slab.bytes(), slab.end()), (0, 0));
    }
}

//! The slots of a shard's items, in chunks, so that growth never copies and empty chunks are freed.
//!
//! A slot's index is its chunk's number times the slots of a chunk plus its offset there, and stays the same for as long
//! as the item lives. The next item goes into the lowest chunk that has a free slot; so the higher ones empty, and the
//! memory of a chunk whose last item went goes back to the pool. A cache that held many small items and now holds few
//! large ones isn't weighed down by empty slots.
//!
//! Cost: taking and giving back a slot is a few writes and a look at a bitmap of the chunks.

use std::sync::Arc;

use zerocopy::FromBytes;

use super::emptied_memory::EmptiedMemory;
use super::pages::{PageBuffer, PagePool};
use super::slot::{ItemSlot, NONE};

const SLOT: usize = size_of::<ItemSlot>();

/// The slots of one shard, by index.
#[derive(Debug)]
pub(super) struct Slots {
    chunks: Vec<SlotChunk>,
    /// A bit for each chunk that has memory and a free slot.
    open: Vec<u64>,
    /// Chunks without memory.
    vacant: Vec<u32>,
    items: usize,
    /// Bytes of memory that the chunks take.
    held: usize,
    /// Bytes of memory that the lists of chunks take.
    lists: usize,
    /// The slots of a chunk, as a power of two.
    shift: u32,
    pool: Arc<PagePool>,
}

#[derive(Debug, Default)]
struct SlotChunk {
    /// Slots, or nothing while the chunk is vacant.
    bytes: PageBuffer,
    /// Offset of the first free slot in the chunk; they are linked by [`ItemSlot::access`].
    free: u32,
    live: u32,
}

impl SlotChunk {
    #[inline]
    fn slot(&self, offset: usize) -> &ItemSlot {
        let bytes = &self.bytes[offset * SLOT..][..SLOT];
        ItemSlot::ref_from_bytes(bytes).expect("buffers are aligned")
    }

    #[inline]
    fn slot_mut(&mut self, offset: usize) -> &mut ItemSlot {
        let bytes = &mut self.bytes[offset * SLOT..][..SLOT];
        ItemSlot::mut_from_bytes(bytes).expect("buffers are aligned")
    }
}

impl Slots {
    pub(super) fn new(pool: Arc<PagePool>) -> Slots {
        Slots {
            chunks: Vec::new(),
            open: Vec::new(),
            vacant: Vec::new(),
            items: 0,
            held: 0,
            lists: 0,
            shift: Slots::per_chunk(&pool).ilog2(),
            pool,
        }
    }

    /// Gives the buffers away. It must be replaced afterwards.
    pub(super) fn empty_into(&mut self, emptied: &mut EmptiedMemory) {
        let chunks = self.chunks.drain(..);
        chunks.for_each(|chunk| emptied.push(chunk.bytes));
    }

    /// 2,048 slots are six pages: so many that a chunk is mapped, in a store that is not very small.
    fn per_chunk(pool: &PagePool) -> usize {
        pool.segment() / 32
    }

    /// Bytes that the slots of one chunk have.
    pub(super) fn chunk_bytes(pool: &PagePool) -> usize {
        Slots::per_chunk(pool) * SLOT
    }

    /// The number of items.
    pub(super) fn items(&self) -> usize {
        self.items
    }

    /// One more than the highest index that an item can have now.
    pub(super) fn end(&self) -> usize {
        self.chunks.len() << self.shift
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.held + self.lists
    }

    /// The most bytes that one more item may add: a chunk, and lists of twice the length.
    pub(super) fn most_growth(&self) -> usize {
        const SHORTEST_LISTS: usize = 1 << 9;
        Slots::chunk_bytes(&self.pool) + self.list_bytes() + SHORTEST_LISTS
    }

    fn list_bytes(&self) -> usize {
        self.chunks.capacity() * size_of::<SlotChunk>()
            + self.open.capacity() * size_of::<u64>()
            + self.vacant.capacity() * size_of::<u32>()
    }

    /// For tests: [`bytes`](Slots::bytes), added up from every buffer.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let chunks = self.chunks.iter().map(|chunk| chunk.bytes.taken());
        self.list_bytes() + chunks.sum::<usize>()
    }

    #[inline]
    fn locate(&self, index: usize) -> (usize, usize) {
        (index >> self.shift, index & ((1 << self.shift) - 1))
    }

    /// The slot with this index, if there is an item.
    pub(super) fn get(&self, index: usize) -> Option<&ItemSlot> {
        let (number, offset) = self.locate(index);
        let chunk = self.chunks.get(number).filter(|chunk| chunk.live > 0)?;
        Some(chunk.slot(offset)).filter(|slot| !slot.is_free())
    }

    /// The index of the first item from this one on.
    pub(super) fn item_from(&self, index: usize) -> Option<usize> {
        let (mut number, mut offset) = self.locate(index);
        while let Some(chunk) = self.chunks.get(number) {
            if chunk.live > 0 {
                let slots = offset..1 << self.shift;
                if let Some(found) = { slots }.find(|offset| !chunk.slot(*offset).is_free()) {
                    return Some(number << self.shift | found);
                }
            }
            (number, offset) = (number + 1, 0);
        }
        None
    }

    /// The slot with this index, which has an item.
    #[inline]
    pub(super) fn slot(&self, index: u32) -> &ItemSlot {
        let (number, offset) = self.locate(index as usize);
        self.chunks[number].slot(offset)
    }

    /// The slot with this index, to be changed.
    #[inline]
    pub(super) fn slot_mut(&mut self, index: u32) -> &mut ItemSlot {
        let (number, offset) = self.locate(index as usize);
        self.chunks[number].slot_mut(offset)
    }

    fn set_open(&mut self, number: usize, open: bool) {
        let bit = 1 << (number % 64);
        if open {
            self.open[number / 64] |= bit;
        } else {
            self.open[number / 64] &= !bit;
        }
    }

    /// The lowest chunk with a free slot; one that gets memory, if none has.
    fn open_chunk(&mut self) -> usize {
        let word = self.open.iter().position(|word| *word != 0);
        if let Some(word) = word {
            return word * 64 + self.open[word].trailing_zeros() as usize;
        }
        let number = self
            .vacant
            .pop()
            .map_or(self.chunks.len(), |number| number as usize);
        if number == self.chunks.len() {
            self.chunks.push(SlotChunk::default());
            self.open.resize(number / 64 + 1, 0);
        }
        let slots = 1u32 << self.shift;
        let mut chunk = SlotChunk {
            bytes: self.pool.take(Slots::chunk_bytes(&self.pool)),
            free: 0,
            live: 0,
        };
        for offset in 0..slots {
            let next = if offset + 1 < slots { offset + 1 } else { NONE };
            *chunk.slot_mut(offset as usize) = ItemSlot::free(next);
        }
        self.held += chunk.bytes.taken();
        self.chunks[number] = chunk;
        self.set_open(number, true);
        self.lists = self.list_bytes();
        number
    }

    /// The index that the next item gets.
    pub(super) fn next_index(&mut self) -> u32 {
        let number = self.open_chunk();
        (number as u32) << self.shift | self.chunks[number].free
    }

    /// Fills the slot that [`next_index`](Slots::next_index) named.
    pub(super) fn fill(&mut self, index: u32, slot: ItemSlot) {
        let (number, offset) = self.locate(index as usize);
        let chunk = &mut self.chunks[number];
        let free = chunk.slot_mut(offset);
        let next = std::mem::replace(free, slot).access;
        chunk.free = next;
        chunk.live += 1;
        self.items += 1;
        if next == NONE {
            self.set_open(number, false);
        }
    }

    /// Frees a slot.
    pub(super) fn free(&mut self, index: u32) {
        let (number, offset) = self.locate(index as usize);
        let chunk = &mut self.chunks[number];
        *chunk.slot_mut(offset) = ItemSlot::free(chunk.free);
        chunk.free = offset as u32;
        chunk.live -= 1;
        self.items -= 1;
        let emptied = chunk.live == 0;
        if emptied {
            let bytes = std::mem::take(&mut chunk.bytes);
            self.held -= bytes.taken();
            self.pool.give(bytes);
            self.vacant.push(number as u32);
            self.lists = self.list_bytes();
        }
        self.set_open(number, !emptied);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots() -> Slots {
        Slots::new(Arc::new(PagePool::new(64 << 20, 1)))
    }

    fn insert(slots: &mut Slots) -> u32 {
        let index = slots.next_index();
        slots.fill(
            index,
            ItemSlot {
                record: index,
                ..ItemSlot::free(NONE)
            },
        );
        index
    }

    #[test]
    fn indices_stay_and_free_slots_are_used_again_before_there_are_more() {
        let mut slots = slots();
        let indices: Vec<u32> = (0..5000).map(|_| insert(&mut slots)).collect();
        let end = slots.end();
        for index in indices.iter().step_by(2) {
            slots.free(*index);
        }
        for _ in 0..2500 {
            insert(&mut slots);
        }
        assert_eq!((slots.end(), slots.items()), (end, 5000));
        for index in indices {
            assert_eq!(slots.slot(index).record, index);
        }
    }

    #[test]
    fn emptied_chunks_are_given_back_and_taken_again() {
        let mut slots = slots();
        let indices: Vec<u32> = (0..10 * 2048).map(|_| insert(&mut slots)).collect();
        assert_eq!(slots.held, 10 * 6 * 4096);
        for index in &indices[..10 * 2048 - 1] {
            slots.free(*index);
        }
        assert_eq!(slots.held, 6 * 4096);
        for _ in 0..10 * 2048 - 1 {
            insert(&mut slots);
        }
        assert_eq!((slots.held, slots.end()), (10 * 6 * 4096, 10 * 2048));
    }

    /// Few items that come while many go fill the lowest chunks, so that the others empty.
    #[test]
    fn when_few_items_take_the_place_of_many_the_memory_of_most_chunks_is_given_back() {
        let mut slots = slots();
        let old: Vec<u32> = (0..20 * 2048).map(|_| insert(&mut slots)).collect();
        for many in old.chunks(20) {
            many.iter().for_each(|index| slots.free(*index));
            insert(&mut slots);
        }
        assert_eq!((slots.items(), slots.held), (2048, 6 * 4096));
    }

    #[test]
    fn the_items_are_found_in_the_order_of_their_indices() {
        let mut slots = slots();
        let indices: Vec<u32> = (0..5 * 2048).map(|_| insert(&mut slots)).collect();
        let stay = |index: &u32| *index == 7 || *index > 9_000 && index.is_multiple_of(100);
        for index in indices.iter().filter(|index| !stay(index)) {
            slots.free(*index);
        }
        let mut at = 0;
        for index in indices.iter().filter(|index| stay(index)) {
            assert_eq!(slots.item_from(at), Some(*index as usize));
            at = *index as usize + 1;
        }
        assert_eq!(slots.item_from(at), None);
        assert_eq!(slots.item_from(1 << 30), None);
    }
}

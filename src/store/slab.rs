//! Where a shard keeps its slots: chunks of 128, so that growth never copies and what empties is given back.
//!
//! A slot's index is its chunk's number times 128 plus its place, and stays the same for as long as the item lives.
//! Chunks with a free slot form a stack; the next item goes into the one on top. A chunk whose last item went is
//! freed but keeps its number and its place on the stack, to be allocated again when its turn comes. So a cache that
//! held many small items and now holds few large ones isn't weighed down by empty slots.
//!
//! Cost: taking and giving back a slot is a few writes; every 128th time it allocates or frees 4 KiB.

use std::ops::{Index, IndexMut};

use super::memory;
use super::slot::{NONE, Slot};

const CHUNK: usize = 128;

/// The slots of one shard, by index.
#[derive(Debug)]
pub(super) struct Slab {
    chunks: Vec<Chunk>,
    /// The chunk on top of the stack of those with a free slot.
    open: u32,
    items: usize,
    /// Chunks that are allocated.
    held: usize,
}

#[derive(Debug)]
struct Chunk {
    /// 128 slots, or none while the chunk is freed.
    slots: Box<[Slot]>,
    /// Place of the first free slot in the chunk; they are linked by `Slot::next`.
    free: u32,
    live: u32,
    /// The chunk below on the stack of open chunks.
    below: u32,
}

impl Slab {
    pub(super) const fn new() -> Slab {
        Slab {
            chunks: Vec::new(),
            open: NONE,
            items: 0,
            held: 0,
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

    /// Bytes of heap that chunks take, records not counted.
    pub(super) fn bytes(&self) -> usize {
        self.held * Self::chunk_bytes() + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Bytes that one chunk takes: what a shard with a single item has at least.
    pub(super) fn chunk_bytes() -> usize {
        memory::chunk(CHUNK * size_of::<Slot>())
    }

    /// The item with this index, if there is one.
    pub(super) fn get(&self, index: usize) -> Option<&Slot> {
        let slot = self.chunks.get(index / CHUNK)?.slots.get(index % CHUNK)?;
        (!slot.is_free()).then_some(slot)
    }

    /// Stores an item; its index stays until it is removed.
    pub(super) fn insert(&mut self, slot: Slot) -> u32 {
        if self.open == NONE {
            self.chunks.push(Chunk {
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
            chunk.slots = (0..CHUNK).map(|place| Slot::free(next(place))).collect();
            chunk.free = 0;
            self.held += 1;
        }
        let place = chunk.free;
        let free = &mut chunk.slots[place as usize];
        chunk.free = free.next;
        *free = slot;
        chunk.live += 1;
        if chunk.free == NONE {
            self.open = chunk.below;
        }
        self.items += 1;
        number * CHUNK as u32 + place
    }

    /// Frees an item's slot and record.
    pub(super) fn remove(&mut self, index: u32) {
        let (number, place) = (index / CHUNK as u32, index % CHUNK as u32);
        let chunk = &mut self.chunks[number as usize];
        if chunk.free == NONE {
            chunk.below = self.open;
            self.open = number;
        }
        chunk.slots[place as usize] = Slot::free(chunk.free);
        chunk.free = place;
        chunk.live -= 1;
        if chunk.live == 0 {
            chunk.slots = Box::default();
            self.held -= 1;
        }
        self.items -= 1;
        if self.items == 0 {
            *self = Slab::new();
        }
    }
}

impl Index<u32> for Slab {
    type Output = Slot;

    fn index(&self, index: u32) -> &Slot {
        &self.chunks[index as usize / CHUNK].slots[index as usize % CHUNK]
    }
}

impl IndexMut<u32> for Slab {
    fn index_mut(&mut self, index: u32) -> &mut Slot {
        &mut self.chunks[index as usize / CHUNK].slots[index as usize % CHUNK]
    }
}

#[cfg(test)]
mod tests {
    use super::super::slot::Head;
    use super::*;

    fn slot(key: &[u8]) -> Slot {
        let head = Head {
            cas: 1,
            expires_ms: None,
            flags: 0,
            db: 0,
            kin: None,
            valueless: false,
        };
        Slot::new(&head, key, &[], 0)
    }

    #[test]
    fn indices_stay_and_free_slots_are_used_again_before_the_slab_grows() {
        let mut slab = Slab::new();
        let indices: Vec<u32> = (0..1000u32)
            .map(|i| slab.insert(slot(&i.to_le_bytes())))
            .collect();
        let end = slab.end();
        for index in indices.iter().step_by(2) {
            slab.remove(*index);
        }
        for i in 0..500u32 {
            slab.insert(slot(&(5000 + i).to_le_bytes()));
        }
        assert_eq!((slab.end(), slab.items()), (end, 1000));
        for (i, index) in indices.iter().enumerate().skip(1).step_by(2) {
            assert_eq!(slab[*index].key(), (i as u32).to_le_bytes());
        }
    }

    #[test]
    fn emptied_chunks_are_given_back_and_taken_again() {
        let mut slab = Slab::new();
        let indices: Vec<u32> = (0..1280).map(|_| slab.insert(slot(b"k"))).collect();
        assert_eq!(slab.held, 10);
        for index in &indices[..1279] {
            slab.remove(*index);
        }
        assert_eq!(slab.held, 1);
        for _ in 0..1279 {
            slab.insert(slot(b"k"));
        }
        assert_eq!((slab.held, slab.end()), (10, 1280));
        for index in indices {
            slab.remove(index);
        }
        assert_eq!((slab.bytes(), slab.end()), (0, 0));
    }
}

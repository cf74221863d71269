//! A shard's hash table, from the hash of a key to the slot of its item. It grows by one bucket at a time.
//!
//! ```text
//!   bucket    12 tags │ overflow │ 12 slots                  64 bytes, one cache line
//!              1 each │ 4        │ 4 each
//!
//!   buckets   0 … s-1  split in two: s more bits of the hash   │ s … n-1  not yet │ n … n+s-1  their other halves
//! ```
//!
//! This is linear hashing (Litwin, 1980). When there are more than [`MOST`] items for each bucket, the next bucket is
//! split; when there are fewer than [`LEAST`], the last one joins its other half again. So no write waits for a whole
//! table to be copied, and the table takes about 8 bytes for each item, not up to twice that. A bucket that is full
//! continues in an overflow bucket. The buckets lie in pages of the store's pool, which go back to it.
//!
//! Cost: a look-up reads one cache line, now and then two, and the slots whose tag is right: 1 in 255 of the others is.
//! A split computes the hashes of a dozen items.

use std::sync::Arc;

use zerocopy::{FromBytes, FromZeros};

use super::emptied_memory::EmptiedMemory;
use super::pages::{PageBuffer, PagePool};
use bucket::{BUCKET, Bucket, ENTRIES, tag};

mod bucket;
#[cfg(test)]
mod tests;

/// Items for each bucket above which the table grows.
const MOST: usize = 10;
/// Items for each bucket below which it shrinks.
const LEAST: usize = 6;
/// Buckets by number, in pages.
#[derive(Debug)]
struct Buckets {
    pages: Vec<PageBuffer>,
    /// Buckets of a page, as a power of two.
    shift: u32,
    /// Bytes of memory that the pages take.
    held: usize,
    pool: Arc<PagePool>,
}

impl Buckets {
    fn new(pool: Arc<PagePool>) -> Buckets {
        Buckets {
            pages: Vec::new(),
            shift: (HashTable::page_bytes(&pool) / BUCKET).ilog2(),
            held: 0,
            pool,
        }
    }

    #[inline]
    fn get(&self, number: u32) -> &Bucket {
        let offset = (number as usize & ((1 << self.shift) - 1)) * BUCKET;
        let bytes = &self.pages[number as usize >> self.shift][offset..][..BUCKET];
        Bucket::ref_from_bytes(bytes).expect("buffers are aligned")
    }

    #[inline]
    fn get_mut(&mut self, number: u32) -> &mut Bucket {
        let offset = (number as usize & ((1 << self.shift) - 1)) * BUCKET;
        let bytes = &mut self.pages[number as usize >> self.shift][offset..][..BUCKET];
        Bucket::mut_from_bytes(bytes).expect("buffers are aligned")
    }

    /// Makes sure that there are `count` buckets, the last of which is new and empty. Pages are written no further than
    /// to there, so that the system gives no memory for the rest of the last page.
    fn extend(&mut self, count: u32) {
        while (self.pages.len() << self.shift) < count as usize {
            let page = self.pool.take(HashTable::page_bytes(&self.pool));
            self.held += page.taken();
            self.pages.push(page);
        }
        *self.get_mut(count - 1) = Bucket::new_zeroed();
    }

    /// Frees the pages that aren't needed for `count` buckets.
    fn truncate(&mut self, count: u32) {
        while self.pages.len() > (count as usize).div_ceil(1 << self.shift)
            && let Some(page) = self.pages.pop()
        {
            self.held -= page.taken();
            self.pool.give(page);
        }
    }
}

/// Slots by hash. The caller decides which of those with the right tag is meant.
#[derive(Debug)]
pub(super) struct HashTable {
    buckets: Buckets,
    count: u32,
    overflow: Buckets,
    /// Overflow buckets that were ever taken; number 0 stands for none.
    overflow_end: u32,
    /// The first of those that are free; they are linked by their overflow numbers.
    overflow_free: u32,
    overflow_used: u32,
    len: usize,
    /// Buckets with which an empty table begins.
    expected: u32,
}

impl HashTable {
    pub(super) fn new(pool: &Arc<PagePool>) -> HashTable {
        HashTable {
            buckets: Buckets::new(Arc::clone(pool)),
            count: 0,
            overflow: Buckets::new(Arc::clone(pool)),
            overflow_end: 1,
            overflow_free: 0,
            overflow_used: 0,
            len: 0,
            expected: 1,
        }
    }

    /// An empty table on the same pool.
    pub(super) fn fresh(&self) -> HashTable {
        HashTable::new(&self.buckets.pool)
    }

    /// Gives the pages away. It must be replaced afterwards.
    pub(super) fn empty_into(&mut self, emptied: &mut EmptiedMemory) {
        let pages = (self.buckets.pages.drain(..)).chain(self.overflow.pages.drain(..));
        pages.for_each(|page| emptied.push(page));
    }

    /// Has an empty table begin with the buckets for so many items, so that none is split on the way to there. They take memory
    /// from the first item on.
    pub(super) fn expect(&mut self, items: usize) {
        self.expected = u32::try_from(items / MOST).unwrap_or(u32::MAX).max(1);
    }

    /// Bytes that a page of buckets has.
    pub(super) fn page_bytes(pool: &PagePool) -> usize {
        pool.segment() / 4
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        let lists = self.buckets.pages.capacity() + self.overflow.pages.capacity();
        self.buckets.held + self.overflow.held + lists * size_of::<PageBuffer>()
    }

    /// The most bytes that one more slot may add: a page of each kind, and lists of twice the length.
    pub(super) fn most_growth(&self) -> usize {
        const SHORTEST_LISTS: usize = 1 << 9;
        let pages = 2 * HashTable::page_bytes(&self.buckets.pool);
        let lists = self.bytes() - self.buckets.held - self.overflow.held;
        pages + lists + SHORTEST_LISTS
    }

    /// For tests: [`bytes`](HashTable::bytes), added up from every page.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let pages = self.buckets.pages.iter().chain(&self.overflow.pages);
        self.bytes() - self.buckets.held - self.overflow.held
            + pages.map(PageBuffer::taken).sum::<usize>()
    }

    #[cfg(any(test, feature = "internals"))]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    fn bucket_of(&self, hash: u64) -> u32 {
        let mask = self.count.next_power_of_two() - 1;
        let number = hash as u32 & mask;
        if number < self.count {
            number
        } else {
            number & (mask >> 1)
        }
    }

    /// The slot with this hash that `is` says to be the one.
    #[inline]
    pub(super) fn find(&self, hash: u64, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let tag = tag(hash);
        let mut bucket = self.buckets.get(self.bucket_of(hash));
        loop {
            if let Some(slot) = bucket.candidates(tag).find(|slot| is(*slot)) {
                return Some(slot);
            }
            match bucket.overflow() {
                0 => return None,
                number => bucket = self.overflow.get(number),
            }
        }
    }

    /// A slot whose tag is right, of the first bucket of the chain.
    #[inline]
    pub(super) fn candidate(&self, hash: u64) -> Option<u32> {
        if self.len == 0 {
            return None;
        }
        let bucket = self.buckets.get(self.bucket_of(hash));
        bucket.candidates(tag(hash)).next()
    }

    /// Adds a slot; `hash_of` tells the hashes of others, where a bucket is split.
    pub(super) fn insert(&mut self, hash: u64, slot: u32, hash_of: impl Fn(u32) -> u64) {
        if self.len >= self.count as usize * MOST {
            self.split(hash_of);
        }
        self.add(self.bucket_of(hash), tag(hash), slot);
        self.len += 1;
    }

    /// Removes a slot, which is there.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        self.take(self.bucket_of(hash), tag(hash), slot);
        self.len -= 1;
        if self.len == 0 {
            *self = self.fresh();
        } else if self.len < self.count as usize * LEAST && self.count > 1 {
            self.join();
        }
    }

    /// A bucket of a chain: a number of its own, or that of an overflow bucket.
    fn bucket_in_chain(&mut self, first: u32, overflow: u32) -> &mut Bucket {
        match overflow {
            0 => self.buckets.get_mut(first),
            number => self.overflow.get_mut(number),
        }
    }

    #[inline]
    fn add(&mut self, number: u32, tag: u8, slot: u32) {
        let bucket = self.buckets.get_mut(number);
        match bucket.len() {
            ENTRIES => self.add_to_chain(number, tag, slot),
            len => bucket.set(len, tag, slot),
        }
    }

    fn add_to_chain(&mut self, number: u32, tag: u8, slot: u32) {
        let mut at = 0;
        loop {
            let bucket = self.bucket_in_chain(number, at);
            let len = bucket.len();
            if len < ENTRIES {
                return bucket.set(len, tag, slot);
            }
            let next = bucket.overflow();
            at = if next == 0 {
                self.add_overflow(number, at)
            } else {
                next
            };
        }
    }

    /// Hangs an empty overflow bucket behind the last one of a chain.
    fn add_overflow(&mut self, number: u32, last: u32) -> u32 {
        let new = match self.overflow_free {
            0 => {
                self.overflow_end += 1;
                self.overflow.extend(self.overflow_end);
                self.overflow_end - 1
            }
            free => {
                self.overflow_free = self.overflow.get(free).overflow();
                free
            }
        };
        self.overflow_used += 1;
        *self.overflow.get_mut(new) = Bucket::new_zeroed();
        self.bucket_in_chain(number, last).set_overflow(new);
        new
    }

    /// Takes a slot out of a chain; the chain's last entry takes its place.
    fn take(&mut self, number: u32, tag: u8, slot: u32) {
        let bucket = self.buckets.get_mut(number);
        if bucket.overflow() != 0 {
            return self.take_from_chain(number, tag, slot);
        }
        if let Some(entry) = bucket.find(tag, slot) {
            let end = bucket.len() - 1;
            let (tag, moved) = (bucket.tag(end), bucket.slots[end]);
            bucket.set(entry, tag, moved);
            bucket.set(end, 0, 0);
        }
    }

    fn take_from_chain(&mut self, number: u32, tag: u8, slot: u32) {
        let (mut at, mut before) = (0, 0);
        let mut hole = None;
        loop {
            let bucket = self.bucket_in_chain(number, at);
            if hole.is_none()
                && let Some(entry) = bucket.find(tag, slot)
            {
                hole = Some((at, entry));
            }
            match bucket.overflow() {
                0 => break,
                next => (before, at) = (at, next),
            }
        }
        let Some((hole, entry)) = hole else {
            return;
        };
        let last = self.bucket_in_chain(number, at);
        let end = last.len() - 1;
        let (tag, moved) = (last.tag(end), last.slots[end]);
        last.set(end, 0, 0);
        if (hole, entry) != (at, end) {
            self.bucket_in_chain(number, hole).set(entry, tag, moved);
        }
        if end == 0 && at != 0 {
            self.bucket_in_chain(number, before).set_overflow(0);
            self.free_overflow(at);
        }
    }

    fn free_overflow(&mut self, number: u32) {
        self.overflow
            .get_mut(number)
            .set_overflow(self.overflow_free);
        self.overflow_free = number;
        self.overflow_used -= 1;
        if self.overflow_used == 0 {
            self.overflow.truncate(0);
            (self.overflow_end, self.overflow_free) = (1, 0);
        }
    }

    /// Empties a chain, its overflow buckets included, and shows each of its entries.
    fn drain(&mut self, number: u32) -> Vec<(u8, u32)> {
        let mut entries = Vec::with_capacity(2 * ENTRIES);
        let mut at = 0;
        loop {
            let bucket = std::mem::replace(self.bucket_in_chain(number, at), Bucket::new_zeroed());
            entries.extend((0..bucket.len()).map(|entry| (bucket.tag(entry), bucket.slots[entry])));
            if at != 0 {
                self.free_overflow(at);
            }
            match bucket.overflow() {
                0 => return entries,
                next => at = next,
            }
        }
    }

    fn split(&mut self, hash_of: impl Fn(u32) -> u64) {
        if self.count == 0 {
            (1..=self.expected).for_each(|count| self.buckets.extend(count));
            self.count = self.expected;
            return;
        }
        self.buckets.extend(self.count + 1);
        self.count += 1;
        let new = self.count - 1;
        let half = new - (1 << new.ilog2());
        for (tag, slot) in self.drain(half) {
            self.add(self.bucket_of(hash_of(slot)), tag, slot);
        }
    }

    fn join(&mut self) {
        let last = self.count - 1;
        let half = last - (1 << last.ilog2());
        for (tag, slot) in self.drain(last) {
            self.add(half, tag, slot);
        }
        self.count -= 1;
        self.buckets.truncate(self.count);
    }
}

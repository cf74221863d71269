//! Memory for records, slots and hash tables: pages from the system, which go back to it.
//!
//! ```text
//!   system ──map──▶ PageBuffer ──▶ a shard's log, slots or table
//!     ▲                                      │ give
//!     └──unmap── PagePool: free buffers ◀────┘
//! ```
//!
//! Memory that malloc gave often stays in the process when it is freed: between blocks that are still in use, and in
//! the arena of the thread that allocated it. So a cache whose values change in size would keep the memory of both
//! sizes. Therefore a shard maps its buffers and unmaps them when they are empty; the process then uses as much memory
//! as the store counts, whichever thread frees it. Buffers of less than [`MAPPED_FROM`] come from malloc, because the
//! unused rest of their last page would be too large a part of them; only stores of some MiB have such segments.
//!
//! A buffer that a shard empties is kept for any shard to use. A 64th of the store's memory is set apart for such buffers.
//! They may also take memory that no item uses, up to an eighth of the store's; it goes back to the system when items need
//! it. So a store that isn't full takes values of some hundred kilobytes without new mappings.
//!
//! Cost: taking and giving are a look-up among the free sizes under a lock of their own. If no buffer of that size is
//! free, a call maps memory, whose pages the system clears when they are first written: some microseconds for 64 KiB,
//! some tens for a megabyte.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use memmap2::MmapMut;
use zerocopy::IntoBytes;

use super::memory;

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Bytes of the segments of a store of up to 512 MiB; a larger one has at most [`MOST_SEGMENTS`].
const SEGMENT: usize = 64 << 10;
/// Bytes of a very small store's segments.
const SMALLEST: usize = 4 << 10;
/// The number of segments of a store: a limit for the number of mappings. A record that has a segment to itself takes
/// more than a quarter of a segment, so that there are fewer than four times as many mappings of records, and those of
/// slots and tables are fewer still. Linux lets a process have 65,530 mappings.
const MOST_SEGMENTS: u64 = 8 << 10;
/// Bytes from which memory is mapped.
const MAPPED_FROM: usize = 16 << 10;
/// Bytes that mapped memory is a multiple of.
const PAGE: usize = 4 << 10;
/// Mappings that the process has at most; further memory comes from malloc.
const MOST_MAPPED: usize = 48 << 10;

/// The number of mappings of this process's stores.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// Memory that begins at a multiple of 8.
#[derive(Debug)]
pub(super) enum PageBuffer {
    /// From malloc.
    Allocated(Box<[u64]>),
    /// From the system, to which it goes back when it is dropped.
    Mapped(MmapMut),
    /// Either of them, which replies read that are being written. A change makes a copy while there are such replies.
    Shared(Arc<PageBuffer>),
}

impl Default for PageBuffer {
    /// No memory.
    fn default() -> PageBuffer {
        PageBuffer::Allocated(Box::default())
    }
}

impl Deref for PageBuffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            PageBuffer::Mapped(bytes) => bytes,
            PageBuffer::Allocated(words) => words.as_bytes(),
            PageBuffer::Shared(buffer) => buffer,
        }
    }
}

impl DerefMut for PageBuffer {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            PageBuffer::Mapped(bytes) => bytes,
            PageBuffer::Allocated(words) => words.as_mut_bytes(),
            PageBuffer::Shared(_) => self.make_own(),
        }
    }
}

impl Drop for PageBuffer {
    fn drop(&mut self) {
        if let PageBuffer::Mapped(_) = self {
            MAPPED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl PageBuffer {
    /// Zeroes. From malloc if that is little, if there are too many mappings or if the system gives no more.
    fn new(length: usize) -> PageBuffer {
        if length >= MAPPED_FROM {
            let counted = MAPPED.fetch_add(1, Ordering::Relaxed);
            if counted < MOST_MAPPED
                && let Ok(bytes) = MmapMut::map_anon(length)
            {
                return PageBuffer::Mapped(bytes);
            }
            MAPPED.fetch_sub(1, Ordering::Relaxed);
        }
        PageBuffer::Allocated(vec![0; length.div_ceil(8)].into_boxed_slice())
    }

    /// The buffer for a reader that keeps it.
    pub(super) fn share(&mut self) -> Arc<PageBuffer> {
        if let PageBuffer::Shared(buffer) = self {
            return Arc::clone(buffer);
        }
        let buffer = Arc::new(std::mem::take(self));
        *self = PageBuffer::Shared(Arc::clone(&buffer));
        buffer
    }

    /// Replaces the buffer by a copy of it if readers keep it.
    #[cold]
    pub(super) fn make_own(&mut self) -> &mut [u8] {
        if let PageBuffer::Shared(buffer) = self
            && Arc::get_mut(buffer).is_none()
        {
            let mut copy = PageBuffer::new(buffer.len());
            copy.copy_from_slice(buffer);
            *self = copy;
        }
        match self {
            PageBuffer::Shared(buffer) => Arc::get_mut(buffer).expect("no reader keeps it"),
            buffer => buffer,
        }
    }

    /// The buffer alone, or nothing if readers keep it: the last of them drops it.
    fn unshared(mut self) -> Option<PageBuffer> {
        match &mut self {
            PageBuffer::Shared(buffer) => Arc::try_unwrap(std::mem::take(buffer)).ok(),
            _ => Some(self),
        }
    }

    /// Bytes of memory that it takes.
    pub(super) fn taken(&self) -> usize {
        match self {
            PageBuffer::Shared(buffer) => buffer.taken(),
            PageBuffer::Allocated(words) => memory::allocated_bytes(words.len() * 8),
            PageBuffer::Mapped(bytes) => bytes.len(),
        }
    }
}

/// Buffers that no shard uses now, for any shard to use again.
#[derive(Debug)]
pub(super) struct PagePool {
    free: Mutex<FreeBuffers>,
    /// The bytes in `free`, to be read without its lock.
    kept: AtomicUsize,
    /// Bytes that free buffers may take now.
    allowed: AtomicUsize,
    /// Bytes of the store's memory.
    memory: AtomicUsize,
    segment: usize,
}

#[derive(Debug, Default)]
struct FreeBuffers {
    by_length: BTreeMap<usize, Vec<PageBuffer>>,
    bytes: usize,
}

impl FreeBuffers {
    /// The shortest buffer of a length within the range.
    fn take(&mut self, shortest: usize, longest: usize) -> Option<PageBuffer> {
        let (&length, buffers) = self.by_length.range_mut(shortest..=longest).next()?;
        let buffer = buffers.pop();
        if buffers.is_empty() {
            self.by_length.remove(&length);
        }
        self.bytes -= buffer.as_ref().map_or(0, PageBuffer::taken);
        buffer
    }
}

impl PagePool {
    /// A pool of buffers that suit a store of this size.
    pub(super) fn new(memory: u64, shards: usize) -> PagePool {
        let share = usize::try_from(memory).unwrap_or(usize::MAX) / shards / 16;
        let least = usize::try_from(memory / MOST_SEGMENTS).unwrap_or(usize::MAX);
        let segment = if least > SEGMENT {
            least.next_power_of_two()
        } else {
            1 << share.clamp(SMALLEST, SEGMENT).ilog2()
        };
        let pool = PagePool {
            free: Mutex::default(),
            kept: AtomicUsize::new(0),
            allowed: AtomicUsize::new(0),
            memory: AtomicUsize::new(0),
            segment,
        };
        pool.set_memory(memory);
        pool
    }

    /// Takes over the store's limit, of which a part is set apart for free buffers.
    pub(super) fn set_memory(&self, memory: u64) {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        self.memory.store(memory, Ordering::Relaxed);
        // More is allowed when the store reports how much of its memory it uses.
        self.allow(0);
    }

    /// Takes notice of the memory that the store uses. Free buffers that it needs are dropped.
    pub(super) fn set_used(&self, used: u64) {
        let memory = self.memory.load(Ordering::Relaxed);
        let used = usize::try_from(used).unwrap_or(usize::MAX);
        self.allow(memory.saturating_sub(used).min(memory / 8));
    }

    /// Lets free buffers take this much memory, or the part set apart for them if that is more.
    fn allow(&self, bytes: usize) {
        let allowed = bytes.max(self.most());
        self.allowed.store(allowed, Ordering::Relaxed);
        if self.kept.load(Ordering::Relaxed) > allowed {
            self.keep(&mut self.locked(), usize::MAX, allowed);
        }
    }

    /// Bytes that are set apart for free buffers.
    pub(super) fn most(&self) -> usize {
        self.memory.load(Ordering::Relaxed) / 64
    }

    /// Bytes of a segment of the log, a power of two.
    pub(super) fn segment(&self) -> usize {
        self.segment
    }

    /// A buffer of exactly this length.
    pub(super) fn take(&self, length: usize) -> PageBuffer {
        let free = self.take_free(length, length);
        free.unwrap_or_else(|| PageBuffer::new(length))
    }

    /// A buffer for one large record of this room.
    pub(super) fn take_large(&self, room: usize) -> PageBuffer {
        let free = self.take_free_large(room);
        free.unwrap_or_else(|| self.new_large(room))
    }

    /// A free buffer for one large record of this room.
    pub(super) fn take_free_large(&self, room: usize) -> Option<PageBuffer> {
        let length = large_length(room);
        self.take_free(length, length + length / 4)
    }

    /// The shortest free buffer of a length within the range.
    fn take_free(&self, shortest: usize, longest: usize) -> Option<PageBuffer> {
        let mut free = self.locked();
        let buffer = free.take(shortest, longest);
        self.kept.store(free.bytes, Ordering::Relaxed);
        buffer
    }

    /// A new buffer for one large record of this room. Its memory is taken as it is written.
    pub(super) fn new_large(&self, room: usize) -> PageBuffer {
        PageBuffer::new(large_length(room))
    }

    /// Takes a buffer back. To keep it, free buffers of other lengths are dropped.
    pub(super) fn give(&self, buffer: PageBuffer) {
        let Some(buffer) = buffer.unshared() else {
            return;
        };
        let allowed = self.allowed.load(Ordering::Relaxed);
        let (length, taken) = (buffer.len(), buffer.taken());
        if length == 0 || taken > allowed {
            return;
        }
        let mut free = self.locked();
        self.keep(&mut free, length, allowed - taken);
        if free.bytes + taken <= allowed {
            free.bytes += taken;
            free.by_length.entry(length).or_default().push(buffer);
            self.kept.store(free.bytes, Ordering::Relaxed);
        }
    }

    /// Drops free buffers of other lengths than this until at most this many bytes are left.
    fn keep(&self, free: &mut FreeBuffers, length: usize, bytes: usize) {
        while free.bytes > bytes {
            let other = free.by_length.keys().rev().find(|other| **other != length);
            let Some(&other) = other else {
                return;
            };
            drop(free.take(other, other));
            self.kept.store(free.bytes, Ordering::Relaxed);
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, FreeBuffers> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that free buffers take now.
    pub(super) fn free_bytes(&self) -> usize {
        self.locked().bytes
    }
}

/// The length of the buffer for one large record: rounded up, by an eighth at most or to whole pages, so that a
/// free buffer fits other records.
pub(super) fn large_length(room: usize) -> usize {
    let step = room.next_power_of_two() / 16;
    let least = if room < MAPPED_FROM { ALIGN } else { PAGE };
    room.next_multiple_of(step.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_of_large_records_are_whole_pages_and_little_longer() {
        for room in (1 << 10..2 << 20).step_by(1000) {
            let length = large_length(room);
            assert!(length >= room && length - room <= (room / 8).max(PAGE));
            assert!(length < MAPPED_FROM || length.is_multiple_of(PAGE));
        }
    }

    #[test]
    fn a_store_of_any_size_has_few_enough_mappings() {
        for shift in 20..46 {
            let memory = 1 << shift;
            let segment = PagePool::new(memory, 16).segment() as u64;
            let mapped = segment >= MAPPED_FROM as u64;
            assert!(
                !mapped || memory / segment <= MOST_SEGMENTS,
                "2^{shift} bytes"
            );
            assert!(segment.is_power_of_two());
        }
    }

    #[test]
    fn freed_buffers_are_used_again_up_to_a_64th_of_the_memory() {
        let pool = PagePool::new(8 << 20, 1);
        let first = pool.take_large(60_000);
        let second = pool.take_large(60_000);
        let third = pool.take_large(60_000);
        let (kept, length) = (first.as_ptr(), first.len());
        for buffer in [second, first, third] {
            pool.give(buffer);
        }
        assert_eq!(pool.free_bytes(), 2 * length);
        assert_eq!(pool.take_large(59_000).as_ptr(), kept);
        pool.give(pool.take(100 << 10));
        assert_eq!(pool.free_bytes(), 100 << 10, "in place of the other length");
        pool.set_memory(1 << 20);
        assert_eq!(pool.free_bytes(), 0);
    }

    #[test]
    fn free_buffers_may_take_unused_memory_until_items_need_it() {
        let memory = 64 << 20;
        let pool = PagePool::new(memory, 1);
        let give = |count| {
            let buffers: Vec<PageBuffer> = (0..count).map(|_| pool.take(1 << 20)).collect();
            buffers.into_iter().for_each(|buffer| pool.give(buffer));
        };
        give(20);
        assert_eq!(
            pool.free_bytes(),
            1 << 20,
            "nothing is known of unused memory"
        );
        pool.set_used(memory / 2);
        give(20);
        assert_eq!(pool.free_bytes(), 8 << 20, "an eighth");
        pool.set_used(memory - (3 << 20));
        assert_eq!(pool.free_bytes(), 3 << 20);
        pool.set_used(memory);
        assert_eq!(pool.free_bytes(), 1 << 20);
    }
}

//! The memory of segments, and the segments that no shard uses now.
//!
//! A segment that a shard empties goes to the store's pool, and any shard takes it from there. The
//! pool keeps a sixteenth of the store's memory; what is more goes back to where it came from: the
//! allocator, or the system.
//!
//! Cost: taking and giving are a look-up among the spare sizes under a lock of their own. What isn't
//! spare costs an allocation or, for large records, a call to map memory, whose pages the system
//! clears when they are first written: a few microseconds for 16 KiB, some tens for a megabyte.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use memmap2::MmapMut;

use super::memory;

/// Records begin at multiples of this.
pub(super) const ALIGN: usize = 8;
/// Bytes of a large store's segments; with malloc's header 64 KiB.
const LARGEST: usize = (64 << 10) - 16;
/// Bytes of a small store's segments; with malloc's header 4 KiB.
const SMALLEST: usize = (4 << 10) - 16;
/// Bytes from which the segment of a large record is mapped: below, the rest of its last page would
/// weigh too much.
const MAPPED_FROM: usize = 16 << 10;
/// Bytes that mapped memory is a multiple of.
const PAGE: usize = 4 << 10;
/// Mappings that the process has at most; large records beyond them lie in malloc's memory. Linux
/// lets a process have 65,530 altogether, and threads and malloc need some.
const MOST_MAPPED: usize = 32 << 10;

/// How many mappings the stores of this process have.
static MAPPED: AtomicUsize = AtomicUsize::new(0);

/// The memory of one segment.
#[derive(Debug)]
pub(super) enum SegmentBuffer {
    /// From the allocator, which keeps what one thread freed for that thread's next use. All
    /// segments of the log have one length, so what was freed fits again.
    Allocated(Box<[u8]>),
    /// From the system, to which it goes back when it is dropped, whichever thread does that.
    Mapped(MmapMut),
}

impl Default for SegmentBuffer {
    /// No memory.
    fn default() -> SegmentBuffer {
        SegmentBuffer::Allocated(Box::default())
    }
}

impl Deref for SegmentBuffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            SegmentBuffer::Allocated(bytes) => bytes,
            SegmentBuffer::Mapped(bytes) => bytes,
        }
    }
}

impl DerefMut for SegmentBuffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            SegmentBuffer::Allocated(bytes) => bytes,
            SegmentBuffer::Mapped(bytes) => bytes,
        }
    }
}

impl Drop for SegmentBuffer {
    fn drop(&mut self) {
        if let SegmentBuffer::Mapped(_) = self {
            MAPPED.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl SegmentBuffer {
    fn allocate(length: usize) -> SegmentBuffer {
        SegmentBuffer::Allocated(vec![0; length].into_boxed_slice())
    }

    /// Mapped memory, unless there are too many mappings or the system gives no more.
    fn map(length: usize) -> SegmentBuffer {
        let counted = MAPPED.fetch_add(1, Ordering::Relaxed);
        if counted < MOST_MAPPED
            && let Ok(bytes) = MmapMut::map_anon(length)
        {
            return SegmentBuffer::Mapped(bytes);
        }
        MAPPED.fetch_sub(1, Ordering::Relaxed);
        SegmentBuffer::allocate(length)
    }

    /// Bytes of memory that it takes.
    pub(super) fn taken(&self) -> usize {
        match self {
            SegmentBuffer::Allocated(bytes) => memory::allocated_bytes(bytes.len()),
            SegmentBuffer::Mapped(bytes) => bytes.len(),
        }
    }
}

/// Segments that no shard uses now, for any shard to use again.
#[derive(Debug)]
pub(super) struct SegmentPool {
    spare: Mutex<FreeSegments>,
    /// Bytes that are kept at most: a sixteenth of the store's memory.
    most: usize,
    /// Bytes that a segment of the log has room for.
    segment: usize,
}

#[derive(Debug, Default)]
struct FreeSegments {
    /// By length.
    segments: BTreeMap<usize, Vec<SegmentBuffer>>,
    bytes: usize,
}

impl SegmentPool {
    /// A pool of segments that suit a store of this size.
    pub(super) fn new(memory: u64, shards: usize) -> SegmentPool {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX);
        let share = memory / shards / 16;
        let segment = share.clamp(SMALLEST, LARGEST) / ALIGN * ALIGN;
        SegmentPool {
            spare: Mutex::default(),
            most: memory / 16,
            segment,
        }
    }

    /// Bytes that each segment of the log has room for.
    pub(super) fn segment(&self) -> usize {
        self.segment
    }

    /// A segment of the log.
    pub(super) fn log(&self) -> SegmentBuffer {
        self.spare(self.segment, self.segment)
            .unwrap_or_else(|| SegmentBuffer::allocate(self.segment))
    }

    /// A segment for one large record of this room.
    pub(super) fn single(&self, room: usize) -> SegmentBuffer {
        let length = single_length(room);
        self.spare(length, length + length / 4)
            .unwrap_or_else(|| match length {
                MAPPED_FROM.. => SegmentBuffer::map(length),
                _ => SegmentBuffer::allocate(length),
            })
    }

    /// The spare segment that is just long enough.
    fn spare(&self, shortest: usize, longest: usize) -> Option<SegmentBuffer> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let (&length, segments) = spare.segments.range_mut(shortest..=longest).next()?;
        let segment = segments.pop()?;
        if segments.is_empty() {
            spare.segments.remove(&length);
        }
        spare.bytes -= length;
        Some(segment)
    }

    /// Takes a segment back.
    pub(super) fn give(&self, bytes: SegmentBuffer) {
        let length = bytes.len();
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.bytes + length <= self.most {
            spare.bytes += length;
            spare.segments.entry(length).or_default().push(bytes);
        }
    }
}

/// The length of the segment for one large record: rounded up, by an eighth at most or to whole
/// pages, so that those that are given back fit others.
fn single_length(room: usize) -> usize {
    let step = room.next_power_of_two() / 16;
    let least = if room < MAPPED_FROM { ALIGN } else { PAGE };
    room.next_multiple_of(step.max(least))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_of_large_records_are_whole_pages_and_little_longer() {
        for room in (1 << 10..2 << 20).step_by(1000) {
            let length = single_length(room);
            assert!(length >= room && length - room <= (room / 8).max(PAGE));
            assert!(length < MAPPED_FROM || length.is_multiple_of(PAGE));
        }
    }

    #[test]
    fn what_is_given_back_is_used_again_up_to_a_sixteenth_of_the_memory() {
        let pool = SegmentPool::new(1 << 20, 1);
        let first = pool.single(60_000);
        let second = pool.single(60_000);
        let (kept, length) = (first.as_ptr(), first.len());
        pool.give(first);
        pool.give(second);
        assert_eq!(pool.spare.lock().unwrap().bytes, length);
        assert_eq!(pool.single(59_000).as_ptr(), kept);
    }
}

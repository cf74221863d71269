//! The buffers of a flushed shard, until the system has them back.
//!
//! A flush of a million items empties some thousands of buffers. The system takes several microseconds for each, together
//! ten milliseconds, for which all clients would wait. So the shard goes on with new buffers at once and keeps the old
//! ones here. They are freed in pieces, as [detached trees](super::shard::detached) are, and count as memory until then.
//!
//! Cost: a flush moves 32 bytes for each buffer.

use super::memory::allocated_bytes;
use super::pages::PageBuffer;
use super::pending_removals::STEP_BYTES;

/// Buffers whose items are gone.
#[derive(Debug, Default)]
pub(super) struct EmptiedMemory {
    buffers: Vec<PageBuffer>,
    /// Bytes of memory that the buffers take.
    taken: usize,
}

impl EmptiedMemory {
    /// Adds a buffer to those that are to be freed.
    pub(super) fn push(&mut self, buffer: PageBuffer) {
        if !buffer.is_empty() {
            self.taken += buffer.taken();
            self.buffers.push(buffer);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.taken + allocated_bytes(self.buffers.capacity() * size_of::<PageBuffer>())
    }

    /// Frees some of the buffers, in about so many steps. Returns how many steps are left.
    pub(super) fn free_some(&mut self, steps: usize) -> usize {
        let mut left = steps;
        while left > 0
            && let Some(buffer) = self.buffers.pop()
        {
            self.taken -= buffer.taken();
            left = left.saturating_sub(1 + buffer.len() / STEP_BYTES);
        }
        if self.buffers.is_empty() {
            self.buffers = Vec::new();
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::super::pages::PagePool;
    use super::*;

    #[test]
    fn buffers_take_steps_by_their_length_and_count_until_they_are_freed() {
        let pool = PagePool::new(64 << 20, 1);
        let mut emptied = EmptiedMemory::default();
        emptied.push(PageBuffer::default());
        assert!(emptied.is_empty() && emptied.bytes() == 0);
        (0..10).for_each(|_| emptied.push(pool.take(15 * STEP_BYTES)));
        assert!(emptied.bytes() >= 150 * STEP_BYTES);
        assert_eq!(emptied.free_some(1), 0, "at least one");
        assert_eq!(emptied.free_some(3 * 16), 0);
        assert_eq!(emptied.taken, 90 * STEP_BYTES);
        assert_eq!(emptied.free_some(100), 100 - 6 * 16);
        assert!(emptied.is_empty() && emptied.bytes() == 0);
    }
}

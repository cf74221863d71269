//! Bytes and segments that records would need, before they are written.

use super::*;

impl RecordLog {
    /// Whether the numbers for segments would run out with records that need this many of them. A shard whose
    /// segments are of 64 KiB comes here with 32 GiB of small records or 8 of large ones at the
    /// earliest.
    pub(in crate::store) fn is_short_of_addresses(&self, more: usize) -> bool {
        let most = 1 << (u32::BITS - self.offset_bits);
        self.segments.len() - self.vacant.len() + 2 * more >= most
    }

    /// The segments that records of these lengths need, about.
    pub(in crate::store) fn segments_for(&self, lengths: impl Iterator<Item = usize>) -> usize {
        let (mut small, mut large) = (0, 0);
        for room in lengths.map(room) {
            match room > self.largest() {
                true => large += 1,
                false => small += room,
            }
        }
        // At the end of a segment less than the room of the largest small record is left.
        large + small.div_ceil(self.pool.segment() - self.largest())
    }

    /// The most bytes that a record of this room may add: its segment, one that an evacuation begins, and longer lists. A
    /// free buffer that a large record gets may be a quarter longer than it needs.
    pub(in crate::store) fn most_growth(&self, room: usize) -> usize {
        const SHORTEST_LISTS: usize = 1 << 10;
        let segment = self.pool.segment();
        let own = if room > self.largest() {
            let length = large_length(room);
            length + length / 4
        } else {
            segment
        };
        let lists = if self.segments.len() + 2 > self.segments.capacity() {
            self.list_bytes()
        } else {
            0
        };
        own + segment + lists + SHORTEST_LISTS
    }
}

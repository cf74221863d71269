//! Moves the live records out of the segment with the most dead room, a piece at a time, so that it can be freed.

use super::*;

/// A record that an evacuation reaches.
#[derive(Debug)]
pub(in crate::store) struct FoundRecord {
    /// The slot that owns it; [`NONE`] if it is dead.
    pub(in crate::store) owner: u32,
    pub(in crate::store) address: u32,
    pub(in crate::store) room: usize,
}

impl RecordLog {
    /// Whether the dead room is more than a segment, so that segments can be emptied.
    pub(in crate::store) fn has_segments_to_gain(&self) -> bool {
        self.dead >= 2 * self.pool.segment()
    }

    /// Pieces that it takes at most to empty all segments with dead room.
    pub(in crate::store) fn pieces(&self) -> usize {
        2 * (self.filled / PIECE + self.segments.len())
    }

    /// Whether there is a segment to evacuate: one is begun, or more of the log is dead than is allowed. With `all`,
    /// no dead room is allowed.
    #[inline]
    pub(in crate::store) fn is_evacuation_due(&mut self, all: bool) -> bool {
        if self.evacuated.is_some() {
            return true;
        }
        let part = self.filled >> if self.scarce { 4 } else { 2 };
        let most = part + (ALIGN << self.offset_bits);
        self.dead > if all { 0 } else { most } && self.begin_evacuation(all)
    }

    #[cold]
    fn begin_evacuation(&mut self, all: bool) -> bool {
        let candidates = self
            .segments
            .iter()
            .enumerate()
            .filter(|(number, segment)| {
                (all || *number != self.active as usize) && !segment.single && segment.dead() > 0
            });
        let deadest = candidates.max_by_key(|(_, segment)| segment.dead());
        self.evacuated = deadest.map(|(number, _)| (number as u32, 0));
        if deadest.is_some_and(|(number, _)| number == self.active as usize) {
            self.active = NONE;
        }
        self.evacuated.is_some()
    }

    /// The next record of the segment that is being evacuated. At the segment's end it goes back to the pool, and there
    /// is none.
    pub(in crate::store) fn next_to_evacuate(&mut self) -> Option<FoundRecord> {
        let (number, at) = self.evacuated?;
        let segment = &self.segments[number as usize];
        if at >= segment.filled {
            self.close(number);
            return None;
        }
        let header = &segment.bytes[at..at + HEADER];
        let (owner, length) = (number_at(header, 0), number_at(header, 4));
        let room = room(length as usize);
        self.evacuated = Some((number, at + room));
        Some(FoundRecord {
            owner,
            address: number << self.offset_bits | (at / ALIGN) as u32,
            room,
        })
    }

    /// Appends a live record again and returns its new address; the old one is dead.
    pub(in crate::store) fn move_record(&mut self, found: &FoundRecord) -> u32 {
        let (from, start) = self.locate(found.address);
        let room = found.room;
        let to = self.segment_for(room);
        let both = [from as usize, to as usize];
        if let Ok([source, target]) = self.segments.get_disjoint_mut(both) {
            let end = target.filled;
            target.bytes[end..end + room].copy_from_slice(&source.bytes[start..start + room]);
        }
        self.segments[from as usize].live -= room;
        self.dead += room;
        self.count_appended(to, room)
    }
}

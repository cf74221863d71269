//! Where a shard keeps its records: a log of segments that compacts itself.
//!
//! ```text
//!  segment   │ owner, length │ record │ pad │ owner, length │ record │ …            64 KiB
//!               4      4       …      to 8
//! ```
//!
//! A record is appended to the active segment and stays until it is freed; what is freed is dead
//! room. When more than a sixteenth of the log is dead, the segment with the most dead room is
//! emptied: its live records, which name the slot that owns them, are appended again, and it goes
//! back to the store's pool for any shard to use. A record larger than a quarter of a segment has a
//! segment to itself, of just its size.
//!
//! Why not one allocation a record? Because malloc gives each thread an arena of its own, and
//! memory that one thread took and another freed waits for the first: a 64 MiB cache of mixed
//! values that eight threads wrote to held 170 MiB that way, and holds 66 this way. And because the
//! holes that small values leave don't take large ones. Here all holes are closed, and segments are
//! all alike, so that any shard and any thread uses what another gave back. The price is that live
//! records are moved now and then.
//!
//! A large record's segment is mapped memory, not malloc's, for the same reason: what is unmapped is
//! the system's again at once. Eight threads that churned values of 10 to 300 kB held 176 MiB for a
//! limit of 64 in malloc's arenas, and hold 68 this way; see [`SegmentBuffer`].
//!
//! Cost: appending copies the record once; freeing is arithmetic; emptying a segment copies at most
//! 64 KiB and looks at the slots of some hundred records, some tens of microseconds under the
//! shard's lock.

use std::sync::Arc;

use super::segments::{ALIGN, SegmentBuffer, SegmentPool};
use super::slot::NONE;

/// Bytes in front of a record: the owner's slot and the record's length.
const HEADER: usize = 8;
/// Bits of an address that say where in the segment, in units of [`ALIGN`].
const OFFSET_BITS: u32 = 13;
/// Segments that a log has at most: their numbers have 19 bits.
const MOST: usize = 1 << (u32::BITS - OFFSET_BITS);
/// Bytes of log that a record takes.
pub(super) fn room(length: usize) -> usize {
    (HEADER + length).next_multiple_of(ALIGN)
}

#[derive(Debug)]
struct Segment {
    bytes: SegmentBuffer,
    /// Bytes that records were appended to, from the start.
    filled: usize,
    /// Bytes of live records, headers and padding included.
    live: usize,
    /// Whether it belongs to one large record.
    single: bool,
}

impl Segment {
    fn dead(&self) -> usize {
        self.filled - self.live
    }
}

/// The records of one shard, by address. An address says nothing to anyone else and changes when
/// the record is moved.
#[derive(Debug)]
pub(super) struct RecordLog {
    segments: Vec<Segment>,
    /// Numbers of segments that are given back.
    vacant: Vec<u32>,
    /// The number of the segment that is appended to.
    active: u32,
    /// Bytes of memory that segments take.
    held: usize,
    /// Bytes that the log's segments are filled with, and how many of them are dead.
    filled: usize,
    dead: usize,
    pool: Arc<SegmentPool>,
}

impl RecordLog {
    pub(super) fn new(pool: Arc<SegmentPool>) -> RecordLog {
        RecordLog {
            segments: Vec::new(),
            vacant: Vec::new(),
            active: NONE,
            held: 0,
            filled: 0,
            dead: 0,
            pool,
        }
    }

    /// An empty log on the same pool.
    pub(super) fn fresh(&self) -> RecordLog {
        RecordLog::new(Arc::clone(&self.pool))
    }

    /// Bytes of memory taken.
    pub(super) fn bytes(&self) -> usize {
        let lists = self.segments.capacity() * size_of::<Segment>() + self.vacant.capacity() * 4;
        self.held + lists
    }

    /// Whether numbers for segments would run short with so many records more. A shard whose
    /// segments are of 64 KiB comes here with 32 GiB of small records or 8 of large ones at the
    /// earliest.
    pub(super) fn is_crowded(&self, more: usize) -> bool {
        self.segments.len() - self.vacant.len() + 2 * more >= MOST
    }

    fn open(&mut self, bytes: SegmentBuffer, single: bool) -> u32 {
        self.held += bytes.taken();
        let segment = Segment {
            bytes,
            filled: 0,
            live: 0,
            single,
        };
        match self.vacant.pop() {
            Some(number) => {
                self.segments[number as usize] = segment;
                number
            }
            None => {
                self.segments.push(segment);
                self.segments.len() as u32 - 1
            }
        }
    }

    fn close(&mut self, number: u32) {
        let segment = &mut self.segments[number as usize];
        let bytes = std::mem::take(&mut segment.bytes);
        self.held -= bytes.taken();
        if !segment.single {
            self.filled -= segment.filled;
            self.dead -= segment.dead();
        }
        self.pool.give(bytes);
        (segment.filled, segment.live) = (0, 0);
        self.vacant.push(number);
        if self.active == number {
            self.active = NONE;
        }
    }

    /// Appends a record of `length` bytes, which `write` writes, and returns its address.
    pub(super) fn push(&mut self, owner: u32, length: usize, write: impl FnOnce(&mut [u8])) -> u32 {
        let room = room(length);
        let single = room > self.pool.segment() / 4;
        let number = if single {
            self.open(self.pool.single(room), true)
        } else {
            let full = |active: &Segment| active.filled + room > self.pool.segment();
            if self.active == NONE || full(&self.segments[self.active as usize]) {
                self.active = self.open(self.pool.log(), false);
            }
            self.active
        };
        let segment = &mut self.segments[number as usize];
        let start = segment.filled;
        let bytes = &mut segment.bytes[start..start + room];
        bytes[..4].copy_from_slice(&owner.to_le_bytes());
        bytes[4..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
        write(&mut bytes[HEADER..HEADER + length]);
        segment.filled += room;
        segment.live += room;
        if !single {
            self.filled += room;
        }
        number << OFFSET_BITS | (start / ALIGN) as u32
    }

    fn locate(address: u32) -> (u32, usize) {
        (
            address >> OFFSET_BITS,
            (address & ((1 << OFFSET_BITS) - 1)) as usize * ALIGN,
        )
    }

    /// The record at an address.
    pub(super) fn record(&self, address: u32) -> &[u8] {
        let (number, start) = RecordLog::locate(address);
        let bytes = &self.segments[number as usize].bytes[start..];
        &bytes[HEADER..HEADER + number_at(bytes, 4) as usize]
    }

    /// The record at an address, to be changed in place.
    pub(super) fn record_mut(&mut self, address: u32) -> &mut [u8] {
        let (number, start) = RecordLog::locate(address);
        let bytes = &mut self.segments[number as usize].bytes[start..];
        let length = number_at(bytes, 4) as usize;
        &mut bytes[HEADER..HEADER + length]
    }

    /// Gives the record at an address another length that takes the same room; says whether it
    /// does.
    pub(super) fn resize(&mut self, address: u32, length: usize) -> bool {
        let (number, start) = RecordLog::locate(address);
        let bytes = &mut self.segments[number as usize].bytes[start..];
        let fits = room(number_at(bytes, 4) as usize) == room(length);
        if fits {
            bytes[4..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
        }
        fits
    }

    /// Frees a record.
    pub(super) fn free(&mut self, address: u32) {
        let room = room(self.record(address).len());
        let number = address >> OFFSET_BITS;
        let segment = &mut self.segments[number as usize];
        segment.live -= room;
        if !segment.single {
            self.dead += room;
        }
        if segment.live == 0 {
            self.close(number);
        }
    }

    /// If too much of the log is dead, takes out the segment that has the most dead room, to be
    /// moved by [`Evacuation::next`] and then given to [`finish`](RecordLog::finish).
    pub(super) fn compact(&mut self) -> Option<Evacuation> {
        if self.dead <= self.filled / 16 + self.pool.segment() {
            return None;
        }
        let others = self
            .segments
            .iter()
            .enumerate()
            .filter(|(number, segment)| {
                *number != self.active as usize && !segment.single && segment.dead() > 0
            });
        let (number, _) = others.max_by_key(|(_, segment)| segment.dead())?;
        let segment = &mut self.segments[number];
        let bytes = std::mem::take(&mut segment.bytes);
        // Its room stays counted until it is finished; what it was filled with is appended again.
        self.filled -= segment.filled;
        self.dead -= segment.dead();
        Some(Evacuation {
            number: number as u32,
            bytes,
            filled: segment.filled,
            at: 0,
        })
    }

    /// Gives a segment back when its live records were moved.
    pub(super) fn finish(&mut self, moved: Evacuation) {
        self.held -= moved.bytes.taken();
        let segment = &mut self.segments[moved.number as usize];
        (segment.filled, segment.live) = (0, 0);
        self.vacant.push(moved.number);
        self.pool.give(moved.bytes);
    }

    /// For tests: bytes that live records take.
    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        let log = self.segments.iter().filter(|segment| !segment.single);
        assert_eq!(
            self.filled,
            log.clone().map(|segment| segment.filled).sum::<usize>()
        );
        assert_eq!(self.dead, log.map(Segment::dead).sum::<usize>());
        self.segments.iter().map(|segment| segment.live).sum()
    }
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

/// A segment whose records are being moved.
#[derive(Debug)]
pub(super) struct Evacuation {
    number: u32,
    bytes: SegmentBuffer,
    filled: usize,
    at: usize,
}

impl Evacuation {
    /// The next record, live or dead: the slot that owns or owned it, its address, and its bytes.
    pub(super) fn next(&mut self) -> Option<(u32, u32, &[u8])> {
        let bytes = &self.bytes[self.at..self.filled];
        if bytes.is_empty() {
            return None;
        }
        let address = self.number << OFFSET_BITS | (self.at / ALIGN) as u32;
        let length = number_at(bytes, 4) as usize;
        self.at += room(length);
        Some((
            number_at(bytes, 0),
            address,
            &bytes[HEADER..HEADER + length],
        ))
    }
}

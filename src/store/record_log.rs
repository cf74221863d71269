//! A shard's records: a log of segments that compacts itself.
//!
//! ```text
//!  segment   │ owner, length │ record │ pad │ owner, length │ record │ …            64 KiB
//!               4      4       …      to 8
//! ```
//!
//! A record is appended to the active segment and stays there until it is freed; then its bytes are dead room. When more than a sixteenth of the
//! log is dead, or a quarter as long as the store has memory to spare, the segment with the most dead room is evacuated: its live records, which
//! name the slot that owns them, are appended again, some at a time, and it goes back to the store's pool for any shard to use. A record larger
//! than a quarter of a segment has a segment to itself, of just its size.
//!
//! Why not one allocation a record? Because malloc gives each thread an arena of its own, and
//! memory that one thread took and another freed waits for the first: a 64 MiB cache of mixed
//! values that eight threads wrote to held 170 MiB that way, and holds 66 this way. And because the
//! holes that small values leave don't take large ones. Here all holes are closed, and segments are
//! all alike and mapped, so that any shard can use a segment that another gave back, and unused
//! ones go back to the system. Its cost: live records are moved now and then.
//!
//! Cost: appending copies the record once; freeing is arithmetic; a step of an evacuation copies at
//! most [`PIECE`] bytes and looks at the slots of some hundred records, some tens of microseconds
//! under the shard's lock.

use std::ops::Range;
use std::sync::Arc;

use super::emptied_memory::EmptiedMemory;
use super::pages::{ALIGN, PageBuffer, PagePool, large_length};
use super::slot::NONE;

mod evacuation;
mod need;

/// Bytes in front of a record: the owner's slot and the record's length.
pub(super) const HEADER: usize = 8;
/// Bytes of records that one step of an evacuation looks at.
pub(super) const PIECE: usize = 64 << 10;

/// Bytes that the processor reads from memory at once.
const CACHE_LINE: usize = 64;
/// Bytes of a record that [`RecordLog::touch`] reads; the processor itself reads on in a longer one.
const TOUCHED: usize = 192;

/// Bytes of log that a record takes.
pub(super) fn room(length: usize) -> usize {
    (HEADER + length).next_multiple_of(ALIGN)
}

#[derive(Debug)]
struct Segment {
    bytes: PageBuffer,
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

/// The records of one shard, by address. An address is valid in this log only, and changes when the
/// record is moved.
#[derive(Debug)]
pub(super) struct RecordLog {
    segments: Vec<Segment>,
    /// Numbers of segments that are no longer used.
    vacant: Vec<u32>,
    /// The number of the segment that is appended to.
    active: u32,
    /// Bytes of memory that segments and their lists take.
    held: usize,
    /// Whether the store is short of memory.
    pub(super) scarce: bool,
    /// Bytes that the log's segments are filled with, and how many of them are dead.
    filled: usize,
    dead: usize,
    /// The segment that is being evacuated, and how far.
    evacuated: Option<(u32, usize)>,
    /// Bits of an address for the position in the segment, in units of [`ALIGN`].
    offset_bits: u32,
    pool: Arc<PagePool>,
}

impl RecordLog {
    pub(super) fn new(pool: Arc<PagePool>) -> RecordLog {
        RecordLog {
            segments: Vec::new(),
            vacant: Vec::new(),
            active: NONE,
            held: 0,
            scarce: true,
            filled: 0,
            dead: 0,
            evacuated: None,
            offset_bits: (pool.segment() / ALIGN).ilog2(),
            pool,
        }
    }

    /// Gives the buffers away. It must be replaced afterwards.
    pub(super) fn empty_into(&mut self, emptied: &mut EmptiedMemory) {
        let segments = self.segments.drain(..);
        segments.for_each(|segment| emptied.push(segment.bytes));
    }

    /// Bytes of memory taken.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.held
    }

    fn list_bytes(&self) -> usize {
        self.segments.capacity() * size_of::<Segment>() + self.vacant.capacity() * 4
    }

    fn open(&mut self, bytes: PageBuffer, single: bool) -> u32 {
        let lists = self.list_bytes();
        self.held += bytes.taken();
        let segment = Segment {
            bytes,
            filled: 0,
            live: 0,
            single,
        };
        let number = match self.vacant.pop() {
            Some(number) => {
                self.segments[number as usize] = segment;
                number
            }
            None => {
                self.segments.push(segment);
                self.segments.len() as u32 - 1
            }
        };
        self.held += self.list_bytes() - lists;
        number
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
        let lists = self.list_bytes();
        self.vacant.push(number);
        self.held += self.list_bytes() - lists;
        if self.active == number {
            self.active = NONE;
        }
        if self
            .evacuated
            .is_some_and(|(evacuated, _)| evacuated == number)
        {
            self.evacuated = None;
        }
    }

    /// The segment to append a record of this room to.
    #[inline]
    fn segment_for(&mut self, room: usize) -> u32 {
        let active = self.segments.get(self.active as usize);
        if room <= self.largest()
            && active.is_some_and(|active| active.filled + room <= active.bytes.len())
        {
            return self.active;
        }
        self.open_for(room)
    }

    #[cold]
    fn open_for(&mut self, room: usize) -> u32 {
        if room > self.largest() {
            return self.open(self.pool.take_large(room), true);
        }
        self.active = self.open(self.pool.take(self.pool.segment()), false);
        self.active
    }

    /// The room of the largest record that shares its segment with others: a quarter of it.
    fn largest(&self) -> usize {
        ALIGN << self.offset_bits >> 2
    }

    /// Appends a record of `length` bytes, which `write` writes, and returns its address.
    pub(super) fn push(&mut self, owner: u32, length: usize, write: impl FnOnce(&mut [u8])) -> u32 {
        let room = room(length);
        let number = self.segment_for(room);
        let segment = &mut self.segments[number as usize];
        let start = segment.filled;
        let bytes = &mut segment.bytes[start..start + room];
        write_header(bytes, owner, length);
        write(&mut bytes[HEADER..HEADER + length]);
        self.count_appended(number, room)
    }

    /// Takes over a buffer that holds a record of `length` bytes behind the room for its header, and returns its address.
    pub(super) fn adopt(&mut self, owner: u32, length: usize, mut bytes: PageBuffer) -> u32 {
        bytes[..4].copy_from_slice(&owner.to_le_bytes());
        bytes[4..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
        let number = self.open(bytes, true);
        self.count_appended(number, room(length))
    }

    fn count_appended(&mut self, number: u32, room: usize) -> u32 {
        let segment = &mut self.segments[number as usize];
        let start = segment.filled;
        segment.filled += room;
        segment.live += room;
        if !segment.single {
            self.filled += room;
        }
        number << self.offset_bits | (start / ALIGN) as u32
    }

    fn locate(&self, address: u32) -> (u32, usize) {
        (
            address >> self.offset_bits,
            (address & ((1 << self.offset_bits) - 1)) as usize * ALIGN,
        )
    }

    /// The record at an address.
    #[inline]
    pub(super) fn record(&self, address: u32) -> &[u8] {
        let (number, start) = self.locate(address);
        let bytes = &self.segments[number as usize].bytes[start..];
        &bytes[HEADER..HEADER + number_at(bytes, 4) as usize]
    }

    /// Reads a byte of each cache line at the front of a record, so that they are in the caches.
    #[inline]
    pub(super) fn touch(&self, address: u32) -> u8 {
        let (number, start) = self.locate(address);
        let bytes = &self.segments[number as usize].bytes[start..];
        let lines = bytes.iter().step_by(CACHE_LINE).take(TOUCHED / CACHE_LINE);
        lines.fold(0, |all, byte| all ^ byte)
    }

    /// Appends a record of `length` bytes in place of another, which is freed. `write` writes it and is shown the bytes
    /// of the old one that are to be kept.
    pub(super) fn replace(
        &mut self,
        old: u32,
        keep: Range<usize>,
        owner: u32,
        length: usize,
        write: impl FnOnce(&[u8], &mut [u8]),
    ) -> u32 {
        let (from, start) = self.locate(old);
        let room = room(length);
        if self.segments[from as usize].single || room > self.largest() {
            // Freed first, because there may not be memory for two large ones.
            let kept = self.record(old)[keep].to_vec();
            self.free(old);
            return self.push(owner, length, |record| write(&kept, record));
        }
        let to = self.segment_for(room);
        let end = self.segments[to as usize].filled;
        let (source, target) = if from == to {
            let (before, after) = self.segments[to as usize].bytes.split_at_mut(end);
            (&before[start..], after)
        } else {
            let both = [from as usize, to as usize];
            let [source, target] = (self.segments)
                .get_disjoint_mut(both)
                .expect("they are two of the segments");
            (&source.bytes[start..], &mut target.bytes[end..])
        };
        write_header(target, owner, length);
        write(
            &source[HEADER + keep.start..HEADER + keep.end],
            &mut target[HEADER..HEADER + length],
        );
        // Counted before the old one is freed, whose segment may be closed if nothing else is in it.
        let address = self.count_appended(to, room);
        self.free(old);
        address
    }

    /// The buffer of a record that has one to itself, and the bytes of the record in it.
    pub(super) fn share(&mut self, address: u32) -> Option<(Arc<PageBuffer>, Range<usize>)> {
        let (number, start) = self.locate(address);
        let segment = &mut self.segments[number as usize];
        let length = number_at(&segment.bytes[start..], 4) as usize;
        let record = start + HEADER..start + HEADER + length;
        segment.single.then(|| (segment.bytes.share(), record))
    }

    /// The record at an address, to be changed in place.
    pub(super) fn record_mut(&mut self, address: u32) -> &mut [u8] {
        let (number, start) = self.locate(address);
        let bytes = &mut self.bytes_mut(number)[start..];
        let length = number_at(bytes, 4) as usize;
        &mut bytes[HEADER..HEADER + length]
    }

    /// The bytes of a segment, to be changed.
    fn bytes_mut(&mut self, number: u32) -> &mut [u8] {
        let segment = &mut self.segments[number as usize];
        if segment.single {
            // If a reader has it, it is copied, and the copy may come from malloc.
            self.held -= segment.bytes.taken();
            segment.bytes.make_own();
            self.held += segment.bytes.taken();
        }
        &mut segment.bytes
    }

    /// The record at an address, of another length, if that takes the same room.
    pub(super) fn resize(&mut self, address: u32, length: usize) -> Option<&mut [u8]> {
        let (number, start) = self.locate(address);
        let bytes = &self.segments[number as usize].bytes[start..];
        if room(number_at(bytes, 4) as usize) != room(length) {
            return None;
        }
        let bytes = &mut self.bytes_mut(number)[start..];
        bytes[4..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
        Some(&mut bytes[HEADER..HEADER + length])
    }

    /// Frees a record. Its header then names no owner, so that an evacuation passes it without a look at a slot.
    pub(super) fn free(&mut self, address: u32) {
        let (number, start) = self.locate(address);
        let segment = &mut self.segments[number as usize];
        let room = room(number_at(&segment.bytes[start..], 4) as usize);
        segment.live -= room;
        // A segment with a single record is closed at once. Its bytes may be shared, and then a change would copy them.
        if !segment.single {
            segment.bytes[start..start + 4].copy_from_slice(&NONE.to_le_bytes());
            self.dead += room;
        }
        if segment.live == 0 {
            self.close(number);
        }
    }

    /// For tests: [`bytes`](RecordLog::bytes), added up from every buffer.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let segments = self.segments.iter().map(|segment| segment.bytes.taken());
        self.list_bytes() + segments.sum::<usize>()
    }

    /// For tests: bytes that live records take.
    #[cfg(any(test, feature = "internals"))]
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

fn write_header(bytes: &mut [u8], owner: u32, length: usize) {
    bytes[..4].copy_from_slice(&owner.to_le_bytes());
    bytes[4..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
}

fn number_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

//! A bucket of the hash table: twelve slots with their tags, in one cache line.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Entries of a bucket.
pub(super) const ENTRIES: usize = 12;
pub(super) const BUCKET: usize = size_of::<Bucket>();
/// A byte of every byte of a word.
const EACH: u64 = 0x0101_0101_0101_0101;

#[derive(Debug, Clone, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Bucket {
    /// Eight bits of the hash of each entry, never 0; 0 for no entry. Entries lie at the front; those of a bucket that
    /// continues in another are all taken. After the tags, the number of the overflow bucket, 0 for none.
    tags: [u64; 2],
    pub(super) slots: [u32; ENTRIES],
}

impl Bucket {
    pub(super) fn tag(&self, entry: usize) -> u8 {
        (self.tags[entry / 8] >> (entry % 8 * 8)) as u8
    }

    pub(super) fn set(&mut self, entry: usize, tag: u8, slot: u32) {
        let shift = entry % 8 * 8;
        let word = &mut self.tags[entry / 8];
        *word = (*word & !(0xff << shift)) | (u64::from(tag) << shift);
        self.slots[entry] = slot;
    }

    /// The entry of a slot that has this tag.
    pub(super) fn find(&self, tag: u8, slot: u32) -> Option<usize> {
        self.entries(tag)
            .find(|entry| self.slots[*entry % ENTRIES] == slot)
    }

    pub(super) fn overflow(&self) -> u32 {
        (self.tags[1] >> 32) as u32
    }

    pub(super) fn set_overflow(&mut self, number: u32) {
        self.tags[1] = (self.tags[1] & u64::from(u32::MAX)) | (u64::from(number) << 32);
    }

    /// The number of entries in use: those in front of the highest tag.
    pub(super) fn len(&self) -> usize {
        let bytes = |word: u64| (u64::BITS - word.leading_zeros()).div_ceil(8) as usize;
        bytes(self.tags[0]) + bytes(self.tags[1] & u64::from(u32::MAX))
    }

    /// The slots whose tag is this one.
    pub(super) fn candidates(&self, tag: u8) -> impl Iterator<Item = u32> {
        self.entries(tag).map(|entry| self.slots[entry % ENTRIES])
    }

    /// The entries whose tag is this one.
    fn entries(&self, tag: u8) -> impl Iterator<Item = usize> + use<> {
        let equal = |word: u64| {
            let different = word ^ (EACH * u64::from(tag));
            let low = EACH * 0x7f;
            !(((different & low) + low) | different | low)
        };
        // A byte's mark is its top bit: the first word's marks go to bit 0 of their bytes, the second's to bit 1.
        let second = equal(self.tags[1]) & u64::from(u32::MAX);
        let mut marks = (equal(self.tags[0]) >> 7) | (second >> 6);
        std::iter::from_fn(move || {
            let mark = marks.trailing_zeros() as usize;
            let found = marks != 0;
            marks &= marks.wrapping_sub(1);
            found.then_some(mark / 8 + mark % 8 * 8)
        })
    }
}

pub(super) fn tag(hash: u64) -> u8 {
    ((hash >> 56) as u8).max(1)
}

//! One item: a slot of 20 bytes, and a record in the shard's log.
//!
//! ```text
//!  slot    record ─┐   prev   next   access   bits                                       20 bytes
//!          4       │   4      4      4        4
//!                  │
//!  record  └▶ cas │ expires? │ flags? │ parent, position? │ children? │ key │ value
//!             6     8          4        4       4           4           …     …
//! ```
//!
//! Absent fields take no room: an item that never expires, has flags 0, is no child and has no
//! children has 6 bytes in front of its key. `bits` says which of the optional fields are there and
//! how long the key is; the value is the rest. The arithmetic: a key of 30 bytes and a
//! value of 100 make a record of 136 bytes, 144 with its header in the log; with the slot that is
//! 164 bytes an item, and about 8 more for its entry in the hash table.
//!
//! Limits that come from the layout: a key has fewer than 2²² bytes; 2⁴⁸ CAS numbers last nine
//! years at a million writes a second; last access is counted in seconds since the store's start.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The index of no slot.
pub(super) const NONE: u32 = u32::MAX;

/// Keys must be shorter than this many bytes; their length has 22 bits in a slot.
pub(super) const KEY_LIMIT: usize = 1 << KEY_BITS;

const KEY_BITS: u32 = 22;
const DB_SHIFT: u32 = KEY_BITS;
const DB_MASK: u32 = 0xf;
const CAS: usize = 6;
const EXPIRES: usize = 8;
const FLAGS: usize = 4;
const PARENT: usize = 8;
const LIST: usize = 4;

/// In [`ItemSlot::access`]: the item was read since its value was stored.
pub(super) const FETCHED: u32 = 1 << 31;

/// The item was read or written since the eviction hand passed it.
const VISITED: u32 = 1 << 26;
const HAS_EXPIRY: u32 = 1 << 27;
const HAS_FLAGS: u32 = 1 << 28;
const IS_CHILD: u32 = 1 << 29;
const HAS_CHILDREN: u32 = 1 << 30;
const VALUELESS: u32 = 1 << 31;
/// The bits that say where in the record what lies.
const SHAPE: u32 = HAS_EXPIRY | HAS_FLAGS | IS_CHILD | HAS_CHILDREN | (KEY_LIMIT as u32 - 1);

/// One item of a shard, or a free slot for one.
#[derive(Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ItemSlot {
    /// Where the record is; [`NONE`] if the slot is free.
    pub(super) record: u32,
    /// The neighbour towards the newer end of the eviction list.
    pub(super) prev: u32,
    /// The neighbour towards the older end of the eviction list; of a free slot, the next free one.
    pub(super) next: u32,
    /// Seconds from the store's start to the last read or write, and [`FETCHED`].
    pub(super) access: u32,
    pub(super) bits: u32,
}

/// Everything of an item but key and value.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemHeader {
    pub(super) cas: u64,
    pub(super) expires_ms: Option<u64>,
    pub(super) flags: u32,
    pub(super) db: u8,
    /// The slot of the parent, and the place among its children.
    pub(super) parent: Option<(u32, u32)>,
    /// Where the list of the children is in the log.
    pub(super) list: Option<u32>,
    pub(super) valueless: bool,
}

impl ItemHeader {
    /// The bits of a slot with such a head, not visited.
    pub(super) fn bits(&self, key_length: usize) -> u32 {
        let mut bits = key_length as u32 | (u32::from(self.db) << DB_SHIFT);
        for (bit, set) in [
            (HAS_EXPIRY, self.expires_ms.is_some()),
            (HAS_FLAGS, self.flags != 0),
            (IS_CHILD, self.parent.is_some()),
            (HAS_CHILDREN, self.list.is_some()),
            (VALUELESS, self.valueless),
        ] {
            if set {
                bits |= bit;
            }
        }
        bits
    }

    /// Writes the head to the front of a record.
    pub(super) fn write(&self, record: &mut [u8], bits: u32) {
        record[..CAS].copy_from_slice(&self.cas.to_le_bytes()[..CAS]);
        if let Some(expires_ms) = self.expires_ms {
            record[CAS..CAS + EXPIRES].copy_from_slice(&expires_ms.to_le_bytes());
        }
        if self.flags != 0 {
            let at = flags_at(bits);
            record[at..at + FLAGS].copy_from_slice(&self.flags.to_le_bytes());
        }
        if let Some((parent, position)) = self.parent {
            let at = parent_at(bits);
            record[at..at + 4].copy_from_slice(&parent.to_le_bytes());
            record[at + 4..at + PARENT].copy_from_slice(&position.to_le_bytes());
        }
        if let Some(list) = self.list {
            write_list(bits, record, list);
        }
    }

    /// The bytes of a record of this shape.
    pub(super) fn length(&self, key: usize, value: &[&[u8]]) -> usize {
        key_at(self.bits(key)) + key + length(value)
    }

    /// Writes a whole record, of the bytes that [`length`](ItemHeader::length) says.
    pub(super) fn fill(&self, key: &[u8], value: &[&[u8]], record: &mut [u8]) {
        let bits = self.bits(key.len());
        let at = key_at(bits);
        record[at..at + key.len()].copy_from_slice(key);
        self.overwrite(bits, value, record);
    }

    /// Writes a record of the same shape over another, which has the same key and the length of
    /// this one.
    pub(super) fn overwrite(&self, bits: u32, value: &[&[u8]], record: &mut [u8]) {
        self.write(record, bits);
        let mut at = value_at(bits);
        for part in value {
            record[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
    }
}

fn length(value: &[&[u8]]) -> usize {
    value.iter().map(|part| part.len()).sum()
}

fn flags_at(bits: u32) -> usize {
    CAS + if bits & HAS_EXPIRY != 0 { EXPIRES } else { 0 }
}

fn parent_at(bits: u32) -> usize {
    flags_at(bits) + if bits & HAS_FLAGS != 0 { FLAGS } else { 0 }
}

fn list_at(bits: u32) -> usize {
    parent_at(bits) + if bits & IS_CHILD != 0 { PARENT } else { 0 }
}

fn key_at(bits: u32) -> usize {
    list_at(bits) + if bits & HAS_CHILDREN != 0 { LIST } else { 0 }
}

fn value_at(bits: u32) -> usize {
    key_at(bits) + (bits as usize & (KEY_LIMIT - 1))
}

impl ItemSlot {
    /// A free slot; `next` is the free slot after it.
    pub(super) fn free(next: u32) -> ItemSlot {
        ItemSlot {
            record: NONE,
            prev: NONE,
            next,
            access: 0,
            bits: 0,
        }
    }

    /// Whether nothing is stored here.
    pub(super) fn is_free(&self) -> bool {
        self.record == NONE
    }

    /// Whether a head of these bits has its fields, and the key, where this slot's record has them.
    pub(super) fn has_shape(&self, bits: u32) -> bool {
        self.bits & SHAPE == bits & SHAPE
    }

    /// Takes over the bits of a new head; the mark stays.
    pub(super) fn set_bits(&mut self, bits: u32) {
        self.bits = bits | (self.bits & VISITED);
    }

    pub(super) fn has_children(&self) -> bool {
        self.bits & HAS_CHILDREN != 0
    }

    pub(super) fn is_fetched(&self) -> bool {
        self.access & FETCHED != 0
    }

    pub(super) fn is_visited(&self) -> bool {
        self.bits & VISITED != 0
    }

    pub(super) fn set_visited(&mut self, on: bool) {
        if on {
            self.bits |= VISITED;
        } else {
            self.bits &= !VISITED;
        }
    }
}

/// Writes a CAS number into a record.
pub(super) fn write_cas(record: &mut [u8], cas: u64) {
    record[..CAS].copy_from_slice(&cas.to_le_bytes()[..CAS]);
}

/// Writes a child's place among its siblings into its record.
pub(super) fn write_position(bits: u32, record: &mut [u8], position: u32) {
    if bits & IS_CHILD != 0 {
        let at = parent_at(bits) + 4;
        record[at..at + 4].copy_from_slice(&position.to_le_bytes());
    }
}

/// Writes where the list of an item's children is into its record.
pub(super) fn write_list(bits: u32, record: &mut [u8], list: u32) {
    if bits & HAS_CHILDREN != 0 {
        let at = list_at(bits);
        record[at..at + LIST].copy_from_slice(&list.to_le_bytes());
    }
}

/// An item as it is stored: its slot and its record.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoredItem<'a> {
    pub(super) slot: &'a ItemSlot,
    pub(super) record: &'a [u8],
}

impl<'a> StoredItem<'a> {
    /// Everything but key and value.
    pub(super) fn head(&self) -> ItemHeader {
        ItemHeader {
            cas: self.cas(),
            expires_ms: self.expires_ms(),
            flags: self.flags(),
            db: self.db(),
            parent: self.is(IS_CHILD).then(|| (self.parent(), self.position())),
            list: self.list(),
            valueless: self.is_valueless(),
        }
    }

    fn is(&self, bit: u32) -> bool {
        self.slot.bits & bit != 0
    }

    fn number<const BYTES: usize>(&self, at: usize) -> u64 {
        let mut wide = [0; 8];
        wide[..BYTES].copy_from_slice(&self.record[at..at + BYTES]);
        u64::from_le_bytes(wide)
    }

    /// The unique number of the last change.
    pub(super) fn cas(&self) -> u64 {
        self.number::<CAS>(0)
    }

    pub(super) fn expires_ms(&self) -> Option<u64> {
        self.is(HAS_EXPIRY).then(|| self.number::<EXPIRES>(CAS))
    }

    /// Whether the item itself has expired; an ancestor may have expired earlier.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms()
            .is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    pub(super) fn flags(&self) -> u32 {
        if self.is(HAS_FLAGS) {
            self.number::<FLAGS>(flags_at(self.slot.bits)) as u32
        } else {
            0
        }
    }

    pub(super) fn db(&self) -> u8 {
        (self.slot.bits >> DB_SHIFT & DB_MASK) as u8
    }

    /// The slot of the parent, [`NONE`] at the top.
    pub(super) fn parent(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(parent_at(self.slot.bits)) as u32
        } else {
            NONE
        }
    }

    /// The place of a child among its siblings.
    pub(super) fn position(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(parent_at(self.slot.bits) + 4) as u32
        } else {
            0
        }
    }

    /// Where the list of the children is in the log.
    pub(super) fn list(&self) -> Option<u32> {
        self.has_children()
            .then(|| self.number::<LIST>(list_at(self.slot.bits)) as u32)
    }

    pub(super) fn key(&self) -> &'a [u8] {
        &self.record[key_at(self.slot.bits)..value_at(self.slot.bits)]
    }

    /// The value; an item that was made without one has none.
    pub(super) fn value(&self) -> Option<&'a [u8]> {
        (!self.is_valueless()).then(|| &self.record[value_at(self.slot.bits)..])
    }

    pub(super) fn is_valueless(&self) -> bool {
        self.is(VALUELESS)
    }

    pub(super) fn has_children(&self) -> bool {
        self.is(HAS_CHILDREN)
    }

    pub(super) fn is_visited(&self) -> bool {
        self.is(VISITED)
    }

    /// Whether this is the item that `parent` (or, at the top, the database) has under `key`.
    pub(super) fn answers_to(&self, parent: u32, db: u8, key: &[u8]) -> bool {
        self.key() == key && self.parent() == parent && self.db() == db
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_has_20_bytes_and_the_smallest_record_6_in_front_of_its_key() {
        assert_eq!(size_of::<ItemSlot>(), 20);
        let head = ItemHeader {
            cas: 1,
            expires_ms: None,
            flags: 0,
            db: 0,
            parent: None,
            list: None,
            valueless: false,
        };
        assert_eq!(head.length(30, &[&[b'v'; 60], &[b'v'; 40]]), 136);
    }

    #[test]
    fn every_combination_of_optional_fields_reads_back() {
        for mask in 0..32u32 {
            let head = ItemHeader {
                cas: (1 << 48) - 2,
                expires_ms: (mask & 1 != 0).then_some(u64::MAX),
                flags: if mask & 2 != 0 { u32::MAX } else { 0 },
                db: 15,
                parent: (mask & 4 != 0).then_some((7, 9)),
                list: (mask & 16 != 0).then_some(11),
                valueless: mask & 8 != 0,
            };
            let value: &[&[u8]] = if head.valueless {
                &[]
            } else {
                &[b"a", b"", b"bc"]
            };
            let mut record = vec![0; head.length(7, value)];
            head.fill(b"the key", value, &mut record);
            let slot = ItemSlot {
                record: 0,
                bits: head.bits(7),
                ..ItemSlot::free(NONE)
            };
            let stored = StoredItem {
                slot: &slot,
                record: &record,
            };
            assert_eq!(stored.cas(), (1 << 48) - 2);
            assert_eq!(stored.expires_ms(), head.expires_ms);
            assert_eq!(stored.flags(), head.flags);
            assert_eq!(stored.db(), 15);
            assert_eq!(
                (stored.parent(), stored.position()),
                head.parent.unwrap_or((NONE, 0))
            );
            assert_eq!(stored.list(), head.list);
            assert_eq!(stored.key(), b"the key");
            assert_eq!(stored.value(), (!head.valueless).then_some(&b"abc"[..]));
        }
    }
}

//! One item: a slot of 32 bytes and a record of its own on the heap.
//!
//! ```text
//!  slot    record ─┐   prev   next   access   bits                                       32 bytes
//!          16      │   4      4      4        4
//!                  │
//!  record  └▶ cas │ expires? │ flags? │ parent, position? │ key │ value        one allocation
//!             6     8          4        4       4           …     …
//! ```
//!
//! What most items don't have takes no room: an item that never expires, has flags 0 and is no child has 6 bytes in
//! front of its key. `bits` says which of the optional fields are there and how long the key is; the value is the
//! rest. The arithmetic that this layout was made for: a key of 30 bytes and a value of 100 make a record of 136
//! bytes, which is exactly glibc's chunk of 144 (8 bytes of header, rounded up to 16). With the slot that is 176
//! bytes an item, and 5.7 to 11.4 more for its bucket in the hash table.
//!
//! A value that is overwritten by one of the same length stays in its record: nothing is allocated.
//!
//! Limits that come from the layout: a key has fewer than 2²² bytes; 2⁴⁸ CAS numbers last nine years at a million
//! writes a second; last access is counted in seconds since the store's start.

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
const KIN: usize = 8;

/// The item was read or written since the eviction hand passed it.
const VISITED: u32 = 1 << 26;
const HAS_EXPIRY: u32 = 1 << 27;
const HAS_FLAGS: u32 = 1 << 28;
const IS_CHILD: u32 = 1 << 29;
const HAS_CHILDREN: u32 = 1 << 30;
const VALUELESS: u32 = 1 << 31;
/// The bits that say where in the record what lies.
const SHAPE: u32 = HAS_EXPIRY | HAS_FLAGS | IS_CHILD | (KEY_LIMIT as u32 - 1);

/// One item of a shard, or a free place for one.
#[derive(Debug)]
pub(super) struct Slot {
    record: Box<[u8]>,
    /// The neighbour towards the newer end of the eviction list.
    pub(super) prev: u32,
    /// The neighbour towards the older end of the eviction list; of a free slot, the next free one.
    pub(super) next: u32,
    /// Seconds from the store's start to the last read or write.
    pub(super) access: u32,
    bits: u32,
}

/// Everything of an item but key and value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub(super) cas: u64,
    pub(super) expires_ms: Option<u64>,
    pub(super) flags: u32,
    pub(super) db: u8,
    /// The slot of the parent, and the place among its children.
    pub(super) kin: Option<(u32, u32)>,
    pub(super) valueless: bool,
}

impl Head {
    fn bits(&self, key_length: usize) -> u32 {
        let mut bits = key_length as u32 | (u32::from(self.db) << DB_SHIFT);
        for (bit, set) in [
            (HAS_EXPIRY, self.expires_ms.is_some()),
            (HAS_FLAGS, self.flags != 0),
            (IS_CHILD, self.kin.is_some()),
            (VALUELESS, self.valueless),
        ] {
            if set {
                bits |= bit;
            }
        }
        bits
    }

    fn write(&self, record: &mut [u8], bits: u32) {
        record[..CAS].copy_from_slice(&self.cas.to_le_bytes()[..CAS]);
        if let Some(expires_ms) = self.expires_ms {
            record[CAS..CAS + EXPIRES].copy_from_slice(&expires_ms.to_le_bytes());
        }
        if self.flags != 0 {
            let at = flags_at(bits);
            record[at..at + FLAGS].copy_from_slice(&self.flags.to_le_bytes());
        }
        if let Some((parent, position)) = self.kin {
            let at = kin_at(bits);
            record[at..at + 4].copy_from_slice(&parent.to_le_bytes());
            record[at + 4..at + KIN].copy_from_slice(&position.to_le_bytes());
        }
    }

    fn record(&self, bits: u32, key: &[u8], value: &[&[u8]]) -> Box<[u8]> {
        let length: usize = value.iter().map(|part| part.len()).sum();
        let key_at = key_at(bits);
        let mut record = Vec::with_capacity(key_at + key.len() + length);
        record.resize(key_at, 0);
        self.write(&mut record, bits);
        record.extend_from_slice(key);
        for part in value {
            record.extend_from_slice(part);
        }
        record.into_boxed_slice()
    }
}

fn flags_at(bits: u32) -> usize {
    CAS + if bits & HAS_EXPIRY != 0 { EXPIRES } else { 0 }
}

fn kin_at(bits: u32) -> usize {
    flags_at(bits) + if bits & HAS_FLAGS != 0 { FLAGS } else { 0 }
}

fn key_at(bits: u32) -> usize {
    kin_at(bits) + if bits & IS_CHILD != 0 { KIN } else { 0 }
}

fn value_at(bits: u32) -> usize {
    key_at(bits) + (bits as usize & (KEY_LIMIT - 1))
}

impl Slot {
    /// A free slot; `next` is the free slot after it.
    pub(super) fn free(next: u32) -> Slot {
        Slot {
            record: Box::default(),
            prev: NONE,
            next,
            access: 0,
            bits: 0,
        }
    }

    /// A new item; the key is shorter than [`KEY_LIMIT`].
    pub(super) fn new(head: &Head, key: &[u8], value: &[&[u8]], access: u32) -> Slot {
        let bits = head.bits(key.len());
        Slot {
            record: head.record(bits, key, value),
            prev: NONE,
            next: NONE,
            access,
            bits,
        }
    }

    /// Whether nothing is stored here. A record is never empty: it has at least its CAS number.
    pub(super) fn is_free(&self) -> bool {
        self.record.is_empty()
    }

    /// Gives the item another head and value; the key stays. Writes in place where lengths allow.
    pub(super) fn rewrite(&mut self, head: &Head, value: &[&[u8]]) {
        let key_length = self.bits as usize & (KEY_LIMIT - 1);
        let bits = head.bits(key_length) | (self.bits & (VISITED | HAS_CHILDREN));
        let length: usize = value.iter().map(|part| part.len()).sum();
        if bits & SHAPE == self.bits & SHAPE && value_at(bits) + length == self.record.len() {
            head.write(&mut self.record, bits);
            let mut at = value_at(bits);
            for part in value {
                self.record[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
        } else {
            self.record = head.record(bits, self.key(), value);
        }
        self.bits = bits;
    }

    /// Gives the item another head; key and value stay.
    pub(super) fn rehead(&mut self, head: &Head) {
        let bits = head.bits(self.key().len()) | (self.bits & (VISITED | HAS_CHILDREN));
        if bits & SHAPE == self.bits & SHAPE {
            head.write(&mut self.record, bits);
        } else {
            self.record = head.record(bits, self.key(), &[&self.record[value_at(self.bits)..]]);
        }
        self.bits = bits;
    }

    /// Puts bytes in front of and behind the value. Where nothing goes in front, the allocator may grow the record
    /// where it lies.
    pub(super) fn extend(&mut self, before: &[u8], after: &[u8]) {
        if before.is_empty() {
            let mut record = std::mem::take(&mut self.record).into_vec();
            record.reserve_exact(after.len());
            record.extend_from_slice(after);
            self.record = record.into_boxed_slice();
        } else {
            let head = self.head();
            let value = &self.record[value_at(self.bits)..];
            self.record = head.record(self.bits, self.key(), &[before, value, after]);
        }
        self.bits &= !VALUELESS;
    }

    /// Everything but key and value.
    pub(super) fn head(&self) -> Head {
        Head {
            cas: self.cas(),
            expires_ms: self.expires_ms(),
            flags: self.flags(),
            db: self.db(),
            kin: self.is(IS_CHILD).then(|| (self.parent(), self.position())),
            valueless: self.is_valueless(),
        }
    }

    fn is(&self, bit: u32) -> bool {
        self.bits & bit != 0
    }

    fn set(&mut self, bit: u32, on: bool) {
        if on {
            self.bits |= bit
        } else {
            self.bits &= !bit
        }
    }

    fn number<const BYTES: usize>(&self, at: usize) -> u64 {
        let mut wide = [0; 8];
        wide[..BYTES].copy_from_slice(&self.record[at..at + BYTES]);
        u64::from_le_bytes(wide)
    }

    /// The bytes of the record.
    pub(super) fn record_length(&self) -> usize {
        self.record.len()
    }

    /// The unique number of the last change.
    pub(super) fn cas(&self) -> u64 {
        self.number::<CAS>(0)
    }

    pub(super) fn set_cas(&mut self, cas: u64) {
        self.record[..CAS].copy_from_slice(&cas.to_le_bytes()[..CAS]);
    }

    pub(super) fn expires_ms(&self) -> Option<u64> {
        self.is(HAS_EXPIRY).then(|| self.number::<EXPIRES>(CAS))
    }

    /// Whether the item's own time is over; its ancestors may still have ended earlier.
    pub(super) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms()
            .is_some_and(|expires_ms| expires_ms <= now_ms)
    }

    pub(super) fn flags(&self) -> u32 {
        if self.is(HAS_FLAGS) {
            self.number::<FLAGS>(flags_at(self.bits)) as u32
        } else {
            0
        }
    }

    pub(super) fn db(&self) -> u8 {
        (self.bits >> DB_SHIFT & DB_MASK) as u8
    }

    /// The slot of the parent, [`NONE`] at the top.
    pub(super) fn parent(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(kin_at(self.bits)) as u32
        } else {
            NONE
        }
    }

    /// The place of a child among its siblings.
    pub(super) fn position(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(kin_at(self.bits) + 4) as u32
        } else {
            0
        }
    }

    /// Moves a child among its siblings.
    pub(super) fn set_position(&mut self, position: u32) {
        if self.is(IS_CHILD) {
            let at = kin_at(self.bits) + 4;
            self.record[at..at + 4].copy_from_slice(&position.to_le_bytes());
        }
    }

    pub(super) fn key(&self) -> &[u8] {
        &self.record[key_at(self.bits)..value_at(self.bits)]
    }

    /// The value; an item that was made without one has none.
    pub(super) fn value(&self) -> Option<&[u8]> {
        (!self.is_valueless()).then(|| &self.record[value_at(self.bits)..])
    }

    pub(super) fn is_valueless(&self) -> bool {
        self.is(VALUELESS)
    }

    pub(super) fn has_children(&self) -> bool {
        self.is(HAS_CHILDREN)
    }

    pub(super) fn set_has_children(&mut self, on: bool) {
        self.set(HAS_CHILDREN, on);
    }

    pub(super) fn is_visited(&self) -> bool {
        self.is(VISITED)
    }

    pub(super) fn set_visited(&mut self, on: bool) {
        self.set(VISITED, on);
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
    fn a_slot_has_32_bytes_and_the_smallest_record_6_in_front_of_its_key() {
        assert_eq!(size_of::<Slot>(), 32);
        let head = Head {
            cas: 1,
            expires_ms: None,
            flags: 0,
            db: 0,
            kin: None,
            valueless: false,
        };
        assert_eq!(
            Slot::new(&head, &[b'k'; 30], &[&[b'v'; 100]], 0).record_length(),
            136
        );
    }

    #[test]
    fn every_combination_of_optional_fields_reads_back() {
        for mask in 0..16u32 {
            let head = Head {
                cas: (1 << 48) - 2,
                expires_ms: (mask & 1 != 0).then_some(u64::MAX),
                flags: if mask & 2 != 0 { u32::MAX } else { 0 },
                db: 15,
                kin: (mask & 4 != 0).then_some((7, 9)),
                valueless: mask & 8 != 0,
            };
            let value: &[&[u8]] = if head.valueless {
                &[]
            } else {
                &[b"a", b"", b"bc"]
            };
            let mut slot = Slot::new(&head, b"the key", value, 3);
            for _ in 0..2 {
                assert_eq!(slot.cas(), (1 << 48) - 2);
                assert_eq!(slot.expires_ms(), head.expires_ms);
                assert_eq!(slot.flags(), head.flags);
                assert_eq!(slot.db(), 15);
                assert_eq!(
                    (slot.parent(), slot.position()),
                    head.kin.unwrap_or((NONE, 0))
                );
                assert_eq!(slot.key(), b"the key");
                assert_eq!(slot.value(), (!head.valueless).then_some(&b"abc"[..]));
                slot.rewrite(&head, value);
            }
            let plain = Head {
                cas: 5,
                expires_ms: None,
                flags: 0,
                ..head
            };
            slot.rehead(&plain);
            assert_eq!((slot.cas(), slot.expires_ms(), slot.flags()), (5, None, 0));
            assert_eq!(slot.key(), b"the key");
            assert_eq!(slot.value(), (!head.valueless).then_some(&b"abc"[..]));
        }
    }

    #[test]
    fn a_value_of_the_same_length_is_written_in_place() {
        let head = Head {
            cas: 1,
            expires_ms: None,
            flags: 0,
            db: 0,
            kin: None,
            valueless: false,
        };
        let mut slot = Slot::new(&head, b"k", &[b"old"], 0);
        let before = slot.record.as_ptr();
        slot.rewrite(&Head { cas: 2, ..head }, &[b"n", b"ew"]);
        assert_eq!((slot.value(), slot.cas()), (Some(&b"new"[..]), 2));
        assert_eq!(slot.record.as_ptr(), before);
        slot.extend(b"<", b">");
        slot.extend(b"", b"!");
        assert_eq!(slot.value(), Some(&b"<new>!"[..]));
    }
}

//! Reading an item, from its slot and its record.

use super::record::{
    CAS, EXPIRES, FLAGS, ItemHeader, LIST, WIDE_CAS, expires_at, flags_at, key, list_at, parent_at,
    value_at,
};
use super::slot::{HAS_EXPIRY, HAS_FLAGS, HAS_WIDE_CAS, IS_CHILD, ItemSlot, NONE};

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
        if self.is(HAS_WIDE_CAS) {
            self.number::<WIDE_CAS>(0)
        } else {
            self.number::<CAS>(0)
        }
    }

    pub(super) fn expires_ms(&self) -> Option<u64> {
        self.is(HAS_EXPIRY)
            .then(|| self.number::<EXPIRES>(expires_at(self.slot.bits)))
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

    /// The database of an item at the top.
    pub(super) fn db(&self) -> u8 {
        self.slot.db()
    }

    /// The slot of the parent; [`NONE`] at the top, [`DETACHED`](super::slot::DETACHED) at the top of a detached tree.
    pub(super) fn parent(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(parent_at(self.slot.bits)) as u32
        } else {
            NONE
        }
    }

    /// The position of a child among its siblings.
    pub(super) fn position(&self) -> u32 {
        if self.is(IS_CHILD) {
            self.number::<4>(parent_at(self.slot.bits) + 4) as u32
        } else {
            0
        }
    }

    /// The address of the children's list in the log.
    pub(super) fn list(&self) -> Option<u32> {
        self.has_children()
            .then(|| self.number::<LIST>(list_at(self.slot.bits)) as u32)
    }

    pub(super) fn key(&self) -> &'a [u8] {
        &self.record[key(self.slot.bits)]
    }

    /// The value; an item that was made without one has none.
    pub(super) fn value(&self) -> Option<&'a [u8]> {
        (!self.is_valueless()).then(|| &self.record[value_at(self.slot.bits)..])
    }

    pub(super) fn is_valueless(&self) -> bool {
        self.slot.is_valueless()
    }

    pub(super) fn has_children(&self) -> bool {
        self.slot.has_children()
    }

    /// Whether this is the child that `parent` has under `key`; at the top, [`NONE`] is the parent. The slot has been
    /// compared [before](ItemSlot::may_answer_to).
    pub(super) fn answers_to(&self, parent: u32, key: &[u8]) -> bool {
        self.key() == key && self.parent() == parent
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::length;
    use super::*;

    #[test]
    fn a_slot_has_12_bytes_and_the_smallest_record_6_in_front_of_its_key() {
        assert_eq!(size_of::<ItemSlot>(), 12);
        let head = ItemHeader {
            cas: 1,
            expires_ms: None,
            flags: 0,
            db: 0,
            parent: None,
            list: None,
            valueless: false,
        };
        let value: &[&[u8]] = &[&[b'v'; 60], &[b'v'; 40]];
        assert_eq!(length(head.bits(30), value), 136);
    }

    #[test]
    fn every_combination_of_optional_fields_reads_back() {
        for mask in 0..64u32 {
            let cas = if mask & 32 != 0 {
                u64::MAX
            } else {
                (1 << 48) - 1
            };
            let head = ItemHeader {
                cas,
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
            let bits = head.bits(7);
            let mut record = vec![0; length(bits, value)];
            head.fill(bits, b"the key", value, &mut record);
            let slot = ItemSlot {
                record: 0,
                bits,
                ..ItemSlot::free(NONE)
            };
            let stored = StoredItem {
                slot: &slot,
                record: &record,
            };
            assert_eq!(stored.cas(), cas);
            assert_eq!(stored.expires_ms(), head.expires_ms);
            assert_eq!(stored.flags(), head.flags);
            assert_eq!(stored.db(), if head.parent.is_some() { 0 } else { 15 });
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

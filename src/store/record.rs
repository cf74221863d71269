//! A record's bytes: the head of optional fields, the key, the value, as the diagram over [`slot`](super::slot) has
//! them. Here a head is made and written; [`StoredItem`](super::stored_item::StoredItem) reads it.

use std::ops::Range;

use super::slot::{
    DB_SHIFT, HAS_CHILDREN, HAS_EXPIRY, HAS_FLAGS, HAS_WIDE_CAS, IS_CHILD, VALUELESS, key_length,
};

/// Bytes of a CAS number; one of [`HAS_WIDE_CAS`] has 8.
pub(super) const CAS: usize = 6;
pub(super) const WIDE_CAS: usize = 8;
pub(super) const EXPIRES: usize = 8;
pub(super) const FLAGS: usize = 4;
const PARENT: usize = 8;
pub(super) const LIST: usize = 4;

/// The most bytes in front of a key.
pub(super) const MOST_HEAD: usize = WIDE_CAS + EXPIRES + FLAGS + PARENT + LIST;

/// Everything of an item but key and value.
#[derive(Debug, Clone, Copy)]
pub(super) struct ItemHeader {
    pub(super) cas: u64,
    pub(super) expires_ms: Option<u64>,
    pub(super) flags: u32,
    /// Of an item at the top; those below it are in the same one.
    pub(super) db: u8,
    /// The slot of the parent, and the position among its children.
    pub(super) parent: Option<(u32, u32)>,
    /// The address of the children's list in the log.
    pub(super) list: Option<u32>,
    pub(super) valueless: bool,
}

impl ItemHeader {
    /// The bits of a slot with such a head, not visited.
    pub(super) fn bits(&self, key_length: usize) -> u32 {
        let db = if self.parent.is_none() { self.db } else { 0 };
        let mut bits = key_length as u32 | (u32::from(db) << DB_SHIFT);
        for (bit, set) in [
            (HAS_WIDE_CAS, self.cas >> (8 * CAS) != 0),
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
        write_cas(bits, record, self.cas);
        if let Some(expires_ms) = self.expires_ms {
            let at = expires_at(bits);
            record[at..at + EXPIRES].copy_from_slice(&expires_ms.to_le_bytes());
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

    /// Writes a whole record, of the bytes that [`length`] says; `bits` are this head's.
    pub(super) fn fill(&self, bits: u32, key: &[u8], value: &[&[u8]], record: &mut [u8]) {
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

/// The range of the key in a record of these bits.
pub(super) fn key(bits: u32) -> Range<usize> {
    key_at(bits)..value_at(bits)
}

/// The bytes of a record of these bits with such a value.
pub(super) fn length(bits: u32, value: &[&[u8]]) -> usize {
    value_at(bits) + value.iter().map(|part| part.len()).sum::<usize>()
}

pub(super) const fn expires_at(bits: u32) -> usize {
    if bits & HAS_WIDE_CAS != 0 {
        WIDE_CAS
    } else {
        CAS
    }
}

pub(super) const fn flags_at(bits: u32) -> usize {
    expires_at(bits) + if bits & HAS_EXPIRY != 0 { EXPIRES } else { 0 }
}

pub(super) const fn parent_at(bits: u32) -> usize {
    flags_at(bits) + if bits & HAS_FLAGS != 0 { FLAGS } else { 0 }
}

pub(super) const fn list_at(bits: u32) -> usize {
    parent_at(bits) + if bits & IS_CHILD != 0 { PARENT } else { 0 }
}

/// The beginning of the key, by the five bits that name optional fields.
const KEY_AT: [u8; 32] = {
    let mut key_at = [0; 32];
    let mut fields = 0;
    while fields < 32 {
        let bits = (fields as u32) << HAS_WIDE_CAS.ilog2();
        let list = if bits & HAS_CHILDREN != 0 { LIST } else { 0 };
        key_at[fields] = (list_at(bits) + list) as u8;
        fields += 1;
    }
    key_at
};

pub(super) fn key_at(bits: u32) -> usize {
    usize::from(KEY_AT[(bits >> HAS_WIDE_CAS.ilog2()) as usize & 0x1f])
}

pub(super) fn value_at(bits: u32) -> usize {
    key_at(bits) + key_length(bits)
}

/// Writes a CAS number into a record.
pub(super) fn write_cas(bits: u32, record: &mut [u8], cas: u64) {
    let length = expires_at(bits);
    record[..length].copy_from_slice(&cas.to_le_bytes()[..length]);
}

/// Writes a child's position among its siblings into its record.
pub(super) fn write_position(bits: u32, record: &mut [u8], position: u32) {
    if bits & IS_CHILD != 0 {
        let at = parent_at(bits) + 4;
        record[at..at + 4].copy_from_slice(&position.to_le_bytes());
    }
}

/// Writes the address of the list of an item's children into its record.
pub(super) fn write_list(bits: u32, record: &mut [u8], list: u32) {
    if bits & HAS_CHILDREN != 0 {
        let at = list_at(bits);
        record[at..at + LIST].copy_from_slice(&list.to_le_bytes());
    }
}

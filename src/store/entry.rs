//! An entry to store under a key, and an item read from there.

use super::record_log;
use super::slot::{BASE64_KEY, FROM_ORIGIN, ItemSlot, STALE, WON};
use super::stored_item::StoredItem;

/// An entry to store.
#[derive(Debug, Clone, Copy, Default)]
pub struct Entry<'a> {
    /// The value, as the parts that it is put together from; `None` for a node that only has
    /// children, as a Redis hash does. Such a node is removed with its last child.
    pub value: Option<&'a [&'a [u8]]>,
    /// memcached's opaque number; Redis stores 0.
    pub flags: u32,
    /// Unix time in milliseconds at which the item expires; `None` for never.
    pub expires_ms: Option<u64>,
}

impl Entry<'_> {
    pub(super) fn value_length(&self) -> usize {
        self.value
            .unwrap_or_default()
            .iter()
            .map(|part| part.len())
            .sum()
    }
}

/// A node of a locked tree. It is valid until the node or one of its ancestors is removed, and at
/// most as long as the lock is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(pub(super) u32);

/// A stored item, read in place.
#[derive(Debug, Clone, Copy)]
pub struct Item<'a> {
    pub(super) stored: StoredItem<'a>,
    /// Unix time in milliseconds that access times count from.
    pub(super) started_ms: u64,
}

impl<'a> Item<'a> {
    /// The last key of the item's path.
    pub fn key(&self) -> &'a [u8] {
        self.stored.key()
    }

    /// The value; `None` for a node that only has children.
    pub fn value(&self) -> Option<&'a [u8]> {
        self.stored.value()
    }

    /// memcached's opaque number.
    pub fn flags(&self) -> u32 {
        self.stored.flags()
    }

    /// Unix time in milliseconds at which the item itself expires. Its ancestors may expire
    /// earlier.
    pub fn expires_ms(&self) -> Option<u64> {
        self.stored.expires_ms()
    }

    /// The unique number of the last change of the item or anything below it. It is never 0 and rises with
    /// every change, except if a client [chose one](super::Tree::set_cas).
    pub fn cas(&self) -> u64 {
        self.stored.cas()
    }

    /// Unix time in milliseconds of the last read or write before this one was marked, to the
    /// second.
    pub fn last_access_ms(&self) -> u64 {
        self.started_ms + self.stored.slot.last_access() * 1000
    }

    /// Whether the item was read since its value was stored.
    pub fn is_fetched(&self) -> bool {
        self.stored.slot.is_fetched()
    }

    /// The marks that memcached's meta commands have set.
    pub fn marks(&self) -> Marks {
        Marks::from_access(self.stored.slot.access)
    }

    /// Whether there are nodes below this one.
    pub fn has_children(&self) -> bool {
        self.stored.has_children()
    }

    /// Bytes of memory that the item takes, without the items below it.
    pub fn size(&self) -> usize {
        item_cost(self.stored.record.len())
    }
}

/// Notes about an item, for memcached's meta commands and for origins. A new value clears them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// The value is out of date and is to be stored anew.
    pub stale: bool,
    /// A client was chosen to store the item anew.
    pub won: bool,
    /// The key was sent in base64.
    pub base64_key: bool,
    /// The value came from the origin.
    pub from_origin: bool,
}

/// Facts about an item that memcached's meta commands show and change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ItemUsage {
    pub(crate) marks: Marks,
    /// As [`Item::is_fetched`].
    pub(crate) is_fetched: bool,
    /// As [`Item::last_access_ms`].
    pub(crate) last_access_ms: u64,
    /// As [`Item::expires_ms`].
    pub(crate) expires_ms: Option<u64>,
}

impl Marks {
    pub(super) fn from_access(access: u32) -> Marks {
        Marks {
            stale: access & STALE != 0,
            won: access & WON != 0,
            base64_key: access & BASE64_KEY != 0,
            from_origin: access & FROM_ORIGIN != 0,
        }
    }

    /// The marks of the item under another name. No client has sent that name, and no origin was asked for it.
    pub(super) fn elsewhere(self) -> Marks {
        Marks {
            base64_key: false,
            from_origin: false,
            ..self
        }
    }

    /// The marks as bits of a slot's `access`, in the place of those that it has.
    pub(super) fn in_access(self, access: u32) -> u32 {
        let bit = |set, bit| if set { bit } else { 0 };
        access & !(STALE | WON | BASE64_KEY | FROM_ORIGIN)
            | bit(self.stale, STALE)
            | bit(self.won, WON)
            | bit(self.base64_key, BASE64_KEY)
            | bit(self.from_origin, FROM_ORIGIN)
    }
}

/// Bytes of memory of an item with a record of this length: the record, its slot and, on average,
/// its bucket.
pub(super) fn item_cost(record_length: usize) -> usize {
    const BUCKET: usize = 8;
    record_log::room(record_length) + size_of::<ItemSlot>() + BUCKET
}

/// Why a write was refused. A refused write changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Key and value are longer than [`Config::max_item_size`](super::Config), or the key than 4
    /// MiB.
    TooLarge,
    /// The node that should be its parent doesn't exist.
    NoParent,
    /// The item would not fit even if all other items were evicted; or the store is full and
    /// [refuses](super::WhenFull::Refuse).
    OutOfMemory,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Refused::TooLarge => "the item exceeds the size limit of items",
            Refused::NoParent => "its parent node does not exist",
            Refused::OutOfMemory => "there is no memory for the item",
        })
    }
}

impl std::error::Error for Refused {}

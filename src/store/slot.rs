//! One item: a slot of 12 bytes, and a record in the shard's log.
//!
//! ```text
//!  slot    record ─┐   access   bits                                                     12 bytes
//!          4       │   4        4
//!                  │
//!  record  └▶ cas │ expires? │ flags? │ parent, position? │ children? │ key │ value
//!             6/8   8          4        4       4           4           …     …
//! ```
//!
//! Absent fields take no room: an item that never expires, has flags 0, is no child and has no
//! children has 6 bytes in front of its key. `bits` says which of the optional fields are there and
//! how long the key is; the value is the rest. A CAS number takes 8 bytes only if a client chose one
//! beyond 2⁴⁸. `access` also has the marks of the item, in its six highest bits. The arithmetic: a key of 30 bytes and a
//! value of 100 make a record of 136 bytes, 144 with its header in the log; with the slot that is
//! 156 bytes an item, and about 8 more for its entry in the hash table. The order of eviction takes one to three.
//!
//! Limits that come from the layout: a key has fewer than 2²² bytes; 2⁴⁸ CAS numbers last nine
//! years at a million writes a second; last access is counted in seconds since the store's start, for
//! two years at most.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The index of no slot.
pub(super) const NONE: u32 = u32::MAX;
/// In the place of a parent's slot: the item is the top of a tree that no path leads to any more.
pub(super) const DETACHED: u32 = u32::MAX - 1;

/// Keys must be shorter than this many bytes; their length has 22 bits in a slot.
pub(super) const KEY_LIMIT: usize = 1 << KEY_BITS;

const KEY_BITS: u32 = 22;
pub(super) const DB_SHIFT: u32 = KEY_BITS;
pub(super) const DB_MASK: u32 = 0xf;

/// In [`ItemSlot::access`]: the item was read since its value was stored.
pub(super) const FETCHED: u32 = 1 << 31;
/// In [`ItemSlot::access`]: the item was read or written since the eviction hand passed it.
pub(super) const VISITED: u32 = 1 << 30;
/// In [`ItemSlot::access`]: the marks of [`Marks`](super::Marks).
pub(super) const STALE: u32 = 1 << 29;
pub(super) const WON: u32 = 1 << 28;
pub(super) const BASE64_KEY: u32 = 1 << 27;
pub(super) const FROM_ORIGIN: u32 = 1 << 26;
/// In [`ItemSlot::access`]: the marks that a later read or write keeps.
const KEPT: u32 = FETCHED | STALE | WON | BASE64_KEY | FROM_ORIGIN;
/// In [`ItemSlot::access`]: the time. It stands still at its end.
pub(super) const SECONDS: u32 = FROM_ORIGIN - 1;

/// The CAS number takes 8 bytes.
pub(super) const HAS_WIDE_CAS: u32 = 1 << 26;
pub(super) const HAS_EXPIRY: u32 = 1 << 27;
pub(super) const HAS_FLAGS: u32 = 1 << 28;
pub(super) const IS_CHILD: u32 = 1 << 29;
pub(super) const HAS_CHILDREN: u32 = 1 << 30;
pub(super) const VALUELESS: u32 = 1 << 31;
/// The bits for the layout of the record.
const SHAPE: u32 =
    HAS_WIDE_CAS | HAS_EXPIRY | HAS_FLAGS | IS_CHILD | HAS_CHILDREN | (KEY_LIMIT as u32 - 1);

/// The length of the key of an item of these bits.
pub(super) fn key_length(bits: u32) -> usize {
    bits as usize & (KEY_LIMIT - 1)
}

/// One item of a shard, or a free slot for one.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct ItemSlot {
    /// The address of the record; [`NONE`] if the slot is free.
    pub(super) record: u32,
    /// Seconds from the store's start to the last read or write, and the marks; of a free slot, the next free one.
    pub(super) access: u32,
    pub(super) bits: u32,
}

impl ItemSlot {
    /// A free slot; `next` is the free slot after it.
    pub(super) fn free(next: u32) -> ItemSlot {
        ItemSlot {
            record: NONE,
            access: next,
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

    /// Whether the item may be found under a key of such a length, at the top of this database or below an item.
    pub(super) fn may_answer_to(&self, db: u8, key_length: usize, is_child: bool) -> bool {
        const WHOSE: u32 = IS_CHILD | DB_MASK << DB_SHIFT | (KEY_LIMIT as u32 - 1);
        let whose = if is_child {
            IS_CHILD
        } else {
            u32::from(db) << DB_SHIFT
        };
        self.bits & WHOSE == whose | key_length as u32
    }

    /// The database of an item at the top. One below another has none of its own, so that a tree changes its database
    /// with its top.
    pub(super) fn db(&self) -> u8 {
        (self.bits >> DB_SHIFT & DB_MASK) as u8
    }

    pub(super) fn has_expiry(&self) -> bool {
        self.bits & HAS_EXPIRY != 0
    }

    pub(super) fn is_child(&self) -> bool {
        self.bits & IS_CHILD != 0
    }

    pub(super) fn is_valueless(&self) -> bool {
        self.bits & VALUELESS != 0
    }

    pub(super) fn has_children(&self) -> bool {
        self.bits & HAS_CHILDREN != 0
    }

    pub(super) fn is_fetched(&self) -> bool {
        self.access & FETCHED != 0
    }

    /// Seconds from the store's start to the last read or write.
    pub(super) fn last_access(&self) -> u64 {
        u64::from(self.access & SECONDS)
    }

    pub(super) fn is_visited(&self) -> bool {
        self.access & VISITED != 0
    }

    /// Notes that the eviction hand has passed.
    pub(super) fn clear_visited(&mut self) {
        self.access &= !VISITED;
    }

    /// Notes a read or write at a time. `access` has the mark [`FETCHED`] for a read; other marks stay.
    #[inline]
    pub(super) fn visit(&mut self, access: u32) {
        let access = access | VISITED | (self.access & KEPT);
        if self.access != access {
            self.access = access;
        }
    }
}

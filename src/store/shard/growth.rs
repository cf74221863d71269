//! The most that a write may add to a shard's footprint, for a store that refuses writes when it is full.

use super::*;
use crate::store::record::MOST_HEAD;
use crate::store::record_log;

impl Shard {
    /// The most bytes that the footprint may grow by when an item with a key and value of this length is stored: a record, a chunk of
    /// slots, pages of the table, longer lists, and a segment that an evacuation may begin.
    pub(in crate::store) fn most_growth(&self, parent: u32, length: usize) -> usize {
        let record = record_log::room(MOST_HEAD + length);
        let children = match parent {
            NONE => 0,
            parent => 2 * self.slab.list_bytes(parent),
        };
        self.slab.most_growth(record.max(children))
            + self.table.most_growth()
            + self.order.most_growth()
    }

    /// Whether an item's new value lies over the old one, so that it takes no memory.
    pub(in crate::store) fn overwrites(&self, index: u32, entry: &Entry<'_>) -> bool {
        let item = self.slab.item(index);
        let head = ItemHeader {
            expires_ms: entry.expires_ms,
            flags: entry.flags,
            valueless: entry.value.is_none(),
            ..item.head()
        };
        !item.has_children() && self.slab.keeps_room(index, &head, entry.value_length())
    }
}

//! An item of a snapshot, back under its path.

use super::*;
use crate::store::saved_item::SavedItem;

impl Tree<'_> {
    /// Stores an item under a path, with its CAS number and its marks. The items below an older one with that path
    /// stay. Otherwise as [`put`](Tree::put).
    pub(in crate::store) fn restore(
        &mut self,
        path: &[&[u8]],
        item: &SavedItem<'_>,
    ) -> Result<Node, Refused> {
        let parts = item.value.as_slice();
        let entry = item.entry(parts);
        let node = match self.peek(item.db, path) {
            Some(node) => {
                if entry.value.is_some() {
                    self.set_value(node, parts)?;
                }
                self.set_flags(node, item.flags);
                self.set_expiry(node, item.expires_ms);
                node
            }
            None => self.put(item.db, path, entry)?,
        };
        let slot = self.shard.slab.slot_mut(node.0);
        slot.access = item.marks.in_access(slot.access) & !FETCHED;
        if item.is_fetched {
            slot.access |= FETCHED;
        }
        self.set_cas(node, item.cas);
        Ok(node)
    }
}

//! An item of a snapshot, back under its path.

use super::*;
use crate::store::saved_item::SavedItem;

impl Tree<'_> {
    /// Stores an item under a path, with its CAS number and its marks. The items below an older one with that path
    /// stay. Otherwise as [`put`](Tree::put).
    ///
    /// A new item at the top, which most are, is looked up once and written once.
    pub(in crate::store) fn restore(
        &mut self,
        path: &[&[u8]],
        item: &SavedItem<'_>,
    ) -> Result<Node, Refused> {
        let parts = item.value.as_slice();
        let entry = item.entry(parts);
        if let [key] = path {
            let place = self.top_place(key);
            if self.shard.lookup_place(place).is_none() {
                let value = entry.value_length();
                self.check(key.len(), value)?;
                self.set_aside(NONE, key.len() + value, 0)?;
                let access = item.access(self.access);
                let index = self.shard.insert_with_cas(place, &entry, access, item.cas);
                self.make_room(index);
                return Ok(Node(index));
            }
        }
        let node = match self.peek(path) {
            Some(node) => {
                if entry.value.is_some() {
                    self.set_value(node, parts)?;
                }
                self.set_flags(node, item.flags);
                self.set_expiry(node, item.expires_ms);
                node
            }
            None => self.put(path, entry)?,
        };
        let slot = self.shard.slab.slot_mut(node.0);
        slot.access = item.access(slot.access);
        self.set_cas(node, item.cas);
        Ok(node)
    }
}

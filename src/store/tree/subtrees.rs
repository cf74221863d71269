//! A node with everything below it: its size, its copy, its removal and its insertion.

use super::writes::SPARE_ADDRESSES;
use super::*;

impl Tree<'_> {
    /// Bytes of memory that a node takes with everything below it.
    pub fn size(&self, node: Node) -> usize {
        let mut size = 0;
        let mut waiting = vec![node.0];
        while let Some(index) = waiting.pop() {
            let children = self.shard.slab.children(index);
            size += entry::item_cost(self.shard.slab.item(index).record.len());
            size += self.shard.slab.list_bytes(index);
            waiting.extend_from_slice(children);
        }
        size
    }

    /// Removes a node with its subtree, and hands it out.
    pub fn take(&mut self, node: Node) -> Subtree {
        let subtree = self.copy(node);
        self.shard.remove(node.0);
        subtree
    }

    /// A copy of a node and all that lives below it.
    pub fn copy(&self, node: Node) -> Subtree {
        Subtree::copy(&self.shard, node.0, self.now_ms)
    }

    /// Puts a subtree under a top-level key, in place of an old one.
    pub fn graft(&mut self, db: u8, key: &[u8], subtree: &Subtree) -> Result<(), Refused> {
        let inner_db = self.trim.store.inner_db(db);
        let Some(top) = subtree.nodes.first() else {
            return Ok(());
        };
        self.check(key.len(), top.value.as_ref().map_or(0, Vec::len))?;
        let segments = self.shard.slab.segments_for(subtree.lengths());
        if self
            .shard
            .slab
            .is_short_of_addresses(segments + SPARE_ADDRESSES)
        {
            return Err(Refused::OutOfMemory);
        }
        let old = self.shard.lookup(NONE, inner_db, key, self.hash);
        if let Some(old) = old {
            self.shard.remove(old);
        }
        // Other items are evicted only when all of it is stored: a parent without its children
        // could be taken for a leaf.
        let mut indices: Vec<u32> = Vec::with_capacity(subtree.nodes.len());
        for (here, node) in subtree.nodes.iter().enumerate() {
            let value = node.value.as_deref();
            let parts = value.as_slice();
            let entry = Entry {
                value: value.is_some().then_some(parts),
                flags: node.flags,
                expires_ms: node.expires_ms,
            };
            let (parent, key, hash) = if here == 0 {
                (NONE, key, self.hash)
            } else {
                let parent = indices[node.parent];
                (
                    parent,
                    &node.key[..],
                    self.shard.hash_child(parent, &node.key),
                )
            };
            let place = ItemPlace {
                parent,
                db: inner_db,
                key,
                hash,
            };
            indices.push(self.shard.insert(place, &entry, self.access));
        }
        self.make_room(indices[0]);
        Ok(())
    }
}

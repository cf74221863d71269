//! A node with everything below it: its size, its copy, its removal and its insertion.

use super::writes::SPARE_ADDRESSES;
use super::*;
use crate::store::entry::Marks;
use crate::store::record::ItemHeader;

/// Children of a node that stand for all of them.
const SAMPLES: usize = 1024;
/// Nodes that are looked at under one lock.
const MOST_LOOKS: usize = 2048;

impl Tree<'_> {
    /// Bytes of memory that a node takes with everything below it. Of a node's children [`SAMPLES`] at most are looked at, and
    /// [`MOST_LOOKS`] nodes at most: the others count with the mean of those.
    pub fn size(&self, node: Node) -> usize {
        let (mut size, mut nodes, mut looks) = (0.0, 0.0, 0);
        // A node, and the number of nodes that it stands for.
        let mut waiting = vec![(node.0, 1.0)];
        while looks < MOST_LOOKS
            && let Some((index, number)) = waiting.pop()
        {
            looks += 1;
            nodes += number;
            let bytes = entry::item_cost(self.shard.slab.item(index).record.len())
                + self.shard.slab.list_bytes(index);
            size += bytes as f64 * number;
            let children = self.shard.slab.children(index);
            let samples = children
                .iter()
                .step_by(children.len().div_ceil(SAMPLES).max(1));
            let each = number * children.len() as f64 / samples.len() as f64;
            waiting.extend(samples.map(|child| (*child, each)));
        }
        let left: f64 = waiting.iter().map(|(_, number)| number).sum();
        (size + size / nodes * left) as usize
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

    /// Puts a subtree under a top-level key, in place of an old one, as the items that it was made of: those below the top keep
    /// their CAS numbers, marks and times.
    pub(super) fn graft(&mut self, key: &[u8], subtree: &Subtree) -> Result<(), Refused> {
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
        let place = self.top_place(key);
        if let Some(old) = self.shard.lookup_place(place) {
            self.shard.remove(old);
        }
        // Other items are evicted only when all of it is stored: a parent without its children
        // could be taken for a leaf.
        let index = self.insert_subtree(place, subtree);
        self.make_room(index);
        Ok(())
    }

    /// Stores a subtree at a place at the top where there is nothing, and returns the index of its top.
    fn insert_subtree(&mut self, place: ItemPlace<'_>, subtree: &Subtree) -> u32 {
        let mut indices: Vec<u32> = Vec::with_capacity(subtree.nodes.len());
        for (here, node) in subtree.nodes.iter().enumerate() {
            let value = node.value.as_deref();
            let parts = value.as_slice();
            let entry = Entry {
                value: value.is_some().then_some(parts),
                flags: node.flags,
                expires_ms: node.expires_ms,
            };
            let mut place = place;
            if here > 0 {
                let parent = indices[node.parent];
                (place.parent, place.key) = (parent, &node.key);
                place.hash = self.shard.hash_child(parent, &node.key);
            }
            indices.push(self.shard.insert(place, &entry, self.access));
        }
        self.restore_nodes(&indices, subtree);
        indices[0]
    }

    /// Gives nodes that were stored anew what they had before under another name.
    fn restore_nodes(&mut self, indices: &[u32], subtree: &Subtree) {
        let mut nodes = indices.iter().zip(&subtree.nodes);
        if let Some((top, node)) = nodes.next() {
            let slot = self.shard.slab.slot_mut(*top);
            slot.access |= node.access & FETCHED;
            slot.access = Marks::from_access(node.access)
                .elsewhere()
                .in_access(slot.access);
        }
        for (index, node) in nodes {
            let head = ItemHeader {
                cas: node.cas,
                ..self.shard.slab.item(*index).head()
            };
            self.shard.slab.rewrite_header(*index, &head);
            self.shard.slab.slot_mut(*index).access = node.access;
        }
    }
}

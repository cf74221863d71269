//! One item on its way from a tree to its copy, without the items below it. Both may be in one shard, so it is read into a buffer.

use super::Tree;
use crate::store::entry::{Entry, Node, Refused};
use crate::store::ongoing_copies::ItemChanges;
use crate::store::shard::ItemPlace;
use crate::store::slot::NONE;
use crate::store::stored_item::StoredItem;

/// The buffer of an item.
#[derive(Default)]
pub(super) struct CopiedItem {
    name: Vec<u8>,
    value: Vec<u8>,
    has_value: bool,
    flags: u32,
    expires_ms: Option<u64>,
}

impl CopiedItem {
    pub(super) fn clear(&mut self) {
        self.name.clear();
        self.value.clear();
    }

    /// Bytes of the name and the value.
    pub(super) fn bytes(&self) -> usize {
        self.name.len() + self.value.len()
    }

    pub(super) fn read(&mut self, item: StoredItem<'_>) {
        self.clear();
        self.name.extend_from_slice(item.key());
        let value = item.value();
        self.value.extend_from_slice(value.unwrap_or_default());
        self.has_value = value.is_some();
        (self.flags, self.expires_ms) = (item.flags(), item.expires_ms());
    }

    fn entry<'a>(&self, value: &'a [&'a [u8]]) -> Entry<'a> {
        Entry {
            value: self.has_value.then_some(value),
            flags: self.flags,
            expires_ms: self.expires_ms,
        }
    }

    /// Stores it below a node, in place of an item with its name and all below that.
    pub(super) fn put(&self, tree: &mut Tree<'_>, parent: u32) -> Result<u32, Refused> {
        let place = ItemPlace {
            parent,
            db: 0,
            key: &self.name,
            hash: tree.shard.hash_child(parent, &self.name),
        };
        let value = [&self.value[..]];
        let stored = tree.store_item(place, &self.entry(&value))?;
        Ok(stored.0)
    }

    /// Stores it as the top of an unfinished copy under the key that the lock was taken for. It gets its expiry when the copy is
    /// attached.
    pub(super) fn put_top(
        &self,
        tree: &mut Tree<'_>,
        key: &[u8],
        changes: &ItemChanges,
    ) -> Result<u32, Refused> {
        tree.check(key.len(), self.value.len())?;
        tree.set_aside(NONE, key.len() + self.value.len(), 0)?;
        let value = [&self.value[..]];
        let entry = Entry {
            expires_ms: None,
            ..self.entry(&value)
        };
        let (place, access) = (tree.top_place(key), tree.access);
        let shard = &mut tree.shard;
        let index = shard.insert_unfinished(place, &entry, access, changes);
        tree.settle();
        Ok(index)
    }

    /// Gives its value, flags and expiry to an item, below which everything stays. The top of a copy gets no expiry.
    pub(super) fn update(&self, tree: &mut Tree<'_>, index: u32) -> Result<(), Refused> {
        let (node, is_top) = (Node(index), !tree.shard.slab.slot(index).is_child());
        if self.has_value {
            tree.set_value(node, &[&self.value])?;
        }
        if tree.item(node).flags() != self.flags {
            tree.set_flags(node, self.flags);
        }
        if !is_top && tree.item(node).expires_ms() != self.expires_ms {
            tree.set_expiry(node, self.expires_ms);
        }
        Ok(())
    }
}

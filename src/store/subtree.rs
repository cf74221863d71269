//! A node with everything below it, taken out of the store or about to go in: for RENAME and MOVE.

use super::shard::Shard;
use super::slot::NONE;
use super::stored_item::StoredItem;

/// A copy of a node and all below it, flat: a parent stands before its children. Its top has no key
/// of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subtree {
    pub(super) nodes: Vec<FlatNode>,
}

/// One node of a [`Subtree`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlatNode {
    /// The position of the parent; the top is its own parent.
    pub(super) parent: usize,
    pub(super) key: Vec<u8>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) flags: u32,
    pub(super) expires_ms: Option<u64>,
    pub(super) cas: u64,
    /// As in the slot: the time of the last read or write, and the marks.
    pub(super) access: u32,
}

impl FlatNode {
    fn of(slot: StoredItem<'_>, parent: usize) -> FlatNode {
        FlatNode {
            parent,
            key: slot.key().to_vec(),
            value: slot.value().map(<[u8]>::to_vec),
            flags: slot.flags(),
            expires_ms: slot.expires_ms(),
            cas: slot.cas(),
            access: slot.slot.access,
        }
    }
}

impl Subtree {
    /// The time at which all of it expires.
    pub fn expires_ms(&self) -> Option<u64> {
        self.nodes.first().and_then(|top| top.expires_ms)
    }

    /// Bytes of the key and the value of each node.
    pub(super) fn lengths(&self) -> impl Iterator<Item = usize> {
        let value = |node: &FlatNode| node.value.as_ref().map_or(0, Vec::len);
        self.nodes
            .iter()
            .map(move |node| node.key.len() + value(node))
    }

    /// Copies the live nodes below a node.
    pub(super) fn copy(shard: &Shard, top: u32, now_ms: u64) -> Subtree {
        let mut nodes = Vec::new();
        let mut waiting = vec![(top, NONE as usize)];
        while let Some((index, parent)) = waiting.pop() {
            let slot = shard.slab.item(index);
            if index != top && slot.is_expired(now_ms) {
                continue;
            }
            let here = nodes.len();
            nodes.push(FlatNode::of(slot, if index == top { here } else { parent }));
            // Backwards, so that they come off the stack, and go in again, in their order.
            waiting.extend(
                shard
                    .slab
                    .children(index)
                    .iter()
                    .rev()
                    .map(|child| (*child, here)),
            );
        }
        Subtree { nodes }
    }
}

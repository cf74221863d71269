//! A large value that a reply is written from, without a copy.
//!
//! ```text
//!   record of its own: PageBuffer ──Tree::share_value──▶ SharedValue: the buffer, and where the value is in it
//!                          │ changed or removed meanwhile
//!                          └▶ the item gets another buffer; this one goes when the reply is written
//! ```
//!
//! So a reply with many large values takes no memory of its own. It takes about as much time as with copies: the kernel
//! then reads memory that is not in the processor's cache, which costs as much as a copy does.
//!
//! Bounds: the value counts for the memory of replies as if it had been copied, because it may be removed from the store
//! at any time. Only values are shared whose record has a buffer to itself; sharing a segment of many records would
//! stop their evacuation.
//!
//! Cost: two allocations for the first reply of an item, one for others.

use std::ops::Range;
use std::sync::Arc;

use super::pages::PageBuffer;
use super::shard::Shard;

/// A value as it was when it was shared.
#[derive(Debug)]
pub(crate) struct SharedValue {
    buffer: Arc<PageBuffer>,
    value: Range<usize>,
}

impl SharedValue {
    /// Bytes from which a value is shared. Smaller ones are copied within the processor's cache, and a turn's output is
    /// bounded.
    pub(crate) const LEAST: usize = 256 << 10;
}

impl AsRef<[u8]> for SharedValue {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[self.value.clone()]
    }
}

impl Shard {
    /// The value of an item if it is large; `None` if it is to be copied.
    pub(super) fn share_value(&mut self, index: u32) -> Option<SharedValue> {
        let stored = self.slab.item(index);
        let length = stored.value()?.len();
        if length < SharedValue::LEAST {
            return None;
        }
        let address = stored.slot.record;
        let (buffer, record) = self.slab.log.share(address)?;
        // The value is the end of its record.
        let value = record.end - length..record.end;
        Some(SharedValue { buffer, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Clock, Config, Entry, Node, Store, Tree};

    const ENTRY: Entry<'static> = Entry {
        value: None,
        flags: 0,
        expires_ms: None,
    };

    fn put(tree: &mut Tree<'_>, value: &[u8]) -> Node {
        let value: &[&[u8]] = &[value];
        let entry = Entry {
            value: Some(value),
            ..ENTRY
        };
        tree.put(&[b"k"], entry).unwrap()
    }

    fn store() -> Store {
        Store::new(Config::default(), Clock::manual(1_000))
    }

    #[test]
    fn a_shared_value_stays_as_it_was_whatever_happens_to_its_item() {
        let (old, new) = (vec![b'o'; 300_000], vec![b'n'; 300_000]);
        type Change = fn(&mut Tree<'_>, Node, &[u8]);
        let changes: &[(Change, bool)] = &[
            (
                |tree, _, new| assert!(put(tree, new) == tree.peek(&[b"k"]).unwrap()),
                true,
            ),
            (
                |tree, node, new| tree.set_value(node, &[new]).unwrap(),
                true,
            ),
            (|tree, node, _| tree.remove(node), false),
            (|tree, node, _| tree.set_expiry(node, Some(9_000)), true),
            (|tree, node, _| tree.bump(node), true),
            (|tree, node, _| tree.set_flags(node, 7), true),
        ];
        for (change, stays) in changes {
            let store = store();
            let mut tree = store.lock(0, b"k");
            let node = put(&mut tree, &old);
            let shared = tree.share_value(node).unwrap();
            let again = tree.share_value(node).unwrap();
            assert_eq!(shared.as_ref().as_ptr(), again.as_ref().as_ptr());
            change(&mut tree, node, &new);
            assert!(shared.as_ref() == old && again.as_ref() == old);
            let now = tree.peek(&[b"k"]);
            assert_eq!(now.is_some(), *stays);
            let value = now.map(|node| tree.item(node).value().unwrap().to_vec());
            assert!(value.is_none_or(|value| value == old || value == new));
            drop((shared, again));
            if let Some(node) = now {
                tree.remove(node);
            }
            drop(tree);
            assert_eq!(store.used(), 0);
        }
    }

    #[test]
    fn a_small_value_is_not_shared() {
        let store = store();
        let mut tree = store.lock(0, b"k");
        let node = put(&mut tree, &vec![b'x'; SharedValue::LEAST - 1]);
        assert!(tree.share_value(node).is_none());
        let node = put(&mut tree, &vec![b'x'; SharedValue::LEAST]);
        assert!(tree.share_value(node).is_some());
    }
}

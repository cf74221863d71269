//! The parts of an item that memcached's meta commands set beside its value: marks, and a CAS number that the client chose; and
//! look-ups of a special kind.

use crate::store::entry::{ItemUsage, Marks, Node};
use crate::store::slot::FETCHED;
use crate::store::tree::Tree;

impl Tree<'_> {
    /// Looks a path up for a reader who wants to see the item as it was before: counts a hit or a miss, and marks
    /// nothing as used.
    pub fn find_unmarked(&mut self, path: &[&[u8]]) -> Option<Node> {
        let node = self.walk(path, false, true);
        self.shard.counters.count_read(node.is_some());
        node
    }

    /// Whether a node has a value.
    #[inline]
    pub fn has_value(&self, node: Node) -> bool {
        !self.shard.slab.slot(node.0).is_valueless()
    }

    /// The use of a node. The record is read only if the item expires.
    #[inline]
    pub(crate) fn usage(&self, node: Node) -> ItemUsage {
        let slot = self.shard.slab.slot(node.0);
        ItemUsage {
            marks: Marks::from_access(slot.access),
            is_fetched: slot.is_fetched(),
            last_access_ms: self.trim.store.started_ms() + slot.last_access() * 1000,
            expires_ms: match slot.has_expiry() {
                true => self.item(node).expires_ms(),
                false => None,
            },
        }
    }

    /// Takes the miss of the last [`find`](Tree::find) back: the look-up will be repeated.
    pub(crate) fn forget_miss(&mut self) {
        self.shard.counters.misses -= 1;
    }

    /// Replaces a node's marks. Its CAS number stays.
    pub fn set_marks(&mut self, node: Node, marks: Marks) {
        let slot = self.shard.slab.slot_mut(node.0);
        slot.access = marks.in_access(slot.access);
    }

    /// Clears a node's marks, and forgets that it was read, as if it were stored anew.
    pub fn clear_marks(&mut self, node: Node) {
        self.set_marks(node, Marks::default());
        self.shard.slab.slot_mut(node.0).access &= !FETCHED;
    }

    /// Gives a node a CAS number that a client chose. The store's own numbers continue with the next change.
    pub fn set_cas(&mut self, node: Node, cas: u64) {
        let mut head = self.shard.slab.item(node.0).head();
        head.cas = cas;
        self.shard.slab.rewrite_header(node.0, &head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Clock, Config, Entry, Store};

    #[test]
    fn marks_stay_with_the_item_until_it_gets_a_new_value() {
        let clock = Clock::manual(1_000);
        let store = Store::new(Config::default(), clock.clone());
        let entry = Entry {
            value: Some(&[b"v"]),
            ..Entry::default()
        };
        let mut tree = store.lock(0, b"k");
        let node = tree.put(&[b"k"], entry).unwrap();
        let marks = Marks {
            stale: true,
            won: false,
            base64_key: true,
            from_origin: true,
        };
        tree.set_marks(node, marks);
        assert!(!tree.item(node).is_fetched());
        drop(tree);
        clock.advance(std::time::Duration::from_secs(100));
        let mut tree = store.lock(0, b"k");
        tree.find(&[b"k"]).unwrap();
        assert_eq!(tree.item(node).marks(), marks);
        assert!(tree.item(node).is_fetched());
        assert_eq!(tree.item(node).last_access_ms(), 101_000);
        tree.set_value(node, &[b"other"]).unwrap();
        assert_eq!(tree.item(node).marks(), marks);
        tree.clear_marks(node);
        assert_eq!(tree.item(node).marks(), Marks::default());
        assert!(!tree.item(node).is_fetched());
        tree.set_marks(node, marks);
        tree.visit(node);
        tree.put(&[b"k"], entry).unwrap();
        assert_eq!(tree.item(node).marks(), Marks::default());
        assert!(!tree.item(node).is_fetched());
    }

    /// An `mg` of the item with `h` answered that it had been read, after a read below it that missed.
    #[test]
    fn a_read_below_an_item_is_no_read_of_it() {
        let store = Store::new(Config::default(), Clock::manual(1_000));
        let entry = Entry {
            value: Some(&[b"v"]),
            ..Entry::default()
        };
        let mut tree = store.lock(0, b"k");
        let node = tree.put(&[b"k"], entry).unwrap();
        let child = tree.put(&[b"k", b"child"], entry).unwrap();
        assert_eq!(tree.find(&[b"k", b"none"]), None);
        assert_eq!(tree.find(&[b"k", b"child"]), Some(child));
        assert!(!tree.item(node).is_fetched());
        assert!(tree.item(child).is_fetched());
        tree.find(&[b"k"]).unwrap();
        assert!(tree.item(node).is_fetched());
    }

    #[test]
    fn a_chosen_cas_number_has_64_bits_and_the_next_change_counts_on() {
        let store = Store::new(Config::default(), Clock::manual(1_000));
        let mut tree = store.lock(0, b"k");
        let entry = Entry {
            value: Some(&[b"value"]),
            flags: 7,
            expires_ms: Some(9_000),
        };
        let node = tree.put(&[b"k"], entry).unwrap();
        let child = tree.put(&[b"k", b"child"], entry).unwrap();
        let first = tree.item(node).cas();
        for cas in [1 << 48, 5, u64::MAX, (1 << 48) - 1, 0] {
            tree.set_cas(node, cas);
            let item = tree.item(node);
            assert_eq!((item.cas(), item.flags()), (cas, 7));
            assert_eq!(item.value(), Some(&b"value"[..]));
            assert_eq!(item.expires_ms(), Some(9_000));
            assert_eq!(tree.child(node, b"child"), Some(child));
        }
        tree.set_cas(node, u64::MAX);
        // A change below the item.
        tree.set_value(child, &[b"other"]).unwrap();
        let next = tree.item(node).cas();
        assert!(next > first && next < first + 100, "{next}");
    }
}

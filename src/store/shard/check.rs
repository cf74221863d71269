//! For tests and fuzz targets: checks the invariants that hold between two operations.

use super::super::record_log;
use super::super::slot::DETACHED;
use super::*;

impl Shard {
    /// Bytes of memory, added up from every buffer.
    #[cfg(test)]
    pub(in crate::store) fn held(&self) -> usize {
        self.slab.held() + self.table.held() + self.order.bytes() + self.emptied.bytes()
    }

    /// All keys at the top, and those that are watched.
    pub(in crate::store) fn top_keys(&self) -> Vec<HashedKey> {
        let tops = (0..self.slab.end()).filter_map(|index| {
            let item = self.slab.get(index)?;
            let is_top = item.parent() == NONE && !self.hides(index as u32);
            is_top.then(|| (item.db(), item.key()))
        });
        let keys = tops.chain(self.watched.keys());
        keys.map(|(db, key)| HashedKey {
            hash: hash_top(&self.hasher, key),
            db,
        })
        .collect()
    }

    /// Panics unless slab, table, lists of children and counts agree with each other.
    pub(in crate::store) fn check(&self) {
        let mut records = 0;
        let mut expiring = 0;
        let mut items = [0; DATABASES as usize];
        let mut expiring_items = [0; DATABASES as usize];
        let live: Vec<u32> = (0..self.slab.end())
            .filter(|i| self.slab.get(*i).is_some())
            .map(|i| i as u32)
            .collect();
        for &index in &live {
            let slot = self.slab.item(index);
            let is_detached = slot.parent() == DETACHED;
            records += record_log::room(slot.record.len()) + self.slab.list_bytes(index);
            let is_hidden = slot.parent() == NONE && self.hides(index);
            if !is_detached && !is_hidden {
                let hash = hash_item(&self.hasher, slot);
                let found = self.lookup(slot.parent(), slot.db(), slot.key(), hash);
                assert_eq!(found, Some(index), "the table finds the item");
            }
            let has_expiry = usize::from(slot.expires_ms().is_some());
            expiring += has_expiry;
            if is_detached {
                let listed = self.detached.iter().filter(|tree| tree.top == index);
                assert_eq!((listed.count(), has_expiry, slot.value()), (1, 0, None));
            } else if is_hidden {
                assert!(self.hidden.len() <= usize::from(DATABASES));
            } else if slot.parent() == NONE {
                items[usize::from(slot.db())] += 1;
                expiring_items[usize::from(slot.db())] += has_expiry;
            } else {
                let siblings = self.slab.children(slot.parent());
                assert_eq!(
                    siblings.get(slot.position() as usize),
                    Some(&index),
                    "its place"
                );
                assert!(
                    self.slab.get(slot.parent() as usize).is_some(),
                    "its parent is there"
                );
            }
            self.check_children(index);
        }
        assert_eq!(self.slab.live_bytes(), records);
        assert_eq!((self.expiring, self.items), (expiring, items));
        assert_eq!(self.expiring_items, expiring_items);
        assert_eq!(
            (self.slab.items(), self.table.len() + self.detached.len()),
            (live.len(), live.len())
        );
        assert_eq!(
            self.settled,
            self.footprint(),
            "the store has counted the footprint"
        );
    }

    /// Panics unless the list of an item's children agrees with them.
    fn check_children(&self, index: u32) {
        let children = self.slab.children(index);
        let has_children = self.slab.slot(index).has_children();
        assert_eq!(has_children, !children.is_empty());
        let items = children.iter().map(|child| self.slab.item(*child));
        assert!(items.clone().all(|child| child.parent() == index));
        let times = items.filter_map(|child| child.expires_ms());
        let expiries = self.slab.child_expiries(index);
        assert_eq!(expiries.count, times.clone().count());
        let (earliest, latest) = (times.clone().min(), times.max());
        assert!(expiries.earliest_ms <= earliest.unwrap_or(u64::MAX));
        assert!(expiries.latest_ms >= latest.unwrap_or(0));
        assert!(!expiries.is_exact || expiries.latest_ms == latest.unwrap_or(0));
    }
}

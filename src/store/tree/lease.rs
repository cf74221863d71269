//! Leases: whether clients have changed a path since a value for it was asked for elsewhere.
//!
//! ```text
//!   let lease = store.lock(db, k).lease(&[k]);     before the value is asked for
//!   …                                              a set, delete or flush of the path revokes the lease
//!   tree.put_leased(&lease, value, …)              refuses if the lease is revoked
//! ```
//!
//! A cache that reads through to an origin would otherwise store what it read before a client's write or delete, over it:
//! the stale-set race. A lease is kept beside the watches of clients ([`WatchedKeys`](crate::store::watched_keys)). It is narrower in
//! its place and wider in its events:
//! - A change revokes it only at its path, above it or below it. A sibling, such as another field of a hash, doesn't matter, nor
//!   does a hash that comes with its first field or goes with its last.
//! - A removal revokes it even if there is nothing to remove: a client that deletes a missing key wants no older value to
//!   appear there. Commands report it by [`Tree::note_removal`].
//! - Values that are stored under leases revoke none.
//!
//! Cost: a lease is an allocation and its path; a shard with leases tests a bit of a filter at each change.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Tree;
use crate::store::entry::{Entry, Marks, Node, Refused};

/// A lease on a path. Dropped, it leaves nothing that lasts.
#[derive(Debug)]
pub(crate) struct Lease {
    path: Box<[Box<[u8]>]>,
    revoked: Arc<AtomicBool>,
}

/// Why a value was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LeaseRefusal {
    /// A client has changed the path since.
    Revoked,
    /// The store can't hold it.
    Store(Refused),
}

impl Lease {
    /// Whether a client has changed the path since.
    pub(crate) fn is_revoked(&self) -> bool {
        self.revoked.load(Ordering::Acquire)
    }
}

impl Tree<'_> {
    /// A lease on a path that begins with the key that the lock was taken for.
    pub(crate) fn lease(&mut self, path: &[&[u8]]) -> Lease {
        let revoked = Arc::new(AtomicBool::new(false));
        let db = self.trim.key.db;
        self.shard.watched.add_lease(db, path, &revoked);
        Lease {
            path: path.iter().map(|name| Box::from(*name)).collect(),
            revoked,
        }
    }

    /// Stores a value under a lease that is not revoked: a new item, or a new value of the item that is there. Nodes above it that
    /// are missing are made, without values. The item is marked as one of the origin.
    pub(crate) fn put_leased(
        &mut self,
        lease: &Lease,
        value: &[u8],
        flags: u32,
        expires_ms: Option<u64>,
    ) -> Result<Node, LeaseRefusal> {
        if lease.is_revoked() {
            return Err(LeaseRefusal::Revoked);
        }
        let path: Vec<&[u8]> = lease.path.iter().map(|name| &**name).collect();
        let entry = Entry {
            value: Some(&[value]),
            flags,
            expires_ms,
        };
        self.shard.watched.keeps_leases = true;
        let stored = self.put_below_missing(&path, entry);
        self.shard.watched.keeps_leases = false;
        let node = stored.map_err(LeaseRefusal::Store)?;
        self.clear_marks(node);
        let marks = Marks {
            from_origin: true,
            ..Marks::default()
        };
        self.set_marks(node, marks);
        Ok(node)
    }

    /// Removes what is at the path of a lease that is not revoked, with all below it; `false` if it is revoked.
    pub(crate) fn remove_leased(&mut self, lease: &Lease) -> bool {
        if lease.is_revoked() {
            return false;
        }
        let path: Vec<&[u8]> = lease.path.iter().map(|name| &**name).collect();
        if let Some(node) = self.peek(&path) {
            self.shard.watched.keeps_leases = true;
            self.remove(node);
            self.shard.watched.keeps_leases = false;
        }
        true
    }

    /// Notes that a client has removed a path where there was nothing, for the [leases](Lease) on it.
    pub(crate) fn note_removal(&mut self, path: &[&[u8]]) {
        if !self.shard.watched.is_empty() {
            self.shard.watched.note_removal(self.trim.key.db, path);
        }
    }

    fn put_below_missing(&mut self, path: &[&[u8]], entry: Entry<'_>) -> Result<Node, Refused> {
        // Before nodes are made above it.
        path.iter().try_for_each(|name| self.check(name.len(), 0))?;
        self.check(
            path.last().map_or(0, |name| name.len()),
            entry.value_length(),
        )?;
        if let Some(node) = self.peek(path) {
            // The items below this one stay.
            let value = entry.value.unwrap_or_default();
            self.set_value(node, value)?;
            self.set_flags(node, entry.flags);
            self.set_expiry(node, entry.expires_ms);
            return Ok(node);
        }
        for depth in 1..path.len() {
            if self.peek(&path[..depth]).is_none() {
                self.put(&path[..depth], Entry::default())?;
            }
        }
        self.put(path, entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Clock, Config, Store};

    const USER: &[u8] = b"user";
    const NAME: &[&[u8]] = &[USER, b"name"];

    fn store() -> Store {
        Store::new(Config::default(), Clock::manual(1_000))
    }

    fn set(store: &Store, path: &[&[u8]], value: &[u8]) {
        let entry = Entry {
            value: Some(&[value]),
            ..Entry::default()
        };
        store.lock(0, path[0]).put(path, entry).unwrap();
    }

    fn value(store: &Store, path: &[&[u8]]) -> Option<Vec<u8>> {
        let mut tree = store.lock(0, path[0]);
        let node = tree.peek(path)?;
        tree.item(node).value().map(<[u8]>::to_vec)
    }

    fn put(store: &Store, lease: &Lease, value: &[u8]) -> Result<Node, LeaseRefusal> {
        store.lock(0, USER).put_leased(lease, value, 0, None)
    }

    #[test]
    fn changes_at_the_path_above_it_and_below_it_revoke_a_lease() {
        type Change = fn(&Store);
        let changes: [(&str, Change); 8] = [
            ("a set", |store| set(store, NAME, b"new")),
            ("a set above", |store| set(store, &[USER], b"new")),
            ("a set below", |store| {
                set(store, &[USER, b"name", b"first"], b"new");
            }),
            ("a delete", |store| {
                let mut tree = store.lock(0, USER);
                let node = tree.peek(NAME).unwrap();
                tree.remove(node);
            }),
            ("a delete above", |store| {
                let mut tree = store.lock(0, USER);
                let node = tree.peek(&[USER]).unwrap();
                tree.remove(node);
            }),
            ("an append", |store| {
                let mut tree = store.lock(0, USER);
                let node = tree.peek(NAME).unwrap();
                tree.extend_value(node, b"", b"!").unwrap();
            }),
            ("a flush", |store| store.flush(0)),
            ("an exchange of databases", |store| store.swap(0, 1)),
        ];
        for (what, change) in changes {
            let store = store();
            set(&store, &[USER], b"");
            set(&store, NAME, b"old");
            let lease = store.lock(0, USER).lease(NAME);
            change(&store);
            assert_eq!(
                put(&store, &lease, b"fetched"),
                Err(LeaseRefusal::Revoked),
                "{what}"
            );
        }
    }

    #[test]
    fn changes_elsewhere_leave_a_lease() {
        let store = store();
        let lease = store.lock(0, USER).lease(NAME);
        set(&store, &[b"other"], b"");
        store.lock(1, USER).put(&[USER], Entry::default()).unwrap();
        let mail = store.lock(0, USER).lease(&[USER, b"mail"]);
        put(&store, &mail, b"a@b").unwrap();
        set(&store, &[USER, b"phone"], b"1");
        assert!(!lease.is_revoked());
        let mut tree = store.lock(0, USER);
        let phone = tree.peek(&[USER, b"phone"]).unwrap();
        tree.set_value(phone, &[b"2"]).unwrap();
        tree.remove(phone);
        drop(tree);
        let node = put(&store, &lease, b"Ada").unwrap();
        let tree = store.lock(0, USER);
        assert!(tree.item(node).marks().from_origin);
        drop(tree);
        assert_eq!(value(&store, NAME).unwrap(), b"Ada");
        assert_eq!(value(&store, &[USER]), None, "the node above has no value");
    }

    #[test]
    fn removing_what_is_not_there_revokes_a_lease() {
        for removed in [&[USER][..], NAME] {
            let store = store();
            let lease = store.lock(0, USER).lease(NAME);
            store.lock(1, USER).note_removal(removed);
            store.lock(0, USER).note_removal(&[USER, b"mail"]);
            assert!(!lease.is_revoked());
            store.lock(0, USER).note_removal(removed);
            assert!(lease.is_revoked());
        }
    }

    #[test]
    fn a_flush_of_an_empty_database_revokes_its_leases() {
        let store = store();
        let leases = [0, 1].map(|db| store.lock(db, USER).lease(NAME));
        store.flush(0);
        assert_eq!(leases.map(|lease| lease.is_revoked()), [true, false]);
    }

    #[test]
    fn a_value_that_is_too_large_changes_nothing() {
        let store = store();
        store.set_max_item_size(1000);
        let lease = store.lock(0, USER).lease(NAME);
        let refusal = put(&store, &lease, &[b'x'; 1000]).unwrap_err();
        assert_eq!(refusal, LeaseRefusal::Store(Refused::TooLarge));
        assert!(store.lock(0, USER).peek(&[USER]).is_none());
    }

    #[test]
    fn a_removal_under_a_lease_leaves_the_lease() {
        let store = store();
        set(&store, &[USER], b"old");
        let lease = store.lock(0, USER).lease(&[USER]);
        assert!(store.lock(0, USER).remove_leased(&lease));
        assert_eq!((value(&store, &[USER]), lease.is_revoked()), (None, false));
        set(&store, &[USER], b"new");
        assert!(!store.lock(0, USER).remove_leased(&lease));
        assert_eq!(value(&store, &[USER]).unwrap(), b"new");
    }

    #[test]
    fn a_client_that_watches_notices_a_value_from_the_origin() {
        let store = store();
        let mut watcher = crate::store::Watcher::default();
        store.watch(&mut watcher, 0, USER);
        let lease = store.lock(0, USER).lease(NAME);
        put(&store, &lease, b"Ada").unwrap();
        assert!(store.has_changed(&watcher));
    }

    #[test]
    fn a_new_value_keeps_what_is_below_and_clears_other_marks() {
        let store = store();
        set(&store, &[USER], b"old");
        set(&store, NAME, b"Ada");
        let lease = store.lock(0, USER).lease(&[USER]);
        store
            .lock(0, USER)
            .put_leased(&lease, b"new", 7, Some(9_000))
            .unwrap();
        let mut tree = store.lock(0, USER);
        let node = tree.peek(&[USER]).unwrap();
        let item = tree.item(node);
        assert_eq!(
            (item.value(), item.flags(), item.expires_ms()),
            (Some(&b"new"[..]), 7, Some(9_000))
        );
        assert!(!item.is_fetched());
        drop(tree);
        assert_eq!(value(&store, NAME).unwrap(), b"Ada");
        set(&store, &[USER], b"by a client");
        let mut tree = store.lock(0, USER);
        let node = tree.peek(&[USER]).unwrap();
        assert!(!tree.item(node).marks().from_origin);
    }
}

//! WATCH: whether keys have changed since a client began to watch them.
//!
//! ```text
//!   let mut watcher = Watcher::default();        one for each client
//!   store.watch(&mut watcher, db, b"k");         WATCH k
//!   store.has_changed(&watcher)                  EXEC, under exclusive access
//!   store.unwatch(&mut watcher);                 EXEC, DISCARD, UNWATCH, the client's end
//! ```
//!
//! A CAS number can't tell that a key was created and removed again. So a client's watches share a flag, and the shard
//! of each watched key sets it at every creation, change, removal, expiry, eviction and flush of the key or of anything
//! below it; a key that existed when the watch began, or exists now, also changes by SWAPDB.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::shards::Store;

/// The keys that one client watches. A watcher that is dropped without [`Store::unwatch`] leaves nothing that lasts:
/// the shards remove its watches when they next have many.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    /// Set by the first change of any of the keys.
    changed: Arc<AtomicBool>,
    /// Databases, by the numbers that clients use, and keys.
    keys: Vec<(u8, Box<[u8]>)>,
}

impl Watcher {
    /// The flag that the first change of any of the keys sets. It is gone when the watches end.
    pub(crate) fn flag(&self) -> Weak<AtomicBool> {
        Arc::downgrade(&self.changed)
    }
}

impl Store {
    /// Begins to watch a top-level key with all below it. A key that has expired counts as absent.
    pub(crate) fn watch(&self, watcher: &mut Watcher, db: u8, key: &[u8]) {
        let mut tree = self.lock(db, key);
        tree.remove_expired(key);
        tree.add_watch(key, &watcher.changed);
        watcher.keys.push((db, key.into()));
    }

    /// Whether one of the watched keys has changed, or has expired by now.
    pub(crate) fn has_changed(&self, watcher: &Watcher) -> bool {
        let changed = || watcher.changed.load(Ordering::Acquire);
        let mut keys = watcher.keys.iter();
        changed()
            || keys.any(|(db, key)| {
                self.lock(*db, key).remove_expired(key);
                changed()
            })
    }

    /// Ends all watches of a client.
    pub(crate) fn unwatch(&self, watcher: &mut Watcher) {
        for (db, key) in watcher.keys.drain(..) {
            self.lock(db, &key).remove_watch(&key, &watcher.changed);
        }
        watcher.changed = Arc::default();
    }
}

//! WATCH: whether keys have changed since a client began to watch them.
//!
//! ```text
//!   let mut watcher = Watcher::default();        one for each client
//!   store.watch(&mut watcher, db, b"k");         WATCH k
//!   store.look_for_change(&watcher, &mut look)   EXEC, under exclusive access
//!   store.unwatch(&mut watcher);                 EXEC, DISCARD, UNWATCH, the client's end
//! ```
//!
//! A CAS number can't tell that a key was created and removed again. So a client's watches share a flag, and the shard
//! of each watched key sets it at every creation, change, removal, expiry, eviction and flush of the key or of anything
//! below it; a key that existed when the watch began, or exists now, also changes by SWAPDB.
//!
//! Expired items may still be stored. So a watch has the time at which it began: an item that had expired by then is no change when it
//! is removed. EXEC looks for those that have expired since, in pieces, because a key may have a million fields. A field that comes or
//! changes between two pieces is a change, and ends the look.
//!
//! Cost: WATCH takes as long as a look-up. EXEC takes a look-up for each key, and a look at each child of one of which a child may
//! have expired since all of them were looked at. A watched key takes its name, here and in its shard.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use super::shard::ExpiryWalk;
use super::shards::Store;

/// Keys and children that are looked at in a piece.
const PIECE: usize = 512;

/// The keys that one client watches. A watcher that is dropped without [`Store::unwatch`] leaves nothing that lasts:
/// the shards remove its watches when they next have many.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    /// Set by the first change of any of the keys.
    changed: Arc<AtomicBool>,
    /// Databases, by the numbers that clients use, and keys.
    keys: Vec<(u8, Box<[u8]>)>,
}

/// How far the look for items that have expired has got. A new one is at the beginning.
#[derive(Debug)]
pub(crate) struct WatchLook {
    /// The number of keys that are done.
    keys: usize,
    /// Nothing of these keys expires before, in Unix milliseconds.
    next_ms: u64,
    /// The children of the next key.
    children: ExpiryWalk,
}

impl Default for WatchLook {
    fn default() -> WatchLook {
        WatchLook {
            keys: 0,
            next_ms: u64::MAX,
            children: ExpiryWalk::default(),
        }
    }
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
        // If it has expired, it is removed before it is watched.
        tree.peek(&[key]);
        tree.add_watch(key, &watcher.changed);
        watcher.keys.push((db, key.into()));
    }

    /// Whether one of the watched keys, or a child of one, has changed or has expired by now; `None` if that is not known after this
    /// piece of the look.
    pub(crate) fn look_for_change(&self, watcher: &Watcher, look: &mut WatchLook) -> Option<bool> {
        let changed = || watcher.changed.load(Ordering::Acquire);
        let mut steps = PIECE;
        loop {
            while let Some((db, key)) = watcher.keys.get(look.keys) {
                let mut tree = self.lock(*db, key);
                let next_ms = tree.remove_expired(key, &mut look.children, &mut steps);
                if changed() {
                    return Some(true);
                }
                look.next_ms = look.next_ms.min(next_ms?);
                (look.keys, look.children) = (look.keys + 1, ExpiryWalk::default());
            }
            if changed() {
                return Some(true);
            }
            if self.now_ms() < look.next_ms {
                return Some(false);
            }
            // Something may have expired since its key was done.
            *look = WatchLook::default();
        }
    }

    /// The same, at once.
    #[cfg(test)]
    pub(crate) fn has_changed(&self, watcher: &Watcher) -> bool {
        let mut look = WatchLook::default();
        loop {
            if let Some(changed) = self.look_for_change(watcher, &mut look) {
                return changed;
            }
        }
    }

    /// Ends all watches of a client.
    pub(crate) fn unwatch(&self, watcher: &mut Watcher) {
        for (db, key) in watcher.keys.drain(..) {
            self.lock(db, &key).remove_watch(&key, &watcher.changed);
        }
        watcher.changed = Arc::default();
    }
}

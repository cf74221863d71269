//! Which keys of a shard are watched, and by which clients.
//!
//! A watch is a weak reference to the flag that all watches of one client share. A change of a watched key, or of
//! anything below it, sets the flag and ends the watch. For an unwatched key a change costs a test whether anything is
//! watched in the shard, and, if so, of one bit of a filter by the key's length and last byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ahash::RandomState;
use hashbrown::HashMap;

/// The watches of one shard.
#[derive(Debug, Default)]
pub(super) struct WatchedKeys {
    keys: HashMap<Vec<u8>, Vec<ClientWatch>, RandomState>,
    /// Has the bit of every watched key, and perhaps of some that no longer are.
    filter: u64,
    /// The number of watches at which those of disconnected clients are removed.
    prune_at: usize,
}

/// One client's watch of one key.
#[derive(Debug)]
struct ClientWatch {
    /// The database as the shard numbers it.
    db: u8,
    changed: Weak<AtomicBool>,
}

impl ClientWatch {
    fn set_changed(&self) {
        if let Some(changed) = self.changed.upgrade() {
            changed.store(true, Ordering::Release);
        }
    }
}

fn filter_bit(key: &[u8]) -> u64 {
    let last = key.last().copied().unwrap_or_default();
    1 << ((key.len() + usize::from(last)) % 64)
}

impl WatchedKeys {
    /// Whether nothing is watched.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds a watch.
    pub(super) fn add(&mut self, db: u8, key: &[u8], changed: &Arc<AtomicBool>) {
        const LEAST: usize = 16;
        if self.len() >= self.prune_at {
            self.retain(|_, watch| watch.changed.strong_count() > 0);
            self.prune_at = LEAST + 2 * self.len();
        }
        let watch = ClientWatch {
            db,
            changed: Arc::downgrade(changed),
        };
        self.filter |= filter_bit(key);
        self.keys.entry_ref(key).or_default().push(watch);
    }

    /// Ends the watches of one key that share a flag.
    pub(super) fn remove(&mut self, key: &[u8], changed: &Arc<AtomicBool>) {
        let Some(watches) = self.keys.get_mut(key) else {
            return;
        };
        watches.retain(|watch| !std::ptr::eq(watch.changed.as_ptr(), Arc::as_ptr(changed)));
        if watches.is_empty() {
            self.keys.remove(key);
            self.reset_if_empty();
        }
    }

    /// Notes that a key, or something below it, has changed.
    pub(super) fn note_change(&mut self, db: u8, key: &[u8]) {
        if self.filter & filter_bit(key) == 0 {
            return;
        }
        let Some(watches) = self.keys.get_mut(key) else {
            return;
        };
        watches.retain(|watch| {
            if watch.db == db {
                watch.set_changed();
            }
            watch.db != db
        });
        if watches.is_empty() {
            self.keys.remove(key);
            self.reset_if_empty();
        }
    }

    /// Notes that all keys of a database are removed; only those for which `exists` is true change.
    pub(super) fn note_flush(&mut self, db: u8, exists: impl Fn(&[u8]) -> bool) {
        self.retain(|key, watch| {
            let gone = watch.db == db && exists(key);
            if gone {
                watch.set_changed();
            }
            !gone
        });
    }

    /// Notes that two databases were exchanged. A watch keeps the database number that its client uses.
    pub(super) fn note_swap(&mut self, a: u8, b: u8, exists: impl Fn(&[u8]) -> bool) {
        self.retain(|key, watch| {
            if watch.db != a && watch.db != b {
                return true;
            }
            let changed = exists(key);
            if changed {
                watch.set_changed();
            }
            watch.db ^= a ^ b;
            !changed
        });
    }

    fn len(&self) -> usize {
        self.keys.values().map(Vec::len).sum()
    }

    fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut ClientWatch) -> bool) {
        self.keys.retain(|key, watches| {
            watches.retain_mut(|watch| keep(key, watch));
            !watches.is_empty()
        });
        self.reset_if_empty();
    }

    fn reset_if_empty(&mut self) {
        if self.keys.is_empty() {
            *self = WatchedKeys::default();
        }
    }
}

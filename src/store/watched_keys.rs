//! Which keys of a shard are watched, by which clients, and the leases on paths.
//!
//! A watch is a weak reference to the flag that all watches of one client share. A change of a watched key, or of
//! anything below it, sets the flag and ends the watch. For an unwatched key a change costs a test whether anything is
//! watched in the shard, and, if so, of one bit of a filter by the key's length and last byte. A lease is a watch of a part of
//! what is below a key; `lease` has its rules.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use ahash::RandomState;
use hashbrown::HashMap;

/// Watches that were taken out of a shard, by key.
pub(super) type TakenWatches = Vec<(Vec<u8>, Vec<KeyWatch>)>;

/// The watches of one shard.
#[derive(Debug, Default)]
pub(super) struct WatchedKeys {
    keys: HashMap<Vec<u8>, Vec<KeyWatch>, RandomState>,
    /// Has the bit of every watched key, and perhaps of some that no longer are.
    filter: u64,
    /// The number of watches at which those of disconnected clients are removed.
    prune_at: usize,
    /// Changes leave leases as they are.
    pub(super) keeps_leases: bool,
}

/// The leases that a change at a path concerns. It always concerns the watches of the path's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PathChange {
    /// Leases on the path, above it and below it.
    Subtree,
    /// Leases on the path alone: a node without a value has come, or is left without children.
    Node,
}

/// One client's watch of one key, or a lease.
#[derive(Debug)]
pub(super) struct KeyWatch {
    /// The database as the shard numbers it.
    db: u8,
    /// The path of a lease below the key.
    lease: Option<Box<[Box<[u8]>]>>,
    /// The time at which it began, in Unix milliseconds. What had expired by then is no change when it is removed. 0 for a lease.
    began_ms: u64,
    changed: Weak<AtomicBool>,
}

impl KeyWatch {
    /// Whether a change at a path concerns it.
    fn is_concerned(&self, path: &[&[u8]], change: PathChange) -> bool {
        let Some(lease) = &self.lease else {
            return true;
        };
        let names = &path[1..];
        let is_related = names.iter().zip(lease).all(|(name, own)| *name == &**own);
        is_related && (change == PathChange::Subtree || names.len() == lease.len())
    }

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

    /// The keys that are watched, with their databases.
    #[cfg(any(test, feature = "internals"))]
    pub(super) fn keys(&self) -> impl Iterator<Item = (u8, &[u8])> {
        let keys = self.keys.iter();
        keys.flat_map(|(key, watches)| watches.iter().map(|watch| (watch.db, &key[..])))
    }

    /// Adds a watch of a key and all below it.
    pub(super) fn add(&mut self, db: u8, key: &[u8], changed: &Arc<AtomicBool>, now_ms: u64) {
        self.add_watch(
            key,
            KeyWatch {
                db,
                lease: None,
                began_ms: now_ms,
                changed: Arc::downgrade(changed),
            },
        );
    }

    /// Adds a lease on a path.
    pub(super) fn add_lease(&mut self, db: u8, path: &[&[u8]], revoked: &Arc<AtomicBool>) {
        let below = path[1..].iter().map(|name| Box::from(*name));
        self.add_watch(
            path[0],
            KeyWatch {
                db,
                lease: Some(below.collect()),
                began_ms: 0,
                changed: Arc::downgrade(revoked),
            },
        );
    }

    fn add_watch(&mut self, key: &[u8], watch: KeyWatch) {
        const LEAST: usize = 16;
        if self.len() >= self.prune_at {
            self.retain(|_, watch| watch.changed.strong_count() > 0);
            self.prune_at = LEAST + 2 * self.len();
        }
        self.filter |= filter_bit(key);
        self.keys.entry_ref(key).or_default().push(watch);
    }

    /// Takes out the watches of some keys in a database.
    pub(super) fn take(&mut self, db: u8, is_taken: impl Fn(&[u8]) -> bool) -> TakenWatches {
        let mut taken = TakenWatches::new();
        self.keys.retain(|key, watches| {
            if is_taken(key) {
                let of_db = watches.extract_if(.., |watch| watch.db == db);
                taken.push((key.clone(), of_db.collect()));
            }
            !watches.is_empty()
        });
        self.reset_if_empty();
        taken
    }

    /// Adds watches that were taken out of another shard.
    pub(super) fn add_all(&mut self, taken: TakenWatches) {
        for (key, watches) in taken {
            watches
                .into_iter()
                .for_each(|watch| self.add_watch(&key, watch));
        }
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

    /// Notes that the item at a path has changed, or was removed because it expired at this time.
    pub(super) fn note_change(
        &mut self,
        db: u8,
        path: &[&[u8]],
        change: PathChange,
        expired_ms: Option<u64>,
    ) {
        let keeps_leases = self.keeps_leases;
        self.note(db, path, change, |watch| {
            let was_there = expired_ms.is_none_or(|expired_ms| expired_ms > watch.began_ms);
            was_there && (watch.lease.is_none() || !keeps_leases)
        });
    }

    /// Notes that a client has removed a path where there was nothing.
    pub(super) fn note_removal(&mut self, db: u8, path: &[&[u8]]) {
        self.note(db, path, PathChange::Subtree, |watch| watch.lease.is_some());
    }

    /// Ends the watches that an event at a path concerns, as far as they are of this kind.
    fn note(
        &mut self,
        db: u8,
        path: &[&[u8]],
        change: PathChange,
        is_of_kind: impl Fn(&KeyWatch) -> bool,
    ) {
        let key = path[0];
        if self.filter & filter_bit(key) == 0 {
            return;
        }
        let Some(watches) = self.keys.get_mut(key) else {
            return;
        };
        watches.retain(|watch| {
            let ends = watch.db == db && is_of_kind(watch) && watch.is_concerned(path, change);
            if ends {
                watch.set_changed();
            }
            !ends
        });
        if watches.is_empty() {
            self.keys.remove(key);
            self.reset_if_empty();
        }
    }

    /// Notes that all keys of a database are removed; only those for which `exists` is true change, and leases.
    pub(super) fn note_flush(&mut self, db: u8, exists: impl Fn(&[u8]) -> bool) {
        self.retain(|key, watch| {
            let gone = watch.db == db && (watch.lease.is_some() || exists(key));
            if gone {
                watch.set_changed();
            }
            !gone
        });
    }

    /// Notes that some keys change in two databases.
    pub(super) fn end(&mut self, databases: [u8; 2], changes: impl Fn(&[u8]) -> bool) {
        self.retain(|key, watch| {
            let ends = databases.contains(&watch.db) && changes(key);
            if ends {
                watch.set_changed();
            }
            !ends
        });
    }

    /// Notes that two databases were exchanged. A watch keeps the database number that its client uses.
    pub(super) fn note_swap(&mut self, a: u8, b: u8, exists: impl Fn(&[u8]) -> bool) {
        self.retain(|key, watch| {
            if watch.db != a && watch.db != b {
                return true;
            }
            let changed = watch.lease.is_some() || exists(key);
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

    fn retain(&mut self, mut keep: impl FnMut(&[u8], &mut KeyWatch) -> bool) {
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

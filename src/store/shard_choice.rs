//! The shard in which a key lives, and its change under the locks of two shards.
//!
//! Only here does a thread that holds the lock of a shard wait for that of another: for the shard with the higher number.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use super::placements::HashedKey;
use super::shard::{Shard, hash_top};
use super::shards::{Store, locked};

/// Two shards, or one that is both of them.
#[derive(Debug)]
pub(super) struct ShardPair<'a> {
    pub(super) numbers: [usize; 2],
    pub(super) first: MutexGuard<'a, Shard>,
    pub(super) second: Option<MutexGuard<'a, Shard>>,
}

impl Store {
    /// A top-level key of a database, as far as the choice of its shard goes.
    #[inline]
    pub(super) fn hashed(&self, db: u8, key: &[u8]) -> HashedKey {
        HashedKey {
            hash: hash_top(&self.hasher, key),
            db: self.inner_db(db),
        }
    }

    /// The number of the shard in which a top-level key lives now.
    pub(super) fn shard_of(&self, key: HashedKey) -> usize {
        let placed = self.placements.get(key);
        placed.unwrap_or_else(|| self.home_of(key.hash))
    }

    /// The number of the shard that this hash of a top-level key names.
    #[inline]
    pub(super) fn home_of(&self, hash: u64) -> usize {
        // The table uses the lowest bits of the hash and the highest seven; the shard, others.
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    /// Locks the shards in which these two keys live.
    pub(super) fn lock_pair(&self, keys: [HashedKey; 2]) -> ShardPair<'_> {
        self.lock_numbered(|| keys.map(|key| self.shard_of(key)))
    }

    /// Locks two shards, whose numbers may change until they are locked.
    fn lock_numbered(&self, numbers: impl Fn() -> [usize; 2]) -> ShardPair<'_> {
        loop {
            let [a, b] = numbers();
            let lower = locked(&self.shards[a.min(b)]);
            let higher = (a != b).then(|| locked(&self.shards[a.max(b)]));
            if numbers() != [a, b] {
                continue;
            }
            let (first, second) = match higher {
                Some(higher) if a > b => (higher, Some(lower)),
                higher => (lower, higher),
            };
            return ShardPair {
                numbers: [a, b],
                first,
                second,
            };
        }
    }

    /// Has a key live in the shard `to`, which has this number, from now on. Nothing is stored under it now, but it may be
    /// watched.
    pub(super) fn place(&self, key: HashedKey, from: &mut Shard, to: &mut Shard, number: usize) {
        let is_key = |name: &[u8]| hash_top(&self.hasher, name) == key.hash;
        to.watched.add_all(from.watched.take(key.db, is_key));
        let is_home = number == self.home_of(key.hash);
        self.placements.set(key, (!is_home).then_some(number));
    }

    /// Removes the placement of a key if nothing is stored under it. The caller holds no lock.
    pub(super) fn send_home(&self, key: HashedKey) {
        let home = self.home_of(key.hash);
        let mut pair = self.lock_numbered(|| [self.shard_of(key), home]);
        if let Some(home_shard) = &mut pair.second
            && pair.first.top_of(key).is_none()
        {
            self.place(key, &mut pair.first, home_shard, home);
        }
    }

    /// Ends the watches of keys that have a placement in one of two databases, which are about to be exchanged. Each of these keys
    /// exists in one of the two, so it changes in both.
    pub(super) fn end_placed_watches(&self, databases: [u8; 2]) {
        let is_watched = |shard: &Mutex<Shard>| !locked(shard).watched.is_empty();
        if !self.shards.iter().any(is_watched) {
            return;
        }
        self.send_all_home();
        let placed = self.placements.keys().into_iter();
        let placed = placed.filter(|key| databases.contains(&key.db));
        let hashes: BTreeSet<u64> = placed.map(|key| key.hash).collect();
        if hashes.is_empty() {
            return;
        }
        for shard in &self.shards {
            let is_placed = |name: &[u8]| hashes.contains(&hash_top(&self.hasher, name));
            locked(shard).watched.end(databases, is_placed);
        }
    }

    /// Removes all placements of keys under which nothing is stored.
    pub(super) fn send_all_home(&self) {
        for key in self.placements.keys() {
            self.send_home(key);
        }
    }
}

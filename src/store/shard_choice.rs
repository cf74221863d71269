//! The shard in which keys with a hash live, and its change under the locks of two shards.
//!
//! Only here does a thread that holds the lock of a shard wait for that of another: for the shard with the higher number.

use std::sync::MutexGuard;

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
    /// The number of the shard in which top-level keys with this hash live now.
    pub(super) fn shard_of(&self, hash: u64) -> usize {
        let placed = self.placements.get(hash);
        placed.unwrap_or_else(|| self.home_of(hash))
    }

    /// The number of the shard that this hash of a top-level key names.
    #[inline]
    pub(super) fn home_of(&self, hash: u64) -> usize {
        // The table uses the lowest bits of the hash and the highest seven; the shard, others.
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    /// Locks the shards in which keys with these two hashes live.
    pub(super) fn lock_pair(&self, hashes: [u64; 2]) -> ShardPair<'_> {
        self.lock_numbered(|| hashes.map(|hash| self.shard_of(hash)))
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

    /// Has keys with this hash live in the shard `to`, which has this number, from now on. There are none now, but some may
    /// be watched.
    pub(super) fn place(&self, hash: u64, from: &mut Shard, to: &mut Shard, number: usize) {
        let watches = from.watched.take(|key| hash_top(&self.hasher, key) == hash);
        to.watched.add_all(watches);
        let is_home = number == self.home_of(hash);
        self.placements.set(hash, (!is_home).then_some(number));
    }

    /// Removes the placement of a hash if no item has a key with it. The caller holds no lock.
    pub(super) fn send_home(&self, hash: u64) {
        let home = self.home_of(hash);
        let mut pair = self.lock_numbered(|| [self.shard_of(hash), home]);
        if let Some(home_shard) = &mut pair.second
            && !pair.first.has_tops(hash)
        {
            self.place(hash, &mut pair.first, home_shard, home);
        }
    }

    /// Removes all placements of hashes with which no item has a key.
    pub(super) fn send_all_home(&self) {
        for hash in self.placements.hashes() {
            self.send_home(hash);
        }
    }
}

//! How much the store has, and what it has counted: sums over all shards.
//!
//! Cost: each shard is locked once, for some reads of numbers.

use super::shards::{Store, locked};
use super::stats::{ShardCounters, StoreStats};

impl Store {
    /// The number of top-level keys of a database; expired ones that have not been removed yet are
    /// counted, as in Redis.
    pub fn len(&self, db: u8) -> usize {
        self.now();
        let db = usize::from(self.inner_db(db));
        self.shards
            .iter()
            .map(|shard| locked(shard).items[db])
            .sum()
    }

    /// The number of items at any depth in all databases.
    pub(crate) fn items(&self) -> usize {
        let shards = self.shards.iter();
        shards.map(|shard| locked(shard).slab.items()).sum()
    }

    /// Whether a database has no top-level keys.
    pub fn is_empty(&self, db: u8) -> bool {
        self.len(db) == 0
    }

    /// The number of a database's top-level keys that have an expiry.
    pub(crate) fn expiring(&self, db: u8) -> usize {
        self.now();
        let db = usize::from(self.inner_db(db));
        self.shards
            .iter()
            .map(|shard| locked(shard).expiring_items[db])
            .sum()
    }

    /// The counters since the start or the last reset.
    pub fn stats(&self) -> StoreStats {
        self.now();
        let mut stats = StoreStats {
            bytes: self.used(),
            limit: self.memory(),
            ..StoreStats::default()
        };
        for shard in &self.shards {
            let shard = locked(shard);
            stats.hits += shard.counters.hits;
            stats.misses += shard.counters.misses;
            stats.evictions += shard.counters.evictions;
            stats.expired += shard.counters.expired;
            stats.reclaimed += shard.counters.reclaimed;
            stats.get_expired += shard.counters.get_expired;
            stats.expired_unfetched += shard.counters.expired_unfetched;
            stats.evicted_unfetched += shard.counters.evicted_unfetched;
            stats.hash_bytes += shard.table_bytes() as u64;
            stats.total_items += shard.counters.total_items;
            stats.items += shard.slab.items() as u64;
        }
        stats
    }

    /// Resets the counters.
    pub(crate) fn reset_stats(&self) {
        for shard in &self.shards {
            locked(shard).counters = ShardCounters::default();
        }
    }

    /// The number of slots, free ones included.
    pub(super) fn slots(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| locked(shard).slab.end())
            .sum()
    }
}

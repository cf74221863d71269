//! The counters of the store.

/// The counters of one shard since the last reset.
#[derive(Debug, Clone, Default)]
pub(super) struct ShardCounters {
    pub(super) hits: u64,
    pub(super) misses: u64,
    pub(super) evictions: u64,
    pub(super) expired: u64,
    pub(super) reclaimed: u64,
    pub(super) total_items: u64,
    pub(super) get_expired: u64,
    pub(super) expired_unfetched: u64,
    pub(super) evicted_unfetched: u64,
}

impl ShardCounters {
    /// Counts a read that found its item, or none.
    #[inline]
    pub(super) fn count_read(&mut self, found: bool) {
        self.hits += u64::from(found);
        self.misses += u64::from(!found);
    }
}

/// The counters of the whole store. Shards are read one after another, so the figures may be a few
/// operations apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Reads that found their item.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Items that were removed to make room.
    pub evictions: u64,
    /// Items that were removed because they had expired. Those of a large tree count when they are freed, or never if a
    /// flush comes first.
    pub expired: u64,
    /// Expired items that were found and removed by an eviction.
    pub reclaimed: u64,
    /// Reads that found none because the item, or something above it, had expired.
    pub get_expired: u64,
    /// Of the expired items, those that were never read.
    pub expired_unfetched: u64,
    /// Of the evicted items, those that were never read.
    pub evicted_unfetched: u64,
    /// Items that are stored now, at any depth and in any database, including expired ones that
    /// have not been removed yet, and those of large removed trees and flushed databases that are still to be freed.
    pub items: u64,
    /// Items stored so far; an item that replaces another counts again.
    pub total_items: u64,
    /// Bytes of memory that the hash tables take.
    pub hash_bytes: u64,
    /// Bytes of memory taken.
    pub bytes: u64,
    /// Bytes of memory that may be taken.
    pub limit: u64,
}

//! The embedded cache.
//!
//! ```text
//!            ┌ Store ────────────────────────────────────────────────────────────────┐
//!  lock(key) │  hash of the top-level key picks                                      │
//!  ────────▶ │  ┌ Shard ┐ ┌ Shard ┐ ┌ Shard ┐ …  each behind a Mutex; a Tree is its   │
//!   Tree     │  │ table │ │       │ │       │    guard                                │
//!            │  │ slab  │ │       │ │       │                                         │
//!            │  │ sieve │ │       │ │       │    used ≤ memory, counted over all      │
//!            │  └───────┘ └───────┘ └───────┘                                         │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! In reading order: [`Store`] is all of it; [`Store::lock`] gives a [`Tree`], through which items
//! are read and written ([`Entry`] in, [`Item`] out); `shard` is what a lock guards; `slot`, `slab`
//! and `record_log` are how an item lies in memory; `child_lists` is the tree; `sieve` is the order of eviction;
//! `flush`, `scan` and `sweep` are what goes over the whole store; [`Clock`] is what time it is.
//!
//! A key is a path: `user`, or `user 42 name`. The first key of a path picks the shard, so a tree
//! lives under one lock, and so does the same key in all sixteen databases. A node has a value, or
//! children, or both. What hangs on a node goes when the node goes.
//!
//! The bound is on memory, not on values: what is counted is what the segments of records, the
//! slots, the tables and the lists of children take. A write that goes over it evicts until it
//! holds again, before it returns if its own shard has enough to give, otherwise when its guard is
//! dropped.

use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;

mod child_lists;
mod clock;
mod entry;
mod flush;
mod memory;
mod record_log;
mod scan;
mod segments;
mod shard;
mod sieve;
mod slab;
mod slot;
mod stats;
mod subtree;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;

pub use clock::{Clock, ClockStart};
pub use entry::{Entry, Item, Node, Refused};
pub use stats::StoreStats;
pub use subtree::Subtree;
pub use sweep::Sweeper;
pub use tree::Tree;

use shard::Shard;

/// How many databases there are, as in Redis. memcached's is number 0.
pub const DATABASES: u8 = 16;

/// How large a store is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of memory that items may take, overhead included.
    pub memory: u64,
    /// Bytes that key and value of one item may have together.
    pub max_item_size: usize,
    /// How many locks the keys are spread over, rounded up to a power of two; 0 to choose by cores
    /// and memory.
    pub shards: usize,
}

impl Default for Config {
    /// 64 MiB, items up to 1 MiB, as memcached.
    fn default() -> Config {
        Config {
            memory: 64 << 20,
            max_item_size: 1 << 20,
            shards: 0,
        }
    }
}

impl Config {
    /// So many shards that threads seldom meet at one, and that the table of one, which doubles
    /// under the lock when it is full, stays small.
    fn shard_count(&self) -> usize {
        const MOST: usize = 1024;
        if self.shards > 0 {
            return self.shards.min(MOST).next_power_of_two();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let by_memory = usize::try_from(self.memory >> 24).unwrap_or(MOST);
        by_memory.max(8 * cores).clamp(16, MOST).next_power_of_two()
    }
}

/// A cache: items under paths of keys, in sixteen databases, bounded in memory.
#[derive(Debug)]
pub struct Store {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    clock: Clock,
    started_ms: u64,
    /// Bytes of memory taken, as far as shards have settled.
    used: AtomicU64,
    memory: AtomicU64,
    max_item_size: AtomicUsize,
    flushes: flush::FlushSchedule,
    /// Segments for records that no shard uses now.
    pool: Arc<segments::SegmentPool>,
    /// Which database lies behind which number: SWAPDB exchanges two of them.
    databases: [AtomicU8; DATABASES as usize],
    gate: RwLock<()>,
    /// Where the sweep goes on: shard << 32 | slot.
    swept: AtomicU64,
    /// The shard that gives first when another has nothing left to give.
    trimmed: AtomicUsize,
    /// How many random numbers have been drawn.
    draws: AtomicU64,
}

/// Held by every turn of a service, so that [`ExclusiveAccess`] can wait for all of them.
#[derive(Debug)]
pub struct SharedAccess<'a>(
    #[allow(dead_code, reason = "held for its drop")] RwLockReadGuard<'a, ()>,
);

/// Held alone: nothing happens between the commands of its holder.
#[derive(Debug)]
pub struct ExclusiveAccess<'a>(
    #[allow(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, ()>,
);

/// Locks a shard. A panic elsewhere while it was locked has left it whole: the store's own methods
/// don't panic halfway, and a service's panic only comes between them.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes of memory of an item with a record of this length: the record, its slot and, on average,
/// its bucket.
fn item_cost(record_length: usize) -> usize {
    const BUCKET: usize = 8;
    record_log::room(record_length) + size_of::<slot::ItemSlot>() + BUCKET
}

impl Store {
    /// An empty store.
    pub fn new(config: Config, clock: Clock) -> Store {
        let hasher = RandomState::new();
        let cas = Arc::new(AtomicU64::new(1));
        let count = config.shard_count();
        let pool = Arc::new(segments::SegmentPool::new(config.memory, count));
        let shard = |_| {
            Mutex::new(Shard::new(
                hasher.clone(),
                Arc::clone(&pool),
                Arc::clone(&cas),
            ))
        };
        Store {
            shards: (0..count).map(shard).collect(),
            hasher: hasher.clone(),
            started_ms: clock.now_ms(),
            clock,
            used: AtomicU64::new(0),
            memory: AtomicU64::new(config.memory),
            max_item_size: AtomicUsize::new(config.max_item_size),
            flushes: flush::FlushSchedule::new(),
            pool,
            databases: std::array::from_fn(|db| AtomicU8::new(db as u8)),
            gate: RwLock::new(()),
            swept: AtomicU64::new(0),
            trimmed: AtomicUsize::new(0),
            draws: AtomicU64::new(0),
        }
    }

    /// Locks the shard of a top-level key.
    ///
    /// A thread holds one such lock at a time, or it may wait for itself.
    pub fn lock(&self, key: &[u8]) -> Tree<'_> {
        let now_ms = self.now();
        let hash = shard::hash_top(&self.hasher, key);
        // The table uses the lowest bits of the hash and the highest seven; the shard, others.
        let number = (hash >> 40) as usize & (self.shards.len() - 1);
        Tree::new(self, locked(&self.shards[number]), hash, now_ms)
    }

    /// Lets other turns run beside this one, but no [`exclusive`](Store::exclusive) one. Taken once
    /// per turn: a thread that takes it twice, or both, may wait for itself.
    pub fn share(&self) -> SharedAccess<'_> {
        SharedAccess(self.gate.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for all turns to end and lets none begin: for what touches several keys and must look
    /// like one step.
    pub fn exclusive(&self) -> ExclusiveAccess<'_> {
        ExclusiveAccess(self.gate.write().unwrap_or_else(PoisonError::into_inner))
    }

    /// The store's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The time, when all that was to be flushed by now is.
    fn now(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        if self.flushes.is_due(now_ms) {
            self.flush_due(now_ms);
        }
        now_ms
    }

    fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// A time as slots keep it: in seconds since the start.
    fn access(&self, now_ms: u64) -> u32 {
        u32::try_from(now_ms.saturating_sub(self.started_ms) / 1000).unwrap_or(u32::MAX)
    }

    /// How many top-level keys a database has; expired ones that nobody has noticed are counted, as
    /// in Redis.
    pub fn len(&self, db: u8) -> usize {
        self.now();
        let db = usize::from(self.inner_db(db));
        self.shards
            .iter()
            .map(|shard| locked(shard).items[db])
            .sum()
    }

    /// Whether a database has no top-level keys.
    pub fn is_empty(&self, db: u8) -> bool {
        self.len(db) == 0
    }

    /// How many of a database's top-level keys have an expiry.
    pub fn expiring(&self, db: u8) -> usize {
        self.now();
        let db = usize::from(self.inner_db(db));
        self.shards
            .iter()
            .map(|shard| locked(shard).expiring_items[db])
            .sum()
    }

    /// Bytes of memory taken.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of memory that may be taken.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Sets how many bytes of memory may be taken, and evicts down to it.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
        self.trim();
    }

    /// Bytes that key and value of one item may have together.
    pub fn max_item_size(&self) -> usize {
        self.max_item_size.load(Ordering::Relaxed)
    }

    /// Sets how many bytes key and value of one item may have together. What is stored stays.
    pub fn set_max_item_size(&self, bytes: usize) {
        self.max_item_size.store(bytes, Ordering::Relaxed);
    }

    /// Exchanges two databases. The caller holds the store [exclusively](Store::exclusive).
    pub fn swap(&self, a: u8, b: u8) {
        let (a, b) = (usize::from(a % DATABASES), usize::from(b % DATABASES));
        let before = self.databases[a].load(Ordering::Acquire);
        let other = self.databases[b].swap(before, Ordering::AcqRel);
        self.databases[a].store(other, Ordering::Release);
    }

    /// The database that lies behind a number.
    fn inner_db(&self, db: u8) -> u8 {
        self.databases[usize::from(db % DATABASES)].load(Ordering::Relaxed)
    }

    /// What has been counted since the start or the last reset.
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
            stats.total_items += shard.counters.total_items;
            stats.items += shard.slab.items() as u64;
        }
        stats
    }

    /// Begins to count anew.
    pub fn reset_stats(&self) {
        for shard in &self.shards {
            locked(shard).counters = stats::ShardCounters::default();
        }
    }

    fn slots(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| locked(shard).slab.end())
            .sum()
    }

    /// Counts a shard's footprint anew and returns the bytes that the store then takes.
    fn count(&self, before: usize, now: usize) -> u64 {
        if now >= before {
            let more = (now - before) as u64;
            self.used.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = (before - now) as u64;
            self.used.fetch_sub(less, Ordering::Relaxed) - less
        }
    }

    fn settle(&self, shard: &mut Shard) {
        let footprint = shard.footprint();
        self.count(shard.settled, footprint);
        shard.settled = footprint;
    }

    /// Evicts from all shards by turns, some items at a time, until the limit holds or nothing is
    /// left.
    fn trim(&self) {
        const TURN: usize = 16;
        let now_ms = self.clock.now_ms();
        let mut idle = 0;
        while self.used() > self.memory() && idle < self.shards.len() {
            let number = self.trimmed.fetch_add(1, Ordering::Relaxed) & (self.shards.len() - 1);
            let mut shard = locked(&self.shards[number]);
            idle += 1;
            for _ in 0..TURN {
                if self.used() <= self.memory() || !shard.evict(now_ms, slot::NONE) {
                    break;
                }
                idle = 0;
                self.settle(&mut shard);
            }
        }
    }
}

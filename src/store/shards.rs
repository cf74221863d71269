//! All shards together: the store.
//!
//! A key's shard is the one that the hash of the top-level key names, or another one for the new name of a large tree; see
//! [`placements`](super::placements). Each shard reports its memory when it has changed, and the
//! sum is compared with the limit. [`make_room`](super::make_room) says what happens when the sum exceeds it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use ahash::RandomState;

use super::clock::Clock;
use super::config::{Config, DATABASES, WhenFull, largest_item};
use super::eviction_observer::{EvictedItem, EvictionObserver};
use super::flush_schedule::FlushSchedule;
#[cfg(all(feature = "internals", debug_assertions))]
use super::interleaving::acquire;
use super::pages::{PagePool, large_length};
use super::placements::Placements;
use super::shard::Shard;
use super::slot::SECONDS;
use super::slots::Slots;
use super::sweep_bell::{SweepBell, SweepObserver};

/// A cache: items under paths of keys, in sixteen databases, bounded in memory.
#[derive(Debug)]
pub struct Store {
    pub(super) shards: Box<[Mutex<Shard>]>,
    pub(super) hasher: RandomState,
    /// Keys that live in another shard than the one that their hash names.
    pub(super) placements: Placements,
    pub(super) clock: Clock,
    pub(super) started_ms: u64,
    /// Bytes of memory taken, as far as shards have settled.
    pub(super) used: AtomicU64,
    /// Bytes of `used` that values on their way into the store take.
    pub(super) reserved: AtomicU64,
    pub(super) memory: AtomicU64,
    /// 0 for a part of the memory.
    pub(super) max_item_size: AtomicUsize,
    /// Whether a write is refused for which there is no memory, instead of an eviction.
    pub(super) refuses: AtomicBool,
    pub(super) flushes: FlushSchedule,
    /// Segments for records that no shard uses now.
    pub(super) pool: Arc<PagePool>,
    /// The database behind each number: SWAPDB exchanges two of them.
    pub(super) databases: [AtomicU8; DATABASES as usize],
    pub(super) gate: RwLock<()>,
    /// The position at which the sweep continues: shard << 32 | slot.
    pub(super) swept: AtomicU64,
    pub(super) sweep_bell: Arc<SweepBell>,
    pub(super) sweeps: SweepObserver,
    pub(super) evictions: Arc<EvictionObserver>,
    /// The shard that evicts first when another has nothing left to evict.
    pub(super) trimmed: AtomicUsize,
    /// The number of random numbers drawn so far.
    pub(super) draws: AtomicU64,
}

/// A guard that every turn of a service holds, so that [`ExclusiveAccess`] can wait for all of
/// them.
#[derive(Debug)]
pub(crate) struct SharedAccess<'a>(
    #[allow(dead_code, reason = "held for its drop")] RwLockReadGuard<'a, ()>,
);

/// A guard that is held alone: nothing happens between the commands of its holder.
#[derive(Debug)]
pub(crate) struct ExclusiveAccess<'a>(
    #[allow(dead_code, reason = "held for its drop")] RwLockWriteGuard<'a, ()>,
);

/// Takes a lock. In tests threads may take turns here; see `interleaving`.
#[cfg(not(all(feature = "internals", debug_assertions)))]
fn acquire<G>(_: impl Fn() -> std::sync::TryLockResult<G>, wait: impl FnOnce() -> G) -> G {
    wait()
}

/// Locks a shard. A panic elsewhere while it was locked has left it whole: the store's own methods
/// don't panic halfway, and a service's panic only comes between them.
pub(super) fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    let wait = || shard.lock().unwrap_or_else(PoisonError::into_inner);
    acquire(|| shard.try_lock(), wait)
}

impl Store {
    /// An empty store. Its hashes are random, so that clients can't choose keys that collide.
    pub fn new(config: Config, clock: Clock) -> Store {
        Store::with_hasher(config, clock, RandomState::new())
    }

    /// For tests: a store in which the shard of each key follows from `seed`, and so the order of locks.
    #[cfg(all(feature = "internals", debug_assertions))]
    pub fn with_hash_seed(config: Config, clock: Clock, seed: u64) -> Store {
        Store::with_hasher(config, clock, RandomState::with_seeds(seed, 1, 2, 3))
    }

    pub(super) fn with_hasher(config: Config, clock: Clock, hasher: RandomState) -> Store {
        let cas = Arc::new(AtomicU64::new(1));
        let count = config.shard_count();
        let pool = Arc::new(PagePool::new(config.memory, count));
        let bell = Arc::<SweepBell>::default();
        let started_ms = clock.now_ms();
        let evictions = Arc::new(EvictionObserver::new(started_ms));
        let shard = |_| {
            Mutex::new(Shard::new(
                hasher.clone(),
                Arc::clone(&pool),
                Arc::clone(&cas),
                Arc::clone(&bell),
                Arc::clone(&evictions),
            ))
        };
        Store {
            shards: (0..count).map(shard).collect(),
            hasher: hasher.clone(),
            placements: Placements::new(),
            started_ms,
            clock,
            used: AtomicU64::new(0),
            reserved: AtomicU64::new(0),
            memory: AtomicU64::new(config.memory),
            max_item_size: AtomicUsize::new(config.max_item_size),
            refuses: AtomicBool::new(config.when_full == WhenFull::Refuse),
            flushes: FlushSchedule::new(),
            pool,
            databases: std::array::from_fn(|db| AtomicU8::new(db as u8)),
            gate: RwLock::new(()),
            swept: AtomicU64::new(0),
            sweep_bell: Arc::clone(&bell),
            sweeps: SweepObserver::default(),
            evictions: Arc::clone(&evictions),
            trimmed: AtomicUsize::new(0),
            draws: AtomicU64::new(0),
        }
    }

    /// Lets other turns run beside this one, but no [`exclusive`](Store::exclusive) one. Taken once
    /// per turn: a thread that takes it twice, or both, may wait for itself.
    pub(crate) fn share(&self) -> SharedAccess<'_> {
        let wait = || self.gate.read().unwrap_or_else(PoisonError::into_inner);
        SharedAccess(acquire(|| self.gate.try_read(), wait))
    }

    /// Waits for all turns to end and lets none begin: for commands that change several keys in one
    /// step.
    pub(crate) fn exclusive(&self) -> ExclusiveAccess<'_> {
        let wait = || self.gate.write().unwrap_or_else(PoisonError::into_inner);
        ExclusiveAccess(acquire(|| self.gate.try_write(), wait))
    }

    /// The store's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// The time. Flushes that are due by then have been performed.
    pub(super) fn now(&self) -> u64 {
        let now_ms = self.clock.now_ms();
        if self.flushes.is_due(now_ms) {
            self.flush_due(now_ms);
        }
        now_ms
    }

    pub(super) fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// A time as slots keep it: in seconds since the start.
    pub(super) fn access(&self, now_ms: u64) -> u32 {
        let seconds = now_ms.saturating_sub(self.started_ms) / 1000;
        u32::try_from(seconds).unwrap_or(SECONDS).min(SECONDS)
    }

    /// Bytes of memory that items take.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// Bytes of memory taken, buffers kept for the next items included: at most [`memory`](Store::memory).
    pub fn resident(&self) -> u64 {
        self.used() + self.pool.free_bytes() as u64
    }

    /// Bytes of memory that items may take: all but the part set apart for free buffers.
    pub(super) fn limit(&self) -> u64 {
        self.memory().saturating_sub(self.pool.most() as u64)
    }

    /// Bytes of memory that a shard with a single item takes, whose key and value have this many
    /// bytes.
    pub(super) fn least_for(&self, length: usize) -> u64 {
        const LISTS: usize = 1 << 10;
        let segment = self.pool.segment();
        // A buffer for a large record is at most an eighth or a page longer than the record.
        let records = if length <= segment / 4 {
            segment
        } else {
            segment.max(large_length(length))
        };
        (records + 2 * Slots::chunk_bytes(&self.pool) + LISTS) as u64
    }

    /// Bytes of memory that may be taken.
    pub fn memory(&self) -> u64 {
        self.memory.load(Ordering::Relaxed)
    }

    /// Sets how many bytes of memory may be taken, and evicts down to it, unless the store refuses when it is full.
    pub fn set_memory(&self, bytes: u64) {
        self.memory.store(bytes, Ordering::Relaxed);
        self.pool.set_memory(bytes);
        self.trim(None);
        self.pool.set_used(self.used());
    }

    /// Bytes that key and value of one item may have together.
    pub fn max_item_size(&self) -> usize {
        match self.max_item_size.load(Ordering::Relaxed) {
            0 => largest_item(self.memory()),
            bytes => bytes,
        }
    }

    /// Sets how many bytes key and value of one item may have together, 0 as in [`Config`]. Stored items stay.
    pub fn set_max_item_size(&self, bytes: usize) {
        self.max_item_size.store(bytes, Ordering::Relaxed);
    }

    /// Exchanges two databases. The caller holds the store [exclusively](Store::exclusive).
    pub fn swap(&self, a: u8, b: u8) {
        let (inner_a, inner_b) = (self.inner_db(a), self.inner_db(b));
        if inner_a == inner_b {
            return;
        }
        self.end_placed_watches([inner_a, inner_b]);
        for shard in &self.shards {
            locked(shard).note_swap(inner_a, inner_b);
        }
        let (a, b) = (usize::from(a % DATABASES), usize::from(b % DATABASES));
        let before = self.databases[a].load(Ordering::Acquire);
        let other = self.databases[b].swap(before, Ordering::AcqRel);
        self.databases[a].store(other, Ordering::Release);
    }

    /// The database that lies behind a number.
    pub(super) fn inner_db(&self, db: u8) -> u8 {
        self.databases[usize::from(db % DATABASES)].load(Ordering::Relaxed)
    }

    /// Names the function that gets evicted items, of all databases, while reports are wanted. Only the first one counts.
    pub(crate) fn observe_evictions(
        &self,
        observer: impl Fn(&EvictedItem<'_>) + Send + Sync + 'static,
    ) {
        self.evictions.set(Box::new(observer));
    }

    /// Switches the reports of evictions on or off.
    pub(crate) fn report_evictions(&self, wanted: bool) {
        self.evictions.want(wanted);
    }

    /// Panics unless everything that the store has written down twice agrees.
    #[cfg(any(test, feature = "internals"))]
    pub fn check(&self) {
        for (number, shard) in self.shards.iter().enumerate() {
            let shard = locked(shard);
            shard.check();
            for key in shard.top_keys() {
                assert_eq!(self.shard_of(key), number, "the shard of a key");
            }
        }
    }

    /// Counts a shard's footprint anew and returns the bytes that the store then takes.
    pub(super) fn count(&self, before: usize, now: usize) -> u64 {
        let used = if now >= before {
            let more = (now - before) as u64;
            self.used.fetch_add(more, Ordering::Relaxed) + more
        } else {
            let less = (before - now) as u64;
            self.used.fetch_sub(less, Ordering::Relaxed) - less
        };
        self.pool.set_used(self.used());
        used
    }

    pub(super) fn settle(&self, shard: &mut Shard) {
        let footprint = shard.footprint();
        self.count(shard.settled, footprint);
        shard.settled = footprint;
    }
}

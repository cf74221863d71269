//! The size of a store, and its fixed limits.

/// The number of databases, as in Redis. memcached's is number 0.
pub(crate) const DATABASES: u8 = 16;

/// Bytes of the largest item, unless the configuration says otherwise: the most that memcached lets its user choose.
const LARGEST_ITEM: usize = 1 << 30;

/// Bytes of the largest item of a store of so much memory, unless the configuration says otherwise. One item may take
/// half of the store, as all values on their way into it may.
pub(super) fn largest_item(memory: u64) -> usize {
    usize::try_from(memory / 2).map_or(LARGEST_ITEM, |half| half.min(LARGEST_ITEM))
}

/// The policy for a write for which there is no memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Evicts the least useful items.
    #[default]
    Evict,
    /// Refuses the write, and keeps all items.
    Refuse,
}

/// The size of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of memory that items may take, overhead included.
    pub memory: u64,
    /// Bytes that key and value of one item may have together; 0 for half of the memory, but not more than 1 GiB.
    pub max_item_size: usize,
    /// The number of locks that the keys are spread over, rounded up to a power of two; 0 to choose
    /// by cores and memory.
    pub shards: usize,
    /// The policy for a write for which there is no memory.
    pub when_full: WhenFull,
}

impl Default for Config {
    /// 64 MiB, as memcached, and items up to half of that.
    fn default() -> Config {
        Config {
            memory: 64 << 20,
            max_item_size: 0,
            shards: 0,
            when_full: WhenFull::Evict,
        }
    }
}

impl Config {
    /// Enough shards that two threads seldom wait for the same one.
    pub(super) fn shard_count(&self) -> usize {
        const MOST: usize = 1024;
        if self.shards > 0 {
            return self.shards.min(MOST).next_power_of_two();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let by_memory = usize::try_from(self.memory >> 24).unwrap_or(MOST);
        by_memory.max(8 * cores).clamp(16, MOST).next_power_of_two()
    }
}

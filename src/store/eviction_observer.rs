//! Reports of evictions to the program around the store.
//!
//! Cost: one look at a flag for each eviction while nobody wants reports. A wanted one walks from the item to the top of
//! its tree, and calls the observer under the lock of the shard: the observer must be brief and must not use the store.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use super::entry::Item;

pub(super) type Observer = Box<dyn Fn(&EvictedItem<'_>) + Send + Sync>;

/// An item that is removed to make room.
pub(crate) struct EvictedItem<'a> {
    /// Its key and those above it, from the top.
    pub(crate) path: Vec<&'a [u8]>,
    pub(crate) item: Item<'a>,
    /// The time of the eviction.
    pub(crate) now_ms: u64,
}

/// The observer of a store's evictions, if there is one.
pub(super) struct EvictionObserver {
    wanted: AtomicBool,
    observer: OnceLock<Observer>,
    pub(super) started_ms: u64,
}

impl EvictionObserver {
    /// For a store that began at this time.
    pub(super) fn new(started_ms: u64) -> EvictionObserver {
        EvictionObserver {
            wanted: AtomicBool::new(false),
            observer: OnceLock::new(),
            started_ms,
        }
    }

    /// Names the function that gets evicted items. Only the first one counts.
    pub(super) fn set(&self, observer: Observer) {
        let _ = self.observer.set(observer);
    }

    pub(super) fn want(&self, wanted: bool) {
        self.wanted.store(wanted, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed)
    }

    pub(super) fn report(&self, evicted: &EvictedItem<'_>) {
        if let Some(observer) = self.observer.get() {
            observer(evicted);
        }
    }
}

impl fmt::Debug for EvictionObserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvictionObserver")
            .field("wanted", &self.is_wanted())
            .finish_non_exhaustive()
    }
}

//! Paths that the origin didn't have, or whose fetch failed, lately.
//!
//! A path is remembered for a time, and no longer than until a client changes it: the lease of its fetch shows that. The
//! oldest are dropped when all take more than [`MOST_BYTES`]; they are fetched again when they are asked for.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::fetch::Fetch;
use super::item_path::ItemPath;

/// Bytes that all of them may take: tens of thousands of keys.
const MOST_BYTES: usize = 4 << 20;

/// Bytes that one takes beside its path: the fetch with its lease, which has the path again, and entries in three tables.
const OVERHEAD: usize = 320;

/// The paths that are remembered.
#[derive(Debug, Default)]
pub(super) struct RememberedPaths {
    paths: HashMap<Arc<ItemPath>, RememberedPath>,
    /// In the order in which they were added. One that has been replaced is in here, too.
    order: VecDeque<Arc<Fetch>>,
    bytes: usize,
}

#[derive(Debug)]
struct RememberedPath {
    fetch: Arc<Fetch>,
    until_ms: u64,
}

impl RememberedPaths {
    /// Remembers the path of a fetch.
    pub(super) fn add(&mut self, fetch: &Arc<Fetch>, until_ms: u64) {
        let remembered = RememberedPath {
            fetch: Arc::clone(fetch),
            until_ms,
        };
        self.paths.insert(Arc::clone(&fetch.path), remembered);
        self.order.push_back(Arc::clone(fetch));
        self.bytes += cost(fetch);
        while self.bytes > MOST_BYTES {
            self.drop_oldest();
        }
    }

    /// Whether a path is remembered.
    pub(super) fn knows(&mut self, path: &ItemPath, now_ms: u64) -> bool {
        let Some(found) = self.paths.get(path) else {
            return false;
        };
        let knows = now_ms < found.until_ms && found.fetch.is_current();
        if !knows {
            self.paths.remove(path);
        }
        knows
    }

    /// Drops those at the front of the order that are of no use any more.
    pub(super) fn drop_old(&mut self, now_ms: u64) {
        while let Some(oldest) = self.order.front() {
            let of_use = self.paths.get(&*oldest.path).is_some_and(|found| {
                Arc::ptr_eq(&found.fetch, oldest) && now_ms < found.until_ms && oldest.is_current()
            });
            if of_use {
                return;
            }
            self.drop_oldest();
        }
    }

    /// The number of paths.
    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.order.pop_front() else {
            return;
        };
        self.bytes -= cost(&oldest);
        let found = self.paths.get(&*oldest.path);
        if found.is_some_and(|found| Arc::ptr_eq(&found.fetch, &oldest)) {
            self.paths.remove(&*oldest.path);
        }
    }
}

fn cost(fetch: &Fetch) -> usize {
    OVERHEAD + 2 * fetch.path.size()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn fetch(name: &[u8]) -> Arc<Fetch> {
        let path = ItemPath::new(0, &[name]).unwrap();
        Fetch::new(Arc::new(path), Instant::now())
    }

    #[test]
    fn a_path_is_remembered_for_its_time() {
        let mut remembered = RememberedPaths::default();
        let (first, second) = (fetch(b"a"), fetch(b"b"));
        remembered.add(&first, 1_000);
        remembered.add(&second, 2_000);
        assert!(remembered.knows(&first.path, 999));
        assert!(!remembered.knows(&first.path, 1_000));
        assert!(remembered.knows(&second.path, 1_000));
        remembered.drop_old(2_000);
        assert_eq!((remembered.len(), remembered.bytes), (0, 0));
    }

    #[test]
    fn a_later_fetch_of_a_path_replaces_the_earlier_one() {
        let mut remembered = RememberedPaths::default();
        remembered.add(&fetch(b"a"), 1_000);
        remembered.add(&fetch(b"a"), 5_000);
        remembered.drop_old(2_000);
        assert!(remembered.knows(&fetch(b"a").path, 4_999));
        remembered.drop_old(5_000);
        assert_eq!((remembered.len(), remembered.bytes), (0, 0));
    }

    #[test]
    fn the_oldest_are_dropped_beyond_the_bound() {
        let mut remembered = RememberedPaths::default();
        let fetches: Vec<_> = (0..20_000u32)
            .map(|number| fetch(&number.to_be_bytes()))
            .collect();
        for fetch in &fetches {
            remembered.add(fetch, 1_000);
        }
        assert!(remembered.bytes <= MOST_BYTES);
        assert!(!remembered.knows(&fetches[0].path, 0));
        let last = &fetches[fetches.len() - 1];
        assert!(remembered.knows(&last.path, 0));
        assert_eq!(remembered.len(), remembered.order.len());
    }
}

//! The changes that one peer has yet to be sent: rules without threads and sockets.
//!
//! A key waits once, however often it changes. At the bound, a peer that answers loses the oldest keys: their copies expire soon.
//! A peer that is unavailable may hold these keys as its own when it returns, so it is flushed then instead.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// The key of the request that says that all keys were removed. It has no meaning.
pub(super) const ALL_KEYS: &[u8] = b"all";

/// Keys that may wait.
const MOST_KEYS: usize = 65_536;

/// Bytes that they may have together.
const MOST_BYTES: usize = 8 << 20;

/// Keys that are sent at a time.
const BATCH: usize = 1_000;

/// The changes that wait.
#[derive(Debug, Default)]
pub(super) struct PendingChanges {
    /// All keys were removed, which covers the keys that waited.
    flush: bool,
    keys: VecDeque<Arc<[u8]>>,
    waiting: HashSet<Arc<[u8]>>,
    bytes: usize,
}

/// Changes that are sent together.
#[derive(Debug, Default)]
pub(super) struct ChangeBatch {
    pub(super) flush: bool,
    pub(super) keys: Vec<Arc<[u8]>>,
}

impl PendingChanges {
    /// Adds a key, and returns the number of keys that are given up for it. `is_up` tells whether the peer answers.
    pub(super) fn add(&mut self, key: &[u8], is_up: bool) -> usize {
        if self.flush || self.waiting.contains(key) {
            return 0;
        }
        self.push_back(Arc::from(key));
        let mut lost = 0;
        while self.keys.len() > MOST_KEYS || self.bytes > MOST_BYTES {
            if !is_up {
                self.flush();
                return lost;
            }
            self.pop_front();
            lost += 1;
        }
        lost
    }

    /// Notes that all keys were removed.
    pub(super) fn flush(&mut self) {
        *self = PendingChanges {
            flush: true,
            ..PendingChanges::default()
        };
    }

    /// Takes the oldest changes.
    pub(super) fn take(&mut self) -> ChangeBatch {
        let flush = std::mem::take(&mut self.flush);
        let keys = (0..BATCH).map_while(|_| self.pop_front()).collect();
        ChangeBatch { flush, keys }
    }

    /// Puts changes back that could not be sent.
    pub(super) fn put_back(&mut self, batch: ChangeBatch) {
        if batch.flush {
            return self.flush();
        }
        for key in batch.keys.into_iter().rev() {
            if !self.flush && self.waiting.insert(Arc::clone(&key)) {
                self.bytes += key.len();
                self.keys.push_front(key);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.flush && self.keys.is_empty()
    }

    /// The number of changes that wait.
    pub(super) fn len(&self) -> usize {
        self.keys.len() + usize::from(self.flush)
    }

    fn push_back(&mut self, key: Arc<[u8]>) {
        self.bytes += key.len();
        self.waiting.insert(Arc::clone(&key));
        self.keys.push_back(key);
    }

    fn pop_front(&mut self) -> Option<Arc<[u8]>> {
        let key = self.keys.pop_front()?;
        self.waiting.remove(&key);
        self.bytes -= key.len();
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(batch: &ChangeBatch) -> Vec<&[u8]> {
        batch.keys.iter().map(|key| &**key).collect()
    }

    #[test]
    fn a_key_waits_once_and_comes_back_in_front_when_it_could_not_be_sent() {
        let mut pending = PendingChanges::default();
        for key in ["a", "b", "a"] {
            assert_eq!(pending.add(key.as_bytes(), true), 0);
        }
        let batch = pending.take();
        assert_eq!(keys(&batch), [b"a", b"b"]);
        assert!(pending.is_empty());
        // A key that changes while it is sent is sent again.
        pending.add(b"b", true);
        pending.add(b"c", true);
        pending.put_back(batch);
        assert_eq!(keys(&pending.take()), [b"a", b"b", b"c"]);
    }

    #[test]
    fn a_flush_covers_the_keys_before_and_after_it() {
        let mut pending = PendingChanges::default();
        pending.add(b"a", true);
        pending.flush();
        pending.add(b"b", true);
        let batch = pending.take();
        assert!(batch.flush && batch.keys.is_empty());
        pending.add(b"c", true);
        pending.put_back(batch);
        assert_eq!(pending.len(), 1);
        assert!(pending.take().flush);
    }

    #[test]
    fn beyond_the_bound_a_peer_that_answers_loses_the_oldest_keys() {
        let mut pending = PendingChanges::default();
        let add = |pending: &mut PendingChanges, number: usize, is_up| {
            pending.add(&number.to_be_bytes(), is_up)
        };
        for number in 0..MOST_KEYS {
            assert_eq!(add(&mut pending, number, true), 0);
        }
        assert_eq!(add(&mut pending, MOST_KEYS, true), 1);
        assert_eq!(pending.len(), MOST_KEYS);
        assert_eq!(keys(&pending.take())[0], 1usize.to_be_bytes());
    }

    #[test]
    fn beyond_the_bound_a_peer_that_is_down_is_flushed_when_it_returns() {
        let mut pending = PendingChanges::default();
        let large = vec![b'k'; MOST_BYTES / 2];
        pending.add(&large, false);
        pending.add(&large[1..], false);
        assert_eq!(pending.len(), 2);
        assert_eq!(pending.add(b"last", false), 0);
        let batch = pending.take();
        assert!(batch.flush && batch.keys.is_empty());
    }
}

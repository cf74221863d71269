//! Several keys that are about to be read: their buckets, slots and records are brought into the processor's caches
//! together.
//!
//! ```text
//!   one by one   bucket ─ slot ─ record    bucket ─ slot ─ record    …      each waits for the memory
//!   together     bucket bucket bucket …  slot slot slot …  record record record …      the waits overlap
//! ```
//!
//! A look-up reads three places, each of which names the next. A processor reads several places at a time, but not beyond
//! a lock, so look-ups that lock one shard after another wait for each place of each key. Here all shards of up to
//! [`BATCH`] keys are locked first. Then the buckets of all keys are read, then the slots, then the records, and the locks
//! are released. The look-ups that follow find everything in the caches. A get of 100 keys takes a third less time for it.
//!
//! Nothing is decided here: a shard that another thread has locked is left out, and a key that isn't found here, because it lives
//! in another shard than its hash names, is found by its look-up. So the result of a look-up is the same without it.

use std::hint::black_box;
use std::sync::{MutexGuard, TryLockError};

use super::placements::HashedKey;
use super::shard::Shard;
use super::shards::Store;
use super::tree::Tree;

/// The most keys at a time: as many places as a processor reads at once.
pub(crate) const BATCH: usize = 8;

/// Up to [`BATCH`] keys that are about to be read, and the time at which they are read.
#[derive(Debug)]
pub(crate) struct LookAhead<'a> {
    store: &'a Store,
    now_ms: u64,
    keys: [HashedKey; BATCH],
}

impl Store {
    /// Reads ahead for these keys of a database, at most [`BATCH`]. The caller holds no lock.
    pub(crate) fn look_ahead(&self, db: u8, keys: &[&[u8]]) -> LookAhead<'_> {
        let mut ahead = LookAhead {
            store: self,
            now_ms: self.now(),
            keys: [HashedKey::default(); BATCH],
        };
        for (hashed, key) in ahead.keys.iter_mut().zip(keys) {
            *hashed = self.hashed(db, key);
        }
        // A single look-up has nothing to overlap with.
        if keys.len() > 1 {
            self.touch(&ahead.keys[..keys.len()]);
        }
        ahead
    }

    fn touch(&self, keys: &[HashedKey]) {
        let mut guards: [Option<MutexGuard<'_, Shard>>; BATCH] = Default::default();
        // Which of the guards is that of a key's shard: its own, or that of an earlier key.
        let mut guard_of = [0; BATCH];
        for (key, HashedKey { hash, .. }) in keys.iter().enumerate() {
            let number = self.home_of(*hash);
            let same = |earlier: &usize| self.home_of(keys[*earlier].hash) == number;
            guard_of[key] = (0..key).find(same).unwrap_or(key);
            if guard_of[key] == key {
                guards[key] = match self.shards[number].try_lock() {
                    Ok(guard) => Some(guard),
                    Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                    Err(TryLockError::WouldBlock) => None,
                };
            }
        }
        let mut indices = [None; BATCH];
        for (key, HashedKey { hash, .. }) in keys.iter().enumerate() {
            let shard = guards[guard_of[key]].as_deref();
            indices[key] = shard.and_then(|shard| shard.candidate(*hash));
        }
        let mut records = [None; BATCH];
        for (key, index) in indices.iter().enumerate() {
            let shard = guards[guard_of[key]].as_deref();
            records[key] = shard
                .zip(*index)
                .map(|(shard, index)| shard.slab.slot(index).record);
        }
        for (key, record) in records.iter().enumerate() {
            let shard = guards[guard_of[key]].as_deref();
            if let Some((shard, record)) = shard.zip(*record) {
                black_box(shard.slab.log.touch(record));
            }
        }
    }
}

impl<'a> LookAhead<'a> {
    /// Locks the shard of the key with this number, as [`Store::lock`] does.
    pub(crate) fn lock(&self, key: usize) -> Tree<'a> {
        self.store.lock_hashed(self.keys[key], self.now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Clock, Config, Entry};
    use std::time::Duration;

    const START: u64 = 1_700_000_000_000;

    /// A store of two shards with the even numbers below 100, of which every third expires after a second.
    fn store(clock: &Clock) -> Store {
        let config = Config {
            shards: 2,
            ..Config::default()
        };
        let store = Store::new(config, clock.clone());
        for number in (0..100u32).step_by(2) {
            let value = vec![b'v'; number as usize * 40];
            let entry = Entry {
                value: Some(&[&value]),
                expires_ms: (number % 3 == 0).then_some(START + 1000),
                ..Entry::default()
            };
            let key = number.to_le_bytes();
            store.lock(0, &key).put(&[&key], entry).expect("stored");
        }
        store
    }

    fn lengths(store: &Store, keys: &[&[u8]]) -> Vec<Option<usize>> {
        let ahead = store.look_ahead(0, keys);
        let length = |(number, key): (usize, &&[u8])| {
            let mut tree = ahead.lock(number);
            let node = tree.find(&[key])?;
            tree.item(node).value().map(<[u8]>::len)
        };
        keys.iter().enumerate().map(length).collect()
    }

    #[test]
    fn keys_are_found_or_missed_as_one_by_one() {
        let clock = Clock::manual(START);
        let store = store(&clock);
        let numbers: Vec<[u8; 4]> = (0..100u32).map(u32::to_le_bytes).collect();
        for expired in [false, true] {
            for first in 0..numbers.len() {
                for count in 1..=BATCH.min(numbers.len() - first) {
                    let mut keys: Vec<&[u8]> = Vec::new();
                    keys.extend(numbers[first..first + count].iter().map(|key| &key[..]));
                    // The last key twice, of which the first look-up may remove the item.
                    if count > 1 {
                        keys[count - 2] = keys[count - 1];
                    }
                    let expected = keys.iter().map(|key| {
                        let number = usize::from(key[0]);
                        let exists = number % 2 == 0 && !(expired && number % 3 == 0);
                        exists.then_some(number * 40)
                    });
                    let expected: Vec<_> = expected.collect();
                    assert_eq!(lengths(&store, &keys), expected, "{keys:?}");
                }
            }
            clock.advance(Duration::from_secs(1));
        }
        assert_eq!(lengths(&store, &[]), []);
    }

    #[test]
    fn a_shard_that_is_locked_is_not_waited_for() {
        let store = store(&Clock::manual(START));
        let keys = [0u32, 2, 4, 6].map(u32::to_le_bytes);
        let keys: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let locked: Vec<_> = store
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap())
            .collect();
        let ahead = store.look_ahead(0, &keys);
        drop(locked);
        let node = ahead.lock(1).find(&[keys[1]]);
        assert!(node.is_some());
    }
}

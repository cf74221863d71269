//! A full store keeps the items that were stored last, and lets a shard that has become small grow again.

use fastrand::Rng;

use super::*;

const MEMORY: u64 = 8 << 20;

fn store_of(shards: usize, seed: u64) -> Arc<Store> {
    let config = Config {
        memory: MEMORY,
        shards,
        ..Config::default()
    };
    // The same keys in each shard in every run.
    let hasher = ahash::RandomState::with_seeds(seed, 2, 3, 4);
    Arc::new(Store::with_hasher(config, Clock::manual(START), hasher))
}

fn put_value(store: &Arc<Store>, key: &[u8], length: usize) {
    let value = vec![b'v'; length];
    if length < 16 << 10 {
        let entry = Entry {
            value: Some(&[&value]),
            ..Entry::default()
        };
        put(store, &[key], entry).unwrap();
        return;
    }
    let mut reservation = store.reserve_bare(key.len(), length).unwrap();
    reservation.copy(&value);
    assert!(reservation.arrived(length));
    let mut tree = store.lock(0, key);
    let stored = tree.put_received(key, Entry::default(), reservation);
    stored.unwrap();
}

fn remove(store: &Store, key: &[u8]) {
    let mut tree = store.lock(0, key);
    if let Some(node) = tree.peek(&[key]) {
        tree.remove(node);
    }
}

/// Stores, reads and removes two keys a few times, then two others, and so on. Returns how often a value that was stored was
/// not there.
fn lost(store: &Arc<Store>, random: &mut Rng, lengths: &[usize]) -> usize {
    let mut lost = 0;
    for round in 0..3_000u32 {
        let mut is_there = [false; 2];
        for _ in 0..random.usize(2..8) {
            let name = random.usize(0..2);
            let key = [&[name as u8][..], &round.to_be_bytes()].concat();
            match random.u8(0..10) {
                0 => {
                    remove(store, &key);
                    is_there[name] = false;
                }
                1..4 => {
                    let was_there = std::mem::replace(&mut is_there[name], false);
                    if was_there {
                        is_there[name] = get(store, &[&key]).is_some();
                        lost += usize::from(!is_there[name]);
                    }
                }
                _ => {
                    put_value(store, &key, random.choice(lengths).copied().unwrap());
                    is_there[name] = true;
                }
            }
        }
    }
    lost
}

#[test]
fn values_that_were_stored_last_stay_whatever_their_lengths() {
    for seed in 0..4 {
        for lengths in [&[10, 1_000, 5_000][..], &[10, 100, 1_000, 40_000, 65_000]] {
            let store = store_of(16, seed);
            let mut random = Rng::with_seed(seed);
            assert_eq!(lost(&store, &mut random, lengths), 0, "{lengths:?}, {seed}");
            assert!(store.stats().evictions > 0);
            assert!(store.used() <= store.limit());
            store.check();
        }
    }
}

#[test]
fn a_shard_that_has_become_small_grows_again() {
    let store = store_of(4, 1);
    let keys = |shard| {
        let store = &store;
        let all = (0..40_000u32).map(u32::to_be_bytes);
        all.filter(move |key| store.home_of(store.hashed(0, key).hash) == shard)
    };
    let fill = |shard| keys(shard).for_each(|key| put_value(&store, &key, 1_000));
    (0..4).for_each(fill);
    keys(0).for_each(|key| remove(&store, &key));
    (1..4).for_each(fill);
    let footprint = || locked(&store.shards[0]).footprint() as u64;
    let least = MEMORY / 4 / 2 * 9 / 10;
    assert!(footprint() < least / 10);
    fill(0);
    assert!(footprint() > least, "{} bytes", footprint());
    assert!(store.used() <= store.limit());
}

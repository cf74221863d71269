//! A store that refuses writes when it is full.

use super::*;

const MEMORY: u64 = 2 << 20;

/// A store of one shard: of several, one may have room for an item when another has none.
fn full_store() -> (Arc<Store>, u32) {
    full_store_of(1)
}

fn full_store_of(shards: usize) -> (Arc<Store>, u32) {
    let config = Config {
        memory: MEMORY,
        shards,
        when_full: WhenFull::Refuse,
        ..Config::default()
    };
    // The same keys in each shard in every run.
    let hasher = ahash::RandomState::with_seeds(1, 2, 3, 4);
    let store = Arc::new(Store::with_hasher(config, Clock::manual(START), hasher));
    let count = fill(&store, 0);
    (store, count)
}

/// Stores items of 1,000 bytes until one is refused, and returns how many there are.
fn fill(store: &Store, from: u32) -> u32 {
    let mut count = from;
    while store_one(store, count).is_ok() {
        count += 1;
    }
    count
}

fn store_one(store: &Store, number: u32) -> Result<u64, Refused> {
    put(store, &[&number.to_be_bytes()], value(&[&[b'v'; 1000]]))
}

fn remove(store: &Store, number: u32) {
    let key = number.to_be_bytes();
    let mut tree = store.lock(0, &key);
    let node = tree.peek(&[&key]).unwrap();
    tree.remove(node);
}

#[test]
fn a_full_store_keeps_all_items_and_nearly_all_of_its_memory_holds_them() {
    let (store, count) = full_store();
    assert!(u64::from(count) * 1000 > MEMORY * 8 / 10, "{count} items");
    assert!(store.used() <= store.limit());
    assert!((0..count).all(|number| get(&store, &[&number.to_be_bytes()]).is_some()));
    assert_eq!(store.stats().evictions, 0);
    assert_eq!(store_one(&store, count), Err(Refused::OutOfMemory));
}

#[test]
fn a_full_store_takes_values_in_place_of_others_that_are_as_long() {
    let (store, _) = full_store();
    let key = 0u32.to_be_bytes();
    let before = store.used();
    let cas = put(&store, &[&key], value(&[&[b'w'; 1000]])).unwrap();
    assert_eq!(get(&store, &[&key]).unwrap(), [b'w'; 1000]);
    assert_eq!(store.used(), before);
    for (longer, why) in [
        (value(&[&[b'w'; 1100]]), "a longer value"),
        (
            Entry {
                expires_ms: Some(START + 9_000),
                ..value(&[&[b'w'; 1000]])
            },
            "an expiry",
        ),
    ] {
        assert_eq!(
            put(&store, &[&key], longer),
            Err(Refused::OutOfMemory),
            "{why}"
        );
    }
    let mut tree = store.lock(0, &key);
    let node = tree.peek(&[&key]).unwrap();
    let refused = tree.extend_value(node, b"", &[b'x'; 100]);
    assert_eq!(refused, Err(Refused::OutOfMemory));
    assert_eq!(
        tree.item(node).cas(),
        cas,
        "a refused write changes nothing"
    );
    tree.set_value(node, &[&[b'y'; 1000]]).unwrap();
    tree.set_expiry(node, Some(START + 9_000));
    assert_eq!(tree.item(node).value(), Some(&[b'y'; 1000][..]));
}

#[test]
fn the_room_of_removed_items_is_found_for_items_of_other_shards() {
    let (store, count) = full_store_of(4);
    assert!(!store.has_room_for(1, 1000));
    // Every fifth, so that no segment is empty.
    (0..count)
        .step_by(5)
        .for_each(|number| remove(&store, number));
    assert!(store.has_room_for(1, 1000));
    let more = fill(&store, count) - count;
    assert!(more > count / 20, "{more} of {}", count / 5);
    assert!(
        (0..count)
            .all(|number| { get(&store, &[&number.to_be_bytes()]).is_some() == (number % 5 != 0) })
    );
    assert!(store.used() <= store.limit());
}

#[test]
fn a_full_store_that_evicts_again_takes_everything_and_a_lower_limit_evicts_nothing() {
    let (store, count) = full_store();
    store.set_memory(MEMORY / 2);
    assert_eq!(store.stats().evictions, 0);
    assert!(!store.has_room_for(0, 0));
    store.set_when_full(WhenFull::Evict);
    assert!(store.has_room_for(1, 1000));
    store_one(&store, count).unwrap();
    assert!(store.stats().evictions > 0);
    assert!(store.used() <= store.limit());
}

#[test]
fn a_large_value_on_its_way_is_refused_when_the_store_is_full() {
    let (store, count) = full_store();
    let value = [b'x'; 100_000];
    let arrive = |store: &Arc<Store>| {
        let mut reservation = store.reserve_bare(1, value.len()).unwrap();
        reservation.copy(&value);
        let arrived = reservation.arrived(value.len());
        arrived.then(|| {
            store
                .lock(0, b"k")
                .put_received(b"k", Entry::default(), reservation)
                .map(|_| ())
        })
    };
    assert_ne!(arrive(&store), Some(Ok(())));
    assert!(store.used() <= store.limit());
    (0..count / 4).for_each(|number| remove(&store, number));
    assert!(store.has_room_for(1, value.len()));
    assert_eq!(arrive(&store), Some(Ok(())));
    assert_eq!(get(&store, &[b"k"]).unwrap(), value);
    assert!(store.used() <= store.limit());
}

#[test]
fn threads_that_fill_a_store_together_stay_within_its_limit() {
    let config = Config {
        memory: MEMORY,
        when_full: WhenFull::Refuse,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(START));
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let store = &store;
            scope.spawn(move || {
                let mut number = thread << 24;
                while store_one(store, number).is_ok() {
                    assert!(store.used() <= store.limit() + most_aside(store));
                    number += 1;
                }
                assert!((thread << 24..number).all(|n| get(store, &[&n.to_be_bytes()]).is_some()));
            });
        }
    });
    assert!(store.used() <= store.limit());
    assert_eq!(store.stats().evictions, 0);
}

/// Memory that three other threads may have counted a moment before they take it back, because it exceeds the limit.
fn most_aside(store: &Store) -> u64 {
    3 * 4 * store.least_for(1000)
}

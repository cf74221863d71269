//! Flushes of one database beside others, in pieces.

use super::*;

const KEYS: u32 = 3000;

/// A store with thousands of keys in two databases, every other one with a child, and some of them to expire.
fn filled() -> Store {
    let store = store();
    for db in 0..2 {
        fill(&store, db, b"old");
    }
    store
}

fn fill(store: &Store, db: u8, text: &[u8]) {
    for number in 0..KEYS {
        let key = number.to_be_bytes();
        let entry = Entry {
            value: Some(&[text]),
            expires_ms: (number % 3 == 0).then_some(START + 9_000),
            ..Entry::default()
        };
        let mut tree = store.lock(db, &key);
        tree.put(&[&key], entry).unwrap();
        if number % 2 == 0 {
            tree.put(&[&key, b"child"], entry).unwrap();
        }
    }
}

/// How many keys and paths of a database scans show, how many items of it a walk shows, and how many values are found.
fn visible(store: &Store, db: u8, text: &[u8]) -> [usize; 4] {
    let [keys, paths, walked] = shown(store, db);
    let found = (0..KEYS).filter(|number| {
        let key = number.to_be_bytes();
        let mut tree = store.lock(db, &key);
        let node = tree.peek(&[&key]);
        node.is_some_and(|node| tree.item(node).value() == Some(text))
    });
    [keys, paths, walked, found.count()]
}

const ALL: [usize; 4] = [
    KEYS as usize,
    KEYS as usize * 3 / 2,
    KEYS as usize * 3 / 2,
    KEYS as usize,
];

#[test]
fn all_keys_are_gone_at_once_and_removed_in_pieces() {
    let store = filled();
    let key = 7u32.to_be_bytes();
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, &key);
    store.flush(0);
    assert!(store.has_changed(&watcher));
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, &key);
    let mut pieces = 0;
    loop {
        store.check();
        assert_eq!(visible(&store, 0, b"old"), [0; 4]);
        assert_eq!((store.len(0), store.expiring(0)), (0, 0));
        assert_eq!(store.random_key(0), None);
        if !store.sweep_bell.has_detached() {
            break;
        }
        store.free_detached(|| false);
        pieces += 1;
    }
    assert!(pieces > 10, "{pieces}");
    assert!(!store.has_changed(&watcher));
    assert_eq!(visible(&store, 1, b"old"), ALL);
    assert_eq!(store.len(1), KEYS as usize);
    assert_eq!(store.stats().items, u64::from(KEYS) * 3 / 2);
}

#[test]
fn keys_that_are_stored_meanwhile_stay_until_the_next_flush() {
    let store = filled();
    for round in 0..3 {
        store.flush(0);
        // Some pieces, so that new items get slots on both sides.
        let mut pieces = 0;
        store.free_detached(|| {
            pieces += 1;
            pieces < 5 * round
        });
        fill(&store, 0, b"new");
        store.check();
        let key = 4u32.to_be_bytes();
        let mut tree = store.lock(0, &key);
        let node = tree.peek(&[&key]).unwrap();
        tree.remove(node);
        drop(tree);
        let remaining = [ALL[0] - 1, ALL[1] - 2, ALL[2] - 2, ALL[3] - 1];
        assert_eq!(visible(&store, 0, b"new"), remaining);
        assert_eq!(store.len(0), KEYS as usize - 1);
        assert_eq!(store.expiring(0), KEYS as usize / 3);
        if round < 2 {
            continue;
        }
        store.free_detached(|| true);
        store.check();
        assert_eq!(visible(&store, 0, b"new"), remaining);
    }
    store.clock().advance(Duration::from_secs(9));
    store.sweep(usize::MAX);
    store.check();
    assert_eq!(store.expiring(0) + store.expiring(1), 0);
    flush_whole(&store);
    assert_eq!(store.used(), 0);
    assert!(!store.sweep_bell.has_detached());
}

#[test]
fn several_databases_are_flushed_at_once_and_expired_items_of_them_count_once() {
    let store = filled();
    fill(&store, 2, b"old");
    store.flush(0);
    store.flush(1);
    store.clock().advance(Duration::from_secs(9));
    store.sweep(usize::MAX);
    store.check();
    // A third of the keys of the database that is left, half of those with a child.
    assert_eq!(store.stats().expired, u64::from(KEYS) / 3 * 3 / 2);
    store.free_detached(|| true);
    assert_eq!(store.stats().expired, u64::from(KEYS) / 3 * 3 / 2);
    assert_eq!(store.stats().items, u64::from(KEYS));
    store.check();
}

#[test]
fn flushed_items_make_room_before_others_are_evicted() {
    let store = Store::new(
        Config {
            memory: 8 << 20,
            shards: 2,
            ..Config::default()
        },
        Clock::manual(START),
    );
    assert!((0..3000).all(|number| put(&store, 0, number)));
    assert!((0..2500).all(|number| put(&store, 1, number)));
    store.flush(0);
    let large = [b'x'; 400_000];
    for number in 0..6u32 {
        let key = [b"large".as_slice(), &number.to_be_bytes()].concat();
        let entry = Entry {
            value: Some(&[&large]),
            ..Entry::default()
        };
        store.lock(1, &key).put(&[&key], entry).unwrap();
        store.check();
    }
    assert_eq!(store.stats().evictions, 0);
    assert_eq!(store.len(1), 2506);
}

#[test]
fn the_memory_of_a_flushed_store_counts_until_it_is_freed_in_pieces() {
    let store = store();
    assert!((0..30_000).all(|number| put(&store, 0, number)));
    let before = store.used();
    store.flush(0);
    assert_eq!((store.len(0), store.stats().items), (0, 0));
    assert!(store.used() > before / 2, "{} of {before}", store.used());
    let mut pieces = 0;
    let mut left = store.used();
    store.free_detached(|| {
        pieces += 1;
        store.check();
        let taken = left - store.used();
        assert!(taken > 0 && taken < 2 << 20, "{taken}");
        left = store.used();
        true
    });
    assert!(pieces > 5, "{pieces}");
    assert_eq!((store.used(), store.sweep_bell.has_detached()), (0, false));
}

fn put(store: &Store, db: u8, number: u32) -> bool {
    let key = number.to_be_bytes();
    let entry = value(&[&[b'v'; 1000]]);
    store.lock(db, &key).put(&[&key], entry).is_ok()
}

#[test]
fn a_full_store_that_is_flushed_takes_as_much_again_at_once() {
    for when_full in [WhenFull::Evict, WhenFull::Refuse] {
        let store = Store::new(
            Config {
                memory: 32 << 20,
                when_full,
                ..Config::default()
            },
            Clock::manual(START),
        );
        let fits = |number: &u32| put(&store, 0, *number) && store.stats().evictions == 0;
        let first = (0..).take_while(fits).count() as u32;
        for number in 0..3 {
            store.flush_all();
            assert!(store.sweep_bell.has_detached());
            let evicted = store.stats().evictions;
            let again = (0..first * 9 / 10).filter(|key| put(&store, 0, number * first + key));
            assert_eq!(again.count() as u32, first * 9 / 10);
            assert_eq!(store.stats().evictions, evicted);
            assert!(store.used() <= store.limit());
            store.check();
        }
    }
}

//! Trees that are too large to be freed at once.

use super::*;

const FIELDS: u32 = 3000;

fn one_shard(memory: u64, when_full: WhenFull) -> Store {
    let config = Config {
        memory,
        shards: 1,
        when_full,
        ..Config::default()
    };
    Store::new(config, Clock::manual(START))
}

/// Stores many children below a node, in a lock each.
fn put_fields(store: &Store, parent: &[&[u8]], value: &[u8]) {
    for number in 0..FIELDS {
        let name = number.to_be_bytes();
        let path = [parent, &[&name]].concat();
        let entry = Entry {
            value: Some(&[value]),
            ..Entry::default()
        };
        put(store, &path, entry).unwrap();
    }
}

/// A key with a value, a nested node without, and thousands of items below the two.
fn put_tree(store: &Store) {
    put(store, &[b"k"], value(&[b"old"])).unwrap();
    put(store, &[b"k", b"n"], Entry::default()).unwrap();
    put_fields(store, &[b"k", b"n"], b"v");
    put_fields(store, &[b"k"], b"v");
    put(store, &[b"other"], value(&[b"stays"])).unwrap();
}

fn change(store: &Store, path: &[&[u8]], change: impl FnOnce(&mut Tree<'_>, Node)) {
    let mut tree = store.lock(0, path[0]);
    let node = tree.peek(path).unwrap();
    change(&mut tree, node);
}

fn set_new(store: &Store, path: &[&[u8]]) {
    put(store, path, value(&[b"new"])).unwrap();
}

fn expire_top(store: &Store) {
    change(store, &[b"k"], |tree, node| {
        tree.set_expiry(node, Some(START + 1));
    });
    store.clock().advance(Duration::from_millis(1));
}

/// A way in which a tree goes, and what is at the removed path afterwards.
type Removal = (
    &'static str,
    &'static [&'static [u8]],
    fn(&Store),
    Option<&'static [u8]>,
);

const TOP: &[&[u8]] = &[b"k"];
const NESTED: &[&[u8]] = &[b"k", b"n"];

const REMOVALS: &[Removal] = &[
    (
        "a delete of the top",
        TOP,
        |store| change(store, TOP, |tree, node| tree.remove(node)),
        None,
    ),
    (
        "a delete of a nested node",
        NESTED,
        |store| change(store, NESTED, |tree, node| tree.remove(node)),
        None,
    ),
    (
        "a value over the top",
        TOP,
        |store| set_new(store, TOP),
        Some(b"new"),
    ),
    (
        "a value over a nested node",
        NESTED,
        |store| set_new(store, NESTED),
        Some(b"new"),
    ),
    (
        "an expiry that a look-up finds",
        TOP,
        |store| {
            expire_top(store);
            assert_eq!(get(store, TOP), None);
        },
        None,
    ),
    (
        "an expiry that the sweep finds",
        TOP,
        |store| {
            expire_top(store);
            store.sweep(usize::MAX);
        },
        None,
    ),
    (
        "a tree that takes its place",
        TOP,
        |store| {
            put(store, &[b"source"], value(&[b"new"])).unwrap();
            store.rename((0, b"source"), (0, b"k")).unwrap().unwrap();
        },
        Some(b"new"),
    ),
    (
        "a flush beside another database",
        TOP,
        |store| {
            store.lock(1, b"k").put(&[b"k"], value(&[b"1"])).unwrap();
            store.flush(0);
            put(store, &[b"other"], value(&[b"stays"])).unwrap();
        },
        None,
    ),
];

#[test]
fn a_large_tree_is_gone_at_once_however_it_goes_and_its_memory_is_freed_in_pieces() {
    for (what, path, remove, left) in REMOVALS {
        let store = one_shard(64 << 20, WhenFull::Evict);
        put_tree(&store);
        let items = store.stats().items;
        remove(&store);
        assert!(store.sweep_bell.has_detached(), "{what}");
        store.check();
        assert_eq!(get(&store, path).as_deref(), *left, "{what}");
        let name = 7u32.to_be_bytes();
        let below = [*path, &[&name]].concat();
        assert_eq!(get(&store, &below), None, "{what}");
        assert_eq!(
            get(&store, &[b"other"]).as_deref(),
            Some(&b"stays"[..]),
            "{what}"
        );
        // Paths of a nested node's siblings stay.
        let fields = if *path == NESTED { FIELDS as usize } else { 0 };
        let top_stays = left.is_some() || *path == NESTED;
        let nested_stays = *path == NESTED && left.is_some();
        let keys = 1 + usize::from(top_stays);
        let live = keys + fields + usize::from(nested_stays);
        assert_eq!(shown(&store, 0), [keys, live, live], "{what}");
        assert_eq!(store.len(0), keys, "{what}");
        let mut pieces = 0;
        store.free_detached(|| {
            pieces += 1;
            store.check();
            true
        });
        assert!(pieces > 5, "{what}: {pieces}");
        let others = u64::from(what.starts_with("a flush"));
        let stats = store.stats();
        assert_eq!(stats.items, live as u64 + others, "{what}");
        let expired = if what.starts_with("an expiry") {
            items - 1
        } else {
            0
        };
        assert_eq!((stats.expired, stats.evictions), (expired, 0), "{what}");
        for key in [&b"k"[..], b"other"] {
            for db in 0..2 {
                let mut tree = store.lock(db, key);
                let node = tree.peek(&[key]);
                node.into_iter().for_each(|node| tree.remove(node));
            }
        }
        store.free_detached(|| true);
        assert_eq!(store.used(), 0, "{what}");
    }
}

#[test]
fn clients_are_notified_once_when_a_large_tree_goes() {
    for (what, path, remove, _) in REMOVALS {
        let store = one_shard(64 << 20, WhenFull::Evict);
        put_tree(&store);
        let lease = |store: &Store| -> Lease { store.lock(0, b"k").lease(path) };
        let mut watcher = Watcher::default();
        store.watch(&mut watcher, 0, b"k");
        let before = lease(&store);
        remove(&store);
        assert!(store.has_changed(&watcher) && before.is_revoked(), "{what}");
        let mut watcher = Watcher::default();
        store.watch(&mut watcher, 0, b"k");
        let after = lease(&store);
        store.free_detached(|| true);
        assert!(
            !store.has_changed(&watcher) && !after.is_revoked(),
            "{what}"
        );
    }
}

#[test]
fn later_writes_free_a_detached_tree() {
    let store = one_shard(64 << 20, WhenFull::Evict);
    put_tree(&store);
    change(&store, TOP, |tree, node| tree.remove(node));
    for write in 0u32.. {
        put(&store, &[b"other"], value(&[b"new"])).unwrap();
        store.check();
        if !store.sweep_bell.has_detached() {
            break;
        }
        assert!(write < 2 * FIELDS);
    }
    assert_eq!(store.stats().items, 1);
}

#[test]
fn a_sweeper_frees_a_detached_tree_while_nobody_writes() {
    let store = Arc::new(one_shard(64 << 20, WhenFull::Evict));
    let sweeper = Sweeper::start(Arc::clone(&store)).unwrap();
    put_tree(&store);
    change(&store, TOP, |tree, node| tree.remove(node));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while store.stats().items > 1 {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.stats());
        std::thread::yield_now();
    }
    drop(sweeper);
    assert!(!store.sweep_bell.has_detached());
}

/// A store of some megabytes, half of which a detached tree takes and a third other items; and their number.
fn store_with_detached(shards: usize, when_full: WhenFull) -> (Arc<Store>, u32) {
    let config = Config {
        memory: 8 << 20,
        shards,
        when_full,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(START)));
    put(&store, &[b"big"], Entry::default()).unwrap();
    put_fields(&store, &[b"big"], &[b'v'; 1300]);
    let mut live = 0u32;
    let written = |live: u32| put(&store, &[&live.to_be_bytes()], value(&[&[b'v'; 1000]]));
    while store.used() < store.limit() - (512 << 10) {
        written(live).unwrap();
        live += 1;
    }
    assert_eq!(store.stats().evictions, 0);
    change(&store, &[b"big"], |tree, node| tree.remove(node));
    assert!(store.sweep_bell.has_detached());
    (store, live)
}

#[test]
fn nothing_alive_is_evicted_while_a_detached_tree_takes_memory() {
    for shards in [1, 4] {
        let (store, live) = store_with_detached(shards, WhenFull::Evict);
        // Large ones, which need more memory than their writes free on the way.
        for number in 0..6u32 {
            let large = [b'x'; 400_000];
            let key = [b"large".as_slice(), &number.to_be_bytes()].concat();
            let entry = Entry {
                value: Some(&[&large]),
                ..Entry::default()
            };
            put(&store, &[&key], entry).unwrap();
            assert!(store.used() <= store.limit());
            store.check();
        }
        assert_eq!(store.stats().evictions, 0, "{shards} shards");
        assert!((0..live).all(|number| get(&store, &[&number.to_be_bytes()]).is_some()));
    }
}

#[test]
fn a_value_on_its_way_takes_the_memory_of_a_detached_tree() {
    for when_full in [WhenFull::Evict, WhenFull::Refuse] {
        let (store, live) = store_with_detached(4, when_full);
        let large = vec![b'x'; 2_000_000];
        let mut reservation = store.reserve_bare(5, large.len()).unwrap();
        reservation.copy(&large);
        assert!(reservation.arrived(large.len()));
        assert_eq!(store.stats().evictions, 0);
        let mut tree = store.lock(0, b"large");
        tree.put_received(b"large", Entry::default(), reservation)
            .unwrap();
        drop(tree);
        assert!((0..live).all(|number| get(&store, &[&number.to_be_bytes()]).is_some()));
        store.check();
    }
}

#[test]
fn a_store_that_refuses_frees_detached_trees_before_it_refuses() {
    for shards in [1, 4] {
        let (store, live) = store_with_detached(shards, WhenFull::Refuse);
        let large = [b'x'; 400_000];
        for number in 0..6u32 {
            let key = [b"large".as_slice(), &number.to_be_bytes()].concat();
            let entry = Entry {
                value: Some(&[&large]),
                ..Entry::default()
            };
            if number > 2 {
                assert!(store.has_room_for(1, large.len()));
            }
            put(&store, &[&key], entry).unwrap();
            assert!(store.used() <= store.limit());
            store.check();
        }
        assert!((0..live).all(|number| get(&store, &[&number.to_be_bytes()]).is_some()));
    }
}

#[test]
fn evictions_of_a_detached_tree_are_not_reported() {
    let (store, _) = store_with_detached(1, WhenFull::Evict);
    store.observe_evictions(|evicted| panic!("{:?}", evicted.path));
    store.report_evictions(true);
    store.set_memory(5 << 20);
    assert!(store.used() <= store.limit());
    assert_eq!(store.stats().evictions, 0);
}

#[test]
fn a_flush_takes_detached_trees_along() {
    let store = one_shard(64 << 20, WhenFull::Evict);
    put_tree(&store);
    change(&store, TOP, |tree, node| tree.remove(node));
    flush_whole(&store);
    assert_eq!((store.used(), store.sweep_bell.has_detached()), (0, false));
    put_tree(&store);
    store.check();
}

#[test]
fn a_long_chain_is_freed_from_its_end_a_piece_at_a_time() {
    let store = one_shard(64 << 20, WhenFull::Evict);
    let keys: Vec<[u8; 4]> = (0..2000u32).map(u32::to_be_bytes).collect();
    let path: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
    for depth in 1..=path.len() {
        put(&store, &path[..depth], value(&[b"v"])).unwrap();
    }
    change(&store, &path[..2], |tree, node| tree.remove(node));
    assert_eq!(get(&store, &path[..1]).as_deref(), Some(&b"v"[..]));
    let mut pieces = 0;
    store.free_detached(|| {
        pieces += 1;
        store.check();
        true
    });
    assert!(pieces > 5, "{pieces}");
    assert_eq!(store.stats().items, 1);
}

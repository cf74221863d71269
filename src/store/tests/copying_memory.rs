//! Copies in pieces, in a store that has not enough memory for both trees.

use std::sync::atomic::{AtomicU64, Ordering};

use super::copying::{FROM, ORDER, TO, child, whole};
use super::*;
use crate::store::{CopyOrder, CopyState, TreeCopy, WhenFull};

/// A store with a tree of about 1.1 MB.
fn store_with_tree(config: Config) -> Arc<Store> {
    let store = Arc::new(Store::new(config, Clock::manual(START)));
    put(&store, &[FROM], Entry::default()).unwrap();
    for number in 0..1500 {
        put(&store, &[FROM, &child(number)], value(&[&[b'x'; 700]])).unwrap();
    }
    store
}

#[test]
fn a_full_store_that_refuses_keeps_the_tree_and_the_item_with_its_name() {
    let config = Config {
        memory: 2 << 20,
        when_full: WhenFull::Refuse,
        ..Config::default()
    };
    let store = store_with_tree(config);
    put(&store, &[TO], value(&[b"old"])).unwrap();
    let before = whole(&store, 0, FROM);
    let mut copy = TreeCopy::new(&store);
    let done = loop {
        match copy.go_on(&ORDER, false) {
            CopyState::Partial => assert!(store.resident() <= store.memory()),
            CopyState::Done(result) => break result,
        }
    };
    assert_eq!(done, Err(Refused::OutOfMemory));
    assert!(whole(&store, 0, FROM) == before);
    assert_eq!(
        whole(&store, 0, TO).unwrap().value.as_deref(),
        Some(&b"old"[..])
    );
    store.free_detached(|| true);
    store.check();
    put(&store, &[b"new"], value(&[b"there is room"])).unwrap();
}

#[test]
fn a_full_store_that_evicts_stays_within_its_bound() {
    let config = Config {
        memory: 2 << 20,
        ..Config::default()
    };
    let store = store_with_tree(config);
    let mut copy = TreeCopy::new(&store);
    while copy.go_on(&ORDER, false) == CopyState::Partial {
        assert!(store.resident() <= store.memory());
    }
    let [from, to] = [FROM, TO].map(|key| whole(&store, 0, key).unwrap());
    assert!(from.children.len() + to.children.len() > 1000);
    store.check();
}

#[test]
fn evicted_items_of_an_unfinished_copy_are_not_reported() {
    let config = Config {
        memory: 2 << 20,
        shards: 1,
        ..Config::default()
    };
    let store = store_with_tree(config);
    let mut copy = TreeCopy::new(&store);
    while copied(&store) < 500 {
        assert_eq!(copy.go_on(&ORDER, false), CopyState::Partial);
    }
    store.observe_evictions(|evicted| assert_ne!(evicted.path[0], TO));
    store.report_evictions(true);
    let before = copied(&store);
    store.set_memory(1 << 20);
    assert!(copied(&store) < before);
}

/// The number of items that are stored and that no path leads to.
fn copied(store: &Store) -> u64 {
    let mut shown = 0;
    while store.scan_paths(0, 0, usize::MAX, |_, _| shown += 1) != 0 {}
    store.stats().items - shown
}

/// A piece locks the shard of the tree. No thread freed the items that had been removed there, and while they were stored the
/// copy evicted nothing: it exceeded the bound by all of its size.
#[test]
fn a_copy_at_once_keeps_the_bound_beside_a_removed_tree_in_the_shard_of_its_source() {
    let config = Config {
        memory: 8 << 20,
        shards: 2,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(START)));
    let shard_of = |key: &[u8]| store.shard_of(store.hashed(0, key));
    let mut names = (0..).map(child);
    let mut name_in = |shard| names.find(|name| shard_of(name) == shard).unwrap();
    let (from, removed, to) = (name_in(0), name_in(0), name_in(1));
    for (name, fields) in [(&from, 3000), (&removed, 2500)] {
        put(&store, &[name], Entry::default()).unwrap();
        for number in 0..fields {
            put(&store, &[name, &child(number)], value(&[&[b'x'; 1000]])).unwrap();
        }
    }
    while store.used() < store.limit() - (200 << 10) {
        let name = name_in(1);
        put(&store, &[&name], value(&[&[b'y'; 1000]])).unwrap();
    }
    let mut tree = store.lock(0, &removed);
    let node = tree.peek(&[&removed]).unwrap();
    tree.remove(node);
    drop(tree);
    let most = Arc::new(AtomicU64::new(0));
    let (seen, weak) = (Arc::clone(&most), Arc::downgrade(&store));
    store.observe_evictions(move |_| {
        let used = weak.upgrade().unwrap().used();
        seen.fetch_max(used, Ordering::Relaxed);
    });
    store.report_evictions(true);
    let order = CopyOrder {
        from: (0, &from),
        to: (0, &to),
        replaces: true,
    };
    assert_eq!(
        TreeCopy::new(&store).go_on(&order, true),
        CopyState::Done(Ok(true))
    );
    assert!(store.stats().evictions > 0);
    let most = most.load(Ordering::Relaxed);
    assert!(most <= store.limit() + (300 << 10), "{most}");
    store.check();
}

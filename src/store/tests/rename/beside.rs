//! Watches, leases, replies and walks that are under way while a tree is renamed.

use super::*;

#[test]
fn watches_and_leases_of_the_new_name_go_with_it() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    grow(&store, 0, a);
    let mut watchers: [Watcher; 4] = Default::default();
    for (watcher, (db, key)) in watchers.iter_mut().zip([(0, a), (0, b), (1, b), (1, a)]) {
        store.watch(watcher, db, key);
    }
    let leases = [0, 1].map(|db| store.lock(db, b).lease(&[b, b"field"]));
    let changes = |watchers: &[Watcher; 4]| watchers.each_ref().map(|it| store.has_changed(it));
    rename(&store, (0, a), (0, b));
    assert_eq!(changes(&watchers), [true, true, false, false]);
    assert_eq!(leases.each_ref().map(|it| it.is_revoked()), [true, false]);
    // A change of that name in another database, where it lives elsewhere.
    store.lock(1, b).put(&[b], value(&[b"1"])).unwrap();
    assert_eq!(changes(&watchers), [true, true, true, false]);
    assert!(leases[1].is_revoked());
    for watcher in &mut watchers[..3] {
        store.unwatch(watcher);
    }
    store.watch(&mut watchers[1], 0, b);
    // And back.
    for db in [0, 1] {
        let mut tree = store.lock(db, b);
        let node = tree.peek(&[b]).unwrap();
        tree.remove(node);
    }
    assert_eq!(placement(&store, b), None);
    assert_eq!(changes(&watchers), [false, true, false, false]);
    store.unwatch(&mut watchers[1]);
    store.unwatch(&mut watchers[3]);
    store.check();
    let watched = |shard: &std::sync::Mutex<_>| !locked(shard).watched.is_empty();
    assert!(!store.shards.iter().any(watched), "no watch is left over");
}

#[test]
fn an_exchange_of_databases_is_a_change_of_a_renamed_tree_and_of_its_name_in_the_other_one() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    grow(&store, 0, a);
    rename(&store, (0, a), (0, b));
    let keys = [(0, b), (1, b), (2, b), (0, a), (1, a)];
    let mut watchers: [Watcher; 5] = Default::default();
    for (watcher, (db, key)) in watchers.iter_mut().zip(keys) {
        store.watch(watcher, db, key);
    }
    let changes = |watchers: &[Watcher; 5]| watchers.each_ref().map(|it| store.has_changed(it));
    store.swap(0, 1);
    store.check();
    assert_eq!(placement_in(&store, 1, b), Some(0));
    assert_eq!(changes(&watchers), [true, true, false, false, false]);
    for watcher in &mut watchers[..2] {
        store.unwatch(watcher);
    }
    // Watches of the name in both databases, in two shards.
    store.watch(&mut watchers[0], 0, b);
    store.watch(&mut watchers[1], 1, b);
    store.check();
    store.lock(0, b).put(&[b], value(&[b"1"])).unwrap();
    assert_eq!(changes(&watchers), [true, false, false, false, false]);
    let field = [&b[..], &1u32.to_le_bytes()[..]];
    store.lock(1, b).put(&field, value(&[b"1"])).unwrap();
    assert_eq!(changes(&watchers), [true, true, false, false, false]);
    for watcher in &mut watchers {
        store.unwatch(watcher);
    }
    let watched = |shard: &std::sync::Mutex<_>| !locked(shard).watched.is_empty();
    assert!(!store.shards.iter().any(watched), "no watch is left over");
}

#[test]
fn a_large_value_of_the_top_keeps_its_bytes_while_a_reply_is_written_from_it() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    let large: Vec<u8> = (0..2_000_000u32).map(|byte| (byte % 251) as u8).collect();
    put(&store, &[a], value(&[])).unwrap();
    for same_length in [true, false] {
        let mut tree = store.lock(0, a);
        let node = tree.peek(&[a]).unwrap();
        tree.set_value(node, &[&large]).unwrap();
        let shared = tree.share_value(node).unwrap();
        drop(tree);
        let to = if same_length {
            b.clone()
        } else {
            [&b[..], b"!"].concat()
        };
        rename(&store, (0, a), (0, &to));
        assert_eq!(get(&store, &[&to]).as_ref(), Some(&large));
        assert_eq!(shared.as_ref(), large);
        drop(shared);
        rename(&store, (0, &to), (0, a));
        assert_eq!(get(&store, &[a]).as_ref(), Some(&large));
    }
}

#[test]
fn items_that_are_stored_throughout_are_shown_while_trees_are_renamed() {
    let store = sharded();
    let [a, b, c, d] = &names(&store);
    grow(&store, 0, a);
    for number in 0..4_000u32 {
        put(&store, &[&number.to_le_bytes()], value(&[b"v"])).unwrap();
    }
    let mut turns = [a, b, c, d].into_iter().cycle();
    let mut from = turns.next().unwrap();
    let mut walk = Walk::default();
    let mut shown = std::collections::BTreeSet::new();
    loop {
        let more = store.walk(&mut walk, |item, _| {
            if item.depth == 0 && item.key.len() == 4 {
                shown.insert(item.key.to_vec());
            }
            true
        });
        let to = turns.next().unwrap();
        rename(&store, (0, from), (0, to));
        from = to;
        if !more {
            break;
        }
    }
    assert_eq!(shown.len(), 4_000);
}

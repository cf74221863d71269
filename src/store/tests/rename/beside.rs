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
    let leases = [0, 1].map(|db| store.lock(b).lease(db, &[b, b"field"]));
    let changes = |watchers: &[Watcher; 4]| watchers.each_ref().map(|it| store.has_changed(it));
    rename(&store, (0, a), (0, b));
    assert_eq!(changes(&watchers), [true, true, false, false]);
    assert_eq!(leases.each_ref().map(|it| it.is_revoked()), [true, false]);
    // A change in the shard where keys of that name live now.
    store.lock(b).put(1, &[b], value(&[b"1"])).unwrap();
    assert_eq!(changes(&watchers), [true, true, true, false]);
    assert!(leases[1].is_revoked());
    for watcher in &mut watchers[..3] {
        store.unwatch(watcher);
    }
    store.watch(&mut watchers[1], 0, b);
    // And back.
    for db in [0, 1] {
        let mut tree = store.lock(b);
        let node = tree.peek(db, &[b]).unwrap();
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
fn a_large_value_of_the_top_keeps_its_bytes_while_a_reply_is_written_from_it() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    let large: Vec<u8> = (0..2_000_000u32).map(|byte| (byte % 251) as u8).collect();
    put(&store, &[a], value(&[])).unwrap();
    for same_length in [true, false] {
        let mut tree = store.lock(a);
        let node = tree.peek(0, &[a]).unwrap();
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

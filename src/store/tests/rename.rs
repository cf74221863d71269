//! RENAME and MOVE of trees that are too large to be copied.

use super::super::placements::HashedKey;
use super::*;

mod beside;
mod threads;

/// Fields of a tree that is renamed within its shard.
const FIELDS: u32 = 300;

fn sharded() -> Store {
    let config = Config {
        shards: 4,
        ..Config::default()
    };
    Store::new(config, Clock::manual(START))
}

fn home(store: &Store, key: &[u8]) -> usize {
    store.home_of(store.hashed(0, key).hash)
}

fn placement_in(store: &Store, db: u8, key: &[u8]) -> Option<usize> {
    store.placements.get(store.hashed(db, key))
}

fn placement(store: &Store, key: &[u8]) -> Option<usize> {
    placement_in(store, 0, key)
}

/// Names of which each has another shard.
fn names(store: &Store) -> [Vec<u8>; 4] {
    [0, 1, 2, 3].map(|shard| {
        let mut names = (0..u32::MAX).map(|number| format!("name {number}").into_bytes());
        let name = names.find(|name| home(store, name) == shard);
        name.expect("hashes name every shard")
    })
}

fn grow(store: &Store, db: u8, key: &[u8]) {
    let mut tree = store.lock(db, key);
    let top = tree.put(&[key], Entry::default()).unwrap();
    for field in 0..FIELDS {
        let name = field.to_le_bytes();
        tree.put_child(top, &name, value(&[b"v"])).unwrap();
    }
}

/// The number of live fields, all of which are found by their names; `None` if there is no such key.
fn fields(store: &Store, db: u8, key: &[u8]) -> Option<u32> {
    let mut tree = store.lock(db, key);
    let top = tree.peek(&[key])?;
    let names = (0..FIELDS).map(u32::to_le_bytes);
    let found = names.filter(|name| tree.peek(&[key, &name[..]]).is_some());
    let count = found.count();
    assert_eq!(tree.child_count(top), count);
    Some(count as u32)
}

/// The number of stored items, when nothing that was removed is left.
fn items(store: &Store) -> u64 {
    store.free_detached(|| true);
    store.stats().items
}

/// Lets a key expire, which is still stored then.
fn expire(store: &Store, key: &[u8]) {
    let mut tree = store.lock(0, key);
    let node = tree.peek(&[key]).unwrap();
    tree.set_expiry(node, Some(START + 1));
    drop(tree);
    store.clock().advance(Duration::from_millis(1));
}

fn rename(store: &Store, from: (u8, &[u8]), to: (u8, &[u8])) {
    assert_eq!(store.rename(from, to), Some(Ok(())));
    store.check();
}

#[test]
fn a_large_tree_stays_in_its_shard_under_any_name_and_a_small_one_goes_to_that_of_its_name() {
    let store = sharded();
    let [a, b, c, d] = &names(&store);
    grow(&store, 0, a);
    let all = items(&store);
    for (from, to) in [(a, b), (b, c), (c, d), (d, c), (c, a), (a, b)] {
        rename(&store, (0, from), (0, to));
        assert_eq!(placement(&store, to), (to != a).then_some(0));
        assert_eq!(placement(&store, from), None);
        assert_eq!(fields(&store, 0, to), Some(FIELDS));
        assert_eq!(fields(&store, 0, from), None);
        assert_eq!((store.len(0), items(&store)), (1, all));
        assert_eq!(store.random_key(0).as_ref(), Some(to));
    }
    put(&store, &[c], value(&[b"small"])).unwrap();
    rename(&store, (0, c), (0, d));
    assert_eq!(placement(&store, d), None);
    // A large tree in place of a small item, and the reverse.
    rename(&store, (0, b), (0, d));
    assert_eq!((store.len(0), placement(&store, d)), (1, Some(0)));
    put(&store, &[c], value(&[b"small"])).unwrap();
    rename(&store, (0, c), (0, d));
    assert_eq!(get(&store, &[d]).as_deref(), Some(&b"small"[..]));
    assert_eq!((store.len(0), items(&store)), (1, 1));
    flush_whole(&store);
    assert_eq!((store.used(), placement(&store, d)), (0, None));
}

#[test]
fn a_renamed_tree_keeps_its_values_its_expiry_its_flags_and_the_marks_of_its_fields() {
    for large in [false, true] {
        let store = sharded();
        let [a, b, ..] = &names(&store);
        let entry = Entry {
            flags: 7,
            expires_ms: Some(START + 100),
            ..value(&[b"top"])
        };
        put(&store, &[a], entry).unwrap();
        let marks = Marks {
            stale: true,
            base64_key: true,
            ..Marks::default()
        };
        let mut tree = store.lock(0, a);
        let top = tree.peek(&[a]).unwrap();
        for field in 0..if large { FIELDS } else { 3 } {
            let name = field.to_le_bytes();
            let expires_ms = (field == 1).then_some(START + 50);
            let entry = Entry {
                expires_ms,
                ..value(&[b"v"])
            };
            let child = tree.put_child(top, &name, entry).unwrap();
            tree.set_marks(child, marks);
        }
        tree.set_marks(top, marks);
        let top_cas = tree.item(top).cas();
        let child = [&a[..], &2u32.to_le_bytes()[..]];
        tree.find(&[a]).unwrap();
        let node = tree.find(&child).unwrap();
        let child_cas = tree.item(node).cas();
        drop(tree);
        rename(&store, (0, a), (3, b));
        let mut tree = store.lock(3, b);
        let top = tree.peek(&[b]).unwrap();
        let item = tree.item(top);
        assert_eq!(item.value(), Some(&b"top"[..]));
        assert_eq!((item.flags(), item.expires_ms()), (7, Some(START + 100)));
        assert_eq!((item.is_fetched(), item.key()), (true, &b[..]));
        assert!(item.cas() > top_cas);
        let of_top = Marks {
            base64_key: false,
            ..marks
        };
        assert_eq!(item.marks(), of_top, "no client has sent the new name");
        let child = tree.child(top, &2u32.to_le_bytes()).unwrap();
        let item = tree.item(child);
        assert_eq!((item.marks(), item.is_fetched()), (marks, true));
        assert_eq!(item.cas(), child_cas);
        drop(tree);
        assert_eq!((store.expiring(0), store.expiring(3)), (0, 1));
        store.clock().advance(Duration::from_millis(50));
        let live = if large { FIELDS - 1 } else { 2 };
        assert_eq!(fields(&store, 3, b), Some(live));
        store.clock().advance(Duration::from_millis(50));
        store.sweep(usize::MAX);
        assert_eq!((items(&store), store.used()), (0, 0));
        store.check();
    }
}

#[test]
fn a_tree_is_moved_to_another_database_with_all_below_it() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    grow(&store, 0, a);
    rename(&store, (0, a), (2, a));
    assert_eq!(
        (fields(&store, 0, a), fields(&store, 2, a)),
        (None, Some(FIELDS))
    );
    let mut paths = 0;
    let all = 2 * FIELDS as usize;
    assert_eq!(store.scan_paths(0, 0, all, |_, _| paths += 1), 0);
    assert_eq!(paths, 0);
    assert_eq!(store.scan_paths(2, 0, all, |_, _| paths += 1), 0);
    assert_eq!(paths, FIELDS + 1);
    let mut walk = Walk::default();
    while store.walk(&mut walk, |item, _| {
        assert_eq!(item.db, 2);
        paths -= 1;
        true
    }) {}
    assert_eq!(paths, 0);
    rename(&store, (2, a), (1, b));
    store.flush(2);
    store.swap(1, 0);
    assert_eq!(fields(&store, 0, b), Some(FIELDS));
    store.flush(0);
    assert_eq!((items(&store), placement(&store, b)), (0, None));
    store.check();
}

#[test]
fn a_placement_ends_when_nothing_lives_under_the_name() {
    type End = fn(&Store, &[u8]);
    let ends: [(&str, End); 7] = [
        ("a removal", |store, key| {
            let mut tree = store.lock(0, key);
            let node = tree.peek(&[key]).unwrap();
            tree.remove(node);
        }),
        ("a look-up that finds it expired", |store, key| {
            expire(store, key);
            assert_eq!(get(store, &[key]), None);
        }),
        (
            "a rename to its home that finds it expired",
            |store, key| {
                expire(store, key);
                let mut names = (0..u32::MAX).map(|number| format!("other {number}"));
                let name = names.find(|name| home(store, name.as_bytes()) == home(store, key));
                let name = name.expect("hashes name every shard");
                assert_eq!(store.rename((0, key), (0, name.as_bytes())), None);
            },
        ),
        ("a flush", |store, _| store.flush(0)),
        ("another name", |store, key| {
            rename(store, (0, key), (0, &names(store)[2]));
            rename(store, (0, &names(store)[2]), (0, &names(store)[0]));
        }),
        (
            "another key that is renamed, after a sweep",
            |store, key| {
                expire(store, key);
                store.sweep(usize::MAX);
                assert_eq!(placement(store, key), Some(0));
                assert_eq!(store.rename((0, b"none"), (0, b"other")), None);
            },
        ),
        ("a look-up after the memory was taken away", |store, key| {
            store.set_memory(1);
            assert_eq!(placement(store, key), Some(0));
            assert_eq!(get(store, &[key]), None);
        }),
    ];
    for (what, end) in ends {
        let store = sharded();
        let [a, b, ..] = &names(&store);
        grow(&store, 0, a);
        rename(&store, (0, a), (0, b));
        assert_eq!(placement(&store, b), Some(0));
        end(&store, b);
        assert_eq!(placement(&store, b), None, "{what}");
        store.check();
    }
}

#[test]
fn the_same_name_in_another_database_is_no_obstacle_and_stays_where_it_is() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    store.lock(1, b).put(&[b], value(&[b"1"])).unwrap();
    grow(&store, 0, a);
    let stored = store.stats().total_items;
    rename(&store, (0, a), (0, b));
    assert_eq!(placement(&store, b), Some(0));
    assert_eq!(placement_in(&store, 1, b), None);
    assert_eq!(fields(&store, 0, b), Some(FIELDS));
    assert_eq!((store.len(0), store.len(1)), (1, 1));
    rename(&store, (0, b), (0, a));
    assert_eq!(placement(&store, b), None);
    // In place of that item, in the shard where the tree is.
    rename(&store, (0, a), (1, b));
    assert_eq!(placement_in(&store, 1, b), Some(0));
    assert_eq!(fields(&store, 1, b), Some(FIELDS));
    assert_eq!(items(&store), u64::from(FIELDS + 1));
    // An item is stored under that name later.
    store.lock(5, b).put(&[b], value(&[b"5"])).unwrap();
    assert_eq!(placement_in(&store, 5, b), None);
    rename(&store, (1, b), (1, a));
    assert_eq!(placement_in(&store, 1, b), None);
    assert_eq!((store.len(1), store.len(5)), (1, 1));
    assert_eq!(store.stats().total_items, stored + 1, "nothing was copied");
}

#[test]
fn large_trees_have_one_name_in_several_databases_and_each_its_own_shard() {
    let store = sharded();
    let [a, b, c, d] = &names(&store);
    for (db, key) in [(0, a), (1, b), (2, c)] {
        grow(&store, db, key);
    }
    let stored = store.stats().total_items;
    for (db, key) in [(0, a), (1, b), (2, c)] {
        rename(&store, (db, key), (db, d));
    }
    let shards = [0, 1, 2, 3].map(|db| placement_in(&store, db, d));
    assert_eq!(shards, [Some(0), Some(1), Some(2), None]);
    // One in place of another, into a database without the name, and an exchange of databases.
    rename(&store, (1, d), (0, d));
    rename(&store, (2, d), (3, d));
    store.swap(0, 7);
    store.check();
    let found = [0, 1, 2, 3, 7].map(|db| fields(&store, db, d));
    assert_eq!(found, [None, None, None, Some(FIELDS), Some(FIELDS)]);
    assert_eq!(placement_in(&store, 7, d), Some(1));
    assert_eq!(placement_in(&store, 3, d), Some(2));
    assert_eq!(store.stats().total_items, stored, "nothing was copied");
    flush_whole(&store);
    assert_eq!(store.used(), 0);
    assert!(store.placements.keys().is_empty());
}

#[test]
fn placements_that_nothing_needs_make_room_for_others() {
    let store = sharded();
    let [a, b, c, _] = &names(&store);
    let most = store.memory() / (8 << 10);
    for hash in 0..most + 8 {
        store.placements.set(HashedKey { hash, db: 0 }, Some(3));
    }
    grow(&store, 0, a);
    rename(&store, (0, a), (0, b));
    assert_eq!(placement(&store, b), Some(0));
    // Each renamed key has eight of them looked at, and one more if there is no room.
    assert_eq!(store.placements.len() as u64, most);
    rename(&store, (0, b), (0, c));
    assert_eq!(placement(&store, c), Some(0));
    assert_eq!(store.placements.len() as u64, most - 8);
    store.flush_all();
    assert!(store.placements.keys().is_empty());
}

#[test]
fn at_the_most_placements_small_trees_go_home_and_a_large_one_is_not_copied() {
    let config = Config {
        shards: 4,
        memory: 2 << 20,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(START));
    let most = (2 << 20) / (8 << 10);
    let [a, b, ..] = &names(&store);
    let elsewhere = (0..u32::MAX).map(|number| format!("tree {number}").into_bytes());
    let elsewhere: Vec<Vec<u8>> = elsewhere
        .filter(|name| home(&store, name) != 0)
        .take(most + most / 2)
        .collect();
    for name in &elsewhere {
        grow(&store, 0, a);
        rename(&store, (0, a), (0, name));
        let mut tree = store.lock(0, name);
        let top = tree.peek(&[name]).unwrap();
        for node in tree.children(top).split_off(1) {
            tree.remove(node);
        }
        drop(tree);
        assert!(store.placements.len() <= most);
    }
    assert_eq!(store.len(0), elsewhere.len());
    assert_eq!(store.stats().evictions, 0);
    assert!(
        elsewhere
            .iter()
            .all(|name| fields(&store, 0, name) == Some(1))
    );
    grow(&store, 0, a);
    assert!(store.placements.len() >= most - 8);
    let stored = store.stats().total_items;
    rename(&store, (0, a), (0, b));
    let copied = store.stats().total_items - stored;
    assert!(copied < 64, "{copied}");
    assert_eq!(placement(&store, b), Some(0));
}

#[test]
fn a_name_that_is_too_long_leaves_the_tree_where_it_was() {
    let store = sharded();
    let [a, b, ..] = &names(&store);
    grow(&store, 0, a);
    put(&store, &[b], value(&[b"1"])).unwrap();
    let long = vec![b'x'; store.max_item_size() + 1];
    assert_eq!(
        store.rename((0, a), (0, &long)),
        Some(Err(Refused::TooLarge))
    );
    assert_eq!(
        store.rename((0, b), (0, &long)),
        Some(Err(Refused::TooLarge))
    );
    assert_eq!(fields(&store, 0, a), Some(FIELDS));
    assert_eq!(store.rename((0, a), (0, a)), Some(Ok(())));
    assert_eq!(store.rename((0, b"none"), (0, b"none")), None);
    store.check();
}

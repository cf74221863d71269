//! The store as its users see it, one behaviour a test.

use std::sync::Arc;
use std::time::Duration;

use super::shards::locked;
use super::*;

mod children_read;
mod copying;
mod copying_beside;
mod copying_memory;
mod detached;
mod flushed;
mod memory;
mod model;
mod newest;
mod rename;
mod scan;
mod watch;
mod when_full;

const START: u64 = 1_700_000_000_000;

fn store() -> Store {
    Store::new(
        Config {
            shards: 2,
            ..Config::default()
        },
        Clock::manual(START),
    )
}

fn value(parts: &'static [&'static [u8]]) -> Entry<'static> {
    Entry {
        value: Some(parts),
        ..Entry::default()
    }
}

fn put(store: &Store, path: &[&[u8]], entry: Entry<'_>) -> Result<u64, Refused> {
    let mut tree = store.lock(0, path[0]);
    let node = tree.put(path, entry)?;
    Ok(tree.item(node).cas())
}

fn get(store: &Store, path: &[&[u8]]) -> Option<Vec<u8>> {
    let mut tree = store.lock(0, path[0]);
    let node = tree.find(path)?;
    tree.item(node).value().map(<[u8]>::to_vec)
}

fn cas(store: &Store, path: &[&[u8]]) -> u64 {
    let mut tree = store.lock(0, path[0]);
    tree.peek(path).map_or(0, |node| tree.item(node).cas())
}

/// How many keys and how many paths of a database scans show, and how many of its items a walk shows.
fn shown(store: &Store, db: u8) -> [usize; 3] {
    let (mut keys, mut paths, mut walked) = (0, 0, 0);
    assert_eq!(store.scan(db, 0, usize::MAX, |_| keys += 1), 0);
    assert_eq!(store.scan_paths(db, 0, usize::MAX, |_, _| paths += 1), 0);
    let mut walk = Walk::default();
    while store.walk(&mut walk, |item, _| {
        walked += usize::from(item.db == db);
        true
    }) {}
    [keys, paths, walked]
}

/// Removes everything, and gives the memory back.
fn flush_whole(store: &Store) {
    store.flush_all();
    store.free_detached(|| true);
}

#[test]
fn a_value_put_under_a_path_is_found_there() {
    let store = store();
    put(&store, &[b"user"], value(&[b"a", b"b"])).unwrap();
    put(&store, &[b"user", b"name"], value(&[b"Ada"])).unwrap();
    assert_eq!(get(&store, &[b"user"]).as_deref(), Some(&b"ab"[..]));
    assert_eq!(
        get(&store, &[b"user", b"name"]).as_deref(),
        Some(&b"Ada"[..])
    );
    assert_eq!(get(&store, &[b"name"]), None);
    assert_eq!(
        put(&store, &[b"no", b"name"], value(&[b""])),
        Err(Refused::NoParent)
    );
    let stats = store.stats();
    assert_eq!(
        (stats.hits, stats.misses, stats.items, stats.total_items),
        (2, 1, 2, 2)
    );
}

#[test]
fn an_item_is_gone_in_the_millisecond_in_which_it_expires_and_its_children_with_it() {
    let store = store();
    let expires_ms = Some(START + 100);
    put(
        &store,
        &[b"a"],
        Entry {
            expires_ms,
            ..value(&[b"1"])
        },
    )
    .unwrap();
    put(&store, &[b"a", b"b"], value(&[b"2"])).unwrap();
    store.clock().advance(Duration::from_millis(99));
    assert!(get(&store, &[b"a", b"b"]).is_some());
    store.clock().advance(Duration::from_millis(1));
    assert_eq!(get(&store, &[b"a", b"b"]), None);
    assert_eq!((store.stats().expired, store.used()), (2, 0));
}

#[test]
fn replacing_a_node_drops_its_subtree_and_a_new_value_does_not() {
    let store = store();
    put(&store, &[b"a"], value(&[b"1"])).unwrap();
    put(&store, &[b"a", b"b"], value(&[b"2"])).unwrap();
    {
        let mut tree = store.lock(0, b"a");
        let node = tree.peek(&[b"a"]).unwrap();
        tree.set_value(node, &[b"x", b"yz"]).unwrap();
        tree.extend_value(node, b"<", b">").unwrap();
    }
    assert_eq!(get(&store, &[b"a"]).as_deref(), Some(&b"<xyz>"[..]));
    assert!(get(&store, &[b"a", b"b"]).is_some());
    put(&store, &[b"a"], value(&[b"3"])).unwrap();
    assert_eq!(get(&store, &[b"a", b"b"]), None);
    assert_eq!(get(&store, &[b"a"]).as_deref(), Some(&b"3"[..]));
}

#[test]
fn a_change_below_gives_all_above_it_new_cas_numbers() {
    let store = store();
    let mut seen = vec![put(&store, &[b"a"], value(&[b"1"])).unwrap()];
    for change in 0..3 {
        match change {
            0 => drop(put(&store, &[b"a", b"b"], value(&[b"2"]))),
            1 => drop(put(&store, &[b"a", b"b", b"c"], value(&[b"3"]))),
            _ => {
                let mut tree = store.lock(0, b"a");
                let node = tree.peek(&[b"a", b"b", b"c"]).unwrap();
                tree.remove(node);
            }
        }
        let now = cas(&store, &[b"a"]);
        assert!(now > *seen.last().unwrap());
        assert_ne!(now, cas(&store, &[b"a", b"b"]));
        seen.push(now);
    }
}

#[test]
fn a_node_without_value_goes_with_its_last_child() {
    let store = store();
    put(&store, &[b"h"], Entry::default()).unwrap();
    put(&store, &[b"h", b"f"], value(&[b"1"])).unwrap();
    {
        let mut tree = store.lock(0, b"h");
        let node = tree.peek(&[b"h"]).unwrap();
        assert_eq!((tree.child_count(node), tree.item(node).value()), (1, None));
        let child = tree.child(node, b"f").unwrap();
        tree.remove(child);
    }
    assert_eq!(
        (cas(&store, &[b"h"]), store.len(0), store.used()),
        (0, 0, 0)
    );
}

#[test]
fn an_item_larger_than_allowed_is_refused_and_nothing_changes() {
    let store = store();
    store.set_max_item_size(10);
    let before = put(&store, &[b"k"], value(&[b"123456789"])).unwrap();
    assert_eq!(
        put(&store, &[b"k"], value(&[b"1234567890"])),
        Err(Refused::TooLarge)
    );
    assert_eq!(cas(&store, &[b"k"]), before);
}

#[test]
fn a_tree_a_thousand_deep_is_copied_and_removed() {
    let store = Arc::new(store());
    let keys: Vec<Vec<u8>> = (0..1000u32)
        .map(|depth| depth.to_string().into_bytes())
        .collect();
    let path: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    for depth in 1..=path.len() {
        put(&store, &path[..depth], value(&[b"v"])).unwrap();
    }
    let order = CopyOrder {
        from: (0, b"0"),
        to: (3, b"0"),
        replaces: false,
    };
    let copied = TreeCopy::new(&store).go_on(&order, true);
    assert_eq!(copied, CopyState::Done(Ok(true)));
    store.flush(0);
    store.free_detached(|| true);
    assert_eq!(store.stats().items, 1000);
    let mut tree = store.lock(3, b"0");
    let bottom = tree.find(&path).unwrap();
    assert_eq!(tree.item(bottom).value(), Some(&b"v"[..]));
    drop(tree);
    flush_whole(&store);
    assert_eq!((store.used(), store.len(3)), (0, 0));
}

#[test]
fn a_flush_set_for_later_removes_items_stored_before_its_time_and_none_stored_after() {
    let store = store();
    store.flush_at(0, START + 1000);
    put(&store, &[b"before"], value(&[b"1"])).unwrap();
    store.clock().advance(Duration::from_millis(999));
    assert!(get(&store, &[b"before"]).is_some());
    store.clock().advance(Duration::from_millis(1));
    put(&store, &[b"after"], value(&[b"1"])).unwrap();
    assert_eq!(get(&store, &[b"before"]), None);
    assert!(get(&store, &[b"after"]).is_some());
}

#[test]
fn databases_are_apart_and_can_be_swapped() {
    let store = store();
    put(&store, &[b"k"], value(&[b"0"])).unwrap();
    assert_eq!((store.len(0), store.len(1)), (1, 0));
    store.swap(0, 1);
    assert_eq!((store.len(0), store.len(1)), (0, 1));
    assert_eq!(get(&store, &[b"k"]), None);
    store.flush(0);
    assert_eq!(store.len(1), 1);
    store.flush(1);
    assert_eq!(store.used(), 0);
}

#[test]
fn threads_that_write_read_and_flush_leave_the_account_whole() {
    let config = Config {
        memory: 1 << 20,
        shards: 4,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(START));
    std::thread::scope(|scope| {
        for thread in 0..4u32 {
            let store = &store;
            scope.spawn(move || {
                for round in 0..5_000u32 {
                    let name = ((round * 7 + thread) % 997).to_le_bytes();
                    let length = (round % 2000) as usize;
                    match round % 5 {
                        0 | 1 => drop(put(
                            store,
                            &[&name],
                            Entry {
                                value: Some(&[&[7; 2000][..length]]),
                                expires_ms: (round % 3 == 0).then_some(START + u64::from(round)),
                                ..Entry::default()
                            },
                        )),
                        2 => drop(put(store, &[&name, b"child"], value(&[b"v"]))),
                        3 => drop(store.lock(0, &name).find(&[&name, b"child"])),
                        _ => drop(store.clock().advance(Duration::from_millis(1))),
                    }
                    if round % 1000 == 999 {
                        store.sweep(100);
                    }
                }
                if thread == 0 {
                    store.flush_all();
                }
            });
        }
    });
    assert!(store.used() <= store.memory());
    let shards = store
        .shards
        .iter()
        .map(|shard| locked(shard).settled as u64);
    assert_eq!(shards.sum::<u64>(), store.used());
    store.shards.iter().for_each(|shard| locked(shard).check());
    flush_whole(&store);
    assert_eq!(store.used(), 0);
}

#[test]
fn a_sweeper_frees_expired_items_that_no_client_reads_and_stops_when_dropped() {
    let store = Arc::new(store());
    let expires_ms = Some(START + 1);
    for i in 0..1000u32 {
        put(
            &store,
            &[&i.to_le_bytes()],
            Entry {
                expires_ms,
                ..value(&[b"v"])
            },
        )
        .unwrap();
    }
    store.clock().advance(Duration::from_millis(1));
    let sweeper = Sweeper::start(Arc::clone(&store)).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while store.used() > 0 {
        assert!(
            std::time::Instant::now() < deadline,
            "{} bytes left",
            store.used()
        );
        std::thread::yield_now();
    }
    drop(sweeper);
    assert_eq!(
        (Arc::strong_count(&store), store.stats().expired),
        (1, 1000)
    );
}

#[test]
fn items_that_were_read_outlive_items_that_were_not() {
    let config = Config {
        memory: 256 << 10,
        shards: 1,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(START));
    for i in 0..5000u32 {
        put(
            &store,
            &[&i.to_le_bytes()],
            value(&[b"a value of some length"]),
        )
        .unwrap();
        assert!(
            i < 100 || get(&store, &[&(i % 100).to_le_bytes()]).is_some(),
            "{i}"
        );
        if i < 100 {
            get(&store, &[&i.to_le_bytes()]);
        }
    }
    assert!(store.stats().evictions > 1000);
}

/// The second flush used to replace the first one, which was due but not performed yet.
#[test]
fn a_flush_whose_time_has_come_is_carried_out_before_another_is_set() {
    let store = store();
    put(&store, &[b"k"], value(&[b"1"])).unwrap();
    store.flush_at(0, START + 1);
    store.clock().advance(Duration::from_millis(1));
    store.flush_at(0, START + 100);
    assert_eq!(get(&store, &[b"k"]), None);
}

/// Otherwise a client could choose keys that collide in everybody's table.
#[test]
fn each_store_hashes_with_keys_of_its_own() {
    let hash = || store().hasher.hash_one("key");
    assert_ne!(hash(), hash());
}

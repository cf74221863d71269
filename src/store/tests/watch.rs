//! The changes that end a watch, and those that don't.

use super::*;

mod look;

/// A key or two, one of them with a child, an action of another client, and whether it counts as a change of `k`.
type Case = (&'static str, fn(&Store), fn(&Store), bool);

fn nothing(_: &Store) {}

fn set(store: &Store) {
    put(store, &[b"k"], value(&[b"1"])).unwrap();
}

fn set_with_child(store: &Store) {
    set(store);
    put(store, &[b"k", b"child"], value(&[b"1"])).unwrap();
}

fn set_with_child_to_expire(store: &Store) {
    set(store);
    let entry = Entry {
        expires_ms: Some(START + 10),
        ..value(&[b"1"])
    };
    put(store, &[b"k", b"child"], entry).unwrap();
}

fn set_to_expire(store: &Store) {
    let expires_ms = Some(START + 10);
    let entry = Entry {
        expires_ms,
        ..value(&[b"1"])
    };
    put(store, &[b"k"], entry).unwrap();
}

fn with_node(store: &Store, path: &[&[u8]], change: impl FnOnce(&mut Tree<'_>, Node)) {
    let mut tree = store.lock(0, path[0]);
    let node = tree.peek(path).unwrap();
    change(&mut tree, node);
}

fn remove(store: &Store) {
    with_node(store, &[b"k"], |tree, node| tree.remove(node));
}

fn pass_ten_ms(store: &Store) {
    store.clock().advance(Duration::from_millis(10));
}

const CASES: &[Case] = &[
    ("nothing", set, nothing, false),
    ("a read", set, |store| drop(get(store, &[b"k"])), false),
    (
        "another key",
        set,
        |store| {
            let _ = put(store, &[b"l"], value(&[b"1"]));
        },
        false,
    ),
    (
        "another key of that length and last byte",
        set,
        |store| {
            let _ = put(store, &[b"+"], value(&[b"1"]));
        },
        false,
    ),
    (
        "the same key in another database",
        set,
        |store| {
            let _ = store.lock(1, b"k").put(&[b"k"], value(&[b"1"]));
        },
        false,
    ),
    ("a change", set, set, true),
    (
        "absent, present, absent",
        nothing,
        |store| {
            set(store);
            remove(store)
        },
        true,
    ),
    (
        "present, absent, present",
        set,
        |store| {
            remove(store);
            set(store)
        },
        true,
    ),
    ("expiry", set_to_expire, pass_ten_ms, true),
    (
        "expiry before the watch",
        |store| {
            set_to_expire(store);
            pass_ten_ms(store)
        },
        |store| {
            let _ = store.sweep(usize::MAX);
        },
        false,
    ),
    (
        "expiry found by the sweep",
        set_to_expire,
        |store| {
            pass_ten_ms(store);
            store.sweep(usize::MAX);
        },
        true,
    ),
    (
        "expiry of a child",
        set_with_child_to_expire,
        pass_ten_ms,
        true,
    ),
    (
        "expiry of a child found by the sweep",
        set_with_child_to_expire,
        |store| {
            pass_ten_ms(store);
            store.sweep(usize::MAX);
        },
        true,
    ),
    (
        "expiry of a child before the watch",
        |store| {
            set_with_child_to_expire(store);
            pass_ten_ms(store)
        },
        |store| {
            let _ = store.sweep(usize::MAX);
        },
        false,
    ),
    (
        "a child that expired before the watch, stored again",
        |store| {
            set_with_child_to_expire(store);
            pass_ten_ms(store)
        },
        |store| _ = put(store, &[b"k", b"child"], value(&[b"1"])),
        true,
    ),
    (
        "a new expiry",
        set,
        |store| {
            with_node(store, &[b"k"], |tree, node| {
                tree.set_expiry(node, Some(START + 99))
            })
        },
        true,
    ),
    (
        "new flags",
        set,
        |store| with_node(store, &[b"k"], |tree, node| tree.set_flags(node, 7)),
        true,
    ),
    (
        "a child removed",
        set_with_child,
        |store| with_node(store, &[b"k", b"child"], |tree, node| tree.remove(node)),
        true,
    ),
    (
        "a child's new expiry",
        set_with_child,
        |store| {
            with_node(store, &[b"k", b"child"], |tree, node| {
                tree.set_expiry(node, Some(START + 99))
            })
        },
        true,
    ),
    (
        "renamed and renamed back",
        set,
        |store| {
            store.rename((0, b"k"), (0, b"other")).unwrap().unwrap();
            store.rename((0, b"other"), (0, b"k")).unwrap().unwrap();
        },
        true,
    ),
    ("a flush of the key", set, |store| store.flush(0), true),
    (
        "a flush without the key",
        nothing,
        |store| store.flush(0),
        false,
    ),
    (
        "a flush of another database",
        set,
        |store| store.flush(1),
        false,
    ),
    (
        "a flush set for later",
        set,
        |store| {
            store.flush_at(0, START + 10);
            pass_ten_ms(store)
        },
        true,
    ),
    (
        "a flush, then the key again",
        set,
        |store| {
            store.flush_all();
            set(store)
        },
        true,
    ),
    (
        "two exchanges of databases",
        set,
        |store| {
            store.swap(0, 1);
            store.swap(0, 1)
        },
        true,
    ),
    (
        "an exchange without the key",
        nothing,
        |store| store.swap(0, 1),
        false,
    ),
    (
        "a change after an exchange without the key",
        nothing,
        |store| {
            store.swap(0, 1);
            set(store)
        },
        true,
    ),
    (
        "an exchange of other databases",
        set,
        |store| store.swap(1, 2),
        false,
    ),
];

#[test]
fn every_change_of_a_watched_key_is_noticed_and_no_other() {
    for (name, before, action, changed) in CASES {
        let store = store();
        before(&store);
        let mut watcher = Watcher::default();
        store.watch(&mut watcher, 0, b"k");
        assert!(!store.has_changed(&watcher), "{name}: just watched");
        action(&store);
        assert_eq!(store.has_changed(&watcher), *changed, "{name}");
        store.unwatch(&mut watcher);
        set(&store);
        assert!(!store.has_changed(&watcher), "{name}: no longer watched");
        let watched = |shard| !locked(shard).watched.is_empty();
        assert!(!store.shards.iter().any(watched), "{name}: nothing is left");
    }
}

#[test]
fn eviction_of_a_watched_key_is_a_change() {
    let store = Store::new(
        Config {
            memory: 256 << 10,
            shards: 1,
            ..Config::default()
        },
        Clock::manual(START),
    );
    set(&store);
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, b"k");
    for i in 0..100_000u32 {
        // They are used, so that they end their probation and others have to go.
        for _ in 0..2 {
            put(&store, &[&i.to_le_bytes()], value(&[&[7; 100]])).unwrap();
        }
        if store.has_changed(&watcher) {
            return;
        }
    }
    panic!("the watched key was not evicted");
}

#[test]
fn dropped_watchers_are_removed() {
    let store = store();
    let mut kept = Watcher::default();
    store.watch(&mut kept, 0, b"k");
    for _ in 0..1000 {
        store.watch(&mut Watcher::default(), 0, b"k");
    }
    set(&store);
    assert!(store.has_changed(&kept));
    assert!(
        store
            .shards
            .iter()
            .all(|shard| locked(shard).watched.is_empty())
    );
}

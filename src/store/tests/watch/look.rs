//! The look for children of watched keys that have expired, while others write between its pieces.

use super::*;

/// A store with a key of 5,000 children, and a watch of it. Each fiftieth has expired before the watch began; the one behind it
/// expires 10 ms later.
fn watched_children() -> (Store, Watcher) {
    let store = store();
    put(&store, &[b"k"], Entry::default()).unwrap();
    for number in 0..5000u64 {
        let life = [Some(10), Some(20)].get(number as usize % 50).copied();
        let entry = Entry {
            expires_ms: life.flatten().map(|life| START + life),
            ..value(&[b"v"])
        };
        put(&store, &[b"k", &number.to_le_bytes()], entry).unwrap();
    }
    pass_ten_ms(&store);
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, b"k");
    assert_eq!(store.stats().expired, 0, "a watch looks at no child");
    (store, watcher)
}

/// Looks for a change, and calls `between` after each piece but the last. Returns the number of those, too.
fn look(store: &Store, watcher: &Watcher, mut between: impl FnMut(usize)) -> (bool, usize) {
    let mut look = WatchLook::default();
    for pieces in 0..1000 {
        if let Some(changed) = store.look_for_change(watcher, &mut look) {
            return (changed, pieces);
        }
        between(pieces);
    }
    panic!("the look has no end");
}

#[test]
fn the_look_for_children_that_have_expired_is_done_in_pieces() {
    let (store, watcher) = watched_children();
    let (changed, pieces) = look(&store, &watcher, |_| _ = store.sweep(10));
    assert!(!changed);
    assert!((9..20).contains(&pieces), "{pieces}");
    assert_eq!(store.stats().expired, 100);
    assert_eq!(look(&store, &watcher, |_| {}), (false, 0));
    pass_ten_ms(&store);
    assert_eq!(look(&store, &watcher, |_| {}), (true, 0));
    store.check();
}

#[test]
fn a_change_between_two_pieces_of_the_look_is_noticed() {
    type Change = fn(&Store);
    let changes: [(&str, Change, bool); 5] = [
        ("expiry of children that were looked at", pass_ten_ms, true),
        (
            "expiry found by the sweep",
            |store| {
                pass_ten_ms(store);
                store.sweep(usize::MAX);
            },
            true,
        ),
        (
            "a new value",
            |store| _ = put(store, &[b"k", &4990u64.to_le_bytes()], value(&[b"new"])),
            true,
        ),
        (
            "a removal",
            |store| with_node(store, &[b"k"], |tree, node| tree.remove(node)),
            true,
        ),
        (
            "a removal of what had expired",
            |store| _ = store.sweep(usize::MAX),
            false,
        ),
    ];
    for (what, change, expected) in changes {
        for at in [0, 4, 8] {
            let (store, watcher) = watched_children();
            let (changed, _) = look(&store, &watcher, |pieces| {
                if pieces == at {
                    change(&store);
                }
            });
            assert_eq!(changed, expected, "{what}, after piece {at}");
        }
    }
}

#[test]
fn a_child_that_expires_after_it_was_looked_at_is_noticed() {
    let store = store();
    put(&store, &[b"k"], Entry::default()).unwrap();
    for number in 0..3000u64 {
        let expires_ms = match number {
            0 => Some(START + 10),
            2999 => Some(START + 20),
            _ => None,
        };
        let entry = Entry {
            expires_ms,
            ..value(&[b"v"])
        };
        put(&store, &[b"k", &number.to_le_bytes()], entry).unwrap();
    }
    pass_ten_ms(&store);
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, b"k");
    let (changed, pieces) = look(&store, &watcher, |pieces| {
        if pieces == 3 {
            pass_ten_ms(&store);
        }
    });
    assert!(changed && pieces >= 5, "{changed} {pieces}");
}

#[test]
fn the_look_at_many_keys_is_done_in_pieces() {
    let store = store();
    let mut watcher = Watcher::default();
    for number in 0..2000u32 {
        store.watch(&mut watcher, 0, &number.to_le_bytes());
    }
    let (changed, pieces) = look(&store, &watcher, |_| {});
    assert!(!changed);
    assert_eq!(pieces, 3);
}

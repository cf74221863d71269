//! Copies in pieces, while others write.

use std::sync::atomic::Ordering;

use super::*;
use crate::store::{CopyOrder, CopyState, TreeCopy, Watcher};
use proptest::prelude::*;

pub(super) const FROM: &[u8] = b"from";
pub(super) const TO: &[u8] = b"to";
pub(super) const ORDER: CopyOrder<'_> = CopyOrder {
    from: (0, FROM),
    to: (0, TO),
    replaces: true,
};

/// A node with all below it, sorted by keys.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) value: Option<Vec<u8>>,
    flags: u32,
    expires_ms: Option<u64>,
    pub(super) children: Vec<(Vec<u8>, Whole)>,
}

fn whole_below(tree: &mut Tree<'_>, node: Node) -> Whole {
    let item = tree.item(node);
    let mut whole = Whole {
        value: item.value().map(<[u8]>::to_vec),
        flags: item.flags(),
        expires_ms: item.expires_ms(),
        children: Vec::new(),
    };
    for child in tree.children(node) {
        let key = tree.item(child).key().to_vec();
        whole.children.push((key, whole_below(tree, child)));
    }
    whole.children.sort_by(|a, b| a.0.cmp(&b.0));
    whole
}

pub(super) fn whole(store: &Store, db: u8, key: &[u8]) -> Option<Whole> {
    let mut tree = store.lock(db, key);
    let node = tree.peek(&[key])?;
    Some(whole_below(&mut tree, node))
}

pub(super) fn child(number: usize) -> Vec<u8> {
    format!("child{number}").into_bytes()
}

/// A tree: each tenth child has ten children, and the last one has as many as the top.
pub(super) fn tree_of(children: usize) -> Arc<Store> {
    let store = Arc::new(store());
    fill(&store, children);
    store
}

pub(super) fn fill(store: &Store, children: usize) {
    put(store, &[FROM], Entry::default()).unwrap();
    for number in 0..children {
        let name = child(number);
        put(store, &[FROM, &name], value(&[b"first"])).unwrap();
        let below = match number {
            _ if number + 1 == children => children,
            _ if number % 10 == 0 => 10,
            _ => 0,
        };
        for number in 0..below {
            put(store, &[FROM, &name, &child(number)], value(&[b"below"])).unwrap();
        }
    }
}

pub(super) fn is_there(store: &Store, db: u8, key: &[u8]) -> bool {
    store.lock(db, key).peek(&[key]).is_some()
}

#[test]
fn a_copy_in_pieces_is_the_tree_and_there_is_none_before_the_last_piece() {
    for children in [1, 120, 128, 129, 1000] {
        let store = tree_of(children);
        let mut copy = TreeCopy::new(&store);
        while copy.go_on(&ORDER, false) == CopyState::Partial {
            assert!(!is_there(&store, 0, TO));
            let mut shown = 0;
            while store.scan(0, 0, usize::MAX, |_| shown += 1) != 0 {}
            assert_eq!((shown, store.len(0)), (1, 1));
            assert_eq!(store.random_key(0).as_deref(), Some(FROM));
            store.check();
        }
        assert!(whole(&store, 0, TO) == whole(&store, 0, FROM), "{children}");
        assert_eq!(store.len(0), 2);
        drop(copy);
        store.check();
        for shard in &store.shards {
            assert!(locked(shard).copies.is_empty());
        }
    }
}

#[test]
fn an_item_that_is_there_is_replaced_only_if_it_may_be() {
    let store = tree_of(1000);
    let keeps = CopyOrder {
        replaces: false,
        ..ORDER
    };
    let mut copy = TreeCopy::new(&store);
    assert_eq!(copy.go_on(&keeps, false), CopyState::Partial);
    put(&store, &[TO], value(&[b"came meanwhile"])).unwrap();
    while copy.go_on(&keeps, false) == CopyState::Partial {}
    assert_eq!(copy.go_on(&keeps, false), CopyState::Done(Ok(false)));
    assert_eq!(
        whole(&store, 0, TO).unwrap().value.as_deref(),
        Some(&b"came meanwhile"[..])
    );
    assert_eq!(copy.go_on(&ORDER, true), CopyState::Done(Ok(true)));
    assert!(whole(&store, 0, TO) == whole(&store, 0, FROM));
    store.check();
}

#[test]
fn a_copy_that_is_dropped_leaves_nothing() {
    let store = tree_of(3000);
    store.free_detached(|| true);
    let before = (store.stats().items, store.used());
    let mut copy = TreeCopy::new(&store);
    for _ in 0..20 {
        assert_eq!(copy.go_on(&ORDER, false), CopyState::Partial);
    }
    assert!(store.stats().items > before.0);
    drop(copy);
    store.check();
    store.free_detached(|| true);
    assert_eq!(store.stats().items, before.0);
    for shard in &store.shards {
        assert!(locked(shard).copies.is_empty());
    }
    store.check();
}

#[test]
fn a_watched_name_changes_when_the_copy_is_attached_and_not_before() {
    let store = tree_of(1000);
    let mut watcher = Watcher::default();
    store.watch(&mut watcher, 0, TO);
    let mut copy = TreeCopy::new(&store);
    while copy.go_on(&ORDER, false) == CopyState::Partial {
        assert!(!watcher.flag().upgrade().unwrap().load(Ordering::Acquire));
    }
    assert!(store.has_changed(&watcher));
}

#[test]
fn a_copy_begins_anew_if_its_tree_or_what_was_copied_goes_away() {
    type Change = fn(&Store);
    let fill_again: Change = |store| fill(store, 300);
    let changes: [(&str, Change); 8] = [
        ("a removal", |store| {
            let mut tree = store.lock(0, FROM);
            let node = tree.peek(&[FROM]).unwrap();
            tree.remove(node);
        }),
        ("a replacement", |store| {
            put(store, &[FROM], value(&[b"new"])).unwrap();
        }),
        ("a flush", |store| store.flush(0)),
        ("a flush beside another database", |store| {
            put_in(store, 1, FROM);
            put_in(store, 1, TO);
            store.flush(0);
            store.free_detached(|| true);
        }),
        ("an exchange of databases", |store| store.swap(0, 1)),
        ("another name", |store| {
            store.rename((0, FROM), (0, b"elsewhere")).unwrap().unwrap();
        }),
        ("its expiry", |store| {
            let mut tree = store.lock(0, FROM);
            let node = tree.peek(&[FROM]).unwrap();
            tree.set_expiry(node, Some(START));
        }),
        ("a flush of all, and the same again", |store| {
            store.flush_all();
        }),
    ];
    for (what, change) in changes {
        for again in [false, true] {
            let store = tree_of(1000);
            let mut copy = TreeCopy::new(&store);
            for _ in 0..5 {
                assert_eq!(copy.go_on(&ORDER, false), CopyState::Partial);
            }
            change(&store);
            if again {
                fill_again(&store);
            }
            let expected = whole(&store, 0, FROM);
            let done = loop {
                match copy.go_on(&ORDER, false) {
                    CopyState::Partial => {}
                    CopyState::Done(result) => break result,
                }
            };
            assert_eq!(done, Ok(expected.is_some()), "{what}");
            assert!(whole(&store, 0, TO) == expected, "{what}");
            let stats = store.stats();
            assert_eq!(stats.hits + stats.misses, 1, "{what}");
            store.check();
        }
    }
}

pub(super) fn put_in(store: &Store, db: u8, key: &[u8]) {
    store.lock(db, key).put(&[key], value(&[b"v"])).unwrap();
}

#[test]
fn a_copy_of_a_tree_that_changes_all_the_time_ends() {
    let store = tree_of(600);
    let mut copy = TreeCopy::new(&store);
    let mut pieces = 0;
    while copy.go_on(&ORDER, false) == CopyState::Partial {
        for number in 0..150 {
            let name = child((pieces * 7 + number) % 600);
            let mut tree = store.lock(0, FROM);
            let node = tree.peek(&[FROM, &name]).unwrap();
            tree.set_value(node, &[format!("changed {pieces}").as_bytes()])
                .unwrap();
        }
        pieces += 1;
    }
    assert!(whole(&store, 0, TO) == whole(&store, 0, FROM));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever others do between the pieces, the copy is the tree in the moment of the last one.
    #[test]
    fn a_copy_is_the_tree_of_one_moment(
        children in 1..300usize,
        changes in proptest::collection::vec((0..11usize, 0..420usize, 0..420usize), 0..80),
    ) {
        let store = tree_of(children);
        let mut copy = TreeCopy::new(&store);
        let mut changes = changes.into_iter();
        loop {
            for (kind, number, below) in changes.by_ref().take(4) {
                let (name, name_below) = (child(number), child(below % 15));
                let path: &[&[u8]] = match below % 3 {
                    0 => &[FROM, &name],
                    1 => &[FROM, &name, &name_below],
                    // The child with many below it.
                    _ => &[FROM, &child(children - 1), &child(below)],
                };
                change(&store, path, kind, number);
            }
            match copy.go_on(&ORDER, false) {
                CopyState::Partial => {}
                CopyState::Done(result) => {
                    let (from, to) = (whole(&store, 0, FROM), whole(&store, 0, TO));
                    prop_assert_eq!(result, Ok(from.is_some()));
                    prop_assert!(from == to);
                    store.check();
                    break;
                }
            }
        }
    }
}

fn change(store: &Store, path: &[&[u8]], kind: usize, number: usize) {
    let expires_ms = Some(START + 10 * number as u64);
    let mut tree = store.lock(0, FROM);
    match (kind, tree.peek(path)) {
        (0 | 1, Some(node)) => tree.remove(node),
        (2, Some(node)) => tree.set_value(node, &[b"another value"]).unwrap(),
        (3, Some(node)) => tree.set_expiry(node, expires_ms),
        (4, Some(node)) => tree.set_expiry(node, None),
        (5, Some(node)) => tree.set_flags(node, number as u32),
        (6, Some(node)) => tree.bump(node),
        (7, _) => {
            drop(tree);
            store.clock().advance(Duration::from_millis(number as u64));
        }
        (8, _) => {
            let _ = tree.put(path, Entry::default());
        }
        _ => {
            let _ = tree.put(path, value(&[b"new"]));
        }
    }
}

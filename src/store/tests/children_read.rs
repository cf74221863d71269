//! Reads of children in pieces, while others write.

use super::*;
use crate::store::{ChildrenRead, ReadState};
use proptest::prelude::*;

const TOP: &[u8] = b"top";
const PATH: &[&[u8]] = &[TOP];

fn child(number: usize) -> Vec<u8> {
    format!("child{number}").into_bytes()
}

fn put_child(store: &Store, number: usize, value: &[u8], expires_ms: Option<u64>) {
    let entry = Entry {
        value: Some(&[value]),
        flags: 0,
        expires_ms,
    };
    put(store, &[TOP, &child(number)], entry).unwrap();
}

fn tree_of(children: usize) -> Store {
    let store = store();
    put(&store, PATH, Entry::default()).unwrap();
    for number in 0..children {
        put_child(&store, number, b"first", None);
    }
    store
}

fn form(bytes: &mut Vec<u8>, item: &Item<'_>) {
    bytes.extend_from_slice(item.key());
    bytes.push(b'=');
    bytes.extend_from_slice(item.value().unwrap_or_default());
    bytes.push(b' ');
}

fn begin(store: &Store) -> ChildrenRead {
    let mut tree = store.lock(0, TOP);
    let node = tree.peek(PATH).expect("it is there");
    tree.begin_children_read(node)
}

fn piece(store: &Store, read: &mut ChildrenRead) -> ReadState {
    store.lock(0, TOP).read_children(read, PATH, form)
}

/// The bytes of a read at once, and the number of children.
fn whole(store: &Store) -> (Vec<u8>, usize) {
    let mut tree = store.lock(0, TOP);
    let mut bytes = Vec::new();
    let Some(node) = tree.peek(PATH) else {
        return (bytes, 0);
    };
    let children = tree.children(node);
    for child in &children {
        form(&mut bytes, &tree.item(*child));
    }
    (bytes, children.len())
}

#[test]
fn a_read_in_pieces_gives_what_a_read_at_once_gives() {
    for children in [1, 255, 256, 257, 3000] {
        let store = tree_of(children);
        let mut read = begin(&store);
        let mut pieces = 1;
        while piece(&store, &mut read) == ReadState::Partial {
            pieces += 1;
        }
        assert_eq!(pieces, children.div_ceil(256));
        let (bytes, count) = whole(&store);
        assert_eq!((read.children(), read.bytes()), (count, bytes.len()));
        assert!(read.into_pages().concat() == bytes);
    }
}

#[test]
fn a_page_of_large_children_has_few_of_them() {
    let store = tree_of(0);
    for number in 0..64 {
        put_child(&store, number, &[b'x'; 20_000], None);
    }
    let mut read = begin(&store);
    assert_eq!(piece(&store, &mut read), ReadState::Partial);
    assert!(read.bytes() < 64 << 10, "{}", read.bytes());
}

#[test]
fn a_read_ends_if_its_item_is_removed_or_its_path_leads_elsewhere() {
    type Change = fn(&Store);
    let changes: [(&str, Change); 7] = [
        ("a removal", |store| {
            let mut tree = store.lock(0, TOP);
            let node = tree.peek(PATH).unwrap();
            tree.remove(node);
        }),
        ("a replacement", |store| {
            put(store, PATH, value(&[b"new"])).unwrap();
        }),
        ("a replacement by as many children", |store| {
            put(store, PATH, value(&[b"new"])).unwrap();
            (0..600).for_each(|number| put_child(store, number, b"second", None));
        }),
        ("a flush", |store| store.flush(0)),
        ("a flush, and the same again", |store| {
            store.flush(0);
            put(store, PATH, Entry::default()).unwrap();
            put_child(store, 0, b"second", None);
        }),
        ("an exchange of databases", |store| store.swap(0, 1)),
        ("its expiry", |store| {
            let mut tree = store.lock(0, TOP);
            let node = tree.peek(PATH).unwrap();
            tree.set_expiry(node, Some(START));
        }),
    ];
    for (what, change) in changes {
        let store = tree_of(600);
        let mut read = begin(&store);
        assert_eq!(piece(&store, &mut read), ReadState::Partial);
        change(&store);
        assert_eq!(piece(&store, &mut read), ReadState::Gone, "{what}");
    }
}

#[test]
fn a_read_of_a_tree_that_changes_all_the_time_has_one_piece_for_each_page() {
    let store = tree_of(3000);
    let before = whole(&store);
    let mut read = begin(&store);
    for pieces in 1.. {
        for number in 0..3000 {
            put_child(&store, number, format!("{pieces}").as_bytes(), None);
        }
        let state = piece(&store, &mut read);
        // Copies of what is left to read: records of less than 64 bytes, and 40 for each of them.
        assert!(read.bytes() <= before.0.len() + (3000 - 256 * pieces.min(11)) * 104);
        if state == ReadState::Whole {
            assert_eq!(pieces, 12);
            break;
        }
    }
    assert_eq!((read.bytes(), read.children()), (before.0.len(), before.1));
    assert!(read.into_pages().concat() == before.0);
}

#[test]
fn a_read_of_children_that_all_go_gives_them_if_their_parent_stays() {
    let store = tree_of(600);
    put(&store, PATH, value(&[b"v"])).unwrap();
    for number in 0..600 {
        put_child(&store, number, b"first", None);
    }
    let before = whole(&store);
    let mut read = begin(&store);
    assert_eq!(piece(&store, &mut read), ReadState::Partial);
    for number in 0..600 {
        let path = [TOP, &child(number)[..]];
        let mut tree = store.lock(0, TOP);
        let node = tree.peek(&path).unwrap();
        tree.remove(node);
    }
    put_child(&store, 7, b"second", None);
    while piece(&store, &mut read) == ReadState::Partial {}
    assert_eq!(whole(&store).1, 1);
    assert!(read.into_pages().concat() == before.0);
}

#[test]
fn a_change_costs_a_shard_nothing_after_a_read_was_dropped() {
    let store = tree_of(600);
    let read = begin(&store);
    drop(read);
    put_child(&store, 1, b"new", None);
    for shard in &store.shards {
        assert!(locked(shard).slab.reads.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// The result is the state in the moment of the beginning, whatever changes before and between the pieces.
    #[test]
    fn a_read_is_the_state_of_one_moment(
        children in 1..2000usize,
        changes in proptest::collection::vec((0..7usize, 0..2100usize), 0..60),
    ) {
        let store = tree_of(children);
        let (bytes, count) = whole(&store);
        let mut read = begin(&store);
        let mut changes = changes.into_iter();
        loop {
            for (kind, number) in changes.by_ref().take(3) {
                let path = [TOP, &child(number)[..]];
                let mut tree = store.lock(0, TOP);
                match (kind, tree.peek(&path)) {
                    (0 | 1, Some(node)) => tree.remove(node),
                    (2, Some(node)) => tree.set_value(node, &[b"another value"]).unwrap(),
                    (3, Some(node)) => tree.set_expiry(node, Some(START + 10 * number as u64)),
                    (4, Some(node)) => tree.set_expiry(node, None),
                    (5, _) => {
                        drop(tree);
                        store.clock().advance(Duration::from_millis(number as u64));
                    }
                    _ => {
                        drop(tree);
                        if get_top(&store) {
                            put_child(&store, number, b"new", None);
                        }
                    }
                }
            }
            match piece(&store, &mut read) {
                ReadState::Partial => {}
                ReadState::Whole => {
                    prop_assert_eq!((read.children(), read.bytes()), (count, bytes.len()));
                    // Not printed: they are long.
                    prop_assert!(read.into_pages().concat() == bytes);
                    break;
                }
                ReadState::Gone => {
                    prop_assert_eq!(whole(&store).1, 0);
                    break;
                }
            }
        }
    }
}

fn get_top(store: &Store) -> bool {
    store.lock(0, TOP).peek(PATH).is_some()
}

/// When all children have an expiry and some have expired, a look-up doesn't look at all children, except for the first one
/// after a removal of the child that expires last.
#[test]
fn the_last_expiry_of_children_is_exact_after_each_look_up() {
    let store = store();
    let number = |number: u64| number.to_le_bytes();
    put(&store, &[b"k"], Entry::default()).unwrap();
    for child in 0..500 {
        let life = if child < 3 { 1000 + child } else { 10 };
        let entry = Entry {
            expires_ms: Some(START + life),
            ..value(&[b"v"])
        };
        put(&store, &[b"k", &number(child)], entry).unwrap();
    }
    let latest = || {
        let node = store.lock(0, b"k").peek(&[b"k"])?;
        let number = store.shard_of(store.hashed(0, b"k"));
        let expiries = locked(&store.shards[number]).slab.child_expiries(node.0);
        assert!(expiries.is_exact);
        Some(expiries.latest_ms - START)
    };
    store.clock().advance(Duration::from_millis(10));
    assert_eq!(latest(), Some(1002));
    for (child, expected) in [(2, Some(1001)), (0, Some(1001)), (1, None)] {
        let mut tree = store.lock(0, b"k");
        let node = tree.peek(&[b"k", &number(child)]).unwrap();
        tree.remove(node);
        drop(tree);
        store.check();
        assert_eq!(latest(), expected);
    }
    assert_eq!(store.len(0), 0);
    store.check();
}

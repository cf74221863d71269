//! Copies in pieces, while others use the name and the databases of the copy.

use proptest::prelude::*;

use super::copying::{FROM, ORDER, TO, child, is_there, put_in, tree_of, whole};
use super::*;
use crate::store::{CopyOrder, CopyState, TreeCopy};

/// To another database.
const AWAY: CopyOrder<'_> = CopyOrder {
    to: (1, TO),
    ..ORDER
};

fn go_on_to_the_end(copy: &mut TreeCopy, order: &CopyOrder<'_>) -> Result<bool, Refused> {
    loop {
        if let CopyState::Done(result) = copy.go_on(order, false) {
            return result;
        }
    }
}

/// The flush hid what was copied so far, and the writes of the next piece freed it.
#[test]
fn a_flush_of_the_copys_database_beside_others_leaves_what_is_not_attached_yet() {
    for pieces in [1, 2, 10] {
        let store = tree_of(3000);
        let tree = store.stats().items;
        for number in 0..2000 {
            put_in(&store, 0, &child(number));
            put_in(&store, 1, &child(number));
        }
        let mut copy = TreeCopy::new(&store);
        for _ in 0..pieces {
            assert_eq!(copy.go_on(&AWAY, false), CopyState::Partial);
        }
        let stored = store.stats().total_items;
        store.flush(1);
        assert_eq!(store.len(1), 0);
        assert_eq!(go_on_to_the_end(&mut copy, &AWAY), Ok(true));
        store.free_detached(|| true);
        store.check();
        assert!(whole(&store, 1, TO) == whole(&store, 0, FROM));
        assert_eq!(store.len(1), 1);
        let since = store.stats().total_items - stored;
        assert!(since < tree, "it did not begin anew");
    }
}

#[test]
fn of_two_copies_to_one_name_the_last_that_ends_is_there() {
    for replaces in [true, false] {
        let store = tree_of(500);
        put(&store, &[b"other"], value(&[b"other"])).unwrap();
        for number in 0..1000 {
            let path: &[&[u8]] = &[b"other", &child(number)];
            put(&store, path, value(&[b"below"])).unwrap();
        }
        let order = CopyOrder { replaces, ..ORDER };
        let longer = CopyOrder {
            from: (0, b"other"),
            ..order
        };
        let (mut one, mut two) = (TreeCopy::new(&store), TreeCopy::new(&store));
        assert_eq!(two.go_on(&longer, false), CopyState::Partial);
        while one.go_on(&order, false) == CopyState::Partial {
            assert!(!is_there(&store, 0, TO));
            store.check();
        }
        assert!(whole(&store, 0, TO) == whole(&store, 0, FROM));
        assert_eq!(go_on_to_the_end(&mut two, &longer), Ok(replaces));
        let expected = if replaces { b"other" } else { FROM };
        assert!(whole(&store, 0, TO) == whole(&store, 0, expected));
        assert_eq!(store.len(0), 3);
        store.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// Whatever others do with the names and databases of two copies, each is whole when it is done, and nothing else is
    /// left of it.
    #[test]
    fn nothing_is_left_of_a_copy_but_the_copy(
        children in 1..300usize,
        shards in prop_oneof![Just(1usize), Just(2)],
        replaces in any::<bool>(),
        changes in proptest::collection::vec((0..16usize, 0..4usize, 0..300usize), 0..60),
    ) {
        let config = Config { shards, ..Config::default() };
        let store = Arc::new(Store::new(config, Clock::manual(START)));
        super::copying::fill(&store, children);
        let orders = [CopyOrder { replaces, ..ORDER }, CopyOrder { replaces, ..AWAY }];
        let mut copies = orders.map(|_| Some(TreeCopy::new(&store)));
        let mut changes = changes.into_iter();
        while copies.iter().any(Option::is_some) {
            for (kind, name, number) in changes.by_ref().take(3) {
                change(&store, kind, name, number, &mut copies);
            }
            for (copy, order) in copies.iter_mut().zip(&orders) {
                let Some(going) = copy else { continue };
                match going.go_on(order, false) {
                    CopyState::Partial => {}
                    CopyState::Done(Ok(true)) => {
                        let (db, to) = order.to;
                        prop_assert!(whole(&store, db, to) == whole(&store, 0, FROM));
                        *copy = None;
                    }
                    CopyState::Done(result) => {
                        prop_assert_eq!(result, Ok(false));
                        *copy = None;
                    }
                }
                store.check();
            }
        }
        for db in 0..3 {
            while let Some(key) = store.random_key(db) {
                let mut tree = store.lock(db, &key);
                let node = tree.peek(&[&key]);
                node.into_iter().for_each(|node| tree.remove(node));
            }
        }
        store.clock().advance(Duration::from_secs(60));
        store.sweep(usize::MAX);
        store.free_detached(|| true);
        store.check();
        prop_assert_eq!((store.stats().items, store.used()), (0, 0));
    }
}

/// A change between two pieces, of one of four names.
fn change(
    store: &Store,
    kind: usize,
    name: usize,
    number: usize,
    copies: &mut [Option<TreeCopy>; 2],
) {
    let (db, key) = [(0, FROM), (0, TO), (1, TO), (1, b"other")][name];
    let mut tree = store.lock(db, key);
    let found = tree.peek(&[key]);
    match (kind, found) {
        (0, Some(node)) => tree.remove(node),
        (1, Some(node)) => tree.set_expiry(node, Some(START + 10 * number as u64)),
        (2, Some(node)) => tree.set_value(node, &[b"a value"]).unwrap(),
        (3..=5, Some(node)) => {
            let entry = value(&[b"below"]);
            tree.put_child(node, &child(number), entry).unwrap();
        }
        (0..=6, _) => {
            tree.put(&[key], value(&[b"new"])).unwrap();
        }
        _ => drop(tree),
    }
    match kind {
        7 => store.flush(db),
        8 => store.swap(0, 1),
        9 => store.swap(1, 2),
        10 => {
            let (to_db, to) = [(0, TO), (1, TO), (0, FROM), (0, FROM)][name];
            _ = store.rename((db, key), (to_db, to));
        }
        11 => {
            store.clock().advance(Duration::from_millis(number as u64));
        }
        12 => {
            store.sweep(number);
        }
        13 => store.free_detached(|| false),
        14 => (0..number).for_each(|number| put_in(store, db, &child(number))),
        // Its client goes away.
        15 if number.is_multiple_of(4) => copies[name % 2] = None,
        _ => {}
    }
}

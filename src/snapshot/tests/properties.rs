//! Any content, and any changes while it is written.

use std::time::Duration;

use proptest::prelude::*;

use super::content::{Path, content};
use super::{START, loaded, snapshot, store};
use crate::snapshot::write::write;
use crate::store::{Entry, Marks, Store};

/// A change of a store.
#[derive(Debug, Clone)]
enum Change {
    Put(u8, Path, Option<Vec<u8>>, u32, Option<u64>),
    Mark(u8, Path, Marks, u64),
    Find(u8, Path),
    SetExpiry(u8, Path, Option<u64>),
    Remove(u8, Path),
    Advance(u64),
    Swap(u8, u8),
    Flush(u8),
    FlushAt(u8, u64),
}

fn path() -> impl Strategy<Value = Path> {
    let key = prop::sample::select(vec!["a", "b", "c", "d e\r\n", ""]);
    prop::collection::vec(key.prop_map(|key| key.as_bytes().to_vec()), 1..5)
}

fn marks() -> impl Strategy<Value = Marks> {
    any::<[bool; 4]>().prop_map(|[stale, won, base64_key, from_origin]| Marks {
        stale,
        won,
        base64_key,
        from_origin,
    })
}

fn change(longest: usize) -> impl Strategy<Value = Change> {
    let value = prop::option::weighted(0.8, (any::<u8>(), 0..longest))
        .prop_map(|value| value.map(|(byte, length)| vec![byte; length]));
    let life = || prop::option::weighted(0.4, 1..400u64);
    let db = || 0..3u8;
    let flags = prop::sample::select(vec![0, 1, u32::MAX]);
    prop_oneof![
        12 => (db(), path(), value, flags, life()).prop_map(|(a, b, c, d, e)| Change::Put(a, b, c, d, e)),
        2 => (db(), path(), marks(), any::<u64>()).prop_map(|(a, b, c, d)| Change::Mark(a, b, c, d)),
        2 => (db(), path()).prop_map(|(a, b)| Change::Find(a, b)),
        2 => (db(), path(), life()).prop_map(|(a, b, c)| Change::SetExpiry(a, b, c)),
        2 => (db(), path()).prop_map(|(a, b)| Change::Remove(a, b)),
        1 => (0..100u64).prop_map(Change::Advance),
        1 => (db(), db()).prop_map(|(a, b)| Change::Swap(a, b)),
        1 => db().prop_map(Change::Flush),
        1 => (db(), 0..600u64).prop_map(|(a, b)| Change::FlushAt(a, b)),
    ]
}

fn refs(path: &Path) -> Vec<&[u8]> {
    path.iter().map(Vec::as_slice).collect()
}

fn apply(store: &Store, change: &Change) {
    let now_ms = store.now_ms();
    match change {
        Change::Put(db, path, value, flags, life) => {
            let parts = value.as_deref();
            let entry = Entry {
                value: parts.is_some().then_some(parts.as_slice()),
                flags: *flags,
                expires_ms: life.map(|life| now_ms + life),
            };
            // Its parent may be missing.
            let _ = store.lock(*db, &path[0]).put(&refs(path), entry);
        }
        Change::Mark(db, path, marks, cas) => {
            let mut tree = store.lock(*db, &path[0]);
            if let Some(node) = tree.peek(&refs(path)) {
                tree.set_marks(node, *marks);
                tree.set_cas(node, *cas);
            }
        }
        Change::Find(db, path) => {
            store.lock(*db, &path[0]).find(&refs(path));
        }
        Change::SetExpiry(db, path, life) => {
            let mut tree = store.lock(*db, &path[0]);
            if let Some(node) = tree.peek(&refs(path)) {
                tree.set_expiry(node, life.map(|life| now_ms + life));
            }
        }
        Change::Remove(db, path) => {
            let mut tree = store.lock(*db, &path[0]);
            if let Some(node) = tree.peek(&refs(path)) {
                tree.remove(node);
            }
        }
        Change::Advance(ms) => {
            store.clock().advance(Duration::from_millis(*ms));
        }
        Change::Swap(a, b) => store.swap(*a, *b),
        Change::Flush(db) => store.flush(*db),
        Change::FlushAt(db, after) => store.flush_at(*db, now_ms + after),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_content_comes_back_except_what_has_expired(
        changes in prop::collection::vec(change(40), 0..120),
        later in 0..500u64,
    ) {
        let store = store(2);
        changes.iter().for_each(|change| apply(&store, change));
        let bytes = snapshot(&store);
        store.clock().advance(Duration::from_millis(later));
        let (copy, counts) = loaded(&bytes, store.now_ms() - START);
        let expected = content(&store);
        prop_assert_eq!(&content(&copy), &expected);
        prop_assert_eq!(counts.refused, 0);
        // The flushes that were to come still come.
        store.clock().advance(Duration::from_millis(700));
        copy.clock().advance(Duration::from_millis(700));
        prop_assert_eq!(content(&copy), content(&store));
        // A change gets a number that none had before, except if a client chose it.
        let mut tree = copy.lock(0, b"new");
        let node = tree.put(&[b"new"], Entry::default()).expect("it fits");
        prop_assert!((1 << 20..1 << 47).contains(&tree.item(node).cas()));
    }

    /// Values are so large that there are two or three items in a piece of the walk, and trees span several.
    #[test]
    fn changes_while_it_is_written_lose_no_item_that_stays(
        before in prop::collection::vec(change(40_000), 0..60),
        meanwhile in prop::collection::vec(change(40_000), 0..60),
    ) {
        let store = store(1);
        before.iter().for_each(|change| apply(&store, change));
        let mut always = content(&store);
        let mut changes = meanwhile
            .iter()
            .filter(|change| !matches!(change, Change::Swap(..)));
        let mut bytes = Vec::new();
        write(&store, &mut bytes, || {
            for change in changes.by_ref().take(2) {
                apply(&store, change);
            }
            let now = content(&store);
            always.retain(|place, kept| now.get(place) == Some(kept));
            Ok(())
        })
        .expect("memory takes everything");
        let copied = content(&loaded(&bytes, store.now_ms() - START).0);
        for (place, kept) in &always {
            prop_assert_eq!(copied.get(place), Some(kept));
        }
    }
}

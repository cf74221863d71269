//! The content of a store, to be compared.

use std::collections::{BTreeMap, BTreeSet};

use crate::store::{Marks, Store};

/// All that a snapshot keeps of an item.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Kept {
    value: Option<Vec<u8>>,
    flags: u32,
    pub(super) expires_ms: Option<u64>,
    cas: u64,
    marks: Marks,
    is_fetched: bool,
}

pub(super) type Path = Vec<Vec<u8>>;
pub(super) type Content = BTreeMap<(u8, Path), Kept>;

/// Everything that clients can find, by the walk of SCAN.
pub(super) fn content(store: &Store) -> Content {
    let mut content = Content::new();
    for db in 0..3 {
        let mut cursor = 0;
        loop {
            cursor = store.scan_paths(db, cursor, 100, |path, item| {
                let path = path.iter().map(|key| key.to_vec()).collect();
                let kept = Kept {
                    value: item.value().map(<[u8]>::to_vec),
                    flags: item.flags(),
                    expires_ms: item.expires_ms(),
                    cas: item.cas(),
                    marks: item.marks(),
                    is_fetched: item.is_fetched(),
                };
                content.insert((db, path), kept);
            });
            if cursor == 0 {
                break;
            }
        }
    }
    without_empty(content)
}

/// Without items that have neither a value nor a child, which expired children leave behind.
fn without_empty(mut content: Content) -> Content {
    loop {
        let above = |(db, path): &(u8, Path)| (*db, path[..path.len() - 1].to_vec());
        let parents: BTreeSet<(u8, Path)> = content.keys().map(above).collect();
        let before = content.len();
        content.retain(|place, kept| kept.value.is_some() || parents.contains(place));
        if content.len() == before {
            return content;
        }
    }
}

//! Snapshots of any content, changes while one is written, and files that are not as they were written.

mod content;
mod properties;

use std::io;

use self::content::content;
use super::blocks::{BLOCK, BlockWriter, Unreadable, VERSION};
use super::format::{Ending, encode_begin, encode_end, encode_head};
use super::load::load;
use super::write::write;
use crate::store::{Clock, Config, Entry, RestoreCounts, SavedItem, Store};

const START: u64 = 1_700_000_000_000;

fn store(shards: usize) -> Store {
    let config = Config {
        shards,
        ..Config::default()
    };
    Store::new(config, Clock::manual(START))
}

fn snapshot(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = write(store, &mut bytes, || Ok(())).expect("memory takes everything");
    assert_eq!(written.bytes, bytes.len() as u64);
    bytes
}

/// A new store with a snapshot's content, `later` than the one that it was taken of.
fn loaded(bytes: &[u8], later: u64) -> (Store, RestoreCounts) {
    let store = Store::new(Config::default(), Clock::manual(START + later));
    let counts = load(&store, bytes).expect("it is whole");
    (store, counts)
}

#[test]
fn an_expiry_that_a_hash_gets_meanwhile_holds_for_its_later_fields() {
    let store = store(1);
    let value: &[&[u8]] = &[&[b'v'; 40_000]];
    let entry = Entry {
        value: Some(value),
        ..Entry::default()
    };
    let put = |field: &[u8], entry| {
        let mut tree = store.lock(0, b"hash");
        if tree.peek(&[b"hash"]).is_none() {
            tree.put(&[b"hash"], Entry::default()).expect("it fits");
        }
        tree.put(&[b"hash", field], entry).expect("it fits");
    };
    (0..9u8).for_each(|number| put(&[number], entry));
    let expires_ms = Some(START + 500);
    let mut bytes = Vec::new();
    write(&store, &mut bytes, || {
        let mut tree = store.lock(0, b"hash");
        if let Some(node) = tree.peek(&[b"hash"]) {
            tree.set_expiry(node, expires_ms);
        }
        Ok(())
    })
    .expect("memory takes everything");
    let copied = content(&loaded(&bytes, 0).0);
    assert_eq!(copied.len(), 10);
    let hash = &copied[&(0, vec![b"hash".to_vec()])];
    assert_eq!(hash.expires_ms, expires_ms);
    assert!(content(&loaded(&bytes, 500).0).is_empty());
}

/// A store with some of everything.
fn small() -> Store {
    let store = store(1);
    let value: &[&[u8]] = &[b"value"];
    let entry = Entry {
        value: Some(value),
        flags: 7,
        expires_ms: Some(START + 1_000),
    };
    store.lock(0, b"a").put(&[b"a"], entry).expect("it fits");
    let mut tree = store.lock(1, b"hash");
    tree.put(&[b"hash"], Entry::default()).expect("it fits");
    tree.put(&[b"hash", b"field"], entry).expect("it fits");
    drop(tree);
    store
}

fn is_empty(store: &Store) -> bool {
    content(store).is_empty() && store.used() == 0
}

#[track_caller]
fn refused(bytes: &[u8]) -> Unreadable {
    let store = store(1);
    let error = load(&store, bytes).expect_err("it is not whole");
    assert!(is_empty(&store));
    error
}

#[test]
fn a_snapshot_that_was_cut_at_any_byte_is_refused() {
    let bytes = snapshot(&small());
    for length in 0..bytes.len() {
        let error = refused(&bytes[..length]);
        assert!(matches!(error, Unreadable::Cut), "{length}: {error}");
    }
    assert_eq!(content(&loaded(&bytes, 0).0), content(&small()));
}

#[test]
fn a_snapshot_with_any_bit_changed_is_refused() {
    let bytes = snapshot(&small());
    for bit in 0..bytes.len() * 8 {
        let mut wrong = bytes.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let error = refused(&wrong);
        let right = match bit / 8 {
            0..16 => matches!(error, Unreadable::Foreign),
            16..20 => matches!(error, Unreadable::Version(_)),
            // The length of the only block.
            20..24 => matches!(error, Unreadable::Damaged(1) | Unreadable::Cut),
            _ => matches!(error, Unreadable::Damaged(1)),
        };
        assert!(right, "bit {bit}: {error}");
    }
}

#[test]
fn other_files_and_later_versions_are_refused_by_name() {
    assert!(matches!(
        refused(b"REDIS0010\xfa\tredis-ver"),
        Unreadable::Foreign
    ));
    assert!(matches!(refused(b""), Unreadable::Cut));
    let mut later = snapshot(&small());
    later[16] = VERSION as u8 + 1;
    let error = refused(&later).to_string();
    assert!(
        error.contains("version 3") && error.contains("reads version 2"),
        "{error}"
    );
    let mut earlier = snapshot(&small());
    earlier[16] = 1;
    assert_eq!(loaded(&earlier, 0).1.stored, 2);
    let mut longer = snapshot(&small());
    longer.push(0);
    assert!(matches!(refused(&longer), Unreadable::Damaged(1)));
}

/// A file of these records, and the end.
fn file(records: &[u8]) -> Vec<u8> {
    let ending = Ending {
        state: store(1).state(),
        ended_ms: START,
    };
    let mut bytes = Vec::new();
    let mut blocks = BlockWriter::begin(&mut bytes).expect("memory takes everything");
    blocks.write(records).expect("memory takes everything");
    let mut end = Vec::new();
    encode_end(&ending, &mut end);
    blocks.write(&end).expect("memory takes everything");
    blocks.finish().expect("memory takes everything");
    bytes
}

#[test]
fn a_begin_with_any_number_costs_a_part_of_the_memory_and_one_elsewhere_is_damage() {
    let item = SavedItem {
        key: b"key",
        value: Some(b"value"),
        ..SavedItem::default()
    };
    let mut records = Vec::new();
    encode_begin(u64::MAX, &mut records);
    encode_head(&item, &mut records);
    records.extend_from_slice(b"value");
    let (store, counts) = loaded(&file(&records), 0);
    assert_eq!(counts.stored, 1);
    let (used, memory) = (store.used(), store.memory());
    // The table of the shard of this item, and its other memory.
    assert!(used < memory / 10, "{used} of {memory}");
    encode_begin(1, &mut records);
    assert!(matches!(refused(&file(&records)), Unreadable::Damaged(2)));
}

#[test]
fn blocks_that_are_missing_repeated_or_exchanged_are_refused() {
    let store = store(1);
    for number in 0..40u8 {
        let value: &[&[u8]] = &[&vec![number; BLOCK / 10]];
        let entry = Entry {
            value: Some(value),
            ..Entry::default()
        };
        store
            .lock(0, &[number])
            .put(&[&[number]], entry)
            .expect("it fits");
    }
    let bytes = snapshot(&store);
    let (head, blocks) = bytes.split_at(20);
    let blocks: Vec<&[u8]> = blocks.chunks(BLOCK + 8).collect();
    assert!(blocks.len() > 4);
    let joined = |blocks: &[&[u8]]| [&[head], blocks].concat().concat();
    assert_eq!(content(&loaded(&joined(&blocks), 0).0), content(&store));
    for at in 0..blocks.len() {
        let (mut missing, mut repeated, mut exchanged) =
            (blocks.clone(), blocks.clone(), blocks.clone());
        missing.remove(at);
        repeated.insert(at, blocks[at]);
        exchanged.swap(at, (at + 1) % blocks.len());
        refused(&joined(&missing));
        refused(&joined(&repeated));
        refused(&joined(&exchanged));
    }
}

#[test]
fn a_length_that_is_only_announced_takes_no_memory() {
    let mut bytes = snapshot(&small());
    bytes[20..24].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    assert!(matches!(refused(&bytes), Unreadable::Damaged(1)));
}

#[test]
fn a_large_value_and_a_deep_tree_come_back() {
    let store = store(1);
    let large = vec![b'x'; 3 * BLOCK + 1];
    let value: &[&[u8]] = &[&large];
    let entry = Entry {
        value: Some(value),
        ..Entry::default()
    };
    store
        .lock(0, b"large")
        .put(&[b"large"], entry)
        .expect("it fits");
    let mut tree = store.lock(0, b"deep");
    let mut node = tree.put(&[b"deep"], Entry::default()).expect("it fits");
    for _ in 0..300 {
        node = tree
            .put_child(node, b"n", Entry::default())
            .expect("it fits");
    }
    tree.put_child(node, b"leaf", entry).expect("it fits");
    drop(tree);
    let bytes = snapshot(&store);
    let copy = loaded(&bytes, 0).0;
    assert_eq!(content(&copy), content(&store));
}

#[test]
fn a_smaller_store_keeps_what_it_has_room_for() {
    let store = store(2);
    for number in 0..20_000u32 {
        let key = number.to_le_bytes();
        let value: &[&[u8]] = &[&[7; 500]];
        let entry = Entry {
            value: Some(value),
            ..Entry::default()
        };
        store.lock(0, &key).put(&[&key], entry).expect("it fits");
    }
    let bytes = snapshot(&store);
    let config = Config {
        memory: 2 << 20,
        shards: 1,
        ..Config::default()
    };
    let small = Store::new(config, Clock::manual(START));
    let counts = load(&small, &bytes[..]).expect("it is whole");
    assert_eq!((counts.stored, counts.refused), (20_000, 0));
    assert!(small.len(0) > 1_000 && small.resident() <= small.memory());
    let mut tree = small.lock(0, b"");
    tree.put(&[b""], Entry::default()).expect("it fits");
}

#[test]
fn an_error_of_the_file_ends_the_write() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let error = write(&small(), Full, || Ok(())).expect_err("it is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
}

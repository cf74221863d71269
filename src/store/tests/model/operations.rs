//! The operations on store and model, chosen at random.

use proptest::prelude::*;

use super::Key;

/// One operation on both.
#[derive(Debug, Clone)]
pub(super) enum Operation {
    Put(u8, Vec<Key>, Vec<u8>, u32, Option<u64>),
    PutField(u8, Key, Key, Vec<u8>),
    /// So many children, each of which may expire.
    PutMany(u8, Vec<Key>, u32, Option<u64>),
    SetValue(u8, Vec<Key>, Vec<u8>),
    Extend(u8, Vec<Key>, Vec<u8>, Vec<u8>),
    SetFlags(u8, Vec<Key>, u32),
    SetExpiry(u8, Vec<Key>, Option<u64>),
    /// Stores so many fields that the tree is large enough to be renamed within its shard.
    Grow(u8, Key),
    Remove(u8, Vec<Key>),
    Find(u8, Vec<Key>),
    Children(u8, Vec<Key>),
    Move(u8, Key, u8, Key),
    Copy(u8, Key, u8, Key),
    Watch(u8, Key),
    EndWatches,
    Advance(u64),
    Sweep(usize),
    FreePiece,
    Flush(u8),
    FlushAt(u8, u64),
    Swap,
    Compare,
}

/// The number of sequences that each test runs: `LARDER_CASES`, or a few.
pub(super) fn cases() -> u32 {
    let cases = std::env::var("LARDER_CASES").ok();
    cases.map_or(150, |cases| cases.parse().expect("a number of cases"))
}

pub(super) fn key() -> impl Strategy<Value = Key> {
    prop_oneof![
        Just(b"a".to_vec()),
        Just(b"b".to_vec()),
        Just(b"longer key".to_vec())
    ]
}

pub(super) fn path() -> impl Strategy<Value = Vec<Key>> {
    prop::collection::vec(key(), 1..4)
}

pub(super) fn lifetime() -> impl Strategy<Value = Option<u64>> {
    prop::option::of(0..40u64)
}

pub(super) fn step(longest: usize) -> impl Strategy<Value = Operation> {
    let bytes = move || prop::collection::vec(any::<u8>(), 0..longest);
    prop_oneof![
        8 => (0..2u8, path(), bytes(), 0..2u32, lifetime())
            .prop_map(|(db, path, value, flags, life)| Operation::Put(db, path, value, flags, life)),
        4 => (0..2u8, key(), key(), bytes())
            .prop_map(|(db, key, field, value)| Operation::PutField(db, key, field, value)),
        1 => (0..2u8, path(), 300..700u32, lifetime())
            .prop_map(|(db, path, count, life)| Operation::PutMany(db, path, count, life)),
        2 => (0..2u8, path(), bytes()).prop_map(|(db, path, value)| Operation::SetValue(db, path, value)),
        2 => (0..2u8, path(), bytes(), bytes())
            .prop_map(|(db, path, before, after)| Operation::Extend(db, path, before, after)),
        1 => (0..2u8, path(), 0..3u32).prop_map(|(db, path, flags)| Operation::SetFlags(db, path, flags)),
        2 => (0..2u8, path(), lifetime()).prop_map(|(db, path, life)| Operation::SetExpiry(db, path, life)),
        2 => (0..2u8, path()).prop_map(|(db, path)| Operation::Remove(db, path)),
        3 => (0..2u8, key()).prop_map(|(db, key)| Operation::Grow(db, key)),
        4 => (0..2u8, path()).prop_map(|(db, path)| Operation::Find(db, path)),
        2 => (0..2u8, path()).prop_map(|(db, path)| Operation::Children(db, path)),
        6 => (0..2u8, key(), 0..2u8, key()).prop_map(|(a, from, b, to)| Operation::Move(a, from, b, to)),
        4 => (0..2u8, key(), 0..2u8, key()).prop_map(|(a, from, b, to)| Operation::Copy(a, from, b, to)),
        3 => (0..2u8, key()).prop_map(|(db, key)| Operation::Watch(db, key)),
        2 => Just(Operation::EndWatches),
        4 => (1..20u64).prop_map(Operation::Advance),
        1 => (1..300usize).prop_map(Operation::Sweep),
        1 => Just(Operation::FreePiece),
        1 => (0..2u8).prop_map(Operation::Flush),
        1 => (0..2u8, 0..30u64).prop_map(|(db, after)| Operation::FlushAt(db, after)),
        1 => Just(Operation::Swap),
        1 => Just(Operation::Compare),
    ]
}

//! Tests of the table by itself: as a map, by its memory and by its bucket's form.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn table() -> HashTable {
    HashTable::new(&Arc::new(PagePool::new(64 << 20, 16)))
}

/// A hash of a number, good enough for a test (splitmix64).
fn hash(number: u32) -> u64 {
    let mut hash = u64::from(number).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[test]
fn a_bucket_is_a_cache_line() {
    assert_eq!(BUCKET, 64);
}

#[test]
fn a_table_takes_nine_bytes_an_item_while_it_grows_and_little_when_it_has_shrunk() {
    let mut table = table();
    for number in 0..200_000 {
        table.insert(hash(number), number, hash);
        assert!(table.bytes() < 9 * number as usize + (64 << 10), "{number}");
    }
    for number in 0..200_000 {
        assert_eq!(
            table.find(hash(number), |slot| slot == number),
            Some(number)
        );
        assert_eq!(
            table.find(hash(number + 200_000), |slot| slot == number + 200_000),
            None
        );
    }
    for number in 1000..200_000 {
        table.remove(hash(number), number);
    }
    assert!(table.buckets.held < 32 << 10, "{}", table.buckets.held);
    (0..1000).for_each(|number| table.remove(hash(number), number));
    assert_eq!(table.bytes(), 0);
}

#[test]
fn a_table_that_expects_items_has_their_buckets_at_once_and_shrinks_like_others() {
    for items in [0, 9, 10, 12_345] {
        let mut table = table();
        table.expect(items);
        assert_eq!(table.bytes(), 0);
        table.insert(hash(0), 0, hash);
        let begun = table.count;
        assert_eq!(begun as usize, (items / MOST).max(1));
        for number in 1..20_000u32 {
            table.insert(hash(number), number, |other| {
                assert!(number as usize >= begun as usize * MOST, "no split before");
                hash(other)
            });
        }
        for number in 0..20_000 {
            let found = table.find(hash(number), |slot| slot == number);
            assert_eq!(found, Some(number));
            table.remove(hash(number), number);
        }
        assert_eq!(table.bytes(), 0);
        table.insert(hash(0), 0, hash);
        assert_eq!(table.count, 1, "it is expected once");
    }
}

/// The search for a tag used to take an empty entry behind one with tag 1 for another with tag 1.
#[test]
fn only_entries_in_use_are_compared() {
    for tag in 0..=255u64 {
        let mut table = table();
        for slot in 7..10 {
            table.insert(tag << 56, slot, |_| tag << 56);
            table.find(tag << 56, |found| {
                assert!((7..=slot).contains(&found), "tag {tag}");
                false
            });
        }
    }
}

proptest! {
    /// Keys come and go as in a map. `collisions` of the hash's bits are always 0, so that chains get long.
    #[test]
    fn a_table_is_a_map(
        steps in prop::collection::vec((any::<bool>(), 0..400u32), 1..2000),
        collisions in 0..8u32,
    ) {
        let hash = |slot: u32| hash(slot) & (u64::MAX << collisions);
        let mut table = table();
        let mut map = HashMap::new();
        for (insert, slot) in steps {
            let there = map.contains_key(&slot);
            prop_assert_eq!(table.find(hash(slot), |other| other == slot).is_some(), there);
            if insert && !there {
                table.insert(hash(slot), slot, hash);
                map.insert(slot, ());
            } else if !insert && there {
                table.remove(hash(slot), slot);
                map.remove(&slot);
            }
            prop_assert_eq!(table.len(), map.len());
        }
        for slot in map.into_keys() {
            prop_assert_eq!(table.find(hash(slot), |other| other == slot), Some(slot));
            table.remove(hash(slot), slot);
        }
        prop_assert_eq!(table.bytes(), 0);
    }
}

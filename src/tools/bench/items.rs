//! The keys and values of a run. Both follow from the number of the item, so that every returned value can be
//! verified without a record of the sets.
//!
//! ```text
//!   item 12 ──▶ key   key:000000000012            as many digits as --key-size leaves room for
//!          └──▶ value block[offset..][..size]      offset and size are of the item's hash
//! ```
//!
//! All values are slices of one block of random letters, so that making a value costs one copy, into the request, and
//! verifying one costs one comparison.

use fastrand::Rng;

use super::sizes::ValueSizes;

/// The number of offsets into the block: of this many pairs of items of the same size, one has equal values.
const OFFSETS: usize = 64 * 1024;

/// The beginning of a key, if there is room for it.
const PREFIX: &[u8] = b"key:";

/// The longest key of memcached, in bytes.
const LONGEST_KEY: usize = 250;

/// Makes keys and values.
#[derive(Debug)]
pub(super) struct Items {
    key_size: usize,
    /// Keys have room for the prefix.
    prefixed: bool,
    sizes: ValueSizes,
    values: Values,
}

impl Items {
    /// For items with numbers below `count`.
    ///
    /// # Errors
    /// A sentence for the person at the terminal if keys of this size are impossible or too few.
    pub(super) fn new(count: u64, key_size: usize, sizes: ValueSizes) -> Result<Items, String> {
        let digits = (count - 1)
            .checked_ilog10()
            .map_or(1, |log| log as usize + 1);
        if key_size < digits || key_size > LONGEST_KEY {
            return Err(format!(
                "--key-size {key_size}: {count} keys need from {digits} to {LONGEST_KEY} bytes"
            ));
        }
        Ok(Items {
            key_size,
            prefixed: key_size >= PREFIX.len() + digits,
            values: Values::up_to(sizes.largest()),
            sizes,
        })
    }

    /// Bytes of each key.
    pub(super) fn key_size(&self) -> usize {
        self.key_size
    }

    /// Appends the item's key.
    pub(super) fn write_key(&self, item: u64, into: &mut Vec<u8>) {
        let start = into.len();
        into.resize(start + self.key_size, b'0');
        let key = &mut into[start..];
        let mut left = item;
        for place in key.iter_mut().rev() {
            if left == 0 {
                break;
            }
            *place = b'0' + (left % 10) as u8;
            left /= 10;
        }
        if self.prefixed {
            key[..PREFIX.len()].copy_from_slice(PREFIX);
        }
    }

    /// Bytes of the largest value.
    pub(super) fn largest_value(&self) -> usize {
        self.sizes.largest()
    }

    /// The item's value.
    pub(super) fn value(&self, item: u64) -> &[u8] {
        let hash = mixed(item);
        self.values.of(hash, self.sizes.of(hash.rotate_left(32)))
    }
}

/// All values: the slices of one block of random letters, the same in every run.
#[derive(Debug)]
pub(super) struct Values {
    block: Vec<u8>,
    random: Rng,
}

impl Values {
    /// Values of at most this many bytes.
    pub(super) fn up_to(size: usize) -> Values {
        let mut values = Values {
            block: Vec::new(),
            random: Rng::with_seed(1),
        };
        values.grow(size);
        values
    }

    /// Makes larger values possible; the existing ones stay the same.
    pub(super) fn grow(&mut self, size: usize) {
        let (random, missing) = (
            &mut self.random,
            (OFFSETS + size).saturating_sub(self.block.len()),
        );
        self.block
            .extend((0..missing).map(|_| random.alphanumeric() as u8));
    }

    /// The value of this size that belongs to a hash.
    pub(super) fn of(&self, hash: u64, size: usize) -> &[u8] {
        let offset = hash as usize % OFFSETS;
        &self.block[offset..][..size]
    }
}

/// The difference between a returned value and the one that was set; `None` if they are equal.
pub(super) fn difference(expected: &[u8], found: &[u8]) -> Option<String> {
    if expected == found {
        return None;
    }
    if expected.len() != found.len() {
        let (expected, found) = (expected.len(), found.len());
        return Some(format!("it has {found} bytes, and {expected} were set"));
    }
    let same = expected.iter().zip(found).take_while(|(a, b)| a == b);
    Some(format!(
        "it differs from the value that was set at byte {}",
        same.count() + 1
    ))
}

/// A hash of a number: the finalizer of SplitMix64, which changes every bit.
fn mixed(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(items: &Items, item: u64) -> String {
        let mut key = Vec::new();
        items.write_key(item, &mut key);
        String::from_utf8(key).expect("digits and letters")
    }

    #[test]
    fn keys_have_their_size_and_differ() {
        let items = |count, size| Items::new(count, size, ValueSizes::Fixed(1));
        let long = items(1_000, 16).expect("possible");
        assert_eq!(key(&long, 12), "key:000000000012");
        assert_eq!(key(&items(1_000, 7).expect("possible"), 999), "key:999");
        assert_eq!(key(&items(1_000, 6).expect("possible"), 999), "000999");
        assert_eq!(key(&items(1, 1).expect("possible"), 0), "0");
        let all: std::collections::HashSet<_> = (0..1_000).map(|item| key(&long, item)).collect();
        assert_eq!(all.len(), 1_000);
        for (count, size) in [(1_001, 3), (1, 0), (1, 251)] {
            assert!(items(count, size).is_err(), "{count} keys of {size} bytes");
        }
        assert!(items(1_000, 3).is_ok() && items(1, 250).is_ok());
    }

    #[test]
    fn a_value_is_the_same_each_time_and_another_for_another_item() {
        let items = Items::new(100, 16, ValueSizes::Range(50, 60)).expect("possible");
        for item in 0..100 {
            assert_eq!(items.value(item), items.value(item));
            assert!((50..=60).contains(&items.value(item).len()));
            assert_ne!(items.value(item), items.value(item + 1));
        }
    }

    #[test]
    fn a_difference_names_the_byte() {
        assert_eq!(difference(b"abc", b"abc"), None);
        let differs = difference(b"abc", b"abd").expect("it differs");
        assert_eq!(differs, "it differs from the value that was set at byte 3");
        let shorter = difference(b"abc", b"ab").expect("it differs");
        assert_eq!(shorter, "it has 2 bytes, and 3 were set");
    }
}

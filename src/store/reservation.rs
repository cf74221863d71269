//! A large value on its way into the store: memory of the store that a connection fills.
//!
//! ```text
//!   reserve ──▶ Reservation: │ room for head and key │ value: filled │ still to come │ line end │
//!                                                      ▲ space(), arrived(n)
//!   Tree::put_received ──▶ the buffer becomes the item's record; nothing is copied
//! ```
//!
//! Without it, a value is collected in the connection's input and then copied into a record. For half a megabyte, the
//! copy and the growth of the input take more time than the socket does, and a thousand clients that send half of a
//! value and no more hold memory that no limit counts.
//!
//! Bounds: the memory counts as the store's as its bytes arrive, so other items are evicted for it. All reservations
//! together take at most half of the store's memory, or one takes what the largest item needs; beyond that
//! [`arrived`](Reservation::arrived) refuses. An announced length alone costs address space and no memory.
//!
//! Cost: a mapping of memory, or a buffer that another large value gave back, and a system call for each.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::pages::PageBuffer;
use super::record::MOST_HEAD;
use super::record_log::{self, HEADER};
use super::shards::Store;

/// Bytes that are counted at a time.
const STEP: usize = 64 << 10;
/// Bytes of the end of a line behind a value.
const LINE_END: usize = 2;
/// Bytes from which a value is worth a system call of its own.
const LARGE: usize = 32 << 10;

/// Memory for one value. Dropped without [`put_received`](super::Tree::put_received), it goes back.
#[derive(Debug)]
pub(crate) struct Reservation {
    store: Arc<Store>,
    pub(super) bytes: PageBuffer,
    /// The start of the value in the buffer.
    pub(super) at: usize,
    length: usize,
    /// Bytes behind the value, for the end of its line.
    line_end: usize,
    /// Bytes that have arrived, the end of the line included.
    filled: usize,
    /// Bytes that are counted as the store's: of a free buffer all, of a new one those that have arrived.
    counted: usize,
    /// Bytes for which the bound of all values on their way was checked.
    checked: usize,
}

impl Store {
    /// Memory for a value of `length` bytes under a key of `key` bytes, and the end of a line behind it. `None` if an item
    /// may not be so large, or if records of that size share their memory with others; such a value is given to
    /// [`put`](super::Tree::put) when it has arrived.
    pub(crate) fn reserve(self: &Arc<Self>, key: usize, length: usize) -> Option<Reservation> {
        self.reserve_with(key, length, LINE_END)
    }

    /// Memory for a value with nothing behind it.
    pub(crate) fn reserve_bare(self: &Arc<Self>, key: usize, length: usize) -> Option<Reservation> {
        self.reserve_with(key, length, 0)
    }

    fn reserve_with(
        self: &Arc<Self>,
        key: usize,
        length: usize,
        line_end: usize,
    ) -> Option<Reservation> {
        let at = HEADER + MOST_HEAD + key;
        let room = record_log::room(at - HEADER + length + line_end);
        let single = room > self.pool.segment() / 4 && length >= LARGE;
        let fits =
            key + length <= self.max_item_size() && self.least_for(key + length) <= self.limit();
        if !single || !fits {
            return None;
        }
        let mut reservation = Reservation {
            store: Arc::clone(self),
            bytes: PageBuffer::default(),
            at,
            length,
            line_end,
            filled: 0,
            counted: 0,
            checked: 0,
        };
        match self.pool.take_free_large(room) {
            Some(bytes) => {
                reservation.count(bytes.taken());
                reservation.bytes = bytes;
            }
            None => reservation.bytes = self.pool.new_large(room),
        }
        Some(reservation)
    }
}

impl Reservation {
    /// Bytes of the value.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The memory for the next bytes of the value and of its line end; empty when all have arrived.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        &mut self.bytes[self.at + self.filled..self.at + self.length + self.line_end]
    }

    /// Whether the value and the end of its line have arrived.
    pub(crate) fn is_whole(&self) -> bool {
        self.filled == self.length + self.line_end
    }

    /// Bytes of the value and the end of its line that are still to come.
    pub(crate) fn missing(&self) -> usize {
        self.length + self.line_end - self.filled
    }

    /// The bytes behind the value, once they have arrived.
    pub(crate) fn line_end(&self) -> &[u8] {
        let end = self.at + self.length;
        &self.bytes[end..end + self.line_end]
    }

    /// Copies the start of `bytes` into the [`space`](Reservation::space); returns how many bytes it took.
    pub(crate) fn copy(&mut self, bytes: &[u8]) -> usize {
        let space = self.space();
        let taken = space.len().min(bytes.len());
        space[..taken].copy_from_slice(&bytes[..taken]);
        taken
    }

    /// Notes that this many bytes were written to the [`space`](Reservation::space), and evicts other items for
    /// them. `false` if values on their way take too much of the store, or if the store is full and refuses: then this one has to be
    /// dropped.
    ///
    /// No lock of the store is held by the caller.
    pub(crate) fn arrived(&mut self, bytes: usize) -> bool {
        self.filled += bytes;
        let needed = (self.at + self.filled).next_multiple_of(STEP);
        let needed = needed.min(self.bytes.taken());
        if needed > self.checked {
            self.checked = needed;
            self.count(needed.max(self.counted));
            let reserved = self.store.reserved.load(Ordering::Relaxed);
            let is_alone = reserved == self.counted as u64;
            if reserved > self.store.memory() / 2 && !is_alone {
                return false;
            }
            if self.store.used() > self.store.limit() {
                self.store.trim(None);
                return !self.store.refuses() || self.store.used() <= self.store.limit();
            }
        }
        true
    }

    /// Counts this many bytes as the store's, instead of those counted before.
    fn count(&mut self, bytes: usize) {
        self.store.count(self.counted, bytes);
        let change = (bytes as u64).wrapping_sub(self.counted as u64);
        self.store.reserved.fetch_add(change, Ordering::Relaxed);
        self.counted = bytes;
    }

    /// Bytes of the buffer that are not counted as the store's.
    pub(super) fn uncounted(&self) -> usize {
        self.bytes.taken().saturating_sub(self.counted)
    }

    /// The buffer, and how many of its bytes are counted as the store's. They stay counted.
    pub(super) fn take_counted(&mut self) -> (PageBuffer, usize) {
        let counted = std::mem::take(&mut self.counted);
        let change = counted as u64;
        self.store.reserved.fetch_sub(change, Ordering::Relaxed);
        (std::mem::take(&mut self.bytes), counted)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.count(0);
        self.store.pool.give(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::store::{Clock, Config, Entry};

    fn store(memory: u64) -> Arc<Store> {
        let config = Config {
            memory,
            ..Config::default()
        };
        Arc::new(Store::new(config, Clock::manual(1_000)))
    }

    const ENTRY: Entry<'static> = Entry {
        value: None,
        flags: 0,
        expires_ms: None,
    };

    /// Fills a reservation in pieces of this many bytes.
    fn fill(reservation: &mut Reservation, value: &[u8], piece: usize) -> bool {
        let mut line = value.to_vec();
        line.extend_from_slice(b"\r\n");
        line.chunks(piece).all(|piece| {
            assert_eq!(reservation.copy(piece), piece.len());
            reservation.arrived(piece.len())
        })
    }

    /// The bytes that all shards hold.
    fn footprints(store: &Store) -> u64 {
        let shards = store.shards.iter();
        shards
            .map(|shard| crate::store::shards::locked(shard).footprint() as u64)
            .sum()
    }

    #[test]
    fn a_small_value_and_one_that_the_store_can_not_hold_are_not_received_in_place() {
        let store = store(8 << 20);
        assert!(store.reserve(10, LARGE - 1).is_none());
        assert!(store.reserve(10, LARGE).is_some());
        assert!(store.reserve(10, 9 << 20).is_none());
        assert_eq!(store.used(), footprints(&store));
    }

    #[test]
    fn a_value_without_a_line_end_is_whole_with_its_last_byte() {
        let store = store(8 << 20);
        let mut reservation = store.reserve_bare(1, LARGE).unwrap();
        let value = vec![b'x'; LARGE + 1];
        assert_eq!(reservation.copy(&value), LARGE);
        assert!(reservation.arrived(LARGE - 1));
        assert_eq!((reservation.is_whole(), reservation.missing()), (false, 1));
        assert!(reservation.arrived(1));
        assert!(reservation.is_whole() && reservation.space().is_empty());
        assert!(reservation.line_end().is_empty());
        let mut tree = store.lock(0, b"k");
        let node = tree.put_received(b"k", ENTRY, reservation).unwrap();
        assert_eq!(tree.item(node).value(), Some(&value[..LARGE]));
    }

    #[test]
    fn announced_bytes_cost_nothing_and_received_bytes_count_until_they_are_dropped() {
        let store = store(64 << 20);
        let empty = store.used();
        let mut reservations: Vec<_> = (0..1000)
            .map(|_| store.reserve(10, 1 << 20).expect("a large value"))
            .collect();
        assert_eq!(store.used(), empty);
        let first = &mut reservations[0];
        assert!(fill_half(first));
        let counted = store.used() - empty;
        assert!((512 << 10..640 << 10).contains(&counted), "{counted}");
        // Half of the store is for stored items.
        let taken = reservations.iter_mut().filter(|r| r.filled == 0);
        let taken = taken.map(fill_half).take_while(|more| *more).count();
        assert!((50..64).contains(&taken), "{taken}");
        drop(reservations);
        assert_eq!(store.used(), empty);
    }

    fn fill_half(reservation: &mut Reservation) -> bool {
        let half = reservation.length / 2;
        reservation.space()[..half].fill(b'x');
        reservation.arrived(half)
    }

    #[test]
    fn items_are_evicted_for_values_on_their_way() {
        let store = store(8 << 20);
        let value = vec![b'v'; 1000];
        for number in 0..10_000u32 {
            let key = number.to_be_bytes();
            let entry = Entry {
                value: Some(&[&value]),
                ..ENTRY
            };
            store.lock(0, &key).put(&[&key], entry).unwrap();
        }
        let value = vec![b'x'; 1_000_000];
        let mut reservation = store.reserve(1, value.len()).unwrap();
        assert!(fill(&mut reservation, &value, 100_000));
        assert!(store.used() <= store.limit());
        let node = store
            .lock(0, b"k")
            .put_received(b"k", ENTRY, reservation)
            .unwrap();
        let tree = store.lock(0, b"k");
        assert_eq!(tree.item(node).value(), Some(&value[..]));
        drop(tree);
        assert!(store.used() <= store.limit());
        assert_eq!(store.used(), footprints(&store));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// An item that was received in pieces equals one that was stored at once, whatever was
        /// stored before.
        #[test]
        fn a_received_value_is_the_same_as_one_that_was_put(
            before in prop_oneof![Just(None), Just(Some(10)), Just(Some(LARGE + 5)), Just(Some(90_000usize))],
            child in any::<bool>(),
            length in LARGE..200_000,
            piece in 1_000..70_000usize,
            flags in prop_oneof![Just(0), any::<u32>()],
            expires_ms in prop_oneof![Just(None), Just(Some(5_000))],
        ) {
            let store = store(16 << 20);
            let value: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let entry = Entry { value: None, flags, expires_ms };
            for key in [&b"put"[..], b"received"] {
                let mut tree = store.lock(0, key);
                if let Some(length) = before {
                    let old = vec![b'o'; length];
                    let entry = Entry { value: Some(&[&old]), flags: 1, expires_ms: Some(9_000) };
                    tree.put(&[key], entry).unwrap();
                    if child {
                        tree.put(&[key, b"child"], Entry { value: Some(&[b"c"]), ..ENTRY }).unwrap();
                    }
                }
            }
            store.lock(0, b"put").put(&[b"put"], Entry { value: Some(&[&value]), ..entry }).unwrap();
            let mut reservation = store.reserve(8, length).unwrap();
            prop_assert!(fill(&mut reservation, &value, piece));
            prop_assert!(reservation.is_whole());
            prop_assert_eq!(reservation.line_end(), b"\r\n");
            store.lock(0, b"received").put_received(b"received", entry, reservation).unwrap();
            for key in [&b"put"[..], b"received"] {
                let mut tree = store.lock(0, key);
                let node = tree.peek(&[key]).unwrap();
                let item = tree.item(node);
                prop_assert_eq!(item.key(), key);
                prop_assert_eq!(item.value(), Some(&value[..]));
                prop_assert_eq!((item.flags(), item.expires_ms()), (flags, expires_ms));
                prop_assert!(!item.has_children());
            }
            prop_assert_eq!(store.used(), footprints(&store));
            for key in [&b"put"[..], b"received"] {
                let mut tree = store.lock(0, key);
                let node = tree.peek(&[key]).unwrap();
                tree.remove(node);
            }
            prop_assert_eq!(store.used(), footprints(&store));
        }
    }
}

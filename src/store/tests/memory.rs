//! The bound of memory while the sizes of values change: the count equals the memory that is held, and never exceeds the
//! limit.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Many operations of one kind.
#[derive(Debug, Clone)]
enum Phase {
    /// Stores so many values of lengths up to a longest one, under keys that may have one, to expire or not.
    Fill {
        count: u32,
        longest: usize,
        expiring: bool,
    },
    /// Stores so many fields of hashes of five.
    Fields {
        count: u32,
    },
    /// Reads every so many-th key.
    Read {
        every: u32,
    },
    /// Deletes every so many-th key.
    Delete {
        every: u32,
    },
    /// Lets everything expire that can.
    Expire,
    Flush,
    SetMemory {
        mebibytes: u64,
    },
}

fn phase() -> impl Strategy<Value = Phase> {
    let longest = prop_oneof![
        Just(20),
        Just(200),
        Just(4_000),
        Just(60_000),
        Just(500_000)
    ];
    prop_oneof![
        6 => (1..1500u32, longest, any::<bool>()).prop_map(|(count, longest, expiring)| {
            // As many as are a few times the memory.
            let count = count.min((16 << 20) / longest as u32 + 1);
            Phase::Fill { count, longest, expiring }
        }),
        2 => (1..1000u32).prop_map(|count| Phase::Fields { count }),
        1 => (1..20u32).prop_map(|every| Phase::Read { every }),
        1 => (1..5u32).prop_map(|every| Phase::Delete { every }),
        1 => Just(Phase::Expire),
        1 => Just(Phase::Flush),
        1 => (2..12u64).prop_map(|mebibytes| Phase::SetMemory { mebibytes }),
    ]
}

/// A value that was stored.
struct Stored {
    length: usize,
    byte: u8,
    expires_ms: Option<u64>,
}

/// A store, and the last value of each key.
struct Watched {
    store: Store,
    values: HashMap<u32, Stored>,
    draws: u32,
}

impl Watched {
    fn new(when_full: WhenFull) -> Watched {
        let config = Config {
            memory: 6 << 20,
            shards: 2,
            when_full,
            ..Config::default()
        };
        Watched {
            store: Store::new(config, Clock::manual(START)),
            values: HashMap::new(),
            draws: 0,
        }
    }

    /// Whether a value was stored. Only a store that refuses may have no room for it.
    fn is_stored(&self, stored: Result<u64, Refused>) -> bool {
        if self.store.when_full() == WhenFull::Evict {
            stored.unwrap();
            return true;
        }
        if let Err(why) = stored {
            assert_eq!(why, Refused::OutOfMemory);
        }
        stored.is_ok()
    }

    fn draw(&mut self, below: u32) -> u32 {
        self.draws = self
            .draws
            .wrapping_mul(1_664_525)
            .wrapping_add(1_013_904_223);
        (self.draws >> 8) % below
    }

    fn run(&mut self, phase: &Phase) {
        match *phase {
            Phase::Fill {
                count,
                longest,
                expiring,
            } => {
                for _ in 0..count {
                    let (key, length) = (self.draw(3000), self.draw(longest as u32) as usize);
                    let byte = self.draw(256) as u8;
                    let expires_ms = expiring.then(|| self.store.now_ms() + 1000);
                    let bytes = vec![byte; length];
                    let parts: &[&[u8]] = &[&bytes];
                    let entry = Entry {
                        value: Some(parts),
                        expires_ms,
                        ..Entry::default()
                    };
                    let stored = put(&self.store, &[&key.to_le_bytes()], entry);
                    if self.is_stored(stored) {
                        let stored = Stored {
                            length,
                            byte,
                            expires_ms,
                        };
                        self.values.insert(key, stored);
                    }
                    assert!(self.store.resident() <= self.store.memory());
                }
            }
            Phase::Fields { count } => {
                for i in 0..count {
                    let hash = (i / 5).to_string();
                    let mut tree = self.store.lock(0, hash.as_bytes());
                    let node = match tree.peek(&[hash.as_bytes()]) {
                        Some(node) => node,
                        None => match tree.put(&[hash.as_bytes()], Entry::default()) {
                            Ok(node) => node,
                            refused => {
                                assert!(!self.is_stored(refused.map(|_| 0)));
                                continue;
                            }
                        },
                    };
                    let stored = tree.put_child(node, &i.to_le_bytes(), value(&[b"field"]));
                    drop(tree);
                    self.is_stored(stored.map(|_| 0));
                    assert!(self.store.resident() <= self.store.memory());
                }
            }
            Phase::Read { every } => {
                (0..3000u32)
                    .step_by(every as usize)
                    .for_each(|key| drop(get(&self.store, &[&key.to_le_bytes()])));
            }
            Phase::Delete { every } => {
                for key in (0..3000u32).step_by(every as usize) {
                    let mut tree = self.store.lock(0, &key.to_le_bytes());
                    let node = tree.peek(&[&key.to_le_bytes()]);
                    node.into_iter().for_each(|node| tree.remove(node));
                    self.values.remove(&key);
                }
            }
            Phase::Expire => {
                self.store.clock().advance(Duration::from_millis(1000));
                self.store.sweep(usize::MAX);
            }
            Phase::Flush => {
                self.store.flush_all();
                self.values.clear();
            }
            Phase::SetMemory { mebibytes } => {
                // A store that refuses keeps what exceeds a lower limit.
                if self.store.when_full() == WhenFull::Evict {
                    self.store.set_memory(mebibytes << 20);
                }
            }
        }
    }

    /// Asserts that the account is right, the limit holds and only the newest values are stored.
    fn check(&self) {
        let shards = self.store.shards.iter();
        let held = shards.map(|shard| {
            let shard = locked(shard);
            shard.check();
            shard.held() as u64
        });
        assert_eq!(held.sum::<u64>(), self.store.used());
        assert!(self.store.resident() <= self.store.memory());
        let (refuses, now_ms) = (self.store.refuses(), self.store.now_ms());
        for (key, stored) in &self.values {
            let found = get(&self.store, &[&key.to_le_bytes()]);
            if refuses && stored.expires_ms.is_none_or(|when_ms| when_ms > now_ms) {
                assert!(found.is_some(), "key {key} is lost");
            }
            if let Some(found) = found {
                let all = found.iter().all(|found| *found == stored.byte);
                assert!(found.len() == stored.length && all, "key {key}");
            }
        }
        let mut stored = 0;
        self.store.scan(0, 0, usize::MAX, |item| {
            stored += usize::from(item.value().is_some())
        });
        assert!(stored <= self.values.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_count_equals_the_memory_held_and_stays_within_the_limit_for_all_sizes(
        when_full in prop_oneof![Just(WhenFull::Evict), Just(WhenFull::Refuse)],
        phases in prop::collection::vec(phase(), 1..8),
    ) {
        let mut watched = Watched::new(when_full);
        for phase in &phases {
            watched.run(phase);
            watched.check();
        }
        flush_whole(&watched.store);
        prop_assert_eq!(watched.store.used(), 0);
    }
}

/// Removes the only child of an item in full stores, without a write that makes room. The item's record without its list of
/// children is a new one, which may need a new segment.
fn remove_only_children_from_full_stores(remove: impl Fn(&Store)) {
    for draws in 0..300 {
        let mut watched = Watched::new(WhenFull::Evict);
        watched.draws = draws;
        let config = Config {
            memory: 24 << 10,
            max_item_size: 1 << 20,
            shards: 1,
            ..Config::default()
        };
        let store = Store::new(config, Clock::manual(START));
        for key in 0..100u32 {
            let key = key.to_le_bytes();
            let mut tree = store.lock(0, &key);
            let bytes = vec![7; watched.draw(1000) as usize];
            let entry = Entry {
                value: Some(&[&bytes]),
                ..Entry::default()
            };
            let node = tree.put(&[&key], entry).unwrap();
            if watched.draw(10) == 0 {
                let child = tree.put_child(node, b"child", value(&[b"value"])).unwrap();
                tree.set_expiry(child, Some(START + 1000));
            }
        }
        remove(&store);
        let (resident, memory) = (store.resident(), store.memory());
        assert!(resident <= memory, "{resident} bytes, first draw {draws}");
    }
}

#[test]
fn a_sweep_of_a_full_store_stays_within_the_limit() {
    remove_only_children_from_full_stores(|store| {
        store.clock().advance(Duration::from_millis(1000));
        store.sweep(usize::MAX);
    });
}

/// The values of 100 bytes went, most of them, and their slots, table and segments stayed.
#[test]
fn a_store_of_small_values_that_is_filled_with_large_ones_uses_nearly_all_of_its_memory() {
    let mut watched = Watched::new(WhenFull::Evict);
    watched.store.set_memory(16 << 20);
    for i in 0..100_000u32 {
        put(&watched.store, &[&i.to_be_bytes()], value(&[&[7; 100]])).unwrap();
    }
    watched.run(&Phase::Fill {
        count: 12_000,
        longest: 8_000,
        expiring: false,
    });
    let mut items = 0;
    watched
        .store
        .scan(0, 0, usize::MAX, |item| items += item.size());
    assert!(items > 25 << 19, "{items} bytes of items");
}

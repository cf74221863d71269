//! Walks over the whole store, and the counters of its items.

use super::*;

#[test]
fn a_scan_shows_every_key_once_and_a_random_key_is_one_of_them() {
    let store = store();
    for i in 0..1000u32 {
        put(&store, &[&i.to_le_bytes()], value(&[b"v"])).unwrap();
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor = 0;
    loop {
        cursor = store.scan(0, cursor, 10, |item| {
            assert!(seen.insert(item.key().to_vec()))
        });
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen.len(), 1000);
    assert!(seen.contains(&store.random_key(0).unwrap()));
    assert_eq!(store.random_key(1), None);
}

#[test]
fn a_scan_of_paths_shows_live_items_of_any_depth_with_their_properties() {
    let store = store();
    let expiring = Entry {
        expires_ms: Some(START + 5000),
        flags: 7,
        ..value(&[b"1"])
    };
    put(&store, &[b"a"], expiring).unwrap();
    put(&store, &[b"a", b"b"], value(&[b"2"])).unwrap();
    put(&store, &[b"c"], value(&[b"3"])).unwrap();
    store.lock(1, b"d").put(&[b"d"], value(&[b"4"])).unwrap();
    store.clock().advance(Duration::from_millis(2000));
    get(&store, &[b"c"]);
    let seen = || {
        let mut seen = Vec::new();
        let mut cursor = 0;
        loop {
            cursor = store.scan_paths(0, cursor, 7, |path, item| {
                let path = path
                    .iter()
                    .map(|key| key.to_vec())
                    .collect::<Vec<_>>()
                    .join(&b' ');
                let access = item.last_access_ms() - START;
                seen.push((
                    path,
                    item.flags(),
                    item.expires_ms(),
                    access,
                    item.is_fetched(),
                ));
            });
            if cursor == 0 {
                seen.sort();
                return seen;
            }
        }
    };
    let c = (b"c".to_vec(), 0, None, 2000, true);
    let a = (b"a".to_vec(), 7, Some(START + 5000), 0, false);
    assert_eq!(seen(), [a, (b"a b".to_vec(), 0, None, 0, false), c.clone()]);
    store.clock().advance(Duration::from_millis(3000));
    assert_eq!(seen(), [c]);
}

#[test]
fn items_that_expire_or_are_evicted_unread_are_counted_separately() {
    let config = Config {
        memory: 256 << 10,
        shards: 1,
        ..Config::default()
    };
    let store = Store::new(config, Clock::manual(START));
    let expiring = Entry {
        expires_ms: Some(START + 1),
        ..value(&[b"1"])
    };
    for key in [&b"read"[..], b"unread", b"read, then replaced"] {
        put(&store, &[key], expiring).unwrap();
    }
    get(&store, &[b"read"]);
    get(&store, &[b"read, then replaced"]);
    put(&store, &[b"read, then replaced"], expiring).unwrap();
    store.clock().advance(Duration::from_millis(1));
    get(&store, &[b"read"]);
    get(&store, &[b"never there"]);
    store.sweep(usize::MAX);
    let stats = store.stats();
    assert_eq!(
        (stats.expired, stats.expired_unfetched, stats.get_expired),
        (3, 2, 1)
    );
    for i in 0..5000u32 {
        put(&store, &[&i.to_le_bytes()], value(&[&[7; 100]])).unwrap();
        if i % 2 == 0 {
            get(&store, &[&i.to_le_bytes()]);
        }
    }
    let stats = store.stats();
    assert!(stats.evicted_unfetched > 0 && stats.evicted_unfetched < stats.evictions);
    assert!(stats.hash_bytes > 0 && stats.hash_bytes < stats.bytes);
}

/// A step counted free slots as it counts items, so a walk over one item took a hundred steps.
#[test]
fn free_slots_cost_few_steps_and_no_step_all_of_them() {
    let store = store();
    put(&store, &[b"only"], value(&[b"1"])).unwrap();
    assert_eq!(store.scan(0, 0, 10, |_| {}), 0);

    let names: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    for name in &names {
        put(&store, &[name.as_bytes()], value(&[b""])).unwrap();
    }
    for name in &names[..99_999] {
        let mut tree = store.lock(0, name.as_bytes());
        let node = tree.peek(&[name.as_bytes()]).unwrap();
        tree.remove(node);
    }
    let mut seen = 0;
    assert_eq!(store.scan(0, 0, usize::MAX, |_| seen += 1), 0);
    assert_eq!(seen, 2);
    let (mut steps, mut cursor, mut seen) = (0, 0, 0);
    loop {
        cursor = store.scan(0, cursor, 10, |_| seen += 1);
        steps += 1;
        if cursor == 0 {
            break;
        }
    }
    assert_eq!(seen, 2);
    assert!(steps < 50, "{steps} steps");
}

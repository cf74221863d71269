//! Times single operations with Criterion: reading a request, finding an item, finding a key's server.
//!
//! `cargo bench --bench operations` runs all; `cargo bench --bench operations -- parsers` those whose names contain a word.
//! Criterion compares with the run before and reports whether a difference is more than noise. The groups:
//!
//! - `parsers`: one request of each protocol, from its bytes to the command. memcached's `get` is read by the scanner and, with
//!   a second blank, by the regular expression, so the difference is the time that the scanner saves.
//! - `store`: a get and a set under the shard's lock.
//! - `ring`: the server that a key belongs to, among 4 and among 64.
//!
//! `benches/measure.py` measures whole servers; `benches/store.rs` measures memory and pauses of the store.

use std::hint::black_box;

use criterion::Criterion;
use larder::pool::{Placement, Ring, ServerList};
use larder::protocol::memcached::text::{Nesting, Parsed, parse};
use larder::protocol::resp::{CommandWords, Limits, Reader, request};
use larder::store::{Clock, Config, Entry, Store};

/// Items of the store: more than the processor's caches hold.
const ITEMS: u64 = 100_000;

const LIMITS: Limits = Limits {
    bulk: 1 << 20,
    request: 1 << 30,
    unauthenticated: false,
};

fn key(number: u64) -> [u8; 30] {
    let mut key = *b"key:00000000000000000000000000";
    for (place, digit) in key.iter_mut().rev().zip(number.to_string().bytes().rev()) {
        *place = digit;
    }
    key
}

fn parsers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parsers");
    for (name, line) in [
        ("memcached get, scanner", "get user:1234567890\r\n"),
        ("memcached get, regex", "get  user:1234567890\r\n"),
        ("memcached set, scanner", "set user:1234567890 0 0 100\r\n"),
        ("memcached set, regex", "set  user:1234567890 0 0 100\r\n"),
    ] {
        let read = |line: &str| match parse(line.as_bytes(), 0, Nesting::Off) {
            Parsed::Done { consumed, .. } => consumed,
            other => panic!("{line:?} is a command: {other:?}"),
        };
        group.bench_function(name, |bencher| bencher.iter(|| read(black_box(line))));
    }
    let value = [b'v'; 100];
    for (name, words) in [
        ("RESP GET", vec![b"GET".as_slice(), b"user:1234567890"]),
        ("RESP SET", vec![b"SET", b"user:1234567890", &value]),
    ] {
        let bytes = request(&words);
        let mut reader = Reader::default();
        let mut words = CommandWords::default();
        group.bench_function(name, |bencher| {
            bencher.iter(|| reader.read(black_box(&bytes), &LIMITS, &mut words));
        });
    }
    group.finish();
}

fn store(criterion: &mut Criterion) {
    let config = Config {
        memory: 64 << 20,
        ..Config::default()
    };
    let store = Store::new(config, Clock::system());
    let put = |key: &[u8], value: &[u8]| {
        let entry = Entry {
            value: Some(&[value]),
            ..Entry::default()
        };
        let mut tree = store.lock(0, key);
        tree.put(&[key], entry).expect("the item fits");
    };
    let keys: Vec<[u8; 30]> = (0..2 * ITEMS).map(key).collect();
    let (present, absent) = keys.split_at(ITEMS as usize);
    present.iter().for_each(|key| put(key, &[b'v'; 100]));
    let mut group = criterion.benchmark_group("store");
    let mut random = fastrand::Rng::with_seed(1);
    group.bench_function("get, hit", |bencher| {
        bencher.iter(|| {
            let key = &present[random.usize(..present.len())];
            let mut tree = store.lock(0, key);
            let node = tree.find(&[key]).expect("every key is there");
            black_box(tree.item(node).value());
        });
    });
    group.bench_function("get, miss", |bencher| {
        bencher.iter(|| {
            let key = &absent[random.usize(..absent.len())];
            black_box(store.lock(0, key).find(&[key]));
        });
    });
    group.bench_function("set, same length", |bencher| {
        bencher.iter(|| put(&present[random.usize(..present.len())], &[b'w'; 100]));
    });
    group.bench_function("set, other length", |bencher| {
        bencher.iter(|| {
            let key = &present[random.usize(..present.len())];
            put(key, &[b'w'; 150][..random.usize(50..150)]);
        });
    });
    let mut number = 2 * ITEMS;
    group.bench_function("set, new keys, evicting", |bencher| {
        bencher.iter(|| {
            number += 1;
            put(&key(number), &[b'w'; 100]);
        });
    });
    group.finish();
}

fn ring(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ring");
    for servers in [4, 64] {
        let list = (1..=servers).map(|number| format!("10.0.0.{number}:11211 1\n"));
        let list: ServerList = list.collect::<String>().parse().expect("a list of servers");
        for (name, placement) in [
            ("ketama", Placement::Ketama),
            ("twemproxy", Placement::Twemproxy),
        ] {
            let ring = Ring::new(&list, placement);
            let mut number = 0;
            group.bench_function(format!("{name}, {servers} servers"), |bencher| {
                bencher.iter(|| {
                    number += 1;
                    ring.server(black_box(&key(number)))
                });
            });
        }
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for group in [parsers, store, ring] {
        group(&mut criterion);
    }
    criterion.final_summary();
}

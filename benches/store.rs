//! Measures the embedded store: bytes of resident memory an item, and the longest write. `benches/operations.rs` times single
//! operations.
//!
//! `cargo bench --bench store` runs every measurement, each in a process of its own so that none sees the
//! memory of another; `cargo bench --bench store -- items` runs one. Memory is read from
//! /proc/self/statm, so it needs Linux.

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Instant;

use larder::store::{Clock, Config, Entry, Store};

/// A measurement: its name on the command line, its subject, and its function.
type Measurement = (&'static str, &'static str, fn());

const MEASUREMENTS: &[Measurement] = &[
    (
        "items",
        "resident memory of 1,000,000 items, keys of 30 bytes, values of 100",
        items,
    ),
    (
        "full",
        "resident memory of a full cache of 64 MiB, values of 100 bytes",
        full,
    ),
    (
        "mixed",
        "the same with values of 10 bytes to 10 KiB, churned",
        mixed,
    ),
    (
        "shift",
        "the same with values of 10 bytes and then of 10 KiB",
        shift,
    ),
    (
        "threads",
        "the mixed churn again, by 8 threads at once",
        threads,
    ),
    (
        "large",
        "8 threads at once again, with values of 10 to 300 kB",
        large,
    ),
    (
        "turns",
        "the mixed churn again, by 4 threads one after the other",
        turns,
    ),
    (
        "pauses",
        "the longest write while values change their sizes, in a cache of 64 MiB",
        pauses,
    ),
];

fn main() -> ExitCode {
    let chosen: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| arg != "--bench")
        .collect();
    if let [one] = &chosen[..] {
        let Some((_, _, measure)) = MEASUREMENTS.iter().find(|(name, ..)| name == one) else {
            let names: Vec<&str> = MEASUREMENTS.iter().map(|(name, ..)| *name).collect();
            eprintln!(
                "there is no measurement {one:?}; choose one of {}",
                names.join(", ")
            );
            return ExitCode::FAILURE;
        };
        measure();
        return ExitCode::SUCCESS;
    }
    for (name, what, _) in MEASUREMENTS {
        println!("{name}: {what}");
        let run =
            std::env::current_exe().and_then(|itself| Command::new(itself).arg(name).status());
        if !run.is_ok_and(|status| status.success()) {
            eprintln!("{name} failed");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn store(mebibytes: u64) -> Store {
    Store::new(
        Config {
            memory: mebibytes << 20,
            ..Config::default()
        },
        Clock::system(),
    )
}

fn key(number: u64) -> [u8; 30] {
    let mut key = *b"key:00000000000000000000000000";
    for (place, digit) in key
        .iter_mut()
        .rev()
        .zip(format!("{number:020}").bytes().rev())
    {
        *place = digit;
    }
    key
}

fn put(store: &Store, key: &[u8], value: &[u8]) {
    let entry = Entry {
        value: Some(&[value]),
        ..Entry::default()
    };
    store
        .lock(0, key)
        .put(&[key], entry)
        .expect("the item fits");
}

/// Bytes of resident memory of this process.
fn resident() -> u64 {
    const PAGE: u64 = 4096;
    let statm = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages = statm
        .split_whitespace()
        .nth(1)
        .expect("statm has seven fields");
    pages.parse::<u64>().expect("a number of pages") * PAGE
}

/// A random sequence that is the same in every run (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn items() {
    const ITEMS: u64 = 1_000_000;
    let store = store(1024);
    let empty = resident();
    for number in 0..ITEMS {
        put(&store, &key(number), &[b'v'; 100]);
    }
    let each = (resident() - empty) as f64 / ITEMS as f64;
    let counted = store.used() as f64 / ITEMS as f64;
    println!(
        "  {each:.1} bytes an item, {counted:.1} of them counted, {} items",
        store.len(0)
    );
}

fn report(store: &Store, empty: u64) {
    let (taken, limit) = (resident() - empty, store.memory());
    println!(
        "  {:.1} MiB above the empty process of {:.1}: {:.3} of the limit; {} items, {:.1} MiB counted",
        taken as f64 / 1048576.0,
        empty as f64 / 1048576.0,
        taken as f64 / limit as f64,
        store.stats().items,
        store.used() as f64 / 1048576.0,
    );
}

fn full() {
    let store = store(64);
    let empty = resident();
    for number in 0..3_000_000 {
        put(&store, &key(number), &[b'v'; 100]);
    }
    report(&store, empty);
}

static BYTES: [u8; 300_000] = [b'v'; 300_000];

fn churn(store: &Store, seed: u64, rounds: u64, shortest: u64, longest: u64) {
    let mut random = Random(seed);
    for _ in 0..rounds {
        let length = shortest + random.below(longest - shortest + 1);
        put(
            store,
            &key(random.below(1_000_000)),
            &BYTES[..length as usize],
        );
    }
}

fn mixed() {
    let store = store(64);
    let empty = resident();
    for round in 1..=4 {
        churn(&store, round, 500_000, 10, 10240);
        report(&store, empty);
    }
}

fn shift() {
    let store = store(64);
    let empty = resident();
    churn(&store, 1, 3_000_000, 10, 10);
    report(&store, empty);
    churn(&store, 2, 500_000, 10240, 10240);
    report(&store, empty);
    churn(&store, 3, 3_000_000, 10, 10);
    report(&store, empty);
}

fn threads() {
    together(2_000_000, 10, 10240);
}

fn large() {
    together(200_000, 10_000, 300_000);
}

/// Several threads churn at once.
fn together(rounds: u64, shortest: u64, longest: u64) {
    const THREADS: u64 = 8;
    let store = Arc::new(store(64));
    let empty = resident();
    let churns: Vec<_> = (1..=THREADS)
        .map(|seed| {
            let store = Arc::clone(&store);
            std::thread::spawn(move || churn(&store, seed, rounds / THREADS, shortest, longest))
        })
        .collect();
    for churn in churns {
        churn.join().expect("a churn ends");
    }
    report(&store, empty);
}

/// Four threads fill the cache one after the other.
fn turns() {
    let store = Arc::new(store(64));
    let empty = resident();
    let (go, wait): (Vec<_>, Vec<_>) = (0..4).map(|_| std::sync::mpsc::channel::<()>()).unzip();
    let (done, ended) = std::sync::mpsc::channel();
    let threads: Vec<_> = wait
        .into_iter()
        .enumerate()
        .map(|(seed, wait)| {
            let (store, done) = (Arc::clone(&store), done.clone());
            std::thread::spawn(move || {
                while wait.recv().is_ok() {
                    churn(&store, seed as u64 + 1, 500_000, 10, 10240);
                    done.send(()).expect("the main thread waits");
                }
            })
        })
        .collect();
    for turn in &go {
        turn.send(()).expect("the thread waits");
        ended.recv().expect("a turn ends");
    }
    drop(go);
    for thread in threads {
        thread.join().expect("a thread ends");
    }
    report(&store, empty);
}

/// Nanoseconds for which this thread was ready to run and another ran.
fn delayed() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").expect("this is Linux");
    let delay = schedstat.split_whitespace().nth(1);
    delay.and_then(|delay| delay.parse().ok()).unwrap_or(0)
}

/// The longest of the writes, in groups of 64 during which nothing else took the processor.
fn longest_write(store: &Store, rounds: u64, length: impl Fn(&mut Random) -> u64) {
    const GROUP: u64 = 64;
    let mut random = Random(rounds);
    let (mut longest, mut groups) = (0.0f64, 0);
    for _ in 0..rounds / GROUP {
        let before = delayed();
        let mut here = 0.0f64;
        for _ in 0..GROUP {
            let key = key(random.below(1_000_000));
            let value = &BYTES[..length(&mut random) as usize];
            let start = Instant::now();
            put(store, &key, value);
            here = here.max(start.elapsed().as_secs_f64());
        }
        if delayed() == before {
            longest = longest.max(here);
            groups += 1;
        }
    }
    println!(
        "    longest {:7.0} µs, of {groups} groups of {GROUP} writes",
        longest * 1e6
    );
}

fn pauses() {
    let store = store(64);
    let empty = resident();
    let phases: [(&str, u64, u64, u64); 6] = [
        ("100 bytes", 1_000_000, 100, 100),
        ("10 kB", 50_000, 10_000, 10_000),
        ("10 bytes to 60 kB", 50_000, 10, 60_000),
        ("100 bytes again", 1_000_000, 100, 100),
        ("300 kB", 5_000, 300_000, 300_000),
        ("10 bytes to 60 kB again", 50_000, 10, 60_000),
    ];
    for (what, rounds, shortest, longest) in phases {
        println!("  {what}");
        longest_write(&store, rounds, |random| {
            shortest + random.below(longest - shortest + 1)
        });
        report(&store, empty);
    }
}

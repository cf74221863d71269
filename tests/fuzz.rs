//! The fuzz targets on stable Rust: every input of the corpus, every input that was once a fault, and mutations of both
//! that follow from a number.
//!
//! ```text
//!   fuzz/corpus/NAME/*   ─┬▶ NAME::corpus       each input as it is
//!                         └▶ NAME::mutations    inputs made of them; LARDER_FUZZ cases, 1,000 without it
//!   fuzz/crashes/NAME/*  ──▶ NAME::FILE         an input that showed a fault, named after it
//! ```
//!
//! A failing case prints its number and writes its input to a file, which `cargo fuzz run NAME FILE` runs as well.

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use targets::{TARGETS, Target};

/// Mutations of each target, unless `LARDER_FUZZ` has another number.
const CASES: u64 = 1000;

/// Bytes of the longest mutation.
const LONGEST: usize = 4096;

fn main() {
    let arguments = Arguments::from_args();
    // The message is a part of the failure.
    std::panic::set_hook(Box::new(|panic| {
        LAST_PANIC.with_borrow_mut(|last| *last = panic.to_string());
    }));
    let mut trials = vec![Trial::test("a_planted_fault_is_found", || {
        a_planted_fault_is_found();
        Ok(())
    })];
    for (name, target) in TARGETS {
        let corpus = inputs("corpus", name);
        let crashes = inputs("crashes", name);
        for (file, bytes) in crashes.clone() {
            let name = format!("{name}::{file}");
            trials.push(Trial::test(name, move || {
                checked(target, &bytes, "as it is")
            }));
        }
        let replayed = corpus.clone();
        trials.push(Trial::test(format!("{name}::corpus"), move || {
            assert!(!replayed.is_empty(), "fuzz/corpus/{name} has no input");
            for (file, bytes) in &replayed {
                checked(target, bytes, file)?;
            }
            Ok(())
        }));
        let seeds: Vec<Vec<u8>> = corpus.into_iter().chain(crashes).map(|it| it.1).collect();
        trials.push(Trial::test(format!("{name}::mutations"), move || {
            mutations(target, &seeds, cases()).map_err(|fault| kept(name, fault))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The number of mutations of each target.
fn cases() -> u64 {
    let given = std::env::var("LARDER_FUZZ").unwrap_or_default();
    match given.is_empty() {
        true => CASES,
        false => given.parse().expect("LARDER_FUZZ is a number of cases"),
    }
}

/// The files of a target's directory, by their names.
fn inputs(kind: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let Ok(entries) = std::fs::read_dir(root.join(kind).join(target)) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("the directory can be read").path());
    let mut paths: Vec<PathBuf> = paths.collect();
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        (
            name.into_owned(),
            std::fs::read(path).expect("it can be read"),
        )
    };
    paths.iter().map(read).collect()
}

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Runs a target, and names the input after a panic.
fn checked(target: Target, bytes: &[u8], what: &str) -> Result<(), Failed> {
    catch_unwind(AssertUnwindSafe(|| target(bytes))).map_err(|_| {
        let panic = LAST_PANIC.take();
        format!("{what}: {panic}\ninput: {}", bytes.escape_ascii()).into()
    })
}

/// Runs a target on mutations of the seeds. An input that shows a fault comes back.
fn mutations(target: Target, seeds: &[Vec<u8>], cases: u64) -> Result<(), (Vec<u8>, Failed)> {
    for case in 0..cases {
        let bytes = mutation(seeds, case);
        let what = format!("mutation {case}");
        if checked(target, &bytes, &what).is_err() {
            let bytes = shrunk(target, bytes);
            let failed = checked(target, &bytes, &what).expect_err("it was shrunk to a fault");
            return Err((bytes, failed));
        }
    }
    Ok(())
}

/// A smaller input that shows a fault: stretches are left out as long as the rest still shows one.
fn shrunk(target: Target, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut stretch = bytes.len() / 2;
    while stretch > 0 {
        let mut at = 0;
        while at < bytes.len() {
            let mut fewer = bytes.clone();
            fewer.drain(at..bytes.len().min(at + stretch));
            match checked(target, &fewer, "") {
                Err(_) => bytes = fewer,
                Ok(()) => at += stretch,
            }
        }
        stretch /= 2;
    }
    bytes
}

/// Writes an input to a file.
fn kept(name: &str, (bytes, failed): (Vec<u8>, Failed)) -> Failed {
    let path = std::env::temp_dir().join(format!("larder-fuzz-{name}"));
    std::fs::write(&path, &bytes).expect("the input can be kept");
    let text = failed.message().unwrap_or_default();
    format!("{text}\nwhich is in {}", path.display()).into()
}

/// Bytes that parsers look at.
const WORDS: [&[u8]; 24] = [
    b"\r\n",
    b"\n",
    b" ",
    b"\0",
    b"*",
    b"$",
    b"-1",
    b"0",
    b"1",
    b"9223372036854775807",
    b"18446744073709551615",
    b"4294967296",
    b"get a\r\n",
    b"set a 0 0 1\r\nx\r\n",
    b"mg a v\r\n",
    b"$1\r\na\r\n",
    b"noreply",
    b"\x80",
    b"\x81",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\"",
    b"#",
    b":",
];

/// The input of this number: one of the seeds, with some changes.
fn mutation(seeds: &[Vec<u8>], case: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(case);
    let mut bytes = random.choice(seeds).cloned().unwrap_or_default();
    for _ in 0..random.usize(1..8) {
        let at = random.usize(0..=bytes.len());
        let other = random.choice(seeds).map_or(&[][..], Vec::as_slice);
        match random.u8(0..8) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.u8(0..8),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => bytes.truncate(at),
            3 => {
                let end = random.usize(at..=bytes.len());
                bytes.drain(at..end.min(at + 16));
            }
            4 => {
                let from = random.usize(0..=other.len());
                let to = random.usize(from..=other.len());
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            5 => bytes.insert(at, random.u8(..)),
            6 => {
                let stretch: Vec<u8> = (0..random.usize(..64)).map(|_| random.u8(..)).collect();
                bytes.splice(at..at, stretch);
            }
            _ => {
                let word = random.choice(WORDS).unwrap_or_default();
                bytes.splice(at..at, word.iter().copied());
            }
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

/// The mutations find a fault that no seed shows, and print its input.
fn a_planted_fault_is_found() {
    let faulty: Target = |bytes| {
        let line = bytes
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default();
        assert!(!line.ends_with(b" 0 0\r"), "a line without a length");
    };
    let seeds = [b"set a 0 0 1\r\nx\r\n".to_vec()];
    checked(faulty, &seeds[0], "the seed").expect("the seed shows nothing");
    let found = mutations(faulty, &seeds, 5000);
    let (_, failed) = found.expect_err("the fault is found");
    let text = failed.message().unwrap_or_default();
    assert!(
        text.contains("a line without a length") && text.contains("input: "),
        "{text}"
    );
}

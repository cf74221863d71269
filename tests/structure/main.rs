//! Keeps the structure of `src` as it was designed: files import one another without cycles, rooms along the arrows that
//! the library's front page names, and files and functions are short enough to be read in one sitting.
//!
//! ```text
//!   src/**/*.rs ─▶ source (syn) ─▶ modules: the names that each defines ─▶ imports: file → file ─▶ cycles, arrows
//!                            └───▶ sizes: lines of files and functions
//! ```
//!
//! Code of tests counts for the size of a file and is left out of everything else.

mod api;
mod imports;
mod modules;
mod sizes;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use source::Source;

/// The rooms that a room may import. `program` is the binary's; it sees the library's public items of any
/// room.
const ARROWS: [(&str, &[&str]); 17] = [
    // For tests alone: the readers that no public path leads to.
    (
        "fuzzed",
        &[
            "program",
            "invalidate",
            "pool",
            "service",
            "snapshot",
            "store",
        ],
    ),
    ("protocol", &[]),
    ("store", &["protocol"]),
    ("snapshot", &["store"]),
    ("server", &[]),
    (
        "origin",
        &["client", "upstream", "pool", "server", "store", "protocol"],
    ),
    ("peers", &["origin", "client", "pool", "store"]),
    (
        "service",
        &["peers", "origin", "server", "snapshot", "store", "protocol"],
    ),
    ("pool", &["protocol"]),
    ("upstream", &["pool", "server", "protocol"]),
    ("client", &["upstream", "pool", "server", "protocol"]),
    ("proxy", &["upstream", "pool", "server", "protocol"]),
    (
        "invalidate",
        &["proxy", "upstream", "pool", "server", "protocol"],
    ),
    (
        "admin",
        &[
            "invalidate",
            "proxy",
            "pool",
            "service",
            "snapshot",
            "store",
            "server",
            "protocol",
        ],
    ),
    (
        "tools",
        &["client", "service", "store", "server", "protocol"],
    ),
    (
        "embed",
        &["service", "peers", "origin", "snapshot", "store", "server"],
    ),
    (
        "program",
        &[
            "admin",
            "tools",
            "proxy",
            "invalidate",
            "client",
            "origin",
            "peers",
            "pool",
            "service",
            "server",
            "protocol",
            "snapshot",
            "embed",
        ],
    ),
];

#[test]
fn files_do_not_import_one_another_in_a_cycle() {
    let sources = Source::all();
    let imports = imports::between_files(&sources);
    let cycles = imports::cycles(&imports);
    let shown: Vec<String> = cycles
        .iter()
        .map(|cycle| imports::shortest(cycle, &imports))
        .collect();
    assert!(
        cycles.is_empty(),
        "files import one another in a cycle. The shortest way around each:\n{}",
        shown.join("\n")
    );
}

#[test]
fn rooms_are_imported_along_the_arrows() {
    let sources = Source::all();
    let allowed: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut wrong = Vec::new();
    for import in imports::between_files(&sources) {
        let (from, to) = (source::room(&import.from), source::room(&import.to));
        let known = from == to || ["main", "lib"].contains(&from);
        if !known && !allowed.get(from).is_some_and(|rooms| rooms.contains(&to)) {
            wrong.push(format!(
                "{} uses {} of {}",
                import.from, import.name, import.to
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "against the arrows:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn no_room_is_larger_than_a_quarter_of_src() {
    let sources = Source::all();
    let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
    for source in &sources {
        *rooms.entry(source::room(&source.path)).or_default() += source.lines();
    }
    let all: usize = rooms.values().sum();
    for (room, lines) in rooms {
        assert!(lines * 4 <= all, "{room} has {lines} of {all} lines");
    }
}

#[test]
fn files_are_read_in_one_sitting() {
    let long = sizes::long_files(&Source::all());
    assert!(
        long.is_empty(),
        "these files have more than {} lines:\n{}",
        sizes::FILE,
        long.join("\n")
    );
}

#[test]
fn functions_are_read_at_a_glance() {
    let long = sizes::long_functions(&Source::all());
    assert!(
        long.is_empty(),
        "these functions have more than {} lines:\n{}",
        sizes::FUNCTION,
        long.join("\n")
    );
}

#[test]
fn every_exception_is_needed() {
    let unneeded = sizes::unneeded_exceptions(&Source::all());
    assert!(
        unneeded.is_empty(),
        "no longer long:\n{}",
        unneeded.join("\n")
    );
}

#[test]
fn public_items_are_listed() {
    let found = api::public(&Source::all());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/public_api.txt");
    if std::env::var_os("LARDER_BLESS").is_some_and(|value| value == "1") {
        let lines: String = found.iter().map(|item| format!("{item}\n")).collect();
        std::fs::write(&path, lines).expect("the list can be written");
    }
    let list = std::fs::read_to_string(&path).expect("the list can be read");
    let listed: BTreeSet<String> = list.lines().map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&listed).map(String::as_str).collect();
    let gone: Vec<_> = listed.difference(&found).map(String::as_str).collect();
    assert!(
        new.is_empty() && gone.is_empty(),
        "{} has the items that programs may use. Make an item pub(crate), or document it and write the list again with \
         LARDER_BLESS=1.\nNot listed:\n{}\nNot there:\n{}",
        path.display(),
        new.join("\n"),
        gone.join("\n")
    );
}

#[test]
fn journeys_on_the_map_lead_through_files_that_exist_and_enter_each_once() {
    let sources = Source::all();
    let map = sources.iter().find(|source| source.path == "lib.rs");
    let map = &map.expect("there is a lib.rs").text;
    let journeys: Vec<&str> = map.split("```text").skip(1).collect();
    assert_eq!(journeys.len(), 3);
    for journey in journeys {
        let journey = journey.split("```").next().unwrap_or_default();
        let steps = journey.lines().filter_map(|line| line.strip_prefix("//! "));
        let files = steps.filter_map(|step| step.split(' ').next());
        let files: Vec<&str> = files.filter(|file| !file.is_empty()).collect();
        let entered: BTreeSet<&str> = files.iter().copied().collect();
        assert_eq!(entered.len(), files.len(), "{files:?}");
        assert!(files.len() >= 10, "{files:?}");
        for file in files {
            let exists = sources.iter().any(|source| source.path == file);
            assert!(exists, "src/{file} is on the map in src/lib.rs");
        }
    }
}

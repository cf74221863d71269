//! Keeps the README true: its commands are run and print what it says, its options are the program's, its links lead
//! somewhere. Its Rust is a doc test of the library.

mod support;

#[allow(dead_code, reason = "the book's own checks use the rest")]
mod book {
    pub(crate) mod console;
    pub(crate) mod pages;
}

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder::Server;

use book::console;
use book::pages::{Page, text_of};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn text(path: &str) -> String {
    text_of(&root().join(path)).expect("it is part of the project")
}

fn readme() -> Page {
    Page::parse(PathBuf::from("README.md"), &text("README.md"))
}

/// The block that starts larder and its tests; cargo's own output differs from run to run.
const START: &str = "$ cargo run --release\n$ cargo test\n";

#[test]
fn the_tour_prints_what_the_readme_says() {
    let mut page = readme();
    page.fences.retain(|fence| fence.body != START);
    let mut missing = console::missing_peers(&page);
    let python = Command::new("python3")
        .args(["-c", "import pymemcache"])
        .env("PATH", console::search_path(root()).expect("a search path"))
        .output();
    if !python.is_ok_and(|done| done.status.success()) {
        missing.push("python3 with pymemcache");
    }
    if !missing.is_empty() {
        console::skipped(&format!("README's tour: no {}", missing.join(", ")));
        return;
    }
    let server = Server::start().expect("it starts on free ports");
    let ports = HashMap::from([
        ("11211", server.memcached_addr().port()),
        ("6379", server.resp_addr().port()),
    ]);
    let ports = ports
        .iter()
        .map(|(page, here)| (page.to_string(), here.to_string()));
    let program = Path::new(env!("CARGO_BIN_EXE_larder"));
    let programs = program.parent().expect("a program is in a directory");
    let replayed = console::replay_with(root(), &page, programs, ports.collect());
    replayed.unwrap_or_else(|problem| panic!("{problem}"));
    assert!(
        server.store().len(0) >= 3,
        "the tour has reached this server"
    );
}

#[test]
fn the_two_commands_start_larder_and_are_what_is_tested() {
    let starts: Vec<_> = readme()
        .fences
        .into_iter()
        .filter(|f| f.body == START)
        .collect();
    assert_eq!(starts.len(), 1, "the README starts with\n{START}");
    // `cargo run` starts larder, whatever else is built.
    assert!(text("Cargo.toml").contains("\ndefault-run = \"larder\"\n"));
    // The gate calls exactly the command that a reader calls.
    assert!(text(".ci/run").lines().any(|line| line == "cargo test"));
    // The version of Rust that it names is the one that the package asks for.
    let toolchain = text("Cargo.toml");
    let asked = toolchain
        .lines()
        .find_map(|l| l.strip_prefix("rust-version = "));
    let asked = asked.expect("a minimum").trim_matches('"');
    assert!(text("README.md").contains(&format!("Rust {asked} is all it takes")));
}

/// What the program's help says of an option.
#[derive(Debug, PartialEq)]
struct Opt {
    /// As typed: `--memory SIZE`.
    typed: String,
    default: String,
}

/// The options in `larder --help`: a line that begins with the option, then its text up to the next.
fn in_help(help: &str) -> Vec<Opt> {
    let begin = help.find("\nOptions:\n").expect("it has options");
    let mut found: Vec<(String, String)> = Vec::new();
    for line in help[begin..]
        .lines()
        .skip(2)
        .take_while(|l| !l.starts_with("Try"))
    {
        let line = line.trim();
        if line.starts_with('-') {
            found.push((line.to_owned(), String::new()));
        } else if let Some((_, text)) = found.last_mut() {
            *text += line;
            text.push(' ');
        }
    }
    let general =
        |(option, _): &(String, String)| !["-h, --help", "-V, --version"].contains(&&**option);
    let options = found.into_iter().filter(general).map(|(option, text)| Opt {
        typed: match option.split_once(", ") {
            Some((short, long)) => format!("{}, {short}", long.trim_end_matches("...")),
            None => option.replace(['<', '>'], ""),
        },
        default: text
            .split_once("[default: ")
            .and_then(|(_, rest)| rest.split_once(']'))
            .map_or(String::new(), |(default, _)| default.to_owned()),
    });
    options.collect()
}

/// The rows of the README's table of options.
fn in_table(readme: &str) -> Vec<Opt> {
    let rows = readme.lines().filter(|line| line.starts_with("| `--"));
    let cells = rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<String> = row.split('|').map(|c| c.replace('\u{1}', "|")).collect();
        let plain = |cell: &str| cell.replace('`', "").trim().to_owned();
        Opt {
            typed: plain(&cells[1]),
            default: plain(&cells[3]),
        }
    });
    cells.collect()
}

#[test]
fn the_options_are_the_programs() {
    let help = Command::new(env!("CARGO_BIN_EXE_larder"))
        .arg("--help")
        .output()
        .expect("it starts");
    let help = in_help(&String::from_utf8(help.stdout).expect("text"));
    let table = in_table(&text("README.md"));
    assert!(help.len() > 10, "{help:?}");
    for (help, table) in help.iter().zip(&table) {
        assert_eq!(table.typed, help.typed);
        let same = match help.default.split_once(" here") {
            // The default of --config is a sentence.
            Some((start, _)) => start == table.default,
            None => help.default == table.default,
        };
        assert!(same, "{help:?} {table:?}");
    }
    assert_eq!(help.len(), table.len());
}

#[test]
fn links_and_paths_lead_somewhere() {
    for file in ["README.md", "CONTRIBUTING.md"] {
        let page = Page::parse(PathBuf::from(file), &text(file));
        for link in &page.links {
            let elsewhere = link.target.contains("://");
            assert!(
                elsewhere || root().join(&link.target).exists(),
                "{}",
                link.target
            );
        }
        for (line, code) in &page.codes {
            let first = code.split('/').next().unwrap_or_default();
            let ours = ["src", "tests", "chapters", "examples", "benches", ".ci"].contains(&first);
            let exists = root().join(code.trim_end_matches('/')).exists();
            assert!(!ours || exists, "{file}:{line}: {code} is not there");
        }
    }
}

#[test]
fn peers_are_required_where_the_variable_is_set_and_not_empty() {
    for (value, required) in [("", false), ("0", false), ("1", true), ("yes", true)] {
        assert_eq!(support::is_set(value.as_ref()), required, "{value:?}");
    }
}

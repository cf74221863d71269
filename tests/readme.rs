//! Keeps the README true: its commands are run and their output compared, its options are the program's, its links
//! are valid. Its Rust is a doc test of the library.

mod support;

#[allow(dead_code, reason = "the book's own checks use the rest")]
mod book {
    pub(crate) mod console;
    pub(crate) mod pages;
}

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use larder::Server;
use larder::protocol::memcached::binary::opcode_names;
use larder::protocol::memcached::text::verb_names;
use tempfile::TempDir;

use book::console;
use book::pages::{Page, text_of};
use support::find;

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
fn the_tour_prints_the_readmes_output() {
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
fn the_two_commands_start_larder_and_are_the_tested_ones() {
    let starts: Vec<_> = readme()
        .fences
        .into_iter()
        .filter(|f| f.body == START)
        .collect();
    assert_eq!(starts.len(), 1, "the README starts with\n{START}");
    // `cargo run` starts larder, although there are other programs.
    assert!(text("Cargo.toml").contains("\ndefault-run = \"larder\"\n"));
    // The gate calls exactly the command that a reader calls, with a limit for its time.
    let limited = |line: &str| line.starts_with("at_most ") && line.ends_with(" cargo test");
    assert!(text(".ci/run").lines().any(limited));
    // The version of Rust that it names is the one that the package asks for.
    let toolchain = text("Cargo.toml");
    let asked = toolchain
        .lines()
        .find_map(|l| l.strip_prefix("rust-version = "));
    let asked = asked.expect("a minimum").trim_matches('"');
    assert!(text("README.md").contains(&format!("needs only Rust {asked}")));
}

/// The program's help for an option.
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
        assert_eq!(table.default, help.default, "{}", help.typed);
    }
    assert_eq!(help.len(), table.len());
}

/// The cells of a table's rows, below the row of its titles; `\\|` in a cell is a `|`.
fn rows(text: &str, titles: &str) -> Vec<Vec<String>> {
    let (_, below) = text.split_once(titles).expect("the table is there");
    let rows = below
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'));
    let cells = rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells = row.trim_matches('|').split('|');
        let plain = cells.map(|cell| cell.replace('\u{1}', "|").replace('`', ""));
        plain.map(|cell| cell.trim().to_owned()).collect()
    });
    cells.collect()
}

/// The ports that larder takes by default and in the README.
const PORTS: [&str; 4] = ["11211", "6379", "12345", "1987"];

/// larder as a row of the table starts it, on free ports; it is ended with this.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    /// Starts it in `place`; the port of each line `listening on …`, by the README's.
    fn new(command: &str, place: &Path) -> (Started, HashMap<&'static str, String>) {
        let (free, named): (&[&str], &[&'static str]) = match command.split(' ').nth(1) {
            None => (
                &["--memcached", "127.0.0.1:0", "--resp", "127.0.0.1:0"],
                &PORTS[..2],
            ),
            Some("proxy") => (&["--listen", "127.0.0.1:0"], &PORTS[2..3]),
            _ => (&["--listen", "127.0.0.1:0"], &PORTS[3..]),
        };
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(command.split(' ').skip(1))
            .args(free)
            .arg("-qq")
            .current_dir(place)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stdout = child.stdout.take().expect("it is piped");
        let ports = BufReader::new(stdout).lines().filter_map(|line| {
            let line = line.expect("text");
            let (_, port) = line.strip_prefix("listening on ")?.rsplit_once(':')?;
            Some(port.to_owned())
        });
        let ports = named.iter().copied().zip(ports).collect();
        (Started(child), ports)
    }
}

#[test]
fn each_program_gives_the_answer_of_the_table() {
    let readme = readme();
    let place = TempDir::new().expect("a directory");
    let servers = readme
        .fences
        .iter()
        .find(|fence| fence.body.starts_with("127.0.0.1:11211 1"));
    let servers = &servers.expect("servers.txt is shown").body;
    // These two have no listener: larder's answers don't depend on them.
    let servers = servers.replace("11211", "1").replace("11212", "2");
    fs::write(place.path().join("servers.txt"), servers).expect("it can be written");
    let larder = Path::new(env!("CARGO_BIN_EXE_larder"));
    let path = format!(
        "{}:{}",
        larder.parent().expect("a directory").display(),
        std::env::var("PATH").expect("a path")
    );
    let programs = rows(&text("README.md"), "| program | start | try | answer |");
    assert!(programs.len() >= 4);
    for row in programs {
        let [_, start, command, answer] = &row[..] else {
            panic!("four cells: {row:?}");
        };
        let missing = ["redis-cli", "nc"]
            .into_iter()
            .find(|&name| command.contains(name) && find(name).is_none());
        if let Some(name) = missing {
            console::skipped(&format!("README: {command}: no {name}"));
            continue;
        }
        let (_server, ports) = Started::new(start, place.path());
        let mut command = command.clone();
        for (named, taken) in &ports {
            command = command.replace(named, taken);
        }
        let done = Command::new("bash")
            .args(["-c", &command])
            .env("PATH", &path)
            .output()
            .expect("it runs");
        let printed = String::from_utf8_lossy(&done.stdout);
        assert_eq!(printed.trim(), answer, "{command}: {done:?}");
    }
}

/// The verbs of memcached's protocol by family; one that is in none of them stands under "other".
const FAMILIES: [(&str, &[&str]); 5] = [
    ("memcached: read", &["get", "gets", "gat", "gats"]),
    (
        "memcached: write",
        &[
            "set", "add", "replace", "append", "prepend", "cas", "incr", "decr", "touch", "delete",
        ],
    ),
    ("memcached: meta", &["mn", "mg", "ms", "md", "ma", "me"]),
    (
        "memcached: nested keys",
        &["getn", "getns", "getch", "deln"],
    ),
    (
        "memcached: server",
        &[
            "flush_all",
            "stats",
            "version",
            "verbosity",
            "cache_memlimit",
            "lru_crawler",
            "watch",
            "quit",
            "shutdown",
        ],
    ),
];

/// The table of commands, made of the grammar and of the list of `COMMAND DOCS`.
fn commands() -> String {
    let mut families = BTreeMap::new();
    for verb in verb_names() {
        let family = FAMILIES.iter().find(|(_, verbs)| verbs.contains(&verb));
        let family = family.map_or("memcached: other", |(name, _)| name);
        families
            .entry(family.to_owned())
            .or_insert_with(Vec::new)
            .push(verb.to_owned());
    }
    // Without SASL its opcodes are answered as unknown ones.
    let opcodes = opcode_names().filter(|name| !name.starts_with("sasl"));
    let opcodes = opcodes.map(str::to_owned).collect();
    families.insert("memcached: binary".to_owned(), opcodes);
    let server = Server::start().expect("it starts on free ports");
    let mut client = TcpStream::connect(server.resp_addr()).expect("it listens");
    client
        .write_all(b"COMMAND DOCS\r\nQUIT\r\n")
        .expect("it can be written");
    let mut docs = String::new();
    client.read_to_string(&mut docs).expect("text, and an end");
    // RESP without its lengths: the texts, in order. A command's name comes right before `summary`.
    let texts: Vec<&str> = docs
        .split("\r\n")
        .filter(|line| !line.starts_with(['*', '$', '+']))
        .collect();
    let mut name = "";
    for pair in texts.windows(2) {
        match pair[1] {
            "summary" if !pair[0].contains('|') => name = pair[0],
            group if pair[0] == "group" && !name.is_empty() => {
                families
                    .entry(format!("Redis: {group}"))
                    .or_insert_with(Vec::new)
                    .push(name.to_uppercase());
                name = "";
            }
            _ => {}
        }
    }
    let mut table = String::new();
    for (family, mut names) in families {
        names.sort();
        names.dedup();
        table += &format!("| {family} | {} |\n", names.join(", "));
    }
    table
}

/// The rows below some titles in the README are these. `LARDER_BLESS` writes them there.
#[track_caller]
fn has_table(titles: &str, rows: &str, test: &str) {
    let readme = text("README.md");
    let (before, below) = readme.split_once(titles).expect("the table is there");
    let shown: String = below
        .split_inclusive('\n')
        .take_while(|line| line.starts_with('|'))
        .collect();
    if std::env::var_os("LARDER_BLESS").is_some() {
        let whole = format!("{before}{titles}{rows}{}", &below[shown.len()..]);
        fs::write(root().join("README.md"), whole).expect("it can be written");
        return;
    }
    assert_eq!(
        shown, rows,
        "write the table anew: LARDER_BLESS=1 cargo test --test readme {test}"
    );
}

#[test]
fn the_commands_are_those_of_the_tables() {
    let titles = "| family | commands |\n|---|---|\n";
    has_table(titles, &commands(), "commands");
}

#[test]
fn the_figures_are_recorded_ones() {
    let mut rows = String::new();
    for (recorded, of, label) in [
        ("peers", "", "memcached 9:1, 64 connections: operations/s"),
        (
            "peers",
            "",
            "redis GET, 50 connections, 1 in a packet: operations/s",
        ),
        (
            "proxy",
            "`larder proxy`, ",
            "resp GET, 64 clients: operations/s",
        ),
    ] {
        let recorded = text(&format!("chapters/measured/{recorded}.txt"));
        let line = recorded.lines().find_map(|line| line.strip_prefix(label));
        let line = line.unwrap_or_else(|| panic!("no recorded line begins with {label}"));
        let mut cells = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty());
        let mut cell = || {
            cells
                .next()
                .expect("larder's figure, the peer's and a ratio")
        };
        let (ours, theirs, ratio) = (cell(), cell(), cell());
        rows += &format!("| {of}{label} | {ours} | {theirs} | {ratio} |\n");
    }
    let titles = "| measured, on two cores shared with the load | larder | beside it | ratio |\n|---|---|---|---|\n";
    has_table(titles, &rows, "figures");
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
fn peers_are_required_if_the_variable_is_set_and_not_empty() {
    for (value, required) in [("", false), ("0", false), ("1", true), ("yes", true)] {
        assert_eq!(support::is_set(value.as_ref()), required, "{value:?}");
    }
}

//! Names in backticks: a path must exist, and a name that looks like Rust or an option must occur
//! in the sources.
//!
//! Names that belong to others (a function of Go's library, an option of memcached) stand in
//! `chapters/names.txt`, one in a line, with their owner.

use std::collections::BTreeSet;

use regex::Regex;

use super::pages::{Book, files_below, text_of};

/// The beginnings of the project's own paths.
const ROOMS: [&str; 6] = [
    "src/",
    "examples/",
    "tests/",
    "chapters/",
    "benches/",
    ".ci/",
];

/// Every name in backticks that doesn't exist.
pub(crate) fn problems(book: &Book) -> Vec<String> {
    let mut problems = Vec::new();
    let mut words = BTreeSet::new();
    let mut options = BTreeSet::new();
    let word = Regex::new(r"\w+").expect("a pattern");
    let option = Regex::new(r"--[a-z][a-z-]+").expect("a pattern");
    for directory in ["src", "examples", "tests"] {
        for file in files_below(&book.root.join(directory), ".rs") {
            let Ok(text) = text_of(&file) else { continue };
            words.extend(word.find_iter(&text).map(|found| found.as_str().to_owned()));
            options.extend(
                option
                    .find_iter(&text)
                    .map(|found| found.as_str().to_owned()),
            );
        }
    }
    // A field of the program's options is an option: `max_age` is `--max-age`.
    for file in files_below(&book.root.join("src/program"), ".rs") {
        let text = text_of(&file).unwrap_or_default();
        let named = |found: regex::Match<'_>| format!("--{}", found.as_str().replace('_', "-"));
        options.extend(word.find_iter(&text).map(named));
    }
    let foreign = text_of(&book.root.join("chapters/names.txt")).unwrap_or_default();
    let foreign: BTreeSet<&str> = foreign
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let mut met = BTreeSet::new();
    for page in &book.pages {
        for (line, code) in &page.codes {
            for name in names(code) {
                let known = match name {
                    Name::Path(path) => book.root.join(path).exists(),
                    Name::Option(option) => options.contains(option) || foreign.contains(option),
                    Name::Rust(name) => words.contains(name) || foreign.contains(name),
                };
                let (Name::Path(text) | Name::Option(text) | Name::Rust(text)) = name;
                met.insert(text.to_owned());
                if !known {
                    problems.push(format!("{}: `{text}` does not exist", page.at(*line)));
                }
            }
        }
    }
    for name in foreign.iter().filter(|name| !met.contains(**name)) {
        problems.push(format!("chapters/names.txt: no page says {name}"));
    }
    problems
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Name<'a> {
    Path(&'a str),
    Option(&'a str),
    Rust(&'a str),
}

/// The names in a piece of inline code; a command line or a protocol's words are none.
fn names(code: &str) -> Vec<Name<'_>> {
    let mut found = Vec::new();
    for token in code.split([
        ' ', ',', '(', ')', '<', '>', '[', ']', '&', ';', '=', '"', '\'', '!', '?',
    ]) {
        let token = token.trim_end_matches(['.', ':']);
        if ROOMS.iter().any(|room| token.starts_with(room)) {
            // The reader's own program is not a part of the project.
            if token.starts_with("examples/mine") {
                continue;
            }
            // A pattern such as examples/NN_name.rs or tests/*.rs is no path.
            if !token.contains(['*', '{']) && !token.contains("NN") {
                found.push(Name::Path(token));
            }
        } else if token.starts_with("--") && token.len() > 2 {
            found.push(Name::Option(token));
        } else {
            let parts = token.split("::").flat_map(|part| part.split('.'));
            let rust = parts.filter(|part| {
                is_name(part) && (part.contains('_') || token.contains("::") || humps(part))
            });
            found.extend(rust.map(Name::Rust));
        }
    }
    // `name()` is a function for any name.
    if let Some(function) = code.strip_suffix("()").filter(|name| is_name(name)) {
        found.push(Name::Rust(function));
    }
    found
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `TcpStream` has humps; `STORED` and `Get` have none.
fn humps(text: &str) -> bool {
    let mut before = ' ';
    let mut humps = 0;
    for c in text.chars() {
        humps += usize::from(before.is_ascii_lowercase() && c.is_ascii_uppercase());
        before = c;
    }
    humps > 0
}

#[test]
fn names_are_distinguished_from_protocol_words() {
    use Name::{Option, Path, Rust};
    assert_eq!(names("Arc<Mutex<HashMap>>"), [Rust("HashMap")]);
    assert_eq!(names("Shutdown::Read"), [Rust("Shutdown"), Rust("Read")]);
    assert_eq!(names("close()"), [Rust("close")]);
    assert_eq!(names("set user:42 0 0 5"), []);
    assert_eq!(names("STORED"), []);
    assert_eq!(names("--max-connections 8"), [Option("--max-connections")]);
    assert_eq!(names("src/lib.rs"), [Path("src/lib.rs")]);
}

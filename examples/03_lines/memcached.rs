//! memcached's text protocol, as much of it as a map can answer: get, set, add, replace, append,
//! prepend, delete.
//!
//! A connection's bytes come in as a slice and go out as replies; there is no socket here.
//! [`Session::step`] takes one command from the front of the input, or returns that more is
//! needed. Lines are read by a regular expression, values by their length.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use regex::bytes::{Captures, Regex};

/// Bytes in which a line must end.
const LINE_LIMIT: usize = 2048;

/// Bytes in which the line of a `get` must end: it may ask for many keys.
const GET_LINE_LIMIT: usize = 64 * 1024;

/// Bytes of the largest value; memcached's limit for a whole item is the same by default.
const VALUE_LIMIT: usize = 1024 * 1024;

/// The lines that this server understands, whole.
static LINE: LazyLock<Regex> = LazyLock::new(|| {
    let grammar = r"(?x-u)
        \A \x20* (?:
            (?<store> set | add | replace | append | prepend ) \x20+
                (?<key> [^\x20\x00]{1,250} ) \x20+
                (?<flags> [0-9]{1,10} ) \x20+
                (?<exptime> -?[0-9]{1,10} ) \x20+
                (?<bytes> [0-9]{1,10} )
                (?<quiet> \x20+ noreply )?
          | get (?<keys> (?: \x20+ [^\x20\x00]{1,250} )+ )
          | delete \x20+ (?<gone> [^\x20\x00]{1,250} ) (?: \x20+ 0 )? (?<hushed> \x20+ noreply )?
          | (?<version> version )
          | (?<quit> quit )
        ) \x20* \z";
    Regex::new(grammar).expect("the grammar is a regular expression")
});

/// Lines that begin as one of these commands and are malformed.
static MALFORMED: LazyLock<Regex> = LazyLock::new(|| {
    let beginning = r"(?-u)\A *(?:set|add|replace|append|prepend) +[^ ]+ +[^ ]+ +[^ ]+ +[^ ]";
    let either = format!("{beginning}|(?-u)\\A *(?:get|delete) +[^ ]");
    Regex::new(&either).expect("it is a regular expression")
});

/// The cache: one map, one lock.
#[derive(Default)]
pub(crate) struct Items {
    map: Mutex<HashMap<Vec<u8>, Item>>,
}

struct Item {
    /// 32 bits that the server keeps for the client.
    flags: u32,
    value: Vec<u8>,
}

impl Items {
    fn lock(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Item>> {
        // Every change to the map is one call, which is done completely or not at all.
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Executes a storage command, if the map meets its condition.
    fn store(&self, verb: &[u8], key: &[u8], flags: u32, value: &[u8]) -> bool {
        let mut map = self.lock();
        match (verb, map.get_mut(key)) {
            (b"append", Some(item)) => item.value.extend_from_slice(value),
            (b"prepend", Some(item)) => drop(item.value.splice(..0, value.iter().copied())),
            (b"set", _) | (b"add", None) | (b"replace", Some(_)) => {
                map.insert(
                    key.to_vec(),
                    Item {
                        flags,
                        value: value.to_vec(),
                    },
                );
            }
            _ => return false,
        }
        true
    }
}

/// The result of one step.
pub(crate) enum Step {
    /// This much of the input was used; there may be more in it.
    Done(usize),
    /// The command isn't complete.
    NeedMore,
    /// The connection ends.
    Close,
}

/// One connection's state between commands.
#[derive(Default)]
pub(crate) struct Session {
    /// Bytes still to come of a value that was refused.
    skip: usize,
}

impl Session {
    /// Takes one command from the front of `input` and writes its reply to `output`.
    pub(crate) fn step(&mut self, input: &[u8], items: &Items, output: &mut Vec<u8>) -> Step {
        if self.skip > 0 && !input.is_empty() {
            let skipped = self.skip.min(input.len());
            self.skip -= skipped;
            return Step::Done(skipped);
        }
        let limit = if input.starts_with(b"get ") {
            GET_LINE_LIMIT
        } else {
            LINE_LIMIT
        };
        let Some(end) = input.iter().take(limit).position(|&byte| byte == b'\n') else {
            let too_long = input.len() >= limit;
            return if too_long {
                Step::Close
            } else {
                Step::NeedMore
            };
        };
        let line = &input[..end];
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let after = end + 1;
        let Some(found) = LINE.captures(line) else {
            output.extend_from_slice(wrong(line));
            return Step::Done(after);
        };
        if let Some(verb) = found.name("store") {
            return self.store(verb.as_bytes(), &found, input, after, items, output);
        }
        if let Some(keys) = found.name("keys") {
            get(keys.as_bytes(), items, output);
        } else if let Some(key) = found.name("gone") {
            let deleted = items.lock().remove(key.as_bytes()).is_some();
            let reply: &[u8] = if deleted {
                b"DELETED\r\n"
            } else {
                b"NOT_FOUND\r\n"
            };
            reply_unless(found.name("hushed").is_some(), reply, output);
        } else if found.name("version").is_some() {
            output.extend_from_slice(b"VERSION 0.3.0\r\n");
        } else {
            return Step::Close;
        }
        Step::Done(after)
    }

    /// A storage command: its line ends at `after`, and its value follows there.
    fn store(
        &mut self,
        verb: &[u8],
        found: &Captures<'_>,
        input: &[u8],
        after: usize,
        items: &Items,
        output: &mut Vec<u8>,
    ) -> Step {
        let quiet = found.name("quiet").is_some();
        let key = &found["key"];
        let (Some(flags), Some(length)) = (number(&found["flags"]), number(&found["bytes"])) else {
            reply_unless(quiet, MALFORMED_LINE, output);
            return Step::Done(after);
        };
        let length = length as usize;
        if length > VALUE_LIMIT {
            // None of it is kept, and the old value would be wrong now.
            if verb == b"set" {
                items.lock().remove(key);
            }
            self.skip = length + 2;
            reply_unless(
                quiet,
                b"SERVER_ERROR object too large for cache\r\n",
                output,
            );
            return Step::Done(after);
        }
        let whole = after + length + 2;
        if input.len() < whole {
            return Step::NeedMore;
        }
        let reply: &[u8] = if &input[whole - 2..whole] != b"\r\n" {
            b"CLIENT_ERROR bad data chunk\r\n"
        } else if items.store(verb, key, flags, &input[after..whole - 2]) {
            b"STORED\r\n"
        } else {
            b"NOT_STORED\r\n"
        };
        reply_unless(quiet, reply, output);
        Step::Done(whole)
    }
}

const MALFORMED_LINE: &[u8] = b"CLIENT_ERROR bad command line format\r\n";

/// The reply to a line that does not match the grammar.
fn wrong(line: &[u8]) -> &'static [u8] {
    if MALFORMED.is_match(line) {
        MALFORMED_LINE
    } else {
        b"ERROR\r\n"
    }
}

/// The items of the keys, in the order of the request, then END. Missing keys are left out.
fn get(keys: &[u8], items: &Items, output: &mut Vec<u8>) {
    let map = items.lock();
    for key in keys
        .split(|&byte| byte == b' ')
        .filter(|key| !key.is_empty())
    {
        if let Some(item) = map.get(key) {
            output.extend_from_slice(b"VALUE ");
            output.extend_from_slice(key);
            output
                .extend_from_slice(format!(" {} {}\r\n", item.flags, item.value.len()).as_bytes());
            output.extend_from_slice(&item.value);
            output.extend_from_slice(b"\r\n");
        }
    }
    output.extend_from_slice(b"END\r\n");
}

fn reply_unless(quiet: bool, reply: &[u8], output: &mut Vec<u8>) {
    if !quiet {
        output.extend_from_slice(reply);
    }
}

/// Ten digits may be more than 32 bits hold.
fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

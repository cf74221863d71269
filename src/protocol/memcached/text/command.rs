//! Commands, and how a verb and its words become one.
//!
//! The order of the checks is memcached's, because it decides which error a line gets that has
//! several: the count of words, the length of the key, the numbers.

use super::words::Words;
use super::{KEY_LIMIT, LENGTH_LIMIT, number, reply};

/// Whether keys are paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nesting {
    /// memcached to the letter, with its tolerance: `set a 0 0 1 stray` stores `a`.
    Off,
    /// A command's fields are read from the right end of the line, and what remains on the left is
    /// a path: `set user 42 0 0 5` is the path `user 42`. Lines to which `protocol.txt` or existing
    /// clients give a meaning keep it: `delete a 0` deletes `a`.
    #[default]
    On,
}

/// One command, borrowing from the input. Expiration times are as the client sent them, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// `get`, `gets`, `gat`, `gats`.
    Retrieve {
        /// The keys, each within [`KEY_LIMIT`].
        keys: Words<'a>,
        /// The new expiration time that `gat` and `gats` give.
        exptime: Option<i32>,
        /// Whether the cas unique is asked for.
        cas: bool,
    },
    /// A storage command; its data block follows.
    Store(Store<'a>),
    /// `incr` and `decr`.
    Count {
        /// The key.
        path: Words<'a>,
        /// The amount.
        delta: u64,
        /// Whether it is `decr`.
        down: bool,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `touch`.
    Touch {
        /// The key.
        path: Words<'a>,
        /// The new expiration time.
        exptime: i32,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `delete` and `deln`.
    Delete {
        /// The key.
        path: Words<'a>,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `getn` and `getns`: the item at a path.
    RetrievePath {
        /// The path.
        path: Words<'a>,
        /// Whether the cas unique is asked for.
        cas: bool,
    },
    /// `getch`: the names of the children at a path.
    Children {
        /// The path.
        path: Words<'a>,
    },
    /// `flush_all`.
    FlushAll {
        /// When, as an expiration time; 0 is now.
        delay: i32,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `verbosity`.
    Verbosity {
        /// The level.
        level: u32,
        /// Whether the client wants no answer.
        noreply: bool,
    },
    /// `stats`, with what follows it.
    Stats {
        /// The words after `stats`.
        words: Words<'a>,
    },
    /// `version`.
    Version,
    /// `quit`.
    Quit,
    /// `mn`.
    MetaNoop,
    /// `shutdown`.
    Shutdown,
}

/// A storage command without its data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// Which one.
    pub verb: StoreVerb,
    /// The key.
    pub path: Words<'a>,
    /// The client's flags.
    pub flags: u32,
    /// The expiration time.
    pub exptime: i32,
    /// The length of the value that follows, within [`LENGTH_LIMIT`].
    pub length: usize,
    /// The cas unique of `cas`; 0 for the others.
    pub unique: u64,
    /// Whether the client wants no answer.
    pub noreply: bool,
}

/// Which storage command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreVerb {
    /// Store.
    Set,
    /// Store if missing.
    Add,
    /// Store if there.
    Replace,
    /// Put behind what is there.
    Append,
    /// Put before what is there.
    Prepend,
    /// Store if unchanged.
    Cas,
}

/// Why words are no command: what the client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bad {
    /// The reply; empty if the line said `noreply`.
    pub reply: &'static [u8],
}

impl Bad {
    /// What memcached says to a line that it can't make anything of.
    pub(super) fn error() -> Bad {
        Bad {
            reply: reply::ERROR,
        }
    }

    fn unless(noreply: bool, reply: &'static [u8]) -> Bad {
        Bad {
            reply: if noreply { b"" } else { reply },
        }
    }
}

/// The verbs of the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Gets,
    Gat,
    Gats,
    Set,
    Add,
    Replace,
    Append,
    Prepend,
    Cas,
    Incr,
    Decr,
    Touch,
    Delete,
    GetN,
    GetNs,
    GetCh,
    DelN,
    FlushAll,
    Stats,
    Version,
    Verbosity,
    Quit,
    MetaNoop,
    Shutdown,
}

impl Verb {
    pub(super) fn from_name(name: &[u8]) -> Option<Verb> {
        Some(match name {
            b"get" => Verb::Get,
            b"gets" => Verb::Gets,
            b"gat" => Verb::Gat,
            b"gats" => Verb::Gats,
            b"set" => Verb::Set,
            b"add" => Verb::Add,
            b"replace" => Verb::Replace,
            b"append" => Verb::Append,
            b"prepend" => Verb::Prepend,
            b"cas" => Verb::Cas,
            b"incr" => Verb::Incr,
            b"decr" => Verb::Decr,
            b"touch" => Verb::Touch,
            b"delete" => Verb::Delete,
            b"getn" => Verb::GetN,
            b"getns" => Verb::GetNs,
            b"getch" => Verb::GetCh,
            b"deln" => Verb::DelN,
            b"flush_all" => Verb::FlushAll,
            b"stats" => Verb::Stats,
            b"version" => Verb::Version,
            b"verbosity" => Verb::Verbosity,
            b"quit" => Verb::Quit,
            b"mn" => Verb::MetaNoop,
            b"shutdown" => Verb::Shutdown,
            _ => return None,
        })
    }
}

/// Makes a command of a verb and its words.
pub(super) fn build(verb: Verb, words: Words<'_>, nesting: Nesting) -> Result<Command<'_>, Bad> {
    match verb {
        Verb::Get => retrieve(words, None, false),
        Verb::Gets => retrieve(words, None, true),
        Verb::Gat => get_and_touch(words, false),
        Verb::Gats => get_and_touch(words, true),
        Verb::Set => store(StoreVerb::Set, words, nesting),
        Verb::Add => store(StoreVerb::Add, words, nesting),
        Verb::Replace => store(StoreVerb::Replace, words, nesting),
        Verb::Append => store(StoreVerb::Append, words, nesting),
        Verb::Prepend => store(StoreVerb::Prepend, words, nesting),
        Verb::Cas => store(StoreVerb::Cas, words, nesting),
        Verb::Incr => count(words, false, nesting),
        Verb::Decr => count(words, true, nesting),
        Verb::Touch => touch(words, nesting),
        Verb::Delete => delete(words, nesting),
        Verb::GetN => Ok(Command::RetrievePath {
            path: exact_path(words, nesting)?,
            cas: false,
        }),
        Verb::GetNs => Ok(Command::RetrievePath {
            path: exact_path(words, nesting)?,
            cas: true,
        }),
        Verb::GetCh => Ok(Command::Children {
            path: exact_path(words, nesting)?,
        }),
        Verb::DelN => Ok(Command::Delete {
            path: exact_path(words, nesting)?,
            noreply: false,
        }),
        Verb::FlushAll => flush_all(words),
        Verb::Verbosity => verbosity(words),
        Verb::Stats => Ok(Command::Stats { words }),
        Verb::Version => Ok(Command::Version),
        Verb::Quit => Ok(Command::Quit),
        Verb::MetaNoop => Ok(Command::MetaNoop),
        Verb::Shutdown => Ok(Command::Shutdown),
    }
}

fn retrieve(keys: Words<'_>, exptime: Option<i32>, cas: bool) -> Result<Command<'_>, Bad> {
    // `gat 0`, without a key, finds nothing; `get` without one is an error.
    if keys.is_empty() && exptime.is_none() {
        return Err(Bad::error());
    }
    check_names(keys, false)?;
    Ok(Command::Retrieve { keys, exptime, cas })
}

fn get_and_touch(mut words: Words<'_>, cas: bool) -> Result<Command<'_>, Bad> {
    let exptime = words.next().ok_or(Bad::error())?;
    let exptime = number::signed(exptime).ok_or(Bad::unless(false, reply::BAD_EXPTIME))?;
    retrieve(words, Some(exptime as i32), cas)
}

fn store(verb: StoreVerb, mut words: Words<'_>, nesting: Nesting) -> Result<Command<'_>, Bad> {
    let least = if verb == StoreVerb::Cas { 5 } else { 4 };
    let noreply = take_noreply(&mut words, least, nesting)?;
    let bad = Bad::unless(noreply, reply::BAD_FORMAT);
    let unique = match verb {
        StoreVerb::Cas => words.pop(),
        _ => Some(&b"0"[..]),
    };
    let (length, exptime, flags) = (words.pop(), words.pop(), words.pop());
    let path = check_path(words, noreply)?;
    let number = |word: Option<&[u8]>| word.and_then(number::signed).ok_or(bad);
    let unsigned = |word: Option<&[u8]>| word.and_then(number::unsigned).ok_or(bad);
    let length = number(length)?;
    if !(0..=LENGTH_LIMIT).contains(&length) {
        return Err(bad);
    }
    Ok(Command::Store(Store {
        verb,
        path,
        // memcached keeps the low 32 bits of both.
        flags: unsigned(flags)? as u32,
        exptime: number(exptime)? as i32,
        length: usize::try_from(length).map_err(|_| bad)?,
        unique: unsigned(unique)?,
        noreply,
    }))
}

fn count(mut words: Words<'_>, down: bool, nesting: Nesting) -> Result<Command<'_>, Bad> {
    let noreply = take_noreply(&mut words, 2, nesting)?;
    let delta = words.pop();
    let path = check_path(words, noreply)?;
    Ok(Command::Count {
        path,
        delta: delta
            .and_then(number::unsigned)
            .ok_or(Bad::unless(noreply, reply::BAD_DELTA))?,
        down,
        noreply,
    })
}

fn touch(mut words: Words<'_>, nesting: Nesting) -> Result<Command<'_>, Bad> {
    let noreply = take_noreply(&mut words, 2, nesting)?;
    let exptime = words.pop();
    let path = check_path(words, noreply)?;
    Ok(Command::Touch {
        path,
        exptime: exptime
            .and_then(number::signed)
            .ok_or(Bad::unless(noreply, reply::BAD_EXPTIME))? as i32,
        noreply,
    })
}

/// `delete KEY [0] [noreply]` in every mode; else, with nested keys, `delete PATH [noreply]`.
fn delete(words: Words<'_>, nesting: Nesting) -> Result<Command<'_>, Bad> {
    let (path, noreply) = match take_four(words) {
        [None, ..] => return Err(Bad::error()),
        [Some(key), None, ..] => (Words::new(key), false),
        [Some(key), Some(b"0"), None, _] => (Words::new(key), false),
        [Some(key), Some(b"noreply"), None, _] => (Words::new(key), true),
        [Some(key), Some(b"0"), Some(b"noreply"), None] => (Words::new(key), true),
        [.., fourth] => {
            let mut path = words;
            let noreply = pop_noreply(&mut path);
            if nesting == Nesting::Off {
                return Err(match fourth {
                    Some(_) => Bad::error(),
                    None => Bad::unless(noreply, reply::DELETE_USAGE),
                });
            }
            (path, noreply)
        }
    };
    Ok(Command::Delete {
        path: check_path(path, noreply)?,
        noreply,
    })
}

fn flush_all(mut words: Words<'_>) -> Result<Command<'_>, Bad> {
    if words.count_up_to(3) == 3 {
        return Err(Bad::error());
    }
    let mut others = words;
    let noreply = pop_noreply(&mut others);
    let delay = match words.next() {
        Some(delay) if !others.is_empty() => {
            number::signed(delay).ok_or(Bad::unless(noreply, reply::BAD_EXPTIME))? as i32
        }
        _ => 0,
    };
    Ok(Command::FlushAll { delay, noreply })
}

fn verbosity(mut words: Words<'_>) -> Result<Command<'_>, Bad> {
    if !(1..=2).contains(&words.count_up_to(3)) {
        return Err(Bad::error());
    }
    let mut others = words;
    let noreply = pop_noreply(&mut others);
    let level = words.next().and_then(number::unsigned);
    let level = level.ok_or(Bad::unless(noreply, reply::BAD_FORMAT))? as u32;
    Ok(Command::Verbosity { level, noreply })
}

/// Checks that there are `least` words, and takes off a `noreply` behind them.
///
/// Without nested keys one word more is tolerated, and ignored if it is not `noreply`; any more are
/// an error. A `noreply` in the place of a field silences the error that follows from it, as in
/// memcached.
fn take_noreply(words: &mut Words<'_>, least: usize, nesting: Nesting) -> Result<bool, Bad> {
    let count = words.count_up_to(least + 2);
    if count < least || (nesting == Nesting::Off && count > least + 1) {
        return Err(Bad::error());
    }
    let noreply = pop_noreply(words);
    if !noreply && nesting == Nesting::Off && count > least {
        words.pop();
    }
    Ok(noreply)
}

/// Takes off a `noreply` that is the last word.
fn pop_noreply(words: &mut Words<'_>) -> bool {
    let mut rest = *words;
    let noreply = rest.pop() == Some(b"noreply");
    if noreply {
        *words = rest;
    }
    noreply
}

/// The first four words.
fn take_four(mut words: Words<'_>) -> [Option<&[u8]>; 4] {
    [words.next(), words.next(), words.next(), words.next()]
}

/// All the words as a path, for the commands that exist only with nested keys.
fn exact_path(words: Words<'_>, nesting: Nesting) -> Result<Words<'_>, Bad> {
    if nesting == Nesting::Off || words.is_empty() {
        return Err(Bad::error());
    }
    check_path(words, false)
}

fn check_path(path: Words<'_>, noreply: bool) -> Result<Words<'_>, Bad> {
    if path.is_empty() {
        return Err(Bad::unless(noreply, reply::BAD_FORMAT));
    }
    check_names(path, noreply)?;
    Ok(path)
}

/// Checks that no name is longer than [`KEY_LIMIT`].
fn check_names(mut names: Words<'_>, noreply: bool) -> Result<(), Bad> {
    if names.as_bytes().len() > KEY_LIMIT && names.any(|name| name.len() > KEY_LIMIT) {
        return Err(Bad::unless(noreply, reply::BAD_FORMAT));
    }
    Ok(())
}

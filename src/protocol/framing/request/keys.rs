//! The keys of a request, found by their [`KeySpec`].

use crate::protocol::memcached::text;
use crate::protocol::resp::{CommandArgs, parse_integer};

/// The positions of a command's keys, counted from its name as number 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeySpec {
    /// Nowhere.
    None,
    /// First, last and step; a last below 0 counts from the end.
    Range(usize, isize, usize),
    /// No key, but the name of a channel comes first, which decides the route as a key does.
    Channel,
    /// Their number is at this position, and they follow.
    Counted(usize),
    /// The destination is the first argument, the number of the others the second, and they follow.
    Stored,
    /// After the word `STREAMS`, the first half of the following words.
    Streams,
    /// The first argument, and the one after the last `STORE` (or `STOREDIST`) from this number on.
    Store(usize),
    /// The third argument or, if that is empty, those after the word `KEYS`.
    Migrate,
}

/// The keys of a request, in their order.
#[derive(Clone, Copy, Default)]
pub struct RequestKeys<'a> {
    args: Option<(CommandArgs<'a>, KeyPositions)>,
    words: text::Words<'a>,
}

/// Positions of keys among arguments, all of which exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct KeyPositions {
    /// One that stands apart, before the others.
    pub(crate) apart: Option<usize>,
    pub(crate) first: usize,
    pub(crate) end: usize,
    pub(crate) step: usize,
}

impl KeyPositions {
    fn range(first: usize, end: usize, step: usize) -> Option<KeyPositions> {
        (first < end).then_some(KeyPositions {
            apart: None,
            first,
            end,
            step,
        })
    }

    /// The positions of all of them.
    pub(crate) fn positions(self) -> impl Iterator<Item = usize> {
        let range = (self.first..self.end).step_by(self.step.max(1));
        self.apart.into_iter().chain(range)
    }

    /// The only one.
    pub(crate) fn single(self) -> Option<usize> {
        let mut positions = self.positions();
        let first = positions.next();
        first.filter(|_| positions.next().is_none())
    }
}

impl<'a> RequestKeys<'a> {
    pub(crate) fn of_args(args: CommandArgs<'a>, found: KeyPositions) -> RequestKeys<'a> {
        RequestKeys {
            args: Some((args, found)),
            words: text::Words::default(),
        }
    }

    pub(crate) fn of_words(words: text::Words<'a>) -> RequestKeys<'a> {
        RequestKeys { args: None, words }
    }

    /// The keys.
    pub fn iter(self) -> impl Iterator<Item = &'a [u8]> {
        let args = self.args.into_iter();
        args.flat_map(|(args, found)| found.positions().map(move |at| args.get(at)))
            .chain(self.words)
    }

    /// Their positions among the arguments, and the distance from each to the next.
    pub(crate) fn found(self) -> KeyPositions {
        self.args.map(|(_, found)| found).unwrap_or_default()
    }
}

/// Finds the keys of a command of `total` words, of which `args` have arrived. `None` if it has none, or if they can't be
/// determined; the upstream answers such a command with an error.
///
/// Every position returned is below `total`, but its word may not have arrived yet.
pub(crate) fn find(place: KeySpec, args: CommandArgs<'_>, total: usize) -> Option<KeyPositions> {
    let arrived = args.len() == total;
    match place {
        KeySpec::None => None,
        KeySpec::Range(first, last, step) => {
            let end = match last {
                0.. => last.unsigned_abs() + 1,
                _ => (total + 1).checked_sub(last.unsigned_abs())?,
            };
            // The words that belong to the last key, like the value in MSET, must have arrived too.
            let complete = (end.checked_sub(first)?).is_multiple_of(step) && end <= total;
            KeyPositions::range(first, end, step).filter(|_| complete)
        }
        KeySpec::Channel => KeyPositions::range(1, 2, 1).filter(|_| total > 1),
        KeySpec::Counted(at) => counted(args, at, total),
        KeySpec::Stored => {
            let apart = Some(1);
            counted(args, 2, total).map(|found| KeyPositions { apart, ..found })
        }
        KeySpec::Streams => {
            // A group may be called STREAMS, but then it follows GROUP.
            let group = args.len() > 1 && args[1].eq_ignore_ascii_case(b"group");
            let from = if group { 4 } else { 1 };
            let at = word(args, from, b"streams")?;
            KeyPositions::range(at + 1, at + 1 + (total - at - 1) / 2, 1)
        }
        KeySpec::Store(from) if arrived && total > 1 => {
            let mut found = KeyPositions::range(1, 2, 1)?;
            let stores = |at: &usize| {
                args[*at].eq_ignore_ascii_case(b"store")
                    || args[*at].eq_ignore_ascii_case(b"storedist")
            };
            if let Some(at) = (from..total - 1).rev().find(stores) {
                found = KeyPositions::range(at + 1, at + 2, 1)?;
                found.apart = Some(1);
            }
            Some(found)
        }
        KeySpec::Migrate if arrived && total > 3 => match args[3].is_empty() {
            false => KeyPositions::range(3, 4, 1),
            true => KeyPositions::range(word(args, 6, b"keys")? + 1, total, 1),
        },
        KeySpec::Store(_) | KeySpec::Migrate => None,
    }
}

/// Keys that follow their number.
fn counted(args: CommandArgs<'_>, at: usize, total: usize) -> Option<KeyPositions> {
    if args.len() <= at {
        return None;
    }
    let count = usize::try_from(parse_integer(&args[at])?).ok()?;
    let end = (at + 1).checked_add(count).filter(|end| *end <= total)?;
    KeyPositions::range(at + 1, end, 1)
}

/// The position of a word, in capital letters or not.
pub(crate) fn word(args: CommandArgs<'_>, from: usize, word: &[u8]) -> Option<usize> {
    (from..args.len()).find(|at| args[*at].eq_ignore_ascii_case(word))
}

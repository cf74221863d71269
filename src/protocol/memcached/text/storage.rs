//! The verbs that store a value: their line, and the data block that follows it.

use super::fields::{BadLine, Nesting, check_path, take_noreply};
use super::limits::LENGTH_LIMIT;
use super::words::Words;
use super::{number, reply};

/// A storage command without its data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store<'a> {
    /// Which one.
    pub verb: StoreVerb,
    /// The key.
    pub path: Words<'a>,
    /// The client's flags.
    pub flags: u32,
    /// The expiration time, as the client sent it.
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

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<Store<'a>, BadLine>;

pub(super) const VERBS: &[(&str, Builder)] = &[
    ("set", |words, nesting| {
        store(StoreVerb::Set, words, nesting)
    }),
    ("add", |words, nesting| {
        store(StoreVerb::Add, words, nesting)
    }),
    ("replace", |words, nesting| {
        store(StoreVerb::Replace, words, nesting)
    }),
    ("append", |words, nesting| {
        store(StoreVerb::Append, words, nesting)
    }),
    ("prepend", |words, nesting| {
        store(StoreVerb::Prepend, words, nesting)
    }),
    ("cas", |words, nesting| {
        store(StoreVerb::Cas, words, nesting)
    }),
];

fn store(verb: StoreVerb, mut words: Words<'_>, nesting: Nesting) -> Result<Store<'_>, BadLine> {
    let least = if verb == StoreVerb::Cas { 5 } else { 4 };
    let noreply = take_noreply(&mut words, least, nesting)?;
    let bad = BadLine::unless(noreply, reply::BAD_FORMAT);
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
    Ok(Store {
        verb,
        path,
        // memcached keeps the low 32 bits of both.
        flags: unsigned(flags)? as u32,
        exptime: number(exptime)? as i32,
        length: usize::try_from(length).map_err(|_| bad)?,
        unique: unsigned(unique)?,
        noreply,
    })
}

/// What became of a data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block<'a> {
    /// The whole value and the `\r\n` after it are there.
    Done {
        /// The value.
        value: &'a [u8],
        /// The value's length and 2.
        consumed: usize,
    },
    /// Not all has arrived.
    More {
        /// How many bytes the block has in all.
        needed: usize,
    },
    /// All has arrived, but no `\r\n` stands after the value: [`reply::BAD_DATA_CHUNK`]. As in
    /// memcached the two bytes are taken all the same, and what follows them is read as a command.
    Bad {
        /// The value's length and 2.
        consumed: usize,
    },
}

/// Takes the data block of a storage command that named `length`, which the caller has checked
/// against its limit.
pub fn data_block(input: &[u8], length: usize) -> Block<'_> {
    let consumed = length + 2;
    let Some(block) = input.get(..consumed) else {
        return Block::More { needed: consumed };
    };
    match block.strip_suffix(b"\r\n") {
        Some(value) => Block::Done { value, consumed },
        None => Block::Bad { consumed },
    }
}

//! The verbs that store a value: their line, and the data block that follows it.

use super::fields::{BadLine, Nesting, check_path, ends_with_noreply, pop_noreply};
use super::limits::LENGTH_LIMIT;
use super::words::Words;
use super::{number, reply};

/// A storage command without its data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StorageCommand<'a> {
    /// The kind of command.
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
    /// Whether the command has `noreply`.
    pub noreply: bool,
}

/// The kind of a storage command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreVerb {
    /// Store.
    Set,
    /// Store if missing.
    Add,
    /// Store if it exists.
    Replace,
    /// Append to the value.
    Append,
    /// Prepend to the value.
    Prepend,
    /// Store if unchanged.
    Cas,
}

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<StorageCommand<'a>, BadLine>;

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

fn store(
    verb: StoreVerb,
    words: Words<'_>,
    nesting: Nesting,
) -> Result<StorageCommand<'_>, BadLine> {
    let line = StorageLine::read(verb, words, nesting)?;
    let refused = BadLine {
        // Its content is the client's value, which must not be run as commands.
        discard: line.length + 2,
        ..BadLine::unless(line.noreply, reply::BAD_FORMAT)
    };
    let path = check_path(line.path, line.noreply).map_err(|_| refused)?;
    Ok(StorageCommand {
        verb,
        path,
        // memcached keeps the low 32 bits of both.
        flags: number::unsigned(line.flags).ok_or(refused)? as u32,
        exptime: number::signed(line.exptime).ok_or(refused)? as i32,
        length: line.length,
        unique: match verb {
            StoreVerb::Cas => line.unique.and_then(number::strict_u64).ok_or(refused)?,
            _ => 0,
        },
        noreply: line.noreply,
    })
}

/// The fields of a storage line, of which only the length has been read.
struct StorageLine<'a> {
    path: Words<'a>,
    flags: &'a [u8],
    exptime: &'a [u8],
    length: usize,
    unique: Option<&'a [u8]>,
    noreply: bool,
}

impl<'a> StorageLine<'a> {
    /// Finds the fields, or refuses the line because its length can't be read. memcached then reads the
    /// next bytes as commands, and so does larder: the end of the value is not known.
    ///
    /// Some lines can be read in two ways: from the right end as a path, and from the left as memcached
    /// reads it. If the length of the first is no number, the second one's length decides.
    fn read(
        verb: StoreVerb,
        words: Words<'a>,
        nesting: Nesting,
    ) -> Result<StorageLine<'a>, BadLine> {
        let from_left = StorageLine::from_left(verb, words);
        if nesting == Nesting::Off {
            return from_left;
        }
        let from_right = StorageLine::from_right(verb, words);
        if nesting == Nesting::On {
            // A field is missing, or a word is too many.
            return from_right.or(from_left.map(StorageLine::refused));
        }
        let line = from_left?;
        match from_right {
            Ok(other) if other.length != line.length => Ok(line.refused()),
            _ => Ok(line),
        }
    }

    /// The line without a path, which no storage command has.
    fn refused(self) -> StorageLine<'a> {
        StorageLine {
            path: Words::default(),
            ..self
        }
    }

    /// `KEY FLAGS EXPTIME LENGTH [UNIQUE] [noreply]`, with another word in the place of `noreply` ignored.
    fn from_left(verb: StoreVerb, mut words: Words<'a>) -> Result<StorageLine<'a>, BadLine> {
        let noreply = ends_with_noreply(words);
        let mut next = || words.next().ok_or(BadLine::malformed());
        let (key, flags, exptime, length) = (next()?, next()?, next()?, next()?);
        let unique = (verb == StoreVerb::Cas).then(|| words.next()).flatten();
        // Versions of memcached differ over two stray words, one of them may be ignored.
        let path = if words.count_up_to(2) < 2 { key } else { b"" };
        Ok(StorageLine {
            path: Words::new(path),
            flags,
            exptime,
            length: parse_length(length).ok_or(BadLine::malformed())?,
            unique,
            noreply,
        })
    }

    /// `PATH… FLAGS EXPTIME LENGTH [UNIQUE] [noreply]`.
    fn from_right(verb: StoreVerb, mut words: Words<'a>) -> Result<StorageLine<'a>, BadLine> {
        let fields = if verb == StoreVerb::Cas { 5 } else { 4 };
        if words.count_up_to(fields) < fields {
            return Err(BadLine::malformed());
        }
        // At the position of a field it is no field, but silences the error that follows from that.
        let noreply = ends_with_noreply(words);
        if words.count_up_to(fields + 1) > fields {
            pop_noreply(&mut words);
        }
        let unique = match verb {
            StoreVerb::Cas => words.pop(),
            _ => None,
        };
        let mut pop = || words.pop().ok_or(BadLine::malformed());
        let (length, exptime, flags) = (pop()?, pop()?, pop()?);
        Ok(StorageLine {
            path: words,
            flags,
            exptime,
            length: parse_length(length).ok_or(BadLine::malformed())?,
            unique,
            noreply,
        })
    }
}

/// The length of a value on a line, within [`LENGTH_LIMIT`]; the same for `ms` as for the storage commands.
pub(crate) fn parse_length(word: &[u8]) -> Option<usize> {
    let length = number::strict_i32(word)?;
    usize::try_from(length)
        .ok()
        .filter(|length| *length <= LENGTH_LIMIT)
}

/// The result of reading a data block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block<'a> {
    /// The whole value and the `\r\n` after it have arrived.
    Done {
        /// The value.
        value: &'a [u8],
        /// The value's length and 2.
        consumed: usize,
    },
    /// Not all has arrived.
    More {
        /// The bytes of the whole block.
        needed: usize,
    },
    /// All has arrived, but no `\r\n` stands after the value: [`reply::BAD_DATA_CHUNK`]. As in
    /// memcached, the two bytes are consumed all the same, and the bytes behind them are read as a
    /// command.
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

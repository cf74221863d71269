//! memcached's meta commands: `mg`, `ms`, `md`, `ma` and `me`. (`mn` is about the connection.)
//!
//! ```text
//!   mg KEY FLAGS…          ms KEY LENGTH FLAGS…   then a data block of LENGTH bytes
//! ```
//!
//! A flag is a letter, some with a token behind it: `T60`. It changes the command, or asks for a flag of the reply. The
//! reply's flags are in the order of the command's. Meaning and errors are those of the program memcached 1.6.45.
//! `protocol.txt` describes the flags.
//!
//! With the flag `b` the key is sent in base64 ([`base64`]). With `n`, which only larder has, it is a path: its token is the
//! byte between the names, so `mg user/42/name v n/` reads what `getn user 42 name` reads. With `b` as well, the path is
//! decoded first, so names may have any bytes. memcached refuses `n` as an invalid flag.

pub(crate) mod base64;
pub(crate) mod flags;
pub(crate) mod response;

use super::fields::{BadLine, Nesting};
use super::limits::KEY_LIMIT;
use super::reply;
use super::storage::parse_length;
use super::words::Words;

pub use flags::MetaFlags;

/// A meta command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaCommand<'a> {
    /// The action.
    pub verb: MetaVerb,
    /// The key as it was sent; see [`MetaCommand::key`].
    pub sent_key: &'a [u8],
    /// The flags.
    pub flags: MetaFlags<'a>,
}

/// The action of a [`MetaCommand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetaVerb {
    /// `mg`.
    Get,
    /// `ms`: the data block follows.
    Set {
        /// Bytes of the value.
        length: usize,
    },
    /// `md`.
    Delete,
    /// `ma`.
    Arithmetic,
    /// `me`.
    Debug,
}

impl<'a> MetaCommand<'a> {
    /// The key that the item has; `decoded` is where one that was sent in base64 is decoded. With a
    /// [`separator`](MetaFlags::separator) it is a path, of names between which that byte stands once or more often.
    pub fn key<'b>(&self, decoded: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if !self.flags.has(b'b') {
            return self.sent_key;
        }
        decoded.clear();
        base64::decode(self.sent_key, decoded);
        decoded
    }
}

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<MetaCommand<'a>, BadLine>;

pub(super) const VERBS: &[(&str, Builder)] = &[
    ("mg", |words, nesting| {
        command(MetaVerb::Get, words, nesting)
    }),
    ("ms", set),
    ("md", |words, nesting| {
        command(MetaVerb::Delete, words, nesting)
    }),
    ("ma", arithmetic),
    ("me", |words, nesting| {
        command(MetaVerb::Debug, words, nesting)
    }),
];

/// An `mg` whose line has the usual form, for the scanner, and the bytes behind the line.
pub(super) fn scan_get<'a>(
    key: &'a [u8],
    behind_key: &'a [u8],
    nesting: Nesting,
) -> Option<(MetaCommand<'a>, &'a [u8])> {
    let (flags, behind) = MetaFlags::scan(behind_key)?;
    let command = MetaCommand {
        verb: MetaVerb::Get,
        sent_key: key,
        flags,
    };
    check(&command, nesting).ok()?;
    Some((command, behind))
}

fn arithmetic(words: Words<'_>, nesting: Nesting) -> Result<MetaCommand<'_>, BadLine> {
    let read = command(MetaVerb::Arithmetic, words, nesting).map_err(|bad| match bad.reply {
        reply::BAD_FORMAT if words.is_empty() || !words.skip(1).all(flags::is_flag) => bad,
        reply::OPAQUE_TOO_LONG => bad,
        // The same for all errors of flags, and for a key that is too long.
        _ => BadLine::new(reply::BAD_META_ARITHMETIC),
    })?;
    match read.flags.mode() {
        None | Some(b'I' | b'+' | b'D' | b'-') => Ok(read),
        Some(_) => Err(BadLine::new(reply::BAD_META_ARITHMETIC_MODE)),
    }
}

fn set(mut words: Words<'_>, nesting: Nesting) -> Result<MetaCommand<'_>, BadLine> {
    let key = words.next().ok_or(BadLine::malformed())?;
    let length = words.next().and_then(parse_length);
    let length = length.ok_or(BadLine::malformed())?;
    let verb = MetaVerb::Set { length };
    let read = build(verb, key, words, 3, nesting).and_then(|read| match read.flags.mode() {
        None | Some(b'E' | b'A' | b'P' | b'R' | b'S') => Ok(read),
        Some(_) => Err(reply::BAD_META_SET_MODE),
    });
    read.map_err(|reply| BadLine {
        discard: length + 2,
        ..BadLine::new(reply)
    })
}

fn command(
    verb: MetaVerb,
    mut words: Words<'_>,
    nesting: Nesting,
) -> Result<MetaCommand<'_>, BadLine> {
    let key = words.next().ok_or(BadLine::malformed())?;
    build(verb, key, words, 2, nesting).map_err(BadLine::new)
}

/// A command of the key and the flags, which stand behind `before` words; or its error.
fn build<'a>(
    verb: MetaVerb,
    key: &'a [u8],
    words: Words<'a>,
    before: usize,
    nesting: Nesting,
) -> Result<MetaCommand<'a>, &'static [u8]> {
    if key.len() > KEY_LIMIT {
        return Err(reply::BAD_FORMAT);
    }
    let flags = match verb {
        MetaVerb::Debug => MetaFlags::read_for_key(words)?,
        _ => MetaFlags::read(words, before)?,
    };
    let command = MetaCommand {
        verb,
        sent_key: key,
        flags,
    };
    check(&command, nesting)?;
    Ok(command)
}

/// Checks the key and the opaque of a command, as far as its flags ask for that.
fn check(command: &MetaCommand<'_>, nesting: Nesting) -> Result<(), &'static [u8]> {
    let flags = &command.flags;
    if !flags.has_any(b"Obn") {
        return Ok(());
    }
    if flags.has_long_opaque() {
        return Err(reply::OPAQUE_TOO_LONG);
    }
    let mut decoded = Vec::new();
    if flags.has(b'b') && command.key(&mut decoded).is_empty() {
        return Err(match command.verb {
            MetaVerb::Debug => reply::BAD_FORMAT,
            _ => reply::BAD_KEY,
        });
    }
    if let Some(separator) = flags.separator() {
        if nesting != Nesting::On {
            return Err(reply::INVALID_FLAG);
        }
        let key = command.key(&mut decoded);
        if key.iter().all(|byte| *byte == separator) {
            return Err(reply::BAD_FORMAT);
        }
    }
    Ok(())
}

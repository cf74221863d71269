//! The verbs that read: `get`, `gets`, `gat`, `gats`, and those of nested keys.

use super::fields::{BadLine, Nesting, check_names, exact_path};
use super::words::Words;
use super::{number, reply};

/// `get`, `gets`, `gat`, `gats`: the items of these keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retrieve<'a> {
    /// The keys, each within [`KEY_LIMIT`](super::KEY_LIMIT).
    pub keys: Words<'a>,
    /// The new expiration time that `gat` and `gats` give.
    pub exptime: Option<i32>,
    /// Whether the reply has the cas unique.
    pub cas: bool,
}

/// The kind of read at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathRead {
    /// `getn` and `getns`: the item.
    Item {
        /// Whether the reply has the cas unique.
        cas: bool,
    },
    /// `getch`: the names of the children.
    Children,
}

/// `getn`, `getns`, `getch`: reads at one path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPath<'a> {
    /// The path.
    pub path: Words<'a>,
    /// The kind of read.
    pub read: PathRead,
}

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<Retrieve<'a>, BadLine>;
pub(super) type PathBuilder = for<'a> fn(Words<'a>, Nesting) -> Result<ReadPath<'a>, BadLine>;

pub(super) const VERBS: &[(&str, Builder)] = &[
    ("get", |words, _| retrieve(words, None, false)),
    ("gets", |words, _| retrieve(words, None, true)),
    ("gat", |words, _| get_and_touch(words, false)),
    ("gats", |words, _| get_and_touch(words, true)),
];

pub(super) const PATH_VERBS: &[(&str, PathBuilder)] = &[
    ("getn", |words, nesting| {
        read_path(words, nesting, PathRead::Item { cas: false })
    }),
    ("getns", |words, nesting| {
        read_path(words, nesting, PathRead::Item { cas: true })
    }),
    ("getch", |words, nesting| {
        read_path(words, nesting, PathRead::Children)
    }),
];

fn retrieve(keys: Words<'_>, exptime: Option<i32>, cas: bool) -> Result<Retrieve<'_>, BadLine> {
    if keys.is_empty() {
        return Err(BadLine::malformed());
    }
    check_names(keys, false)?;
    Ok(Retrieve { keys, exptime, cas })
}

fn get_and_touch(mut words: Words<'_>, cas: bool) -> Result<Retrieve<'_>, BadLine> {
    let exptime = words.next().unwrap_or_default();
    if words.is_empty() {
        return Err(BadLine::malformed());
    }
    let exptime = number::strict_i32(exptime).ok_or(BadLine::new(reply::BAD_EXPTIME))?;
    retrieve(words, Some(exptime), cas)
}

fn read_path(words: Words<'_>, nesting: Nesting, read: PathRead) -> Result<ReadPath<'_>, BadLine> {
    let path = exact_path(words, nesting)?;
    Ok(ReadPath { path, read })
}

//! The verbs that change an item without sending a value: `incr`, `decr`, `touch`, `delete`, `deln`.

use super::fields::{BadLine, Nesting, check_path, exact_path, key_and_field, pop_noreply};
use super::words::Words;
use super::{number, reply};

/// A command on the item of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyCommand<'a> {
    /// The key.
    pub path: Words<'a>,
    /// The action on the item.
    pub action: KeyAction,
    /// Whether the command has `noreply`.
    pub noreply: bool,
}

/// The action of a [`KeyCommand`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// `incr`, by this amount.
    Increment(u64),
    /// `decr`, by this amount.
    Decrement(u64),
    /// `touch`: the new expiration time, as the client sent it.
    Touch(i32),
    /// `delete` and `deln`.
    Delete,
}

pub(super) type Builder = for<'a> fn(Words<'a>, Nesting) -> Result<KeyCommand<'a>, BadLine>;

pub(super) const VERBS: &[(&str, Builder)] = &[
    ("incr", |words, nesting| {
        count(words, nesting, KeyAction::Increment)
    }),
    ("decr", |words, nesting| {
        count(words, nesting, KeyAction::Decrement)
    }),
    ("touch", touch),
    ("delete", delete),
    ("deln", |words, nesting| {
        Ok(KeyCommand {
            path: exact_path(words, nesting)?,
            action: KeyAction::Delete,
            noreply: false,
        })
    }),
];

fn count(
    words: Words<'_>,
    nesting: Nesting,
    action: fn(u64) -> KeyAction,
) -> Result<KeyCommand<'_>, BadLine> {
    let line = key_and_field(words, nesting)?;
    let delta = number::strict_u64(line.field);
    let delta = delta.ok_or(BadLine::unless(line.noreply, reply::BAD_DELTA))?;
    Ok(KeyCommand {
        path: line.path,
        action: action(delta),
        noreply: line.noreply,
    })
}

fn touch(words: Words<'_>, nesting: Nesting) -> Result<KeyCommand<'_>, BadLine> {
    let line = key_and_field(words, nesting)?;
    let exptime = number::strict_i32(line.field);
    let exptime = exptime.ok_or(BadLine::unless(line.noreply, reply::BAD_EXPTIME))?;
    Ok(KeyCommand {
        path: line.path,
        action: KeyAction::Touch(exptime),
        noreply: line.noreply,
    })
}

/// `delete KEY [0] [noreply]` in every mode; else, with nested keys, `delete PATH [noreply]`.
fn delete(words: Words<'_>, nesting: Nesting) -> Result<KeyCommand<'_>, BadLine> {
    let (path, noreply) = match take_four(words) {
        [None, ..] => return Err(BadLine::malformed()),
        [Some(key), None, ..] => (Words::new(key), key == b"noreply"),
        [Some(key), Some(b"0"), None, _] => (Words::new(key), false),
        [Some(key), Some(b"noreply"), None, _] => (Words::new(key), true),
        [Some(key), Some(b"0"), Some(b"noreply"), None] => (Words::new(key), true),
        _ if nesting != Nesting::On => return Err(BadLine::too_many(words)),
        _ => {
            let mut path = words;
            let noreply = pop_noreply(&mut path);
            (path, noreply)
        }
    };
    Ok(KeyCommand {
        path: check_path(path, noreply)?,
        action: KeyAction::Delete,
        noreply,
    })
}

/// The first four words.
fn take_four(mut words: Words<'_>) -> [Option<&[u8]>; 4] {
    [words.next(), words.next(), words.next(), words.next()]
}

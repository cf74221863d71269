//! The fields of a command line that the verbs share: paths, `noreply`, and the line that is refused.

use super::limits::KEY_LIMIT;
use super::reply;
use super::words::Words;

/// Whether keys are paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Nesting {
    /// memcached to the letter, with its tolerance: `set a 0 0 1 stray` stores `a`.
    Off,
    /// A command's fields are read from the right end of the line, and the rest on the left is a
    /// path: `set user 42 0 0 5` is the path `user 42`. Lines to which `protocol.txt` or existing
    /// clients give a meaning keep it: `delete a 0` deletes `a`.
    #[default]
    On,
    /// Those of a server behind a proxy, which is not known to have one or the other. As [`Off`](Nesting::Off), but a storage
    /// command whose value has another length for a server with nested keys is refused: the rest of the value would be
    /// a command there.
    Unknown,
}

/// The reason why a line is refused, and the start of the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    /// The reply; empty if the line has `noreply`.
    pub reply: &'static [u8],
    /// The number of bytes behind the line that belong to it: the data block of a storage command
    /// whose length could be read. They are discarded, because their content is not meant as
    /// commands.
    pub discard: usize,
}

impl BadLine {
    pub(super) fn new(reply: &'static [u8]) -> BadLine {
        BadLine { reply, discard: 0 }
    }

    /// No such command.
    pub(super) fn unknown(line: Words<'_>) -> BadLine {
        BadLine::unless(ends_with_noreply(line), reply::ERROR)
    }

    /// Too many words.
    pub(super) fn too_many(words: Words<'_>) -> BadLine {
        BadLine::unless(ends_with_noreply(words), reply::BAD_FORMAT)
    }

    /// Too few words. The client gets this reply even if the last word is `noreply`, as with memcached, which checks
    /// the count first.
    pub(super) fn malformed() -> BadLine {
        BadLine::new(reply::BAD_FORMAT)
    }

    /// This reply, unless the line has `noreply`.
    pub(super) fn unless(noreply: bool, reply: &'static [u8]) -> BadLine {
        BadLine::new(if noreply { b"" } else { reply })
    }
}

/// A key and one more field: `incr KEY DELTA`. `noreply` as the last word asks for no answer.
pub(super) struct KeyAndField<'a> {
    pub(super) path: Words<'a>,
    pub(super) field: &'a [u8],
    pub(super) noreply: bool,
}

/// Reads [`KeyAndField`]. With nested keys the field is the last word; without, it is the second, and one
/// word behind it is ignored. (memcached 1.6.45 ignores any number of them, 1.6.18 refuses the second.) A
/// `noreply` in the place of the field silences the error that follows from it.
pub(super) fn key_and_field(
    mut words: Words<'_>,
    nesting: Nesting,
) -> Result<KeyAndField<'_>, BadLine> {
    let count = words.count_up_to(4);
    if count < 2 {
        return Err(BadLine::malformed());
    }
    if nesting != Nesting::On && count > 3 {
        return Err(BadLine::too_many(words));
    }
    let noreply = ends_with_noreply(words);
    let (path, field) = if nesting != Nesting::On || count == 2 {
        let key = words.next().unwrap_or_default();
        (Words::new(key), words.next().unwrap_or_default())
    } else {
        pop_noreply(&mut words);
        let field = words.pop().unwrap_or_default();
        (words, field)
    };
    Ok(KeyAndField {
        path: check_path(path, noreply)?,
        field,
        noreply,
    })
}

/// Whether the last word is `noreply`.
pub(super) fn ends_with_noreply(mut words: Words<'_>) -> bool {
    words.pop() == Some(b"noreply")
}

/// Takes off a `noreply` that is the last word.
pub(super) fn pop_noreply(words: &mut Words<'_>) -> bool {
    let mut rest = *words;
    let noreply = rest.pop() == Some(b"noreply");
    if noreply {
        *words = rest;
    }
    noreply
}

/// All words as a path, for the commands that exist only with nested keys.
pub(super) fn exact_path(words: Words<'_>, nesting: Nesting) -> Result<Words<'_>, BadLine> {
    if nesting != Nesting::On {
        return Err(BadLine::new(reply::ERROR));
    }
    if words.is_empty() {
        return Err(BadLine::malformed());
    }
    check_path(words, false)
}

/// Checks that a path has a name, and none longer than [`KEY_LIMIT`].
pub(super) fn check_path(path: Words<'_>, noreply: bool) -> Result<Words<'_>, BadLine> {
    if path.is_empty() {
        return Err(BadLine::unless(noreply, reply::BAD_FORMAT));
    }
    check_names(path, noreply)?;
    Ok(path)
}

/// Checks that no name is longer than [`KEY_LIMIT`].
pub(super) fn check_names(mut names: Words<'_>, noreply: bool) -> Result<(), BadLine> {
    if names.as_bytes().len() > KEY_LIMIT && names.any(|name| name.len() > KEY_LIMIT) {
        return Err(BadLine::unless(noreply, reply::BAD_FORMAT));
    }
    Ok(())
}

//! The fields of a command line, as the verbs share them: paths, `noreply`, and the line that is refused.

use super::limits::KEY_LIMIT;
use super::reply;
use super::words::Words;

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

/// Why words are no command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadLine {
    /// The reply; empty if the line asked for none.
    pub reply: &'static [u8],
}

impl BadLine {
    /// No such command, or not as many words as it takes.
    pub(super) fn error() -> BadLine {
        BadLine {
            reply: reply::ERROR,
        }
    }

    /// This reply, unless the line asked for none.
    pub(super) fn unless(noreply: bool, reply: &'static [u8]) -> BadLine {
        BadLine {
            reply: if noreply { b"" } else { reply },
        }
    }
}

/// Checks that there are `least` words, and takes off a `noreply` behind them.
///
/// Without nested keys one word more is tolerated, and ignored if it is not `noreply`; any more are
/// an error. A `noreply` in the place of a field silences the error that follows from it, as in
/// memcached.
pub(super) fn take_noreply(
    words: &mut Words<'_>,
    least: usize,
    nesting: Nesting,
) -> Result<bool, BadLine> {
    let count = words.count_up_to(least + 2);
    if count < least || (nesting == Nesting::Off && count > least + 1) {
        return Err(BadLine::error());
    }
    let noreply = pop_noreply(words);
    if !noreply && nesting == Nesting::Off && count > least {
        words.pop();
    }
    Ok(noreply)
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

/// All the words as a path, for the commands that exist only with nested keys.
pub(super) fn exact_path(words: Words<'_>, nesting: Nesting) -> Result<Words<'_>, BadLine> {
    if nesting == Nesting::Off || words.is_empty() {
        return Err(BadLine::error());
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

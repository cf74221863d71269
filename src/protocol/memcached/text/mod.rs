//! memcached's text protocol: bytes to [`Command`]s, replies to bytes.
//!
//! ```text
//!   input ──▶ scanner ──declines──▶ line ──▶ grammar (regex) ──▶ command ──▶ Done
//!                │                   │            │                │
//!                └────────▶ Done     └▶ More      └▶ Bad           └▶ Bad
//! ```
//!
//! [`parse`] is a pure function with three outcomes: a command and the length of its line, more bytes needed, or a bad
//! line with its reply and whether the connection is closed. The grammar is one regular expression over a line, made of
//! the table of verbs in `command`; a hand-written scanner stands before it for the two lines that make up nearly all
//! traffic, `get KEY…`, `set KEY FLAGS EXPTIME BYTES [noreply]` and `mg KEY FLAGS…`, and declines all other lines. A property test
//! compares the two. The data block of a storage command is taken by [`data_block`], after its length was checked.
//!
//! The meaning of a line, and the reply to a malformed one, are those of the program memcached 1.6.45,
//! because `protocol.txt` describes only a part:
//! - Only the space separates words. A line ends at `\n`; one `\r` before it is dropped.
//! - `noreply` as the last word silences errors too, except that of a line with too few words.
//! - A line with too few words, or with a field that can't be read, is a `CLIENT_ERROR`; an unknown verb is
//!   `ERROR`.
//! - The value of a refused storage command is discarded if its length can be read. Otherwise the next line
//!   is read as a command: [`AfterBadLine`].
//!
//! It differs if versions of memcached disagree and the proxy could get out of step with one of them: only one stray word behind a
//! line is ignored (1.6.45 ignores any number). And the value of a storage command with spaces before its verb, which 1.6.45 executes,
//! is discarded. With [`Nesting::On`] stray words are names of a path: see [`Nesting`].
//!
//! Cost: no allocation; the regex runs as a one-pass DFA into captures that are kept per thread.
//! With 64 requests in a packet, and all that the service does included, a `get` that hits a value
//! of 100 bytes took 110 ns, a `gets`, which goes through the regex, 250 ns.

mod admin;
pub(crate) mod authentication;
mod command;
mod fields;
mod grammar;
mod key_commands;
mod limits;
pub(crate) mod meta;
mod number;
pub mod reply;
mod retrieval;
mod scanner;
mod storage;
mod words;

#[cfg(test)]
mod tests;

pub use admin::AdminCommand;
pub use command::{Command, verb_names};
pub use fields::{BadLine, Nesting};
pub use key_commands::{KeyAction, KeyCommand};
pub(crate) use limits::KEY_LIMIT;
pub use limits::{GET_LINE_LIMIT, LINE_LIMIT};
pub use meta::{MetaCommand, MetaFlags, MetaVerb};
pub use retrieval::{PathRead, ReadPath, Retrieve};
pub(crate) use storage::parse_length;
pub use storage::{Block, StorageCommand, StoreVerb, data_block};

pub use number::{strict_u32 as parse_number, unsigned as parse_unsigned};
pub use words::Words;

use limits::{LEADING_SPACES, SHORTEST_LINE};
use memchr::memchr;

/// The result of parsing the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<'a> {
    /// A command.
    Done {
        /// The command, borrowing from the input.
        command: Command<'a>,
        /// The bytes of its line, the line's end included. A storage command's data block follows.
        consumed: usize,
    },
    /// The line has not ended yet.
    More,
    /// A line that is no command.
    Bad {
        /// The reply to the client; empty if the line has `noreply`.
        reply: &'static [u8],
        /// The bytes of the line.
        consumed: usize,
        /// The start of the next command.
        then: AfterBadLine,
    },
}

/// The way to continue after a bad line. The service and the proxy both follow it, so that they agree
/// about the start of the next command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterBadLine {
    /// With a command, after this many bytes that are discarded: the value of a storage command that was
    /// refused. 0 for every other line.
    Continue {
        /// Bytes behind the line, whether or not they have arrived.
        discard: usize,
    },
    /// Not at all: the connection is closed after the reply.
    Close,
}

/// Reads one command from the start of `input`.
///
/// `scanned` is a number of bytes at the start that are known to hold no `\n`, because they were
/// there when an earlier call returned [`Parsed::More`]. So a long line that arrives in small pieces
/// is searched once. 0 is always right.
pub fn parse(input: &[u8], scanned: usize, nesting: Nesting) -> Parsed<'_> {
    if let Some((command, consumed)) = scanner::scan(input, nesting) {
        return Parsed::Done { command, consumed };
    }
    parse_line(input, scanned, nesting)
}

/// [`parse`] without the scanner: the line's end, then the grammar.
fn parse_line(input: &[u8], scanned: usize, nesting: Nesting) -> Parsed<'_> {
    let from = scanned.min(input.len());
    let Some(end) = memchr(b'\n', &input[from..]).map(|at| from + at) else {
        return unended(input);
    };
    let consumed = end + 1;
    let line = cut(&input[..end]);
    let command = grammar::read(line);
    if command.is_none() && ends_like_http(line) {
        return Parsed::Bad {
            reply: b"",
            consumed,
            then: AfterBadLine::Close,
        };
    }
    let command = match command {
        _ if consumed < SHORTEST_LINE => Err(BadLine::malformed()),
        Some(command) => Ok(command),
        None => Err(BadLine::unknown(Words::new(line))),
    };
    let mut command = command.and_then(|(verb, words)| verb.build(words, nesting));
    if line.starts_with(b" ") && consumed >= SHORTEST_LINE {
        command = Err(behind_spaces(line, command));
    }
    match command {
        Ok(command) => Parsed::Done { command, consumed },
        Err(bad) => Parsed::Bad {
            reply: bad.reply,
            consumed,
            then: AfterBadLine::Continue {
                discard: bad.discard,
            },
        },
    }
}

/// Refuses a line that begins with a space, which memcached 1.6.45 takes for a part of the verb. It executes
/// the value of such a storage command; larder discards it.
fn behind_spaces(line: &[u8], command: Result<Command<'_>, BadLine>) -> BadLine {
    let discard = match command {
        Ok(Command::Store(StorageCommand { length, .. }))
        | Ok(Command::Meta(MetaCommand {
            verb: MetaVerb::Set { length },
            ..
        })) => length + 2,
        Ok(_) => 0,
        Err(bad) => bad.discard,
    };
    BadLine {
        discard,
        ..BadLine::unknown(Words::new(line))
    }
}

/// Whether the line of an unknown command is a browser's. A web page may make its reader's browser send a request here,
/// and no command behind it may run: memcached closes the connection without an answer.
fn ends_like_http(line: &[u8]) -> bool {
    let last = line.rsplit(|&byte| byte == b' ').next();
    last.is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// The words of the line that the input begins with, and its length with its end; `None` if it has
/// not ended.
///
/// For the rest of a `get` whose line was read before, and some of whose keys were answered.
pub(crate) fn rest_of_line(input: &[u8]) -> Option<(Words<'_>, usize)> {
    let end = memchr(b'\n', input)?;
    Some((Words::new(cut(&input[..end])), end + 1))
}

/// The words of a line with its end.
pub(crate) fn line_words(line: &[u8]) -> Words<'_> {
    Words::new(cut(line.strip_suffix(b"\n").unwrap_or(line)))
}

/// The meaningful part of a line, without its `\n`.
fn cut(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    words::trim_end(line)
}

/// A line whose end has not arrived: wait, or close.
fn unended(input: &[u8]) -> Parsed<'_> {
    let close = |reply| Parsed::Bad {
        reply,
        consumed: input.len(),
        then: AfterBadLine::Close,
    };
    if input.len() <= LINE_LIMIT {
        return Parsed::More;
    }
    let spaces = input.iter().take_while(|&&byte| byte == b' ').count();
    let line = &input[spaces..];
    if spaces > LEADING_SPACES || !(line.starts_with(b"get ") || line.starts_with(b"gets ")) {
        return close(b"");
    }
    if input.len() > GET_LINE_LIMIT {
        return close(reply::OUT_OF_MEMORY_READING);
    }
    Parsed::More
}

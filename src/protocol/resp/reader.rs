//! The reader of requests: from bytes in any pieces to the words of a command.
//!
//! ```text
//!  input   *3 CRLF $3 CRLF SET CRLF $1 CRLF a CRLF $1000 CRLF xxxxxx…  (the rest has not arrived)
//!  words              0..3           1             ▲
//!                                                  at: reading continues here with the next bytes
//! ```
//!
//! A complete command costs no allocation. For an incomplete one, the position where reading stopped
//! and the words found so far are kept in a box. Reading continues there when more bytes arrive, so
//! a command that arrives byte by byte costs as much as one that arrives whole. Memory is
//! allocated for bytes that have arrived, never for a length that a client announces.
//!
//! The accepted input and the text of every error are those of Redis 7.0, tolerance included: after
//! a length and after a bulk string two bytes are skipped unread, a NUL hides the end of its line,
//! `*0` and `*-1` are commands without words.

use super::args::{CommandArgs, CommandWords};
use super::inline;
use super::number::parse_integer;
use super::protocol_error::ProtocolError;

/// Longest part of a line in bytes that may wait for its end: of an inline command, or of a length. Redis's
/// `PROTO_INLINE_MAX_SIZE`; answered with the three errors that begin with "too big", and the connection is closed.
/// As in Redis, a line whose end has arrived with it may be longer.
const MAX_LINE: usize = 64 * 1024;
/// Most words of one command, as in Redis. None is stored before it has arrived, so the number
/// itself costs nothing.
const MAX_WORDS: i64 = i32::MAX as i64;
/// Longest bulk string in bytes that the protocol lets a client name: Redis's default
/// `proto-max-bulk-len`. A longer one is a protocol error; one between it and [`Limits::bulk`] is
/// read and dropped.
const MAX_BULK: i64 = 512 * 1024 * 1024;
/// Most words of a command from a client that has not authenticated yet.
const MAX_WORDS_UNAUTHENTICATED: i64 = 10;
/// Longest bulk string in bytes from a client that has not authenticated yet.
const MAX_BULK_UNAUTHENTICATED: i64 = 16384;

/// The limits of the reader.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Longest bulk string in bytes that is kept. A command with a longer one is read to its end
    /// without keeping any of it and comes out as [`ReadOutcome::TooLarge`].
    pub bulk: usize,
    /// Bytes that one command may take altogether; at most 2 GiB. More is [`ReadOutcome::Overflow`].
    pub request: usize,
    /// Whether the client has to authenticate first; until then far less is accepted.
    pub unauthenticated: bool,
}

/// The result of one read. The number is the bytes of the input that are consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
    /// A command, its words in the [`CommandWords`]; none for a blank line.
    Command(usize),
    /// A command with a bulk string over [`Limits::bulk`]; its words are dropped.
    TooLarge(usize),
    /// The rest has not arrived. The bytes that are not consumed must be passed again, followed by more.
    Incomplete(usize),
    /// Not the protocol: answer the error, then close.
    Bad(ProtocolError),
    /// A command over [`Limits::request`]: close without an answer.
    Overflow,
}

/// Reads the commands of one connection. Eight bytes while no command has partly arrived.
#[derive(Debug, Default)]
pub struct Reader {
    partial: Option<Box<(PartialCommand, CommandWords)>>,
}

/// The position of the reader inside one command.
#[derive(Debug, Default)]
struct PartialCommand {
    /// Bytes of the command that are read.
    at: usize,
    /// Bytes behind `at` that are known not to end a line.
    scanned: usize,
    /// Words still to come; 0 before the count is read.
    words: i64,
    /// Length of the bulk string that comes next, once it is known.
    bulk: Option<usize>,
    /// A bulk string exceeded the limit: all bytes up to the command's end are dropped as they
    /// arrive.
    dropping: bool,
}

/// A bulk string that has not arrived completely.
pub(crate) struct LongWord<'a> {
    /// The words in front of it.
    pub(crate) words: CommandArgs<'a>,
    /// Its start in the input.
    pub(crate) start: usize,
    /// Its bytes, without the end of its line.
    pub(crate) length: usize,
    /// The number of words behind it.
    pub(crate) words_behind: i64,
}

/// The reason why there is no complete command.
enum ReadStop {
    Incomplete,
    Bad(ProtocolError),
    Overflow,
}

impl Reader {
    /// Looks for one command at the start of `input` and leaves its words in `words`.
    ///
    /// `input` starts at the first byte that is not consumed; `words` must be the same from call to
    /// call, unless no command is partly read.
    #[inline]
    pub fn read(&mut self, input: &[u8], limits: &Limits, words: &mut CommandWords) -> ReadOutcome {
        let mut place = match self.partial.take() {
            None => {
                words.clear();
                PartialCommand::default()
            }
            Some(partial) => {
                *words = partial.1;
                partial.0
            }
        };
        match place.advance(input, limits, words) {
            Ok(()) if place.dropping => ReadOutcome::TooLarge(place.at),
            Ok(()) => ReadOutcome::Command(place.at),
            Err(stop) => self.stop(stop, place, input, words),
        }
    }

    /// The bulk string at which the reader waits, once its length is known. `input` is the input of the
    /// last read.
    pub(crate) fn long_word<'a>(&'a self, input: &'a [u8]) -> Option<LongWord<'a>> {
        let (place, words) = self.partial.as_deref()?;
        let with_line_end = place.bulk.filter(|_| !place.dropping)?;
        Some(LongWord {
            words: words.args(input),
            start: place.at,
            length: with_line_end - 2,
            words_behind: place.words - 1,
        })
    }

    /// Drops the command that is being read, and reads this many further words of it as a command.
    pub(crate) fn read_words(&mut self, count: i64) {
        let rest = PartialCommand {
            words: count,
            ..PartialCommand::default()
        };
        self.partial = (count > 0).then(|| Box::new((rest, CommandWords::default())));
    }

    /// Drops the rest of a command: this many bytes of a bulk string and its line end, and the words behind it.
    pub(crate) fn drop_rest(&mut self, bytes: usize, words_behind: i64) {
        let rest = PartialCommand {
            words: words_behind + 1,
            bulk: Some(bytes),
            dropping: true,
            ..PartialCommand::default()
        };
        self.partial = Some(Box::new((rest, CommandWords::default())));
    }

    /// Whether the rest of a command is dropped as it arrives.
    pub(crate) fn is_dropping(&self) -> bool {
        self.partial
            .as_ref()
            .is_some_and(|partial| partial.0.dropping)
    }

    #[cold]
    fn stop(
        &mut self,
        stop: ReadStop,
        mut place: PartialCommand,
        input: &[u8],
        words: &mut CommandWords,
    ) -> ReadOutcome {
        match stop {
            ReadStop::Bad(error) => ReadOutcome::Bad(error),
            ReadStop::Overflow => ReadOutcome::Overflow,
            ReadStop::Incomplete if input.is_empty() && place.words == 0 => {
                ReadOutcome::Incomplete(0)
            }
            ReadStop::Incomplete => {
                let done = if place.dropping {
                    std::mem::take(&mut place.at)
                } else {
                    0
                };
                self.partial = Some(Box::new((place, std::mem::take(words))));
                ReadOutcome::Incomplete(done)
            }
        }
    }
}

impl PartialCommand {
    /// Reads on until the command is complete.
    #[inline]
    fn advance(
        &mut self,
        input: &[u8],
        limits: &Limits,
        words: &mut CommandWords,
    ) -> Result<(), ReadStop> {
        if self.words == 0 {
            match input.first() {
                None => return Err(ReadStop::Incomplete),
                Some(b'*') => {
                    self.words = self.count(input, limits)?;
                    if self.words <= 0 {
                        return Ok(());
                    }
                }
                Some(_) => return self.inline(input, limits, words),
            }
        }
        while self.words > 0 {
            let length = match self.bulk {
                Some(length) => length,
                None => {
                    let length = self.length(input, limits)?;
                    if length > limits.bulk {
                        self.dropping = true;
                        words.clear();
                    } else if !self.dropping && self.at + length > limits.request {
                        return Err(ReadStop::Overflow);
                    }
                    // With its line end.
                    *self.bulk.insert(length + 2)
                }
            };
            let arrived = input.len() - self.at;
            if arrived < length {
                if self.dropping {
                    self.at = input.len();
                    self.bulk = Some(length - arrived);
                }
                return Err(ReadStop::Incomplete);
            }
            if !self.dropping {
                words.push(self.at, self.at + length - 2);
            }
            self.at += length;
            self.bulk = None;
            self.words -= 1;
        }
        Ok(())
    }

    /// Reads `*COUNT CRLF`.
    #[inline]
    fn count(&mut self, input: &[u8], limits: &Limits) -> Result<i64, ReadStop> {
        let count = match short_number(&input[1..]) {
            Some((count, length)) => {
                self.at = 1 + length;
                self.scanned = 0;
                count as i64
            }
            None => {
                let line = self.line(input, ProtocolError::CountTooBig)?;
                match parse_integer(&line[1..]) {
                    Some(count) if count <= MAX_WORDS => count,
                    _ => return Err(ReadStop::Bad(ProtocolError::InvalidCount)),
                }
            }
        };
        if limits.unauthenticated && count > MAX_WORDS_UNAUTHENTICATED {
            return Err(ReadStop::Bad(ProtocolError::UnauthenticatedCount));
        }
        Ok(count)
    }

    /// Reads `$LENGTH CRLF`.
    #[inline]
    fn length(&mut self, input: &[u8], limits: &Limits) -> Result<usize, ReadStop> {
        let short = match &input[self.at..] {
            [b'$', rest @ ..] => short_number(rest),
            _ => None,
        };
        let length = match short {
            Some((value, length)) => {
                self.at += 1 + length;
                self.scanned = 0;
                value as i64
            }
            None => {
                let line = self.line(input, ProtocolError::LengthTooBig)?;
                match line.first() {
                    Some(b'$') => {}
                    // An empty line: Redis's error then names the line's end.
                    other => {
                        return Err(ReadStop::Bad(ProtocolError::NotABulk(
                            *other.unwrap_or(&b'\r'),
                        )));
                    }
                }
                match parse_integer(&line[1..]) {
                    Some(length @ 0..=MAX_BULK) => length,
                    _ => return Err(ReadStop::Bad(ProtocolError::InvalidLength)),
                }
            }
        };
        if limits.unauthenticated && length > MAX_BULK_UNAUTHENTICATED {
            return Err(ReadStop::Bad(ProtocolError::UnauthenticatedLength));
        }
        Ok(length as usize)
    }

    /// The line at `at` up to its CR, and steps over it and the byte behind.
    fn line<'a>(&mut self, input: &'a [u8], too_big: ProtocolError) -> Result<&'a [u8], ReadStop> {
        let rest = &input[self.at..];
        let end = self.find(rest, b'\r', too_big)?;
        // As in Redis, any byte may stand in place of the LF.
        if rest.len() < end + 2 {
            return Err(ReadStop::Incomplete);
        }
        self.at += end + 2;
        self.scanned = 0;
        Ok(&rest[..end])
    }

    /// Reads a line that is a command.
    fn inline(
        &mut self,
        input: &[u8],
        limits: &Limits,
        words: &mut CommandWords,
    ) -> Result<(), ReadStop> {
        let end = self.find(input, b'\n', ProtocolError::InlineTooBig)?;
        if end > limits.request {
            return Err(ReadStop::Overflow);
        }
        self.at = end + 1;
        let line = match &input[..end] {
            [line @ .., b'\r'] => line,
            line => line,
        };
        inline::split(line, words).map_err(|_| ReadStop::Bad(ProtocolError::UnbalancedQuotes))
    }

    /// The position of the first `end` in `rest`, if no NUL comes before it.
    fn find(&mut self, rest: &[u8], end: u8, too_big: ProtocolError) -> Result<usize, ReadStop> {
        match memchr::memchr2(end, 0, &rest[self.scanned..]).map(|found| self.scanned + found) {
            Some(found) if rest[found] == end => Ok(found),
            _ if rest.len() > MAX_LINE => Err(ReadStop::Bad(too_big)),
            Some(found) => {
                self.scanned = found;
                Err(ReadStop::Incomplete)
            }
            None => {
                self.scanned = rest.len();
                Err(ReadStop::Incomplete)
            }
        }
    }
}

/// The number at the start of `rest` and its bytes with the line end, if it is a simple one: up to
/// eight digits, no leading zero, its line whole.
#[inline]
fn short_number(rest: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, &byte) in rest.iter().take(9).enumerate() {
        match byte {
            b'0'..=b'9' if at < 8 => value = value * 10 + usize::from(byte - b'0'),
            b'\r' if at == 1 || (at > 1 && rest[0] != b'0') => {
                return (rest.len() >= at + 2).then_some((value, at + 2));
            }
            _ => break,
        }
    }
    None
}

#[cfg(test)]
mod tests;

//! Replies in memcached's text protocol: lines, some of which name the length of a block that follows.

use memchr::memchr;

use crate::protocol::framing::reply::fit;
use crate::protocol::framing::reply::progress::{FrameProgress, FrameState, ReplyShape};

/// Longest line of a reply in bytes, its end included. `VALUE` with the longest key takes about 330.
pub(crate) const LINE_LIMIT: usize = 2048;

/// Finds the end of replies of one shape.
#[derive(Debug)]
pub struct MemcachedReplyFramer {
    shape: ReplyShape,
    place: Position,
    /// The start of a line whose end has not arrived.
    line: Vec<u8>,
    error: bool,
    /// The number of requested keys that the values so far have passed.
    keys: usize,
    /// The bytes received can't be the reply to the request.
    out_of_step: bool,
}

#[derive(Debug, Clone, Copy)]
enum Position {
    Line,
    /// This many bytes of a block are still to come.
    Block(u64),
    /// Then its CR, and its LF.
    Cr,
    Lf,
}

/// The effect of a line on the reply.
enum LineMeaning {
    /// The reply ends with it.
    Last,
    /// Another line follows.
    Next,
    /// A block of this many bytes follows.
    Block(u64),
    Garbage,
}

impl MemcachedReplyFramer {
    pub(super) fn new(shape: ReplyShape) -> MemcachedReplyFramer {
        MemcachedReplyFramer {
            shape,
            place: Position::Line,
            line: Vec::new(),
            error: false,
            keys: 0,
            out_of_step: false,
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.error
    }

    /// The number of bytes that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.line.capacity()
    }

    pub(super) fn is_out_of_step(&self) -> bool {
        self.out_of_step
    }

    pub(super) fn feed(&mut self, request: &[u8], bytes: &[u8]) -> FrameProgress {
        let mut used = 0;
        let mut state = FrameState::More;
        while used < bytes.len() && state == FrameState::More {
            let rest = &bytes[used..];
            match self.place {
                Position::Line => {
                    let (taken, meaning) = self.line(request, rest);
                    used += taken;
                    match meaning {
                        LineMeaning::Last => state = FrameState::Done,
                        LineMeaning::Next => {}
                        LineMeaning::Block(0) => self.place = Position::Cr,
                        LineMeaning::Block(length) => self.place = Position::Block(length),
                        LineMeaning::Garbage => state = FrameState::Garbage,
                    }
                }
                Position::Block(left) => {
                    let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    used += taken;
                    let left = left - taken as u64;
                    self.place = if left > 0 {
                        Position::Block(left)
                    } else {
                        Position::Cr
                    };
                }
                Position::Cr if rest[0] == b'\r' => {
                    used += 1;
                    self.place = Position::Lf;
                }
                Position::Lf if rest[0] == b'\n' => {
                    used += 1;
                    self.place = Position::Line;
                    // A meta reply has one block at most.
                    if self.shape == ReplyShape::Meta {
                        state = FrameState::Done;
                    }
                }
                Position::Cr | Position::Lf => state = FrameState::Garbage,
            }
        }
        FrameProgress { used, state }
    }

    /// Takes a line, or the part of it that has arrived.
    fn line(&mut self, request: &[u8], rest: &[u8]) -> (usize, LineMeaning) {
        let end = memchr(b'\n', rest);
        let taken = end.map_or(rest.len(), |end| end + 1);
        if self.line.len() + taken > LINE_LIMIT {
            return (0, LineMeaning::Garbage);
        }
        if end.is_none() {
            self.line.extend_from_slice(rest);
            return (taken, LineMeaning::Next);
        }
        let meaning = if self.line.is_empty() {
            self.meaning(request, &rest[..taken])
        } else {
            let mut line = std::mem::take(&mut self.line);
            line.extend_from_slice(&rest[..taken]);
            self.meaning(request, &line)
        };
        (taken, meaning)
    }

    fn meaning(&mut self, request: &[u8], line: &[u8]) -> LineMeaning {
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return LineMeaning::Garbage;
        };
        self.error = is_error(line);
        if self.error {
            return match self.shape {
                ReplyShape::Fenced => LineMeaning::Next,
                _ => LineMeaning::Last,
            };
        }
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let meaning = self.meaning_of(word, line);
        self.out_of_step = match (self.shape, &meaning) {
            (_, LineMeaning::Garbage) => false,
            (ReplyShape::Values, LineMeaning::Block(_)) => {
                let key = line[word.len() + 1..].split(|byte| *byte == b' ').next();
                !fit::has_key(request, &mut self.keys, key.unwrap_or_default())
            }
            (ReplyShape::Line, _) => !fit::is_line_of(request, word),
            (ReplyShape::Meta | ReplyShape::Fenced, _) => !fit::is_meta_of(request, line),
            _ => false,
        };
        match self.out_of_step {
            true => LineMeaning::Garbage,
            false => meaning,
        }
    }

    /// The effect of a line that is no error and begins with `word`.
    fn meaning_of(&self, word: &[u8], line: &[u8]) -> LineMeaning {
        match (self.shape, word) {
            (ReplyShape::Line, _) if is_line(word) => LineMeaning::Last,
            (ReplyShape::Values, b"VALUE") => value_line(line)
                .map_or(LineMeaning::Garbage, |value| {
                    LineMeaning::Block(value.length)
                }),
            (ReplyShape::Values | ReplyShape::Stats, b"END") => LineMeaning::Last,
            // `stats cachedump` lists items, `stats detail dump` prefixes.
            (ReplyShape::Stats, b"STAT" | b"ITEM" | b"PREFIX") => LineMeaning::Next,
            (ReplyShape::Stats, b"RESET" | b"OK") => LineMeaning::Last,
            (ReplyShape::Fenced, b"MN") => LineMeaning::Last,
            (ReplyShape::Meta | ReplyShape::Fenced, b"VA") => {
                let length = line.split(|byte| *byte == b' ').nth(1).and_then(number);
                length.map_or(LineMeaning::Garbage, LineMeaning::Block)
            }
            (ReplyShape::Meta, b"HD" | b"EN" | b"NF" | b"NS" | b"EX" | b"ME" | b"MN" | b"OK") => {
                LineMeaning::Last
            }
            (ReplyShape::Fenced, b"HD" | b"EN" | b"NF" | b"NS" | b"EX") => LineMeaning::Next,
            _ => LineMeaning::Garbage,
        }
    }
}

/// Whether a line, without its end, is an error.
pub fn is_error(line: &[u8]) -> bool {
    line == b"ERROR"
        || [&b"ERROR "[..], b"CLIENT_ERROR ", b"SERVER_ERROR "]
            .iter()
            .any(|start| line.starts_with(start))
        || line.starts_with(b"ERROR: ")
}

/// Whether one line that begins with this word is a whole reply. The answer to `incr` and `decr` is a number.
fn is_line(word: &[u8]) -> bool {
    matches!(
        word,
        b"STORED"
            | b"NOT_STORED"
            | b"EXISTS"
            | b"NOT_FOUND"
            | b"DELETED"
            | b"TOUCHED"
            | b"OK"
            | b"RESET"
            | b"BUSY"
            | b"BADCLASS"
            | b"VERSION"
            | b"MN"
    ) || (!word.is_empty() && word.len() <= 20 && word.iter().all(u8::is_ascii_digit))
}

/// The fields of a `VALUE` line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ValueLine<'a> {
    /// The item's key.
    pub key: &'a [u8],
    /// The item's flags.
    pub flags: u64,
    /// Bytes of its value.
    pub length: u64,
    /// The digits of its cas unique, if they are there.
    pub cas: Option<&'a [u8]>,
}

/// Reads `VALUE KEY FLAGS LENGTH [CAS]`, without its end.
pub(crate) fn value_line(line: &[u8]) -> Option<ValueLine<'_>> {
    let mut words = line.split(|byte| *byte == b' ');
    words.next().filter(|word| *word == b"VALUE")?;
    let key = words.next().filter(|key| !key.is_empty())?;
    let flags = words.next().and_then(number)?;
    let length = words.next().and_then(number)?;
    let cas = words.next();
    match cas {
        None => {}
        Some(cas) if !cas.is_empty() && cas.len() <= 20 && cas.iter().all(u8::is_ascii_digit) => {}
        Some(_) => return None,
    }
    let line = ValueLine {
        key,
        flags,
        length,
        cas,
    };
    words.next().is_none().then_some(line)
}

/// A number of at most 12 digits: memcached's values are far below a terabyte.
fn number(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 12 || !word.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        word.iter()
            .fold(0, |number, digit| number * 10 + u64::from(digit - b'0')),
    )
}

//! Reads RESP requests, however the bytes were cut on their way.
//!
//! The reader remembers where it stopped: how many words are missing, and how long the one is that it waits for. Bytes
//! that it has understood never have to come again.

/// Most words of a command, as in Redis.
const MAX_WORDS: i64 = i32::MAX as i64;
/// Longest bulk string that a client may announce, as in Redis.
const MAX_BULK: i64 = 512 * 1024 * 1024;
/// Longest line, as in Redis.
const MAX_LINE: usize = 64 * 1024;
/// Bytes of a command that are kept. What is longer is read to its end and refused.
const MAX_COMMAND: usize = 2 * 1024 * 1024;

// ANCHOR: reader
/// Where reading stopped.
#[derive(Default)]
pub(crate) struct Reader {
    /// Words that are still to come; `None` between two commands.
    missing: Option<i64>,
    /// The length of the word that comes now.
    bulk: Option<usize>,
    /// The words so far.
    words: Vec<Vec<u8>>,
    /// Bytes of all words so far, kept or not.
    size: usize,
}

/// What became of the input.
pub(crate) enum Step {
    /// A command's words. None at all is a command too, and nothing is to be done.
    Command(Vec<Vec<u8>>),
    /// A command that was too large to be kept.
    TooLarge,
    /// The rest has not arrived.
    More,
    /// This is not the protocol: what the client reads before its connection is closed.
    Bad(Vec<u8>),
}
// ANCHOR_END: reader

impl Reader {
    // ANCHOR: read
    /// Takes what it understands off the start of `input`, up to the end of one command.
    pub(crate) fn read(&mut self, input: &mut &[u8]) -> Step {
        match self.advance(input) {
            Ok(true) => {
                let whole = std::mem::take(self);
                if whole.size > MAX_COMMAND {
                    Step::TooLarge
                } else {
                    Step::Command(whole.words)
                }
            }
            Ok(false) => Step::More,
            Err(problem) => Step::Bad([b"ERR Protocol error: ", problem.as_slice()].concat()),
        }
    }

    /// Whether the command is whole.
    fn advance(&mut self, input: &mut &[u8]) -> Result<bool, Vec<u8>> {
        let mut missing = match self.missing {
            Some(missing) => missing,
            None if input.first() != Some(&b'*') => return self.inline(input),
            None => {
                let Some(line) = line(input, b'\r', "mbulk count string")? else {
                    return Ok(false);
                };
                integer(&line[1..])
                    .filter(|count| *count <= MAX_WORDS)
                    .ok_or("invalid multibulk length")?
            }
        };
        while missing > 0 {
            self.missing = Some(missing);
            if !self.word(input)? {
                return Ok(false);
            }
            missing -= 1;
        }
        Ok(true)
    }
    // ANCHOR_END: read

    // ANCHOR: word
    /// Reads `$LENGTH`, a line, and as many bytes as it said. Whether they are all there.
    fn word(&mut self, input: &mut &[u8]) -> Result<bool, Vec<u8>> {
        let length = match self.bulk {
            Some(length) => length,
            None => {
                let Some(line) = line(input, b'\r', "bulk count string")? else {
                    return Ok(false);
                };
                match line.first() {
                    Some(b'$') => {}
                    other => {
                        let got = *other.unwrap_or(&b' ');
                        return Err([b"expected '$', got '", &[got][..], b"'"].concat());
                    }
                }
                let length = integer(&line[1..]).filter(|length| (0..=MAX_BULK).contains(length));
                let length = length.ok_or("invalid bulk length")? as usize;
                self.size = self.size.saturating_add(length);
                self.words.push(Vec::new());
                *self.bulk.insert(length + 2)
            }
        };
        let arrived = length.min(input.len());
        let (bytes, rest) = input.split_at(arrived);
        *input = rest;
        if self.size <= MAX_COMMAND {
            // Grows with what has arrived, never by what was announced.
            self.words
                .last_mut()
                .ok_or("no word")?
                .extend_from_slice(bytes);
        } else {
            self.words.clear();
            self.words.push(Vec::new());
        }
        self.bulk = (arrived < length).then_some(length - arrived);
        if self.bulk.is_none() && self.size <= MAX_COMMAND {
            let word = self.words.last_mut().ok_or("no word")?;
            word.truncate(word.len() - 2);
        }
        Ok(self.bulk.is_none())
    }
    // ANCHOR_END: word

    // ANCHOR: inline
    /// Reads a command typed by hand: words between spaces, in quotes if they hold some.
    fn inline(&mut self, input: &mut &[u8]) -> Result<bool, Vec<u8>> {
        let Some(line) = line(input, b'\n', "inline request")? else {
            return Ok(false);
        };
        let mut rest = line.trim_ascii_start();
        while !rest.is_empty() {
            let word = unquote(&mut rest).ok_or("unbalanced quotes in request")?;
            self.size += word.len();
            self.words.push(word);
            rest = rest.trim_ascii_start();
        }
        Ok(true)
    }
    // ANCHOR_END: inline
}

// ANCHOR: line
/// Takes a line off the input, if its end has arrived: `\r` and one byte more, or `\n`.
fn line<'a>(input: &mut &'a [u8], end: u8, what: &str) -> Result<Option<&'a [u8]>, Vec<u8>> {
    let found = input
        .iter()
        .take(MAX_LINE + 1)
        .position(|&byte| byte == end);
    let skipped = if end == b'\r' { 2 } else { 1 };
    match found {
        Some(at) if input.len() >= at + skipped => {
            let (line, rest) = (&input[..at], &input[at + skipped..]);
            *input = rest;
            Ok(Some(line))
        }
        None if input.len() > MAX_LINE => Err(format!("too big {what}").into()),
        _ => Ok(None),
    }
}
// ANCHOR_END: line

// ANCHOR: integer
/// A number as Redis takes it from a protocol: no space, no plus sign, no leading zero.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
// ANCHOR_END: integer

// ANCHOR: unquote
/// Takes one word off the line, without its quotes. Nothing if they don't close, or if something follows at once.
fn unquote(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    let mut quote = None;
    loop {
        match (quote, *rest) {
            (None, [] | [b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c, ..]) => return Some(word),
            (Some(_), []) => return None,
            (None, [open @ (b'"' | b'\''), ..]) => quote = Some(*open),
            (Some(open), [close, after @ ..]) if open == *close => {
                *rest = after;
                let ends = after.first().is_none_or(|byte| byte.is_ascii_whitespace());
                return ends.then_some(word);
            }
            (Some(b'"'), [b'\\', b'x', high, low, ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                *rest = &rest[3..];
            }
            (Some(b'"'), [b'\\', escaped, ..]) => {
                word.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                *rest = &rest[1..];
            }
            (Some(b'\''), [b'\\', b'\'', ..]) => {
                word.push(b'\'');
                *rest = &rest[1..];
            }
            (_, [byte, ..]) => word.push(*byte),
        }
        *rest = &rest[1..];
    }
}
// ANCHOR_END: unquote

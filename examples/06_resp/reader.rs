//! Reads RESP requests from bytes that arrive in pieces of any size.
//!
//! The reader remembers where it stopped: how many words are missing, and how many bytes of the current word. It never
//! reads a byte twice, except those of an unfinished line.

/// Most words of a command, as in Redis.
const MAX_WORDS: i64 = i32::MAX as i64;
/// Longest bulk string that a client may announce, as in Redis.
const MAX_BULK: i64 = 512 * 1024 * 1024;
/// Longest line, as in Redis.
const MAX_LINE: usize = 64 * 1024;
/// Bytes of the largest command that is kept. A larger one is read to its end and refused.
const MAX_COMMAND: usize = 2 * 1024 * 1024;
/// Bytes that a word takes beside its text.
const WORD: usize = size_of::<Vec<u8>>();

/// The position of the reader in a command.
#[derive(Default)]
pub(crate) struct Reader {
    /// Words that are still missing; `None` between two commands.
    missing: Option<i64>,
    /// Bytes of the current word that are still missing, its CRLF included.
    bulk: Option<usize>,
    /// The words so far.
    words: Vec<Vec<u8>>,
    /// Bytes that all words so far take, kept or not.
    size: usize,
}

/// The result of reading.
pub(crate) enum Step {
    /// A whole command. Without words it needs no reply.
    Command(Vec<Vec<u8>>),
    /// The end of a command that was too large to be kept.
    TooLarge,
    /// The rest has not arrived.
    More,
    /// A protocol error: the error for the client, whose connection is then closed.
    Bad(Vec<u8>),
}

impl Reader {
    /// Takes bytes off the start of `input`, up to the end of one command.
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

    /// Reads on; true if the command is whole.
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

    /// Reads the line `$LENGTH` and that many bytes; true if all of them have arrived.
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
                self.size = self.size.saturating_add(length + WORD);
                self.words.push(Vec::new());
                *self.bulk.insert(length + 2)
            }
        };
        let arrived = length.min(input.len());
        let (bytes, rest) = input.split_at(arrived);
        *input = rest;
        self.bulk = (arrived < length).then_some(length - arrived);
        if self.size > MAX_COMMAND {
            self.words.clear();
        } else if let Some(word) = self.words.last_mut() {
            // It grows by the bytes that have arrived, never by the announced length.
            word.extend_from_slice(bytes);
            if self.bulk.is_none() {
                word.truncate(word.len() - 2);
            }
        }
        Ok(self.bulk.is_none())
    }

    /// Reads a command typed by hand: words between spaces. A word with spaces stands in quotes.
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
}

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

/// A number as Redis accepts it in requests: no space, no plus sign, no leading zero.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

/// Takes one word off the line, without its quotes. `None` if a quote doesn't close or is followed by anything but space.
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

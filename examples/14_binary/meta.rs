//! The meta commands: a line with a key and flags of one letter each. The flags choose what is done and what comes back.

use larder::protocol::memcached::text::parse_unsigned;

use super::operations::{MAX_KEY, Mode, Outcome, Write, delete, touch, write};
use super::store::{Item, Store};

const BAD_LINE: &[u8] = b"CLIENT_ERROR bad command line format\r\n";
const BAD_TOKEN: &[u8] = b"CLIENT_ERROR bad token in command line format\r\n";
const BAD_FLAG: &[u8] = b"CLIENT_ERROR invalid flag\r\n";
const BAD_MODE: &[u8] = b"CLIENT_ERROR invalid mode for ms M token\r\n";
const NO_MEMORY: &[u8] = b"SERVER_ERROR out of memory storing object";

/// A line, taken apart.
pub(crate) struct Meta<'a> {
    /// `g`, `s`, `d` or `n`.
    verb: u8,
    key: &'a [u8],
    /// Bytes of the value behind the line.
    pub(crate) length: Option<usize>,
    /// Each letter with its token.
    flags: Vec<(u8, &'a [u8])>,
}

/// A refused line: the reply, and the length of the value behind it.
pub(crate) type Refused = (&'static [u8], Option<usize>);

impl<'a> Meta<'a> {
    /// Whether a line is a meta command.
    pub(crate) fn is_meta(line: &[u8]) -> bool {
        let verb = line.split(|&byte| byte == b' ').next();
        matches!(verb, Some(b"mg" | b"ms" | b"md" | b"mn"))
    }

    pub(crate) fn parse(line: &'a [u8]) -> Result<Meta<'a>, Refused> {
        let mut words = line
            .split(|&byte| byte == b' ')
            .filter(|word| !word.is_empty());
        let verb = words.next().unwrap_or_default()[1];
        let mut meta = Meta {
            verb,
            key: b"",
            length: None,
            flags: Vec::new(),
        };
        if verb == b'n' {
            return Ok(meta);
        }
        meta.key = words.next().ok_or((BAD_LINE, None))?;
        if verb == b's' {
            let length = words.next().and_then(parse_unsigned);
            let length = length.and_then(|length| usize::try_from(length).ok());
            meta.length = Some(length.ok_or((BAD_LINE, None))?);
        }
        if meta.key.len() > MAX_KEY {
            return Err((BAD_LINE, meta.length));
        }
        meta.flags = words.map(|word| (word[0], &word[1..])).collect();
        match meta.fault() {
            Some(fault) => Err((fault, meta.length)),
            None => Ok(meta),
        }
    }

    /// The first flag that this verb doesn't have, or whose token isn't of its kind.
    fn fault(&self) -> Option<&'static [u8]> {
        let known: &[u8] = match self.verb {
            b'g' => b"vkfstcOqT",
            b's' => b"kcOqFTMC",
            _ => b"kOqC",
        };
        let fault = |&(letter, token): &(u8, &[u8])| match letter {
            _ if !letter.is_ascii_alphabetic() => Some(BAD_LINE),
            _ if !known.contains(&letter) => Some(BAD_FLAG),
            b'F' if parse_unsigned(token).is_none() => Some(BAD_LINE),
            b'C' if parse_unsigned(token).is_none() => Some(BAD_TOKEN),
            b'T' if seconds(token).is_none() => Some(BAD_TOKEN),
            b'M' if mode(token).is_none() => Some(BAD_MODE),
            _ => None,
        };
        self.flags.iter().find_map(fault)
    }

    fn token(&self, letter: u8) -> Option<&'a [u8]> {
        let flag = self.flags.iter().find(|&&(flag, _)| flag == letter);
        flag.map(|&(_, token)| token)
    }

    /// Executes the command; `value` is that of `ms`.
    pub(crate) fn run(&self, value: &[u8], store: &mut Store, now: u64, out: &mut Vec<u8>) {
        let path: &[&[u8]] = &[self.key];
        let unique = self.token(b'C').and_then(parse_unsigned);
        let outcome = match self.verb {
            b'n' => return out.extend_from_slice(b"MN\r\n"),
            b'g' => return self.get(store, now, out),
            b'd' => delete(store, path, unique, now),
            _ => {
                let change = Write {
                    mode: self.token(b'M').and_then(mode).unwrap_or(Mode::Set),
                    path,
                    value,
                    flags: self.token(b'F').and_then(parse_unsigned).unwrap_or(0) as u32,
                    exptime: self.token(b'T').and_then(seconds).unwrap_or(0),
                    unique,
                };
                write(store, &change, now)
            }
        };
        self.answer(outcome, out);
    }

    /// Quiet commands have no reply to what the client expects: a change that is done, a deletion of nothing, a miss.
    fn answer(&self, outcome: Outcome, out: &mut Vec<u8>) {
        let (code, unique, expected): (&[u8], _, _) = match outcome {
            Outcome::Done(unique) => (b"HD", unique, true),
            Outcome::NotStored => (b"NS", 0, false),
            Outcome::Exists => (b"EX", 0, false),
            Outcome::NotFound => (b"NF", 0, self.verb == b'd'),
            _ => (NO_MEMORY, 0, false),
        };
        self.end(code, unique, expected, out);
    }

    /// Writes a reply without a value: its code, and what the flags ask for.
    fn end(&self, code: &[u8], unique: u64, expected: bool, out: &mut Vec<u8>) {
        if expected && self.token(b'q').is_some() {
            return;
        }
        out.extend_from_slice(code);
        for &(letter, token) in &self.flags {
            match letter {
                b'O' => word(out, letter, token),
                b'k' => word(out, letter, self.key),
                b'c' => word(out, letter, unique.to_string().as_bytes()),
                _ => {}
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    fn get(&self, store: &mut Store, now: u64, out: &mut Vec<u8>) {
        if let Some(exptime) = self.token(b'T').and_then(seconds) {
            touch(store, &[self.key], exptime, now);
        }
        let Some(item) = store.get(&[self.key], now) else {
            return self.end(b"EN", 0, true, out);
        };
        let wants_value = self.token(b'v').is_some();
        match wants_value {
            true => out.extend_from_slice(format!("VA {}", item.value.len()).as_bytes()),
            false => out.extend_from_slice(b"HD"),
        }
        for &(letter, token) in &self.flags {
            self.show(item, letter, token, now, out);
        }
        out.extend_from_slice(b"\r\n");
        if wants_value {
            out.extend_from_slice(&item.value);
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes what one flag of `mg` asks for, with its letter in front.
    fn show(&self, item: &Item, letter: u8, token: &[u8], now: u64, out: &mut Vec<u8>) {
        let shown = match letter {
            b'O' => return word(out, letter, token),
            b'k' => return word(out, letter, self.key),
            b'f' => item.flags.to_string(),
            b's' => item.value.len().to_string(),
            b'c' => item.unique.to_string(),
            b't' => match item.expires {
                Some(when) => (when.saturating_sub(now) / 1000).to_string(),
                None => "-1".to_owned(),
            },
            _ => return,
        };
        word(out, letter, shown.as_bytes());
    }
}

fn mode(token: &[u8]) -> Option<Mode> {
    Some(match token {
        b"S" | b"s" => Mode::Set,
        b"E" | b"e" => Mode::Add,
        b"R" | b"r" => Mode::Replace,
        b"A" | b"a" => Mode::Append,
        b"P" | b"p" => Mode::Prepend,
        _ => return None,
    })
}

/// A number of seconds, which may be negative.
fn seconds(token: &[u8]) -> Option<i32> {
    let (sign, digits) = match token {
        [b'-', digits @ ..] => (-1, digits),
        digits => (1, digits),
    };
    let seconds = i64::try_from(parse_unsigned(digits)?).ok()?;
    i32::try_from(sign * seconds).ok()
}

fn word(out: &mut Vec<u8>, letter: u8, text: &[u8]) {
    out.extend_from_slice(&[b' ', letter]);
    out.extend_from_slice(text);
}

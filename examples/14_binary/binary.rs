//! The binary protocol: a header of 24 bytes, then extras, key and value, whose lengths the header has.

use larder::protocol::memcached::text::reply::VERSION_NUMBER;

use super::operations::{MAX_ITEM, MAX_KEY, Mode, Outcome, Write, count, delete, touch, write};
use super::store::Store;

/// The first byte of a request; a line can't begin with it.
pub(crate) const REQUEST: u8 = 0x80;
const REPLY: u8 = 0x81;

/// Bytes of a header.
const HEADER: usize = 24;

/// An exptime of `incr` that means: create no counter.
const DONT_CREATE: u64 = 0xffff_ffff;

const OK: u16 = 0;
const NOT_FOUND: (u16, &str) = (1, "Not found");
const EXISTS: (u16, &str) = (2, "Data exists for key.");
const TOO_LARGE: (u16, &str) = (3, "Too large.");
const INVALID: (u16, &str) = (4, "Invalid arguments");
const NOT_STORED: (u16, &str) = (5, "Not stored.");
const NOT_A_NUMBER: (u16, &str) = (6, "Non-numeric server-side value for incr or decr");
const UNKNOWN: (u16, &str) = (0x81, "Unknown command");
const NO_MEMORY: (u16, &str) = (0x82, "Out of memory");

/// The fields of a request's header that the server reads. All numbers are big-endian.
struct Header {
    opcode: u8,
    key: usize,
    extras: usize,
    body: usize,
    opaque: [u8; 4],
    unique: u64,
}

impl Header {
    fn read(bytes: &[u8; HEADER]) -> Header {
        Header {
            opcode: bytes[1],
            key: usize::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            extras: usize::from(bytes[4]),
            body: number(&bytes[8..12]) as usize,
            opaque: [bytes[12], bytes[13], bytes[14], bytes[15]],
            unique: number(&bytes[16..24]),
        }
    }
}

/// A big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// What an opcode asks for.
#[derive(Clone, Copy)]
enum Action {
    Get { key: bool },
    Write(Mode),
    Delete,
    Count { down: bool },
    Touch,
    Noop,
    Version,
    Quit,
}

/// The action of an opcode, and whether it is quiet: a quiet get is silent about a miss, and a quiet change about its
/// success.
fn action(opcode: u8) -> Option<(Action, bool)> {
    Some(match opcode {
        0x00 => (Action::Get { key: false }, false),
        0x01 | 0x11 => (Action::Write(Mode::Set), opcode == 0x11),
        0x02 | 0x12 => (Action::Write(Mode::Add), opcode == 0x12),
        0x03 | 0x13 => (Action::Write(Mode::Replace), opcode == 0x13),
        0x04 | 0x14 => (Action::Delete, opcode == 0x14),
        0x05 | 0x15 => (Action::Count { down: false }, opcode == 0x15),
        0x06 | 0x16 => (Action::Count { down: true }, opcode == 0x16),
        0x07 | 0x17 => (Action::Quit, opcode == 0x17),
        0x09 => (Action::Get { key: false }, true),
        0x0a => (Action::Noop, false),
        0x0b => (Action::Version, false),
        0x0c | 0x0d => (Action::Get { key: true }, opcode == 0x0d),
        0x0e | 0x19 => (Action::Write(Mode::Append), opcode == 0x19),
        0x0f | 0x1a => (Action::Write(Mode::Prepend), opcode == 0x1a),
        0x1c => (Action::Touch, false),
        _ => return None,
    })
}

/// Bytes of extras in front of the key.
fn extras(action: Action) -> usize {
    match action {
        Action::Write(Mode::Set | Mode::Add | Mode::Replace) => 8,
        Action::Count { .. } => 20,
        Action::Touch => 4,
        _ => 0,
    }
}

/// A connection's state between requests.
#[derive(Default)]
pub(crate) struct Binary {
    /// Bytes of a refused body that are still to come.
    skip: usize,
}

impl Binary {
    /// Handles one request. Returns the bytes that it took, 0 if it isn't whole, `None` to close the connection.
    pub(crate) fn step(
        &mut self,
        store: &mut Store,
        now: u64,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        if self.skip > 0 {
            let taken = self.skip.min(input.len());
            self.skip -= taken;
            return Some(taken);
        }
        let Some(bytes) = input.first_chunk() else {
            return Some(0);
        };
        if bytes[0] != REQUEST {
            return None;
        }
        let header = Header::read(bytes);
        if header.key + header.extras > header.body {
            error(out, &header, UNKNOWN);
            return None;
        }
        let Some((action, quiet)) = action(header.opcode) else {
            error(out, &header, UNKNOWN);
            self.skip = header.body;
            return Some(HEADER);
        };
        if !fits(&header, action) {
            error(out, &header, INVALID);
            return None;
        }
        if header.body - header.extras > MAX_ITEM {
            error(out, &header, TOO_LARGE);
            self.skip = header.body;
            return Some(HEADER);
        }
        let whole = HEADER + header.body;
        let Some(body) = input.get(HEADER..whole) else {
            return Some(0);
        };
        let (extras, rest) = body.split_at(header.extras);
        let (key, value) = rest.split_at(header.key);
        let request = Request {
            header,
            action,
            quiet,
            extras,
            key,
            value,
        };
        request.run(store, now, out);
        (!matches!(action, Action::Quit)).then_some(whole)
    }
}

/// Whether the lengths are those of this action.
fn fits(header: &Header, action: Action) -> bool {
    let value = header.body - header.key - header.extras;
    let keyless = matches!(action, Action::Noop | Action::Version | Action::Quit);
    header.extras == extras(action)
        && (header.key == 0) == keyless
        && header.key <= MAX_KEY
        && (value == 0 || matches!(action, Action::Write(_)))
}

/// A whole request.
struct Request<'a> {
    header: Header,
    action: Action,
    quiet: bool,
    extras: &'a [u8],
    key: &'a [u8],
    value: &'a [u8],
}

impl Request<'_> {
    fn run(&self, store: &mut Store, now: u64, out: &mut Vec<u8>) {
        let path: &[&[u8]] = &[self.key];
        let unique = (self.header.unique != 0).then_some(self.header.unique);
        let outcome = match self.action {
            Action::Noop | Action::Quit => Outcome::Done(0),
            Action::Version => {
                let number = VERSION_NUMBER.as_bytes();
                return reply(out, &self.header, OK, 0, [b"", b"", number]);
            }
            Action::Get { key } => return self.get(key, store, now, out),
            Action::Write(mode) => write(store, &self.change(mode, unique), now),
            Action::Delete => delete(store, path, unique, now),
            Action::Touch => return self.touch(store, now, out),
            Action::Count { down } => {
                let delta = number(&self.extras[..8]);
                match count(store, path, delta, down, unique, now) {
                    Outcome::NotFound => self.create(store, now),
                    outcome => outcome,
                }
            }
        };
        self.answer(outcome, out);
    }

    fn answer(&self, outcome: Outcome, out: &mut Vec<u8>) {
        let failure = match (outcome, self.action) {
            (Outcome::Done(_) | Outcome::Counted { .. }, _) if self.quiet => return,
            (Outcome::Done(unique), _) => return reply(out, &self.header, OK, unique, [b""; 3]),
            (Outcome::Counted { number, unique }, _) => {
                let number = number.to_be_bytes();
                return reply(out, &self.header, OK, unique, [b"", b"", &number]);
            }
            (Outcome::Exists, _) | (Outcome::NotStored, Action::Write(Mode::Add)) => EXISTS,
            (Outcome::NotStored, Action::Write(Mode::Replace)) => NOT_FOUND,
            (Outcome::NotFound, _) => NOT_FOUND,
            (Outcome::NotStored, _) => NOT_STORED,
            (Outcome::NotANumber, _) => NOT_A_NUMBER,
            (Outcome::NoMemory, _) => NO_MEMORY,
        };
        error(out, &self.header, failure);
    }

    fn get(&self, with_key: bool, store: &mut Store, now: u64, out: &mut Vec<u8>) {
        let key = if with_key { self.key } else { b"" };
        match store.get(&[self.key], now) {
            Some(item) => {
                let parts = [&item.flags.to_be_bytes()[..], key, &item.value];
                reply(out, &self.header, OK, item.unique, parts);
            }
            None if self.quiet => {}
            None if with_key => reply(out, &self.header, NOT_FOUND.0, 0, [b"", key, b""]),
            None => error(out, &self.header, NOT_FOUND),
        }
    }

    /// The value of a request that stores one. Appending has no extras, and leaves flags and expiry as they are.
    fn change(&self, mode: Mode, unique: Option<u64>) -> Write<'_> {
        let (flags, exptime) = self.extras.split_at(self.extras.len() / 2);
        Write {
            mode,
            path: std::slice::from_ref(&self.key),
            value: self.value,
            flags: number(flags) as u32,
            exptime: number(exptime) as i32,
            unique,
        }
    }

    /// The reply has the item's flags, as that of a get.
    fn touch(&self, store: &mut Store, now: u64, out: &mut Vec<u8>) {
        let flags = store.peek(&[self.key], now).map_or(0, |item| item.flags);
        let exptime = number(self.extras) as i32;
        match touch(store, &[self.key], exptime, now) {
            Outcome::Done(unique) => {
                let flags = flags.to_be_bytes();
                reply(out, &self.header, OK, unique, [&flags, b"", b""]);
            }
            outcome => self.answer(outcome, out),
        }
    }

    /// A counter that doesn't exist begins at the client's initial number, if the exptime allows that.
    fn create(&self, store: &mut Store, now: u64) -> Outcome {
        let (initial, exptime) = (number(&self.extras[8..16]), number(&self.extras[16..]));
        if exptime == DONT_CREATE {
            return Outcome::NotFound;
        }
        let text = initial.to_string();
        let change = Write {
            mode: Mode::Add,
            path: &[self.key],
            value: text.as_bytes(),
            flags: 0,
            exptime: exptime as i32,
            unique: None,
        };
        match write(store, &change, now) {
            Outcome::Done(unique) => Outcome::Counted {
                number: initial,
                unique,
            },
            outcome => outcome,
        }
    }
}

/// Writes a reply: the request's opcode and opaque, and extras, key and value.
fn reply(out: &mut Vec<u8>, header: &Header, status: u16, unique: u64, parts: [&[u8]; 3]) {
    let [extras, key, value] = parts;
    let body = extras.len() + key.len() + value.len();
    out.extend_from_slice(&[REPLY, header.opcode]);
    out.extend_from_slice(&(key.len() as u16).to_be_bytes());
    out.extend_from_slice(&[extras.len() as u8, 0]);
    out.extend_from_slice(&status.to_be_bytes());
    out.extend_from_slice(&(body as u32).to_be_bytes());
    out.extend_from_slice(&header.opaque);
    out.extend_from_slice(&unique.to_be_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn error(out: &mut Vec<u8>, header: &Header, (status, text): (u16, &str)) {
    reply(out, header, status, 0, [b"", b"", text.as_bytes()]);
}

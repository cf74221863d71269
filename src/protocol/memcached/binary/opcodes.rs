//! The table of opcodes: one entry for each, with the function that makes a command of a frame.
//!
//! A function returns `None` for lengths that its command can't have. memcached answers `Invalid arguments` and closes.
//! It checks no more than these functions: the bytes behind the key of a `stat` or `touch` are read as the next header.

use super::header::Header;
use super::request::{Command, Count, Sasl, SaslStep, Store};
use crate::protocol::memcached::text::StoreVerb;

/// A request whose header, extras and key have arrived.
#[derive(Clone, Copy)]
pub(super) struct Frame<'a> {
    pub(super) header: Header,
    pub(super) extras: &'a [u8],
    pub(super) key: &'a [u8],
}

impl Frame<'_> {
    /// The length of the value. The parts of the body have been checked against its length.
    fn value_length(&self) -> usize {
        (self.header.body_length as usize).saturating_sub(self.extras.len() + self.key.len())
    }

    /// The number in the extras at this byte.
    fn u32_at(&self, at: usize) -> Option<u32> {
        Some(u32::from_be_bytes(*self.extras.get(at..)?.first_chunk()?))
    }

    fn u64_at(&self, at: usize) -> Option<u64> {
        Some(u64::from_be_bytes(*self.extras.get(at..)?.first_chunk()?))
    }
}

type Builder = for<'a> fn(&Frame<'a>) -> Option<Command<'a>>;

/// One opcode.
pub(super) struct Opcode {
    pub(super) code: u8,
    /// The opcode of the same command that is always answered: its own, if it is not quiet.
    pub(super) answered: u8,
    pub(super) name: &'static str,
    pub(super) build: Builder,
}

const fn answered(code: u8, name: &'static str, build: Builder) -> Opcode {
    Opcode {
        code,
        answered: code,
        name,
        build,
    }
}

const fn quiet(code: u8, answered: u8, name: &'static str, build: Builder) -> Opcode {
    Opcode {
        code,
        answered,
        name,
        build,
    }
}

/// Every opcode that memcached executes, in their order. The others (0x1b is `verbosity`, 0x30 to 0x3c are the
/// operations on ranges) have names in its documents only, and are unknown to it.
pub(super) static OPCODES: &[Opcode] = &[
    answered(0x00, "get", |frame| get(frame, false)),
    answered(0x01, "set", |frame| store(frame, StoreVerb::Set)),
    answered(0x02, "add", |frame| store(frame, StoreVerb::Add)),
    answered(0x03, "replace", |frame| store(frame, StoreVerb::Replace)),
    answered(0x04, "delete", delete),
    answered(0x05, "incr", |frame| count(frame, false)),
    answered(0x06, "decr", |frame| count(frame, true)),
    answered(0x07, "quit", |frame| bare(frame, Command::Quit)),
    answered(0x08, "flush", flush),
    quiet(0x09, 0x00, "getq", |frame| get(frame, false)),
    answered(0x0a, "noop", |frame| bare(frame, Command::Noop)),
    answered(0x0b, "version", |frame| bare(frame, Command::Version)),
    answered(0x0c, "getk", |frame| get(frame, true)),
    quiet(0x0d, 0x0c, "getkq", |frame| get(frame, true)),
    answered(0x0e, "append", |frame| join(frame, StoreVerb::Append)),
    answered(0x0f, "prepend", |frame| join(frame, StoreVerb::Prepend)),
    answered(0x10, "stat", stat),
    quiet(0x11, 0x01, "setq", |frame| store(frame, StoreVerb::Set)),
    quiet(0x12, 0x02, "addq", |frame| store(frame, StoreVerb::Add)),
    quiet(0x13, 0x03, "replaceq", |frame| {
        store(frame, StoreVerb::Replace)
    }),
    quiet(0x14, 0x04, "deleteq", delete),
    quiet(0x15, 0x05, "incrq", |frame| count(frame, false)),
    quiet(0x16, 0x06, "decrq", |frame| count(frame, true)),
    quiet(0x17, 0x07, "quitq", |frame| bare(frame, Command::Quit)),
    quiet(0x18, 0x08, "flushq", flush),
    quiet(0x19, 0x0e, "appendq", |frame| {
        join(frame, StoreVerb::Append)
    }),
    quiet(0x1a, 0x0f, "prependq", |frame| {
        join(frame, StoreVerb::Prepend)
    }),
    answered(0x1c, "touch", touch),
    answered(0x1d, "gat", |frame| get_and_touch(frame, false)),
    quiet(0x1e, 0x1d, "gatq", |frame| get_and_touch(frame, false)),
    answered(0x20, "sasl list", |frame| {
        bare(frame, sasl_command(frame, SaslStep::List))
    }),
    answered(0x21, "sasl auth", |frame| sasl(frame, SaslStep::Start)),
    answered(0x22, "sasl step", |frame| sasl(frame, SaslStep::Continue)),
    answered(0x23, "gatk", |frame| get_and_touch(frame, true)),
    quiet(0x24, 0x23, "gatkq", |frame| get_and_touch(frame, true)),
];

/// One more than the largest opcode of the table.
const CODES: usize = 0x25;

/// For each opcode one more than its index in the table; 0 if it has none.
static INDEXES: [u8; CODES] = {
    let mut indexes = [0; CODES];
    let mut at = 0;
    while at < OPCODES.len() {
        indexes[OPCODES[at].code as usize] = at as u8 + 1;
        at += 1;
    }
    indexes
};

impl Opcode {
    pub(super) fn is_quiet(&self) -> bool {
        self.answered != self.code
    }

    pub(super) fn from_code(code: u8) -> Option<&'static Opcode> {
        let index = usize::from(*INDEXES.get(usize::from(code))?);
        OPCODES.get(index.checked_sub(1)?)
    }
}

/// The names of all opcodes, in their order.
pub fn opcode_names() -> impl Iterator<Item = &'static str> {
    OPCODES.iter().map(|opcode| opcode.name)
}

/// The name of an opcode; `None` for an unknown one.
pub(crate) fn opcode_name(code: u8) -> Option<&'static str> {
    Opcode::from_code(code).map(|opcode| opcode.name)
}

/// The opcode of the same command that is always answered; an opcode that is not quiet, or is unknown, itself.
pub(crate) fn answered_opcode(code: u8) -> u8 {
    Opcode::from_code(code).map_or(code, |opcode| opcode.answered)
}

/// A command with an empty body.
fn bare<'a>(frame: &Frame<'_>, command: Command<'a>) -> Option<Command<'a>> {
    (frame.header.body_length == 0).then_some(command)
}

fn get<'a>(frame: &Frame<'a>, with_key: bool) -> Option<Command<'a>> {
    let key = only_key(frame)?;
    Some(Command::Retrieve {
        key,
        exptime: None,
        with_key,
    })
}

fn delete<'a>(frame: &Frame<'a>) -> Option<Command<'a>> {
    only_key(frame).map(|key| Command::Delete { key })
}

/// The key of a body that is only a key.
fn only_key<'a>(frame: &Frame<'a>) -> Option<&'a [u8]> {
    let only = frame.extras.is_empty() && frame.value_length() == 0;
    (only && !frame.key.is_empty()).then_some(frame.key)
}

/// The key behind extras of this length.
fn key_after<'a>(frame: &Frame<'a>, extras: usize) -> Option<&'a [u8]> {
    (frame.extras.len() == extras && !frame.key.is_empty()).then_some(frame.key)
}

/// Flags and expiration time, key, value.
fn store<'a>(frame: &Frame<'a>, verb: StoreVerb) -> Option<Command<'a>> {
    Some(Command::Store(Store {
        verb,
        key: key_after(frame, 8)?,
        flags: frame.u32_at(0)?,
        exptime: frame.u32_at(4)?,
        length: frame.value_length(),
    }))
}

/// Key and value.
fn join<'a>(frame: &Frame<'a>, verb: StoreVerb) -> Option<Command<'a>> {
    Some(Command::Store(Store {
        verb,
        key: key_after(frame, 0)?,
        flags: 0,
        exptime: 0,
        length: frame.value_length(),
    }))
}

/// Amount, number of a new item, expiration time of a new item; key.
fn count<'a>(frame: &Frame<'a>, down: bool) -> Option<Command<'a>> {
    /// The expiration time that means: a miss creates no item.
    const NONE: u32 = u32::MAX;
    let key = key_after(frame, 20)?;
    if frame.value_length() > 0 {
        return None;
    }
    let exptime = frame.u32_at(16)?;
    let number = frame.u64_at(8)?;
    Some(Command::Count(Count {
        key,
        down,
        delta: frame.u64_at(0)?,
        initial: (exptime != NONE).then_some((number, exptime)),
    }))
}

fn touch<'a>(frame: &Frame<'a>) -> Option<Command<'a>> {
    Some(Command::Touch {
        key: key_after(frame, 4)?,
        exptime: frame.u32_at(0)?,
    })
}

fn get_and_touch<'a>(frame: &Frame<'a>, with_key: bool) -> Option<Command<'a>> {
    Some(Command::Retrieve {
        key: key_after(frame, 4)?,
        exptime: Some(frame.u32_at(0)?),
        with_key,
    })
}

fn flush<'a>(frame: &Frame<'a>) -> Option<Command<'a>> {
    if !frame.key.is_empty() || frame.value_length() > 0 {
        return None;
    }
    match frame.extras.len() {
        0 => Some(Command::Flush { delay: 0 }),
        4 => Some(Command::Flush {
            delay: frame.u32_at(0)?,
        }),
        _ => None,
    }
}

fn stat<'a>(frame: &Frame<'a>) -> Option<Command<'a>> {
    let name = frame.key;
    frame.extras.is_empty().then_some(Command::Stat { name })
}

fn sasl<'a>(frame: &Frame<'a>, step: SaslStep) -> Option<Command<'a>> {
    key_after(frame, 0)?;
    Some(sasl_command(frame, step))
}

fn sasl_command<'a>(frame: &Frame<'a>, step: SaslStep) -> Command<'a> {
    Command::Sasl(Sasl {
        step,
        mechanism: frame.key,
        length: frame.value_length(),
    })
}

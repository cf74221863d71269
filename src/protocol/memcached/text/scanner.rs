//! A scanner for the hottest commands: `get KEY…`, `mg KEY FLAGS…` and `set KEY FLAGS EXPTIME BYTES [noreply]`.
//!
//! It takes their lines in the usual form, plain digits, `\r\n` at the end and all of it received,
//! and declines all other lines, malformed ones included, so that the grammar alone decides their
//! meaning. A property test checks that the grammar reads the accepted lines alike.

use memchr::memchr;

use super::command::Command;
use super::fields::{Nesting, check_names};
use super::limits::KEY_LIMIT;
use super::meta;
use super::retrieval::Retrieve;
use super::storage::{StorageCommand, StoreVerb};
use super::words::Words;

/// A command and the bytes of its line, or `None` to decline.
pub(super) fn scan(input: &[u8], nesting: Nesting) -> Option<(Command<'_>, usize)> {
    if let Some(rest) = input.strip_prefix(b"get ") {
        let (key, behind) = key(rest)?;
        let (keys, behind) = match behind.strip_prefix(b"\r\n") {
            Some(behind) => (Words::new(key), behind),
            None => several_keys(rest)?,
        };
        let command = Command::Retrieve(Retrieve {
            keys,
            exptime: None,
            cas: false,
        });
        return Some((command, input.len() - behind.len()));
    }
    if let Some(rest) = input.strip_prefix(b"mg ") {
        let (key, behind) = key(rest)?;
        let (command, behind) = meta::scan_get(key, behind, nesting)?;
        return Some((Command::Meta(command), input.len() - behind.len()));
    }
    let rest = input.strip_prefix(b"set ")?;
    let (key, rest) = key(rest)?;
    let (flags, rest) = number(rest.strip_prefix(b" ")?)?;
    let (exptime, rest) = number(rest.strip_prefix(b" ")?)?;
    let (length, rest) = number(rest.strip_prefix(b" ")?)?;
    let without = rest.strip_prefix(b" noreply");
    let (noreply, rest) = (without.is_some(), without.unwrap_or(rest));
    let rest = rest.strip_prefix(b"\r\n")?;
    let command = Command::Store(StorageCommand {
        verb: StoreVerb::Set,
        path: Words::new(key),
        flags: flags.unsigned_abs(),
        exptime,
        length: usize::try_from(length).ok()?,
        unique: 0,
        noreply,
    });
    Some((command, input.len() - rest.len()))
}

/// A key of printable bytes, or of those above ASCII, and the rest.
fn key(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let window = &input[..input.len().min(KEY_LIMIT + 1)];
    let length = window.iter().position(|&byte| byte <= b' ')?;
    (length > 0).then(|| input.split_at(length))
}

/// Keys of any bytes but spaces, up to the end of the line, and what is behind the line.
fn several_keys(input: &[u8]) -> Option<(Words<'_>, &[u8])> {
    let end = memchr(b'\n', input)?;
    let keys = Words::new(input[..end].strip_suffix(b"\r")?);
    check_names(keys, false).ok()?;
    Some((keys, &input[end + 1..]))
}

/// A number of one to nine digits, which is within every field's limit, and the rest.
fn number(input: &[u8]) -> Option<(i32, &[u8])> {
    let mut value = 0i32;
    for (index, byte) in input.iter().take(10).enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (index > 0).then(|| (value, &input[index..]));
        }
        if index == 9 {
            return None;
        }
        value = value * 10 + i32::from(digit);
    }
    None
}

//! Finds the end of a reply by its lengths.

use memchr::memchr;

/// Longest line, in bytes: an error message may be long, a length may not.
const MAX_LINE: usize = 64 * 1024;
/// Longest bulk string, in bytes, as in Redis.
const MAX_BULK: i64 = 512 * 1024 * 1024;
/// Most elements of an array, as in Redis.
const MAX_COUNT: i64 = i32::MAX as i64;

/// These bytes are not a reply.
#[derive(Debug, PartialEq)]
pub(crate) struct Garbage;

/// The length of the value at the start of `bytes`; `None` if not all of it has arrived.
pub(crate) fn value(bytes: &[u8]) -> Result<Option<usize>, Garbage> {
    let mut at = 0;
    // Values that are still missing. An array adds its elements, so nothing needs to be nested.
    let mut missing: u64 = 1;
    while missing > 0 {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(end) = memchr(b'\n', &rest[..rest.len().min(MAX_LINE)]) else {
            let incomplete = rest.len() < MAX_LINE;
            return incomplete.then_some(None).ok_or(Garbage);
        };
        let line = rest[..end].strip_suffix(b"\r").ok_or(Garbage)?;
        let (kind, text) = line.split_first().ok_or(Garbage)?;
        at += end + 1;
        missing -= 1;
        match kind {
            b'+' | b'-' | b':' => {}
            b'$' => match number(text, MAX_BULK)? {
                -1 => {}
                length => at += length as usize + 2,
            },
            b'*' => missing += number(text, MAX_COUNT)?.max(0) as u64,
            _ => return Err(Garbage),
        }
    }
    Ok((at <= bytes.len()).then_some(at))
}

/// A length from -1, which stands for null, up to `most`.
fn number(text: &[u8], most: i64) -> Result<i64, Garbage> {
    let number = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.parse().ok());
    number
        .filter(|number| (-1..=most).contains(number))
        .ok_or(Garbage)
}

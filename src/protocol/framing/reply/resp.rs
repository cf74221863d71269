//! Replies in RESP2 and RESP3: a value is a line, a length and so many bytes, or a count and so many values.
//!
//! Nested values are counted on a stack of our own, so that no reply can exhaust the program's. The forms are Redis
//! 7.0's; strings and arrays of unknown length, which RESP3 names and no server sends, are garbage.

use memchr::memchr2;

use crate::protocol::framing::reply::{Progress, State};

/// How deep values may nest. Redis's own replies stay below 10, and its Lua scripts can't return more than about 200.
const MAX_DEPTH: usize = 256;
/// Longest bulk string in bytes: far beyond Redis's 512 MiB, which a setting can raise.
const MAX_LENGTH: u64 = 1 << 40;
/// Most elements of one array, and most pairs of one map.
const MAX_COUNT: u64 = 1 << 32;

/// Finds the end of values.
#[derive(Debug, Default)]
pub struct Framer {
    place: Place,
    /// The arrays and the like that have begun, the outermost first.
    open: Vec<Level>,
    /// The type of the outermost value.
    kind: u8,
}

/// An array, set, map, push or attribute that has begun.
#[derive(Debug)]
struct Level {
    /// Values still to come.
    left: u64,
    /// An attribute stands before a value and is none itself.
    attribute: bool,
}

/// What the next byte is.
#[derive(Debug, Default, Clone, Copy)]
enum Place {
    /// The type of a value.
    #[default]
    Type,
    /// Part of a line.
    Line,
    /// Part of the length that belongs to this type.
    Length { kind: u8, length: Length },
    /// One of so many bytes of a string.
    Bytes(u64),
    /// The CR after a string.
    Cr,
    /// The LF after a line or a string.
    Lf,
    /// The LF after a length.
    LengthLf { kind: u8, length: Length },
}

/// A length, as far as it was read.
#[derive(Debug, Default, Clone, Copy)]
struct Length {
    value: u64,
    digits: u8,
    negative: bool,
}

impl Length {
    /// With one more byte; `None` if no length goes on so.
    fn push(self, byte: u8) -> Option<Length> {
        match byte {
            b'-' if self.digits == 0 && !self.negative => Some(Length {
                negative: true,
                ..self
            }),
            // 14 digits are more than any limit, and far from the limit of 64 bits.
            b'0'..=b'9' if self.digits < 14 => Some(Length {
                value: self.value * 10 + u64::from(byte - b'0'),
                digits: self.digits + 1,
                ..self
            }),
            _ => None,
        }
    }
}

/// These bytes are no reply.
struct Garbage;

impl Framer {
    pub(super) fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    pub(super) fn is_push(&self) -> bool {
        self.kind == b'>'
    }

    /// How many levels are remembered.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.open.len()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> Progress {
        let mut used = 0;
        let mut state = State::More;
        while used < bytes.len() && state == State::More {
            match self.step(&bytes[used..]) {
                Ok((taken, done)) => {
                    used += taken;
                    state = if done { State::Done } else { State::More };
                }
                Err(Garbage) => state = State::Garbage,
            }
        }
        Progress { used, state }
    }

    /// Takes some of `rest`, which is not empty: how many bytes, and whether the outermost value is complete.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), Garbage> {
        let byte = rest[0];
        match self.place {
            Place::Type => {
                self.begin(byte)?;
                Ok((1, false))
            }
            Place::Line => {
                let Some(end) = memchr2(b'\r', b'\n', rest) else {
                    return Ok((rest.len(), false));
                };
                if rest[end] == b'\n' {
                    return Err(Garbage);
                }
                self.place = Place::Lf;
                Ok((end + 1, false))
            }
            Place::Length { kind, length } => {
                self.place = match byte {
                    b'\r' if length.digits > 0 => Place::LengthLf { kind, length },
                    _ => Place::Length {
                        kind,
                        length: length.push(byte).ok_or(Garbage)?,
                    },
                };
                Ok((1, false))
            }
            Place::LengthLf { kind, length } if byte == b'\n' => Ok((1, self.sized(kind, length)?)),
            Place::Bytes(left) => {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.place = if left > 0 {
                    Place::Bytes(left)
                } else {
                    Place::Cr
                };
                Ok((taken, false))
            }
            Place::Cr if byte == b'\r' => {
                self.place = Place::Lf;
                Ok((1, false))
            }
            Place::Lf if byte == b'\n' => Ok((1, self.complete())),
            Place::LengthLf { .. } | Place::Cr | Place::Lf => Err(Garbage),
        }
    }

    /// A value begins with its type.
    fn begin(&mut self, kind: u8) -> Result<(), Garbage> {
        self.place = match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => Place::Line,
            b'>' if !self.open.is_empty() => return Err(Garbage),
            b'$' | b'!' | b'=' | b'*' | b'~' | b'%' | b'|' | b'>' => Place::Length {
                kind,
                length: Length::default(),
            },
            _ => return Err(Garbage),
        };
        if self.open.is_empty() {
            self.kind = kind;
        }
        Ok(())
    }

    /// A length is complete. Whether the outermost value is, too.
    fn sized(&mut self, kind: u8, length: Length) -> Result<bool, Garbage> {
        let Length {
            value, negative, ..
        } = length;
        if negative {
            // Null is the only thing with a length below 0.
            return match (kind, value) {
                (b'$' | b'*', 1) => Ok(self.complete()),
                _ => Err(Garbage),
            };
        }
        if matches!(kind, b'$' | b'!' | b'=') {
            if value > MAX_LENGTH {
                return Err(Garbage);
            }
            self.place = if value > 0 {
                Place::Bytes(value)
            } else {
                Place::Cr
            };
            return Ok(false);
        }
        if value > MAX_COUNT || self.open.len() == MAX_DEPTH {
            return Err(Garbage);
        }
        let pairs = matches!(kind, b'%' | b'|');
        let attribute = kind == b'|';
        self.place = Place::Type;
        if value == 0 {
            return Ok(!attribute && self.complete());
        }
        self.open.push(Level {
            left: if pairs { 2 * value } else { value },
            attribute,
        });
        Ok(false)
    }

    /// A value is complete, and with it perhaps those around it. Whether the outermost is.
    fn complete(&mut self) -> bool {
        self.place = Place::Type;
        while let Some(level) = self.open.last_mut() {
            level.left -= 1;
            if level.left > 0 {
                return false;
            }
            let attribute = level.attribute;
            self.open.pop();
            if attribute {
                return false;
            }
        }
        true
    }
}

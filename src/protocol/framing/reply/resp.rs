//! Replies in RESP2 and RESP3: a value is a line, a length followed by its bytes, or a count followed by its
//! values.
//!
//! Nested values are counted on a stack of our own, so that no reply can exhaust the program's. The forms are Redis
//! 7.0's; strings and arrays of unknown length, which RESP3 names and no server sends, are garbage.

use memchr::memchr2;

use crate::protocol::framing::reply::progress::{FrameProgress, FrameState};

/// The deepest nesting of values. Redis's own replies stay below 10, and its Lua scripts can't return more than about 200.
const MAX_DEPTH: usize = 256;
/// Longest bulk string in bytes: far beyond Redis's 512 MiB, which a setting can raise.
const MAX_LENGTH: u64 = 1 << 40;
/// Most elements of one array, and most pairs of one map.
const MAX_COUNT: u64 = 1 << 32;

/// Finds the end of values.
#[derive(Debug, Default)]
pub struct RespReplyFramer {
    place: Position,
    /// The aggregates (arrays, maps, sets, pushes) that have begun, the outermost first.
    open: Vec<OpenAggregate>,
    /// The type of the outermost value.
    kind: u8,
    /// The number of its elements, if it is an array.
    count: Option<u64>,
    /// The types of its elements, if they were asked for.
    elements: Option<Vec<u8>>,
}

/// An array, set, map, push or attribute that has begun.
#[derive(Debug)]
struct OpenAggregate {
    /// Values still to come.
    left: u64,
    /// An attribute stands before a value and is none itself.
    attribute: bool,
}

/// The meaning of the next byte.
#[derive(Debug, Default, Clone, Copy)]
enum Position {
    /// The type of a value.
    #[default]
    Type,
    /// Part of a line.
    Line,
    /// Part of the length that belongs to this type.
    Length { kind: u8, length: PartialLength },
    /// A byte of a string, of which this many are still to come.
    Bytes(u64),
    /// The CR after a string.
    Cr,
    /// The LF after a line or a string.
    Lf,
    /// The LF after a length.
    LengthLf { kind: u8, length: PartialLength },
}

/// A length, as far as it was read.
#[derive(Debug, Default, Clone, Copy)]
struct PartialLength {
    value: u64,
    digits: u8,
    negative: bool,
}

impl PartialLength {
    /// Appends a byte; `None` if the result is no valid length.
    fn push(self, byte: u8) -> Option<PartialLength> {
        match byte {
            b'-' if self.digits == 0 && !self.negative => Some(PartialLength {
                negative: true,
                ..self
            }),
            // 14 digits are more than any limit, and far from the limit of 64 bits.
            b'0'..=b'9' if self.digits < 14 => Some(PartialLength {
                value: self.value * 10 + u64::from(byte - b'0'),
                digits: self.digits + 1,
                ..self
            }),
            _ => None,
        }
    }
}

/// The length of the reply at the start of these bytes, if it is a bulk string or a simple one and all of it is here. Most
/// replies are; their bytes need no steps. Anything else, and any fault, is left to the steps.
fn whole_string(bytes: &[u8]) -> Option<usize> {
    let line = memchr2(b'\r', b'\n', bytes).filter(|end| bytes[*end..].starts_with(b"\r\n"))?;
    let length = match bytes[0] {
        b'+' => return Some(line + 2),
        b'$' => &bytes[1..line],
        _ => return None,
    };
    if length.is_empty() || length.len() > 9 || !length.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let length = length
        .iter()
        .fold(0, |n, digit| n * 10 + usize::from(digit - b'0'));
    let end = line + 2 + length;
    bytes.get(end..)?.starts_with(b"\r\n").then_some(end + 2)
}

/// These bytes are no reply.
struct NotAReply;

impl RespReplyFramer {
    pub(super) fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    /// The type of the reply, and its number of elements if it is an array whose length has arrived.
    pub(super) fn head(&self) -> (u8, Option<u64>) {
        (self.kind, self.count)
    }

    pub(super) fn keep_elements(&mut self) {
        self.elements.get_or_insert_default();
    }

    pub(super) fn elements(&self) -> &[u8] {
        self.elements.as_deref().unwrap_or_default()
    }

    pub(super) fn is_push(&self) -> bool {
        self.kind == b'>'
    }

    /// The number of levels that are kept.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.open.len()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) -> FrameProgress {
        if matches!(self.place, Position::Type)
            && self.open.is_empty()
            && let Some(used) = whole_string(bytes)
        {
            (self.kind, self.count) = (bytes[0], None);
            let state = FrameState::Done;
            return FrameProgress { used, state };
        }
        let mut used = 0;
        let mut state = FrameState::More;
        while used < bytes.len() && state == FrameState::More {
            match self.step(&bytes[used..]) {
                Ok((taken, done)) => {
                    used += taken;
                    state = if done {
                        FrameState::Done
                    } else {
                        FrameState::More
                    };
                }
                Err(NotAReply) => state = FrameState::Garbage,
            }
        }
        FrameProgress { used, state }
    }

    /// Takes some bytes of `rest`, which is not empty. Returns their number, and whether the outermost value
    /// is complete.
    fn step(&mut self, rest: &[u8]) -> Result<(usize, bool), NotAReply> {
        let byte = rest[0];
        match self.place {
            Position::Type => {
                self.begin(byte)?;
                Ok((1, false))
            }
            Position::Line => {
                let Some(end) = memchr2(b'\r', b'\n', rest) else {
                    return Ok((rest.len(), false));
                };
                if rest[end] == b'\n' {
                    return Err(NotAReply);
                }
                self.place = Position::Lf;
                Ok((end + 1, false))
            }
            Position::Length { kind, length } => {
                self.place = match byte {
                    b'\r' if length.digits > 0 => Position::LengthLf { kind, length },
                    _ => Position::Length {
                        kind,
                        length: length.push(byte).ok_or(NotAReply)?,
                    },
                };
                Ok((1, false))
            }
            Position::LengthLf { kind, length } if byte == b'\n' => {
                Ok((1, self.sized(kind, length)?))
            }
            Position::Bytes(left) => {
                let taken = rest.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                let left = left - taken as u64;
                self.place = if left > 0 {
                    Position::Bytes(left)
                } else {
                    Position::Cr
                };
                Ok((taken, false))
            }
            Position::Cr if byte == b'\r' => {
                self.place = Position::Lf;
                Ok((1, false))
            }
            Position::Lf if byte == b'\n' => Ok((1, self.complete())),
            Position::LengthLf { .. } | Position::Cr | Position::Lf => Err(NotAReply),
        }
    }

    /// A value begins with its type.
    fn begin(&mut self, kind: u8) -> Result<(), NotAReply> {
        self.place = match kind {
            b'+' | b'-' | b':' | b',' | b'#' | b'_' | b'(' => Position::Line,
            b'>' if !self.open.is_empty() => return Err(NotAReply),
            b'$' | b'!' | b'=' | b'*' | b'~' | b'%' | b'|' | b'>' => Position::Length {
                kind,
                length: PartialLength::default(),
            },
            _ => return Err(NotAReply),
        };
        if self.open.is_empty() {
            (self.kind, self.count) = (kind, None);
        } else if self.open.len() == 1
            && kind != b'|'
            && let Some(elements) = &mut self.elements
        {
            elements.push(kind);
        }
        Ok(())
    }

    /// A length is complete. Returns whether the outermost value is, too.
    fn sized(&mut self, kind: u8, length: PartialLength) -> Result<bool, NotAReply> {
        let PartialLength {
            value, negative, ..
        } = length;
        if negative {
            // Only null has a length below 0.
            return match (kind, value) {
                (b'$' | b'*', 1) => Ok(self.complete()),
                _ => Err(NotAReply),
            };
        }
        if matches!(kind, b'$' | b'!' | b'=') {
            if value > MAX_LENGTH {
                return Err(NotAReply);
            }
            self.place = if value > 0 {
                Position::Bytes(value)
            } else {
                Position::Cr
            };
            return Ok(false);
        }
        if value > MAX_COUNT || self.open.len() == MAX_DEPTH {
            return Err(NotAReply);
        }
        if self.open.is_empty() && kind == b'*' {
            self.count = Some(value);
        }
        let pairs = matches!(kind, b'%' | b'|');
        let attribute = kind == b'|';
        self.place = Position::Type;
        if value == 0 {
            return Ok(!attribute && self.complete());
        }
        self.open.push(OpenAggregate {
            left: if pairs { 2 * value } else { value },
            attribute,
        });
        Ok(false)
    }

    /// A value is complete, and with it perhaps those around it. Returns whether the outermost is.
    fn complete(&mut self) -> bool {
        self.place = Position::Type;
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

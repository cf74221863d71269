//! The first difference between a server and the transcript, for a person to read.

use std::fmt;
use std::time::Duration;

use super::delivery::TranscriptDelivery;
use super::hex;
use super::readable::readable;

/// The number of lines of an exchange that are shown, and of characters in each.
const LINES: usize = 8;
const WIDTH: usize = 160;

/// A failed expectation: the bytes sent, the answer expected, the answer received.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The file.
    pub file: String,
    /// The line that was not fulfilled, from 1.
    pub line: usize,
    /// The connection's name, empty for the one without.
    pub connection: String,
    /// The cuts of the bytes when it happened.
    pub delivery: TranscriptDelivery,
    /// The bytes that this exchange sent on this connection.
    pub sent: Vec<u8>,
    /// The answer expected: bytes with escapes, a pattern in slashes, or a sentence.
    pub expected: String,
    /// The answer received, as far as it was read.
    pub got: Vec<u8>,
    /// The kind of difference.
    pub why: Mismatch,
}

/// The kind of difference between two answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// It differs, first at this byte (from 0).
    At(usize),
    /// The line doesn't match the pattern.
    NoMatch,
    /// No more bytes came for this long.
    Silence(Duration),
    /// The server closed the connection.
    Closed,
    /// More bytes came than the transcript expects.
    Leftover,
    /// The server kept the connection open for this long after the client's end.
    StayedOpen(Duration),
    /// The connection could not be opened, read or written.
    Broken(String),
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mismatch::At(at) => write!(f, "differs at byte {}", at + 1),
            Mismatch::NoMatch => f.write_str("the line doesn't match"),
            Mismatch::Silence(waited) if waited.is_zero() => f.write_str("nothing more came"),
            Mismatch::Silence(waited) => write!(f, "no more bytes came for {waited:?}"),
            Mismatch::Closed => f.write_str("the server closed the connection"),
            Mismatch::Leftover => f.write_str("more bytes came than expected"),
            Mismatch::StayedOpen(waited) => write!(f, "the connection stayed open for {waited:?}"),
            Mismatch::Broken(error) => write!(f, "the connection failed: {error}"),
        }
    }
}

impl Difference {
    /// The bytes sent, one line for each line of the protocol, with escapes.
    pub fn sent_lines(&self) -> Vec<String> {
        lines(&self.sent)
    }

    /// The bytes that came, one line for each line of the protocol, with escapes.
    pub fn got_lines(&self) -> Vec<String> {
        lines(&self.got)
    }
}

/// `bytes` by lines, with escapes, or by frames; long lines and many lines are cut short, with a note.
fn lines(bytes: &[u8]) -> Vec<String> {
    let mut all: Vec<String> = if hex::are_frames(bytes) {
        let frames = hex::frames(bytes).into_iter();
        frames.map(|frame| short(frame, hex::frame)).collect()
    } else {
        let lines = bytes.split_inclusive(|&b| b == b'\n');
        lines.map(|line| short(line, readable)).collect()
    };
    if all.len() > LINES {
        let more = all.len() - (LINES - 1);
        all.truncate(LINES - 1);
        all.push(format!("… and {more} lines more"));
    }
    all
}

fn short(bytes: &[u8], text: fn(&[u8]) -> String) -> String {
    let text = text(bytes);
    if text.len() <= WIDTH {
        return text;
    }
    // ASCII, so any index is a character's.
    let tail = &text[text.len() - WIDTH / 4..];
    format!("{}…{tail} ({} bytes)", &text[..WIDTH / 2], bytes.len())
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Difference {
            file,
            line,
            connection,
            delivery,
            why,
            ..
        } = self;
        write!(f, "{file}:{line}: {why} ({delivery}")?;
        if !connection.is_empty() {
            write!(f, ", connection {connection}")?;
        }
        f.write_str(")")?;
        block(f, "sent", &self.sent_lines())?;
        let expected = if self.expected.len() > WIDTH {
            short_text(&self.expected)
        } else {
            self.expected.clone()
        };
        block(f, "expected", &[expected])?;
        block(f, "got", &self.got_lines())
    }
}

fn short_text(text: &str) -> String {
    let head: String = text.chars().take(WIDTH).collect();
    format!("{head}…")
}

fn block(f: &mut fmt::Formatter<'_>, name: &str, lines: &[String]) -> fmt::Result {
    let nothing = [String::from("(nothing)")];
    let lines = if lines.is_empty() { &nothing } else { lines };
    for (n, line) in lines.iter().enumerate() {
        write!(f, "\n  {:<9} {line}", if n == 0 { name } else { "" })?;
    }
    Ok(())
}

//! The lines `>x` and `<x`: bytes in hexadecimal, for protocols that people can't type.
//!
//! ```text
//! >x 80 00 0003  00 00 0000  00000003 00000000 0000000000000000  "key"   # get
//! <x 81 00 0000  04 00 0000  00000009 00000000 ................  00000000 "value"
//! ```
//!
//! Frames of memcached's binary protocol are printed in the same form, so that a printed difference can be pasted into a
//! file.

use super::readable::{Piece, pieces, readable};
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header, REPLY_MAGIC, REQUEST_MAGIC};

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HexPart {
    Bytes(Vec<u8>),
    /// A captured variable.
    Variable(String),
    /// So many bytes of any kind.
    Any(usize),
    /// So many bytes of any kind, which the variable gets.
    Capture(String, usize),
}

/// Reads a line. The error is a sentence for the writer of the file.
pub(super) fn parts(text: &str) -> Result<Vec<HexPart>, String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with('#') {
        let (part, behind) = match rest.strip_prefix('"') {
            Some(quoted) => {
                let (inside, behind) = quoted.split_once('"').ok_or("a \" without its end")?;
                (quoted_text(inside)?, behind)
            }
            None => {
                let (word, behind) = rest.split_once(' ').unwrap_or((rest, ""));
                (part(word)?, behind)
            }
        };
        found.push(part);
        rest = behind.trim_start();
    }
    Ok(found)
}

fn quoted_text(text: &str) -> Result<HexPart, String> {
    match pieces(text)?.pop() {
        Some(Piece::Bytes(bytes)) => Ok(HexPart::Bytes(bytes)),
        _ => Err("a variable stands outside of quotes: ${name}".into()),
    }
}

fn part(word: &str) -> Result<HexPart, String> {
    const SHAPE: &str = "a part of a line in hexadecimal is an even number of digits, or of dots for bytes of any kind, a \
         \"text\", ${name}, or ${name:BYTES} for bytes that a variable gets";
    if let Some(name) = word
        .strip_prefix("${")
        .and_then(|word| word.strip_suffix('}'))
    {
        return match name.split_once(':') {
            None => Ok(HexPart::Variable(name.to_owned())),
            Some((name, length)) => {
                let length = length.parse().map_err(|_| SHAPE)?;
                Ok(HexPart::Capture(name.to_owned(), length))
            }
        };
    }
    if !word.len().is_multiple_of(2) {
        return Err(SHAPE.into());
    }
    if word.bytes().all(|byte| byte == b'.') {
        return Ok(HexPart::Any(word.len() / 2));
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let bytes = word.as_bytes().chunks(2).map(|pair| {
        let (high, low) = (digit(pair[0])?, digit(pair[1])?);
        u8::try_from(high * 16 + low).ok()
    });
    let bytes: Option<Vec<u8>> = bytes.collect();
    Ok(HexPart::Bytes(bytes.ok_or(SHAPE)?))
}

/// A frame as the text of a `>x` or `<x` line; `None` if the bytes are none.
pub(crate) fn binary_frame(bytes: &[u8]) -> Option<String> {
    are_frames(bytes).then(|| frame(bytes))
}

/// Whether these bytes are printed as frames.
pub(super) fn are_frames(bytes: &[u8]) -> bool {
    matches!(bytes.first(), Some(&(REQUEST_MAGIC | REPLY_MAGIC)))
}

/// The frames; the last one may be a part.
pub(super) fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let body = Header::read(bytes).map_or(0, |header| header.body_length as usize);
        let length = HEADER_LENGTH.saturating_add(body);
        let (frame, rest) = bytes.split_at(length.min(bytes.len()));
        frames.push(frame);
        bytes = rest;
    }
    frames
}

/// A frame in the form of the `>x` and `<x` lines: the fields of its header in groups, the extras, the rest of the body.
pub(super) fn frame(frame: &[u8]) -> String {
    /// The bytes of each field.
    const FIELDS: [usize; 9] = [1, 1, 2, 1, 1, 2, 4, 4, 8];
    let extras = Header::read(frame).map_or(0, |header| header.extras_length.into());
    let mut words = Vec::new();
    let mut rest = frame;
    for length in FIELDS.into_iter().chain([extras]) {
        let (field, behind) = rest.split_at(length.min(rest.len()));
        words.push(hex(field));
        rest = behind;
    }
    let text = readable(rest);
    words.push(if rest.is_empty() || text.contains(['"', '$']) {
        hex(rest)
    } else {
        format!("\"{text}\"")
    });
    words.retain(|word| !word.is_empty());
    words.join(" ")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_has_digits_text_and_unknown_bytes() {
        let read =
            parts(r#"80 0a  beEF "key\r\{x*3}" .... ${cas} ${cas:8}  # a "comment" of any kind"#);
        assert_eq!(
            read.unwrap(),
            [
                HexPart::Bytes(vec![0x80]),
                HexPart::Bytes(vec![0x0a]),
                HexPart::Bytes(vec![0xbe, 0xef]),
                HexPart::Bytes(b"key\rxxx".to_vec()),
                HexPart::Any(2),
                HexPart::Variable("cas".into()),
                HexPart::Capture("cas".into(), 8),
            ]
        );
    }

    #[test]
    fn mistakes_are_reported() {
        for wrong in ["8", "8g", "...", "80 0", "\"x", "\"${x}\"", "${x:y}", "é"] {
            assert!(parts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_frame_is_printed_by_fields() {
        let mut bytes = vec![0; 24];
        (bytes[0], bytes[4], bytes[11]) = (0x81, 4, 9);
        bytes.extend_from_slice(b"\0\0\0\x05value\x81");
        let printed: Vec<_> = frames(&bytes).into_iter().map(frame).collect();
        let first = r#"81 00 0000 04 00 0000 00000009 00000000 0000000000000000 00000005 "value""#;
        assert_eq!(printed, [first, "81"]);
    }

    proptest! {
        #[test]
        fn printed_frames_can_be_read_back(bytes in proptest::collection::vec(any::<u8>(), 0..80), body in 0u8..60) {
            let mut bytes = bytes;
            if bytes.len() > 12 {
                bytes[8..12].copy_from_slice(&[0, 0, 0, body]);
            }
            let mut read = Vec::new();
            let printed: Vec<_> = frames(&bytes).into_iter().map(frame).collect();
            for part in parts(&printed.join(" ")).unwrap() {
                let HexPart::Bytes(part) = part else { panic!("{part:?}") };
                read.extend_from_slice(&part);
            }
            prop_assert_eq!(read, bytes);
        }
    }
}

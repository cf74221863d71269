//! memcached's text protocol, field by field. All bytes that a client sends are shown, well formed or not: the server
//! decides about errors.

use super::frame::{CutResult, Frame, line};
use crate::protocol::framing::reply::memcached::is_error;
use crate::protocol::memcached::text::parse_length;

/// The longest line that is waited for, in bytes; larder's own limit for a get.
const LINE_LIMIT: usize = 1024 * 1024;

/// The form of the reply to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One line.
    Line,
    /// Lines and blocks up to a line `END`.
    UpToEnd,
    /// Lines up to `END` or `EN`, without blocks.
    Listing,
}

/// Appends words with these names, the last of them for all that follow; blanks between words belong to no word.
fn words(frame: &mut Frame, text: &[u8], names: &[&'static str]) {
    let mut rest = text;
    let mut number = 0;
    while !rest.is_empty() {
        let blanks = rest.iter().take_while(|byte| **byte == b' ').count();
        if blanks > 0 {
            frame.push("blank", &rest[..blanks]);
            rest = &rest[blanks..];
            continue;
        }
        let end = memchr::memchr(b' ', rest).unwrap_or(rest.len());
        let name = names
            .get(number)
            .or(names.last())
            .copied()
            .unwrap_or("word");
        frame.push(name, &rest[..end]);
        number += 1;
        rest = &rest[end..];
    }
}

/// Appends a block of `length` bytes and its CRLF. Returns whether all of it has arrived.
fn block(frame: &mut Frame, bytes: &[u8], length: usize) -> bool {
    let Some((value, rest)) = bytes.split_at_checked(length) else {
        return false;
    };
    let Some(end) = rest.get(..2) else {
        return false;
    };
    frame.push("value", value);
    frame.push("end of value", end);
    true
}

/// The first request in a client's bytes.
pub(super) fn request(bytes: &[u8]) -> CutResult {
    let (text, end) = match line(bytes, LINE_LIMIT) {
        Ok(line) => line,
        Err(cut) => return cut,
    };
    let all: Vec<&[u8]> = text
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .collect();
    let verb = all.first().copied().unwrap_or_default();
    let (names, length): (&[&'static str], Option<usize>) = match verb {
        b"set" | b"add" | b"replace" | b"append" | b"prepend" => (
            &["verb", "key", "flags", "exptime", "length", "noreply"],
            Some(4),
        ),
        b"cas" => (
            &[
                "verb",
                "key",
                "flags",
                "exptime",
                "length",
                "cas unique",
                "noreply",
            ],
            Some(4),
        ),
        b"ms" => (&["verb", "key", "length", "flag"], Some(2)),
        b"mg" | b"md" | b"ma" | b"me" => (&["verb", "key", "flag"], None),
        b"get" | b"gets" => (&["verb", "key"], None),
        b"gat" | b"gats" => (&["verb", "exptime", "key"], None),
        b"delete" => (&["verb", "key", "noreply"], None),
        b"incr" | b"decr" => (&["verb", "key", "delta", "noreply"], None),
        b"touch" => (&["verb", "key", "exptime", "noreply"], None),
        _ => (&["verb", "argument"], None),
    };
    let mut frame = Frame {
        name: String::from_utf8_lossy(verb).to_ascii_lowercase(),
        ..Frame::default()
    };
    words(&mut frame, text, names);
    frame.push("end of line", end);
    let quiet = verb.first() == Some(&b'm')
        && verb.len() == 2
        && all.iter().skip(1).any(|word| *word == b"q");
    frame.answered = !quiet && verb != b"quit" && all.last() != Some(&&b"noreply"[..]);
    // If the length can't be read, the server takes the next line for a command.
    let length = length
        .and_then(|place| all.get(place))
        .and_then(|word| parse_length(word));
    match length {
        Some(length) if !block(&mut frame, &bytes[text.len() + end.len()..], length) => {
            CutResult::More
        }
        _ => CutResult::Frame(frame),
    }
}

/// The first reply in a server's bytes, to this request; without a request, the first line decides about the kind of
/// reply.
pub(super) fn reply(bytes: &[u8], request: Option<&Frame>) -> CutResult {
    let shape = match request.map(|request| request.name.as_str()) {
        Some("get" | "gets" | "gat" | "gats") => Shape::UpToEnd,
        Some("stats" | "lru_crawler") => Shape::Listing,
        None if bytes.starts_with(b"VALUE ") => Shape::UpToEnd,
        _ => Shape::Line,
    };
    let mut frame = Frame::default();
    let mut rest = bytes;
    loop {
        let (text, end) = match line(rest, LINE_LIMIT) {
            Ok(line) => line,
            Err(cut) => return cut,
        };
        let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
        frame.is_error = is_error(text);
        let length = reply_line(&mut frame, shape, word, text);
        if frame.name.is_empty() || word != b"END" {
            frame.name = String::from_utf8_lossy(word).into_owned();
        }
        frame.push("end of line", end);
        rest = &rest[text.len() + end.len()..];
        if let Some(length) = length {
            if !block(&mut frame, rest, length) {
                return CutResult::More;
            }
            rest = &rest[length + 2..];
        }
        let goes_on = match shape {
            Shape::Line => false,
            Shape::UpToEnd => word == b"VALUE",
            Shape::Listing => !matches!(
                word,
                b"END" | b"EN" | b"OK" | b"RESET" | b"BUSY" | b"BADCLASS"
            ),
        };
        if !goes_on || frame.is_error {
            return CutResult::Frame(frame);
        }
    }
}

/// Appends a line of a reply. Returns the length of the block that follows it.
fn reply_line(frame: &mut Frame, shape: Shape, word: &[u8], text: &[u8]) -> Option<usize> {
    let (names, length): (&[&'static str], Option<usize>) = match word {
        _ if frame.is_error => {
            frame.push("error", text);
            return None;
        }
        b"VALUE" if shape == Shape::UpToEnd => {
            (&["status", "key", "flags", "length", "cas unique"], Some(3))
        }
        b"VA" => (&["status", "length", "flag"], Some(1)),
        b"STAT" => (&["status", "name", "figure"], None),
        _ => (&["status", "word"], None),
    };
    words(frame, text, names);
    let word = length.and_then(|place| text.split(|byte| *byte == b' ').nth(place));
    word.and_then(parse_length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(cut: CutResult) -> Vec<(&'static str, String)> {
        let CutResult::Frame(frame) = cut else {
            panic!("no frame: {cut:?}");
        };
        let fields = frame.fields.into_iter();
        let shown = fields.filter(|field| !["blank", "end of line"].contains(&field.name));
        shown
            .map(|field| {
                (
                    field.name,
                    String::from_utf8_lossy(&field.bytes).into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn a_request_has_a_name_for_each_word() {
        let found = named(request(b"set a 1 60 3 noreply\r\nx\r\n\r\nget b\r\n"));
        let found: Vec<_> = found
            .iter()
            .map(|(name, bytes)| (*name, bytes.as_str()))
            .collect();
        let expected = [
            ("verb", "set"),
            ("key", "a"),
            ("flags", "1"),
            ("exptime", "60"),
            ("length", "3"),
            ("noreply", "noreply"),
            ("value", "x\r\n"),
            ("end of value", "\r\n"),
        ];
        assert_eq!(found, expected);
        let names: Vec<_> = named(request(b"get a b\r\n"))
            .into_iter()
            .map(|field| field.0)
            .collect();
        assert_eq!(names, ["verb", "key", "key"]);
    }

    #[test]
    fn frames_have_all_bytes_and_end_where_they_end() {
        let set = b"set a 0 0 5\r\nvalue\r\n".as_slice();
        let get = b"get a\r\n".as_slice();
        let CutResult::Frame(asked) = request(get) else {
            panic!("a request")
        };
        let values = b"VALUE a 0 5\r\nEND\r\n\r\nVALUE b 0 1 7\r\nx\r\nEND\r\n".as_slice();
        let whole = [
            request(set),
            request(get),
            reply(values, Some(&asked)),
            reply(b"ERROR\r\n", Some(&asked)),
        ];
        for (cut, bytes) in whole.into_iter().zip([set, get, values, b"ERROR\r\n"]) {
            let CutResult::Frame(frame) = cut else {
                panic!("{cut:?}")
            };
            assert_eq!(frame.bytes(), bytes);
            assert_eq!(frame.is_error, bytes == b"ERROR\r\n");
        }
        for end in 0..set.len() {
            assert_eq!(request(&set[..end]), CutResult::More);
        }
        for end in 0..values.len() {
            assert_eq!(reply(&values[..end], Some(&asked)), CutResult::More);
        }
    }

    #[test]
    fn requests_without_a_reply_are_known() {
        for (line, answered) in [
            (&b"get a\r\n"[..], true),
            (b"delete a noreply\r\n", false),
            (b"quit\r\n", false),
            (b"mg a v q\r\n", false),
            (b"mn\r\n", true),
        ] {
            let CutResult::Frame(frame) = request(line) else {
                panic!("a request")
            };
            assert_eq!(frame.answered, answered, "{line:?}");
        }
    }
}

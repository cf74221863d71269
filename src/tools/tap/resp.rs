//! RESP, field by field, the same for requests and replies: a value is a line, a length followed by its bytes, or a count
//! followed by its values.

use super::frame::{CutResult, Frame, line};

/// The deepest nesting of values here.
const DEPTH: usize = 64;

/// The longest line that is waited for, in bytes.
const LINE_LIMIT: usize = 64 * 1024;

/// The first request in a client's bytes: an array, or an inline command.
pub(super) fn request(bytes: &[u8]) -> CutResult {
    let mut frame = Frame {
        answered: true,
        ..Frame::default()
    };
    let name = match bytes.first() {
        None => return CutResult::More,
        Some(b'*') => match value(&mut frame, bytes, &["command", "argument"], 0) {
            Ok(_) => {
                let first = frame.fields.iter().find(|field| field.name == "command");
                first.map_or_else(Vec::new, |field| field.bytes.clone())
            }
            Err(cut) => return cut,
        },
        Some(_) => match line(bytes, LINE_LIMIT) {
            Err(cut) => return cut,
            Ok((text, end)) => {
                frame.push("inline command", text);
                frame.push("end of line", end);
                text.split(|byte| *byte == b' ')
                    .next()
                    .unwrap_or_default()
                    .to_vec()
            }
        },
    };
    // The server ignores a blank line and an empty array.
    frame.answered = !name.is_empty();
    frame.name = String::from_utf8_lossy(&name).to_ascii_lowercase();
    CutResult::Frame(frame)
}

/// The first reply in a server's bytes.
pub(super) fn reply(bytes: &[u8]) -> CutResult {
    let mut frame = Frame::default();
    match value(&mut frame, bytes, &[], 0) {
        Err(cut) => cut,
        Ok(_) => {
            frame.is_error = matches!(bytes[0], b'-' | b'!');
            frame.name = kind(bytes[0]).unwrap_or("value").to_owned();
            CutResult::Frame(frame)
        }
    }
}

/// Whether a reply is a message that RESP3 lets a server send at any time.
pub(super) fn is_push(reply: &Frame) -> bool {
    reply.name == "push"
}

fn kind(first: u8) -> Option<&'static str> {
    Some(match first {
        b'+' => "simple string",
        b'-' => "error",
        b':' => "integer",
        b',' => "double",
        b'#' => "boolean",
        b'_' => "null",
        b'(' => "big number",
        b'$' => "bulk string",
        b'!' => "bulk error",
        b'=' => "verbatim string",
        b'*' => "array",
        b'~' => "set",
        b'%' => "map",
        b'|' => "attribute",
        b'>' => "push",
        _ => return None,
    })
}

/// Appends a value. Returns its length in bytes. Strings inside an array have the `names`, the last of them for all that
/// follow.
fn value(
    frame: &mut Frame,
    bytes: &[u8],
    names: &[&'static str],
    depth: usize,
) -> Result<usize, CutResult> {
    let first = *bytes.first().ok_or(CutResult::More)?;
    let kind = kind(first)
        .filter(|_| depth < DEPTH)
        .ok_or(CutResult::Unknown)?;
    let (text, end) = line(bytes, LINE_LIMIT)?;
    let mut used = text.len() + end.len();
    let number = || -> Result<i64, CutResult> {
        let digits = std::str::from_utf8(&text[1..]).ok();
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or(CutResult::Unknown)
    };
    match first {
        b'$' | b'!' | b'=' => {
            let length = number()?;
            let name = if length < 0 { "null" } else { "length" };
            frame.push(name, text);
            frame.push("end of line", end);
            if let Ok(length) = usize::try_from(length) {
                let rest = &bytes[used..];
                let all = length.checked_add(2).ok_or(CutResult::Unknown)?;
                let string = rest.get(..all).ok_or(CutResult::More)?;
                frame.push(names.first().copied().unwrap_or(kind), &string[..length]);
                frame.push("end of string", &string[length..]);
                used += all;
            }
        }
        b'*' | b'~' | b'%' | b'|' | b'>' => {
            let count = number()?;
            frame.push(if count < 0 { "null" } else { kind }, text);
            frame.push("end of line", end);
            let pairs = matches!(first, b'%' | b'|');
            let values = count.max(0).saturating_mul(if pairs { 2 } else { 1 });
            let mut names = names;
            for _ in 0..values {
                used += value(frame, &bytes[used..], names, depth + 1)?;
                names = if names.len() > 1 { &names[1..] } else { names };
            }
            if first == b'|' {
                // The value that it is about follows.
                used += value(frame, &bytes[used..], names, depth + 1)?;
            }
        }
        _ => {
            frame.push(kind, text);
            frame.push("end of line", end);
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(cut: CutResult) -> Frame {
        match cut {
            CutResult::Frame(frame) => frame,
            cut => panic!("{cut:?}"),
        }
    }

    #[test]
    fn a_request_has_a_command_and_arguments() {
        let bytes = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n";
        let found = frame(request(bytes));
        assert_eq!(found.name, "set");
        assert_eq!(found.words().collect::<Vec<_>>(), [&b"a"[..], b"\r\n"]);
        assert_eq!(found.bytes(), bytes);
        assert_eq!(frame(request(b"ping there\r\n")).name, "ping");
        assert!(!frame(request(b"\r\n")).answered);
    }

    #[test]
    fn replies_of_every_kind_have_all_their_bytes_in_every_cut() {
        for bytes in [
            &b"+OK\r\n"[..],
            b"-ERR no\r\n",
            b":5\r\n",
            b"$-1\r\n",
            b"$5\r\n+OK\r\n\r\n",
            b"*-1\r\n",
            b"*2\r\n*1\r\n:1\r\n$1\r\nx\r\n",
            b"%1\r\n+a\r\n,1.5\r\n",
            b"|1\r\n+a\r\n+b\r\n#t\r\n",
            b">2\r\n+message\r\n_\r\n",
        ] {
            let found = frame(reply(bytes));
            assert_eq!(found.bytes(), bytes);
            assert_eq!(found.is_error, bytes[0] == b'-');
            for end in 0..bytes.len() {
                assert_eq!(reply(&bytes[..end]), CutResult::More, "{:?}", &bytes[..end]);
            }
        }
    }

    #[test]
    fn bytes_that_are_no_resp_are_unknown() {
        for bytes in [&b"hello\r\n"[..], b"$x\r\n", b"*1\r\nHTTP\r\n"] {
            assert_eq!(reply(bytes), CutResult::Unknown);
        }
        let deep = b"*1\r\n".repeat(DEPTH + 1);
        assert_eq!(reply(&deep), CutResult::Unknown);
    }
}

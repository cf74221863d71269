//! Frames as text for a person, or as JSON, one object a line.

use std::io::{self, Write};

use serde_json::json;

use super::conversation::{Direction, PassedFrame};
use crate::tools::transcript::readable;

/// Bytes of a field that are printed as text; `--json` has all of them.
const SHOWN: usize = 200;

const RED: &str = "\x1b[31m";
const CYAN: &str = "\x1b[36m";
const GREEN: &str = "\x1b[32m";
const PLAIN: &str = "\x1b[0m";

/// The format of the printed frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Text without colours.
    Plain,
    /// Text for a terminal.
    Coloured,
    /// JSON.
    Json,
}

/// Prints a frame of the connection with this number.
pub(super) fn print(
    out: &mut dyn Write,
    style: Style,
    connection: u64,
    passed: &PassedFrame,
) -> io::Result<()> {
    match style {
        Style::Json => writeln!(out, "{}", as_json(connection, passed)),
        style => as_text(out, style == Style::Coloured, connection, passed),
    }
}

fn as_text(
    out: &mut dyn Write,
    coloured: bool,
    connection: u64,
    passed: &PassedFrame,
) -> io::Result<()> {
    let frame = &passed.frame;
    let (arrow, colour) = match passed.direction {
        _ if frame.is_error => ("◀─", RED),
        Direction::Request => ("─▶", CYAN),
        Direction::Reply => ("◀─", GREEN),
    };
    let (on, off) = if coloured { (colour, PLAIN) } else { ("", "") };
    let millis = passed.at as f64 / 1e3;
    write!(
        out,
        "{millis:12.3} ms  #{connection} {on}{arrow} {}{off}, {} bytes",
        readable(frame.name.as_bytes()),
        frame.len()
    )?;
    if frame.is_error {
        write!(out, ", {on}error{off}")?;
    }
    match (&passed.to, passed.direction) {
        (Some((request, took)), _) => {
            let name = readable(request.name.as_bytes());
            writeln!(out, ", {:.3} ms after {name}", *took as f64 / 1e3)?;
        }
        (None, Direction::Reply) => writeln!(out, ", answers no request")?,
        (None, Direction::Request) => writeln!(out)?,
    }
    let mut place = 0;
    for field in &frame.fields {
        let bytes = &field.bytes;
        // A blank between two words is not printed.
        if field.name != "blank" {
            let text = readable(&bytes[..bytes.len().min(SHOWN)]);
            let more = match bytes.len() {
                ..=SHOWN => String::new(),
                all => format!(" … {all} bytes"),
            };
            writeln!(out, "{place:>12}  {:18}{on}{text}{off}{more}", field.name)?;
        }
        place += bytes.len();
    }
    Ok(())
}

fn as_json(connection: u64, passed: &PassedFrame) -> serde_json::Value {
    let frame = &passed.frame;
    let mut at = 0;
    let fields = frame.fields.iter().map(|field| {
        let begins = at;
        at += field.bytes.len();
        json!({
            "at": begins,
            "name": field.name,
            "length": field.bytes.len(),
            "text": readable(&field.bytes),
        })
    });
    let fields: Vec<_> = fields.collect();
    json!({
        "connection": connection,
        "direction": match passed.direction {
            Direction::Request => "request",
            Direction::Reply => "reply",
        },
        "at_us": passed.at,
        "name": frame.name,
        "bytes": frame.len(),
        "error": frame.is_error,
        "request": passed.to.as_ref().map(|(request, _)| &request.name),
        "took_us": passed.to.as_ref().map(|(_, took)| took),
        "fields": fields,
    })
}

#[cfg(test)]
mod tests {
    use super::super::conversation::Conversation;
    use super::*;
    use crate::tools::transcript::Protocol;

    fn printed(style: Style) -> String {
        let mut conversation = Conversation::new(Protocol::Memcached);
        let mut passed = conversation.pass(Direction::Request, b"incr a x\r\n", 1_500);
        let error = b"CLIENT_ERROR invalid numeric delta argument\r\n";
        passed.extend(conversation.pass(Direction::Reply, error, 1_750));
        let mut out = Vec::new();
        for passed in &passed {
            print(&mut out, style, 3, passed).expect("memory takes everything");
        }
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn text_names_each_field_and_its_offset() {
        let expected = "       1.500 ms  #3 ─▶ incr, 10 bytes
           0  verb              incr
           5  key               a
           7  delta             x
           8  end of line       \\r\\n
       1.750 ms  #3 ◀─ CLIENT_ERROR, 45 bytes, error, 0.250 ms after incr
           0  error             CLIENT_ERROR invalid numeric delta argument
          43  end of line       \\r\\n
";
        assert_eq!(printed(Style::Plain), expected);
        let coloured = printed(Style::Coloured);
        assert!(
            coloured.contains("\x1b[31merror\x1b[0m")
                && coloured.contains("\x1b[36m─▶ incr\x1b[0m")
        );
    }

    #[test]
    fn json_has_an_object_for_each_frame() {
        let printed = printed(Style::Json);
        let objects = printed
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let objects: Vec<_> = objects.collect();
        assert_eq!(
            (&objects[0]["name"], &objects[0]["direction"]),
            (&"incr".into(), &"request".into())
        );
        assert_eq!(
            objects[0]["fields"][2],
            json!({"at": 5, "name": "key", "length": 1, "text": "a"})
        );
        assert_eq!(
            (&objects[1]["error"], &objects[1]["took_us"]),
            (&true.into(), &250.into())
        );
        assert_eq!(objects[1]["request"], "incr");
    }
}

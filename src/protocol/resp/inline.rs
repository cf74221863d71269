//! Inline commands: a line typed by hand, split into words by Redis's rules of quoting.
//!
//! Words stand between white space. In double quotes `\n \r \t \b \a \xHH` are bytes and a
//! backslash before any other character means that character; in single quotes only `\'` is
//! special. A closing quote must be followed by white space or the end of the line. A NUL ends the
//! line, as it does in Redis.

use super::args::CommandWords;

/// Quotes that are not closed, or a closing quote without a space behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnbalancedQuotes;

/// Splits `line`, which has no line end, into `words`.
pub(super) fn split(line: &[u8], words: &mut CommandWords) -> Result<(), UnbalancedQuotes> {
    let line = match memchr::memchr(0, line) {
        Some(end) => &line[..end],
        None => line,
    };
    let mut at = 0;
    loop {
        at += line[at..]
            .iter()
            .take_while(|byte| is_space(**byte))
            .count();
        if at == line.len() {
            return Ok(());
        }
        at += words.push_unquoted(|into| word(&line[at..], into))?;
    }
}

/// Appends the first word of `rest` and returns its length in bytes.
fn word(rest: &[u8], into: &mut Vec<u8>) -> Result<usize, UnbalancedQuotes> {
    let mut at = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' | b'\'' => return quoted(rest, at + 1, byte, into),
            _ if is_space(byte) => break,
            _ => into.push(byte),
        }
        at += 1;
    }
    Ok(at)
}

/// Appends the text between quotes and returns the end of the word.
fn quoted(
    rest: &[u8],
    mut at: usize,
    quote: u8,
    into: &mut Vec<u8>,
) -> Result<usize, UnbalancedQuotes> {
    loop {
        match &rest[at..] {
            [] => return Err(UnbalancedQuotes),
            [b'\\', b'x', high, low, ..] if quote == b'"' && is_hex(*high) && is_hex(*low) => {
                into.push(hex(*high) << 4 | hex(*low));
                at += 4;
            }
            [b'\\', escaped, ..] if quote == b'"' => {
                into.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                at += 2;
            }
            [b'\\', b'\'', ..] if quote == b'\'' => {
                into.push(b'\'');
                at += 2;
            }
            [byte, after @ ..] if *byte == quote => {
                return match after.first() {
                    Some(next) if !is_space(*next) => Err(UnbalancedQuotes),
                    _ => Ok(at + 1),
                };
            }
            [byte, ..] => {
                into.push(*byte);
                at += 1;
            }
        }
    }
}

/// Whether C's `isspace` takes a byte for white space.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

/// The value of a digit that [`is_hex`] has accepted.
fn hex(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        b'a'..=b'f' => byte - b'a' + 10,
        _ => byte - b'A' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[u8]) -> Result<Vec<Vec<u8>>, UnbalancedQuotes> {
        let mut words = CommandWords::default();
        split(line, &mut words)?;
        Ok(words.args(b"").iter().map(<[u8]>::to_vec).collect())
    }

    #[test]
    fn words_are_split_and_unquoted_as_redis_does() {
        let rows: [(&[u8], &[&[u8]]); 12] = [
            (b"", &[]),
            (b" \t ", &[]),
            (b"get a", &[b"get", b"a"]),
            (b"  get   a  ", &[b"get", b"a"]),
            (b"get a\0b c", &[b"get", b"a"]),
            (br#"set k "a b""#, &[b"set", b"k", b"a b"]),
            (
                br#"set k "\x41\x4g\n\r\t\b\a\q\"""#,
                &[b"set", b"k", b"Ax4g\n\r\t\x08\x07q\""],
            ),
            (br#"set k 'a "b" \' \n'"#, &[b"set", b"k", br#"a "b" ' \n"#]),
            (br#"set k """#, &[b"set", b"k", b""]),
            (br#"set k ''"#, &[b"set", b"k", b""]),
            (br#"se"t" k"#, &[b"set", b"k"]),
            (b"a\x0bb", &[b"a", b"b"]),
        ];
        for (line, expected) in rows {
            assert_eq!(
                words(line).as_deref(),
                Ok(&expected.iter().map(|w| w.to_vec()).collect::<Vec<_>>()[..])
            );
        }
    }

    #[test]
    fn quotes_that_do_not_balance_are_refused() {
        for line in [
            r#"""#, "'", r#""a"#, r#"a"b"#, r#""a"b"#, "'a'b", r#""a\"#, r#""a\""#, r"'a\'",
        ] {
            assert_eq!(words(line.as_bytes()), Err(UnbalancedQuotes), "{line}");
        }
    }
}

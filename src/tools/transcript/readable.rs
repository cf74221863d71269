//! Bytes as text that a person can read and write, and back.
//!
//! Both directions use the escapes of the transcript format, so that a printed difference can be
//! pasted into a file: `\r \n \t \0 \\ \$ \xNN`, and `\{x*1024}` for a run.

/// The shortest run of one byte that is printed as `\{x*N}`.
const RUN: usize = 24;

/// The longest text that the escapes of one line may stand for, in bytes. A larger number, more
/// than a few times the largest item, is a mistake, and the memory would be allocated before the
/// mistake shows.
const EXPANDED: usize = 16 * 1024 * 1024;

/// `bytes` with escapes: one line of printable ASCII for any bytes.
pub fn readable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() + 8);
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        let run = rest.iter().take_while(|&&b| b == byte).count();
        if run >= RUN {
            text.push_str(if byte == b'}' { "\\{\\" } else { "\\{" });
            push(&mut text, byte);
            text.push_str(&format!("*{run}}}"));
            rest = &rest[run..];
        } else {
            if byte == b'$' && rest.get(1) == Some(&b'{') {
                text.push('\\');
            }
            push(&mut text, byte);
            rest = &rest[1..];
        }
    }
    text
}

fn push(text: &mut String, byte: u8) {
    match byte {
        b'\r' => text.push_str("\\r"),
        b'\n' => text.push_str("\\n"),
        b'\t' => text.push_str("\\t"),
        0 => text.push_str("\\0"),
        b'\\' => text.push_str("\\\\"),
        b' '..=b'~' => text.push(char::from(byte)),
        _ => text.push_str(&format!("\\x{byte:02x}")),
    }
}

/// A piece of a line: the bytes that it stands for, or a variable's name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece<'a> {
    Bytes(Vec<u8>),
    Variable(&'a str),
}

/// Resolves the escapes of `text` and finds its `${variables}`. The error is a sentence for the
/// writer of the file.
pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut found = Vec::new();
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '$']) {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("${") {
            let Some(end) = after.find('}') else {
                return Err("${ without its }: write \\$ for a dollar sign before {".into());
            };
            if !bytes.is_empty() {
                found.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            found.push(Piece::Variable(&after[..end]));
            rest = &after[end + 1..];
        } else if let Some(after) = rest.strip_prefix("\\{") {
            rest = repeat(after, &mut bytes)?;
        } else if let Some(after) = rest.strip_prefix('$') {
            bytes.push(b'$');
            rest = after;
        } else {
            rest = escape(&rest[1..], &mut bytes)?;
        }
        if bytes.len() > EXPANDED {
            return Err(format!("stands for more than {EXPANDED} bytes"));
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    if !bytes.is_empty() || found.is_empty() {
        found.push(Piece::Bytes(bytes));
    }
    Ok(found)
}

/// One escape, after its backslash; the rest of the text is returned.
fn escape<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    let mut chars = text.chars();
    let byte = match chars.next() {
        Some('r') => b'\r',
        Some('n') => b'\n',
        Some('t') => b'\t',
        Some('0') => 0,
        Some(c @ ('\\' | '$' | '*' | '{' | '}')) => c as u8,
        Some('x') => {
            let digits = text
                .get(1..3)
                .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
            let Some(byte) = digits.and_then(|d| u8::from_str_radix(d, 16).ok()) else {
                return Err("\\x needs two hexadecimal digits, as in \\x1b".into());
            };
            bytes.push(byte);
            return Ok(&text[3..]);
        }
        Some(other) => {
            return Err(format!(
                "\\{other} is no escape: the escapes are \\r \\n \\t \\0 \\xNN \\\\ \\$ and \\{{x*1024}}"
            ));
        }
        None => return Err("a backslash at the end: write \\\\ for a backslash".into()),
    };
    bytes.push(byte);
    Ok(chars.as_str())
}

/// A repetition, after its `\{`; the rest of the text is returned.
fn repeat<'a>(text: &'a str, bytes: &mut Vec<u8>) -> Result<&'a str, String> {
    const SHAPE: &str = "\\{ needs the form \\{TEXT*TIMES}";
    // The closing brace is the first that no backslash stands before.
    let mut escaped = false;
    let end = text.bytes().position(|b| {
        let closes = b == b'}' && !escaped;
        escaped = b == b'\\' && !escaped;
        closes
    });
    let (inner, rest) = match end {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => return Err(SHAPE.into()),
    };
    let (unit, times) = inner.rsplit_once('*').ok_or(SHAPE)?;
    let times: usize = times.parse().map_err(|_| SHAPE)?;
    let mut once = Vec::new();
    let mut left = unit;
    while let Some(at) = left.find('\\') {
        once.extend_from_slice(&left.as_bytes()[..at]);
        left = escape(&left[at + 1..], &mut once)?;
    }
    once.extend_from_slice(left.as_bytes());
    if once.len().saturating_mul(times) > EXPANDED {
        return Err(format!("stands for more than {EXPANDED} bytes"));
    }
    bytes.extend_from_slice(&once.repeat(times));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(text: &str) -> Vec<u8> {
        match pieces(text).unwrap().as_slice() {
            [Piece::Bytes(bytes)] => bytes.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn escapes_stand_for_their_bytes() {
        assert_eq!(bytes(r"a\r\n\t\0\x1b\\\$5 $5"), b"a\r\n\t\0\x1b\\$5 $5");
        assert_eq!(
            bytes(r"\{ab*3}-\{\}*2}-\{**2}-\{\x00*2}"),
            b"ababab-}}-**-\0\0"
        );
        assert_eq!(bytes(""), b"");
    }

    #[test]
    fn variables_stand_apart() {
        let found = pieces("cas a 0 0 1 ${u}!").unwrap();
        let expected = [Piece::Bytes(b"cas a 0 0 1 ".to_vec()), Piece::Variable("u")];
        assert_eq!(found[..2], expected);
    }

    #[test]
    fn mistakes_are_reported() {
        for wrong in [
            r"\q", r"\x1", r"\xé1", "\\", r"\{a}", r"\{a*b}", r"\{a*9", "${a",
        ] {
            assert!(pieces(wrong).is_err(), "{wrong}");
        }
        assert!(
            pieces(r"\{x*99999999999}")
                .unwrap_err()
                .contains("more than")
        );
        assert!(pieces(r"\{x*16777216}").is_ok());
        assert!(pieces(r"\{x*16777216}\{y*1}").is_err());
    }

    proptest! {
        #[test]
        fn printed_bytes_can_be_read_back(
            bytes_in in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'x'), Just(b'$'), Just(b'{')], 0..200),
            run in 0usize..80, of in any::<u8>(),
        ) {
            let mut all = bytes_in;
            all.extend(std::iter::repeat_n(of, run));
            let text = readable(&all);
            prop_assert!(text.bytes().all(|b| (b' '..=b'~').contains(&b)));
            prop_assert_eq!(bytes(&text), all);
        }
    }
}

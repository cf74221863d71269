//! The model's replies, and their comparison with the bytes of a server.

/// A reply. The fields of a hash and the keys of a database have no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status, an error or a number, with its first byte.
    Line(String),
    Bulk(String),
    Nil,
    /// The reply to a transaction that was not run.
    NilArray,
    Array(Vec<Reply>),
    /// In any order.
    Set(Vec<String>),
    /// In any order of the pairs.
    Map(Vec<(String, String)>),
}

impl Reply {
    pub(crate) fn ok() -> Reply {
        Reply::Line("+OK".into())
    }

    pub(crate) fn number(number: impl Into<i128>) -> Reply {
        Reply::Line(format!(":{}", number.into()))
    }

    pub(crate) fn error(text: impl AsRef<str>) -> Reply {
        Reply::Line(format!("-{}", text.as_ref()))
    }

    pub(crate) fn bulk(text: Option<&String>) -> Reply {
        text.map_or(Reply::Nil, |text| Reply::Bulk(text.clone()))
    }

    /// The bytes behind this reply, if they begin with it in this version of RESP.
    pub(crate) fn matched<'a>(&self, version: u8, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let line = |line: &str| bytes.strip_prefix(format!("{line}\r\n").as_bytes());
        match self {
            Reply::Line(text) => line(text),
            Reply::Bulk(text) => line(&format!("${}\r\n{text}", text.len())),
            Reply::Nil | Reply::NilArray if version == 3 => line("_"),
            Reply::Nil => line("$-1"),
            Reply::NilArray => line("*-1"),
            Reply::Array(elements) => {
                let rest = line(&format!("*{}", elements.len()))?;
                let matched = |rest, element: &Reply| element.matched(version, rest);
                elements.iter().try_fold(rest, matched)
            }
            Reply::Set(texts) => {
                let mut rest = line(&format!("*{}", texts.len()))?;
                let mut got = Vec::new();
                for _ in texts {
                    got.push(bulk(&mut rest)?);
                }
                is_same_in_any_order(got, texts.iter().map(String::as_bytes)).then_some(rest)
            }
            Reply::Map(pairs) => {
                let mut rest = match version {
                    3 => line(&format!("%{}", pairs.len()))?,
                    _ => line(&format!("*{}", 2 * pairs.len()))?,
                };
                let mut got = Vec::new();
                for _ in pairs {
                    got.push((bulk(&mut rest)?, bulk(&mut rest)?));
                }
                let pairs = pairs.iter().map(|(a, b)| (a.as_bytes(), b.as_bytes()));
                is_same_in_any_order(got, pairs).then_some(rest)
            }
        }
    }
}

fn is_same_in_any_order<T: Ord>(mut one: Vec<T>, other: impl Iterator<Item = T>) -> bool {
    let mut other: Vec<T> = other.collect();
    one.sort();
    other.sort();
    one == other
}

/// Takes a bulk string off the bytes.
pub(crate) fn bulk<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = header(bytes, b'$')?;
    let text = bytes.get(..length)?;
    *bytes = bytes.get(length..)?.strip_prefix(b"\r\n")?;
    Some(text)
}

/// Takes the line of a length off the bytes.
pub(crate) fn header(bytes: &mut &[u8], kind: u8) -> Option<usize> {
    let rest = bytes.strip_prefix(&[kind])?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    let length = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    *bytes = &rest[end + 2..];
    Some(length)
}

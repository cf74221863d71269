//! `getch`: the names of an item's children, as a JSON array.
//!
//! JSON is Unicode, names are bytes. A name that is UTF-8 stands in the array as it is, with the
//! escapes that JSON asks for. A byte that is not part of any character in UTF-8 is written as the
//! escape `\udcXX`, `XX` being the byte in hexadecimal: a lone surrogate, which no valid text
//! contains, so that every list reads back to exactly one list of names. Python does the same under
//! the name `surrogateescape`.

use crate::protocol::memcached::text::{Words, reply};
use crate::store::{Node, Tree};

use super::context::{TurnContext, with_path};
use super::operations::DATABASE;

/// The largest array, in bytes, that is put together for one answer; the list of an item with more
/// children is an error. It is built under the lock of its tree and held until the client has read
/// it, so it needs a bound.
const LISTING_LIMIT: usize = 16 * 1024 * 1024;

impl TurnContext<'_> {
    /// `false` if there is no memory for the reply; then nothing is done.
    pub(super) fn children(&mut self, path: Words<'_>) -> bool {
        let key = path.clone().next().unwrap_or_default();
        if self.operations.is_elsewhere(key) {
            self.refuse_elsewhere("getch");
            return true;
        }
        let listing = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let node = tree.find(DATABASE, names)?;
            Some(list(&mut tree, node))
        });
        match listing {
            None => {}
            Some(Ok(json)) if !self.output.has_memory(json.len()) => return false,
            Some(Ok(json)) => reply::value(self.output.bytes, path, 0, &json, None),
            Some(Err(TooLarge)) => {
                self.output.reply(false, reply::LISTING_TOO_LARGE);
                return true;
            }
        }
        self.output.push(reply::END);
        true
    }
}

/// The array would be larger than [`LISTING_LIMIT`].
struct TooLarge;

fn list(tree: &mut Tree<'_>, node: Node) -> Result<Vec<u8>, TooLarge> {
    let mut json = vec![b'['];
    for position in 0..tree.child_count(node) {
        let Some(child) = tree.child_at(node, position) else {
            break;
        };
        if position > 0 {
            json.push(b',');
        }
        string(&mut json, tree.item(child).key());
        if json.len() > LISTING_LIMIT {
            return Err(TooLarge);
        }
    }
    json.push(b']');
    Ok(json)
}

/// Appends a name as a JSON string.
fn string(json: &mut Vec<u8>, name: &[u8]) {
    json.push(b'"');
    for chunk in name.utf8_chunks() {
        for &byte in chunk.valid().as_bytes() {
            match byte {
                b'"' | b'\\' => json.extend_from_slice(&[b'\\', byte]),
                0..0x20 | 0x7f => escape(json, u16::from(byte)),
                _ => json.push(byte),
            }
        }
        for &byte in chunk.invalid() {
            escape(json, 0xdc00 + u16::from(byte));
        }
    }
    json.push(b'"');
}

fn escape(json: &mut Vec<u8>, unit: u16) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    json.extend_from_slice(b"\\u");
    for shift in [12, 8, 4, 0] {
        json.push(DIGITS[usize::from(unit >> shift & 0xf)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_so_that_they_read_back() {
        let table: &[(&[u8], &str)] = &[
            (b"name", r#""name""#),
            (b"", r#""""#),
            (br#"a"b\c"#, r#""a\"b\\c""#),
            (b"a\tb\x00\x7f", r#""a\u0009b\u0000\u007f""#),
            ("größe".as_bytes(), "\"größe\""),
            (b"\xff", r#""\udcff""#),
            (b"a\xc3", r#""a\udcc3""#),
            (b"\xe2\x82z", r#""\udce2\udc82z""#),
            // A surrogate written in UTF-8 is not UTF-8.
            (b"\xed\xa0\x80", r#""\udced\udca0\udc80""#),
        ];
        for (name, expected) in table {
            let mut json = Vec::new();
            string(&mut json, name);
            assert_eq!(String::from_utf8_lossy(&json), *expected);
        }
    }
}

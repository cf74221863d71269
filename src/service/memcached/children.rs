//! `getch`: the names of an item's children, as a JSON array.
//!
//! JSON is Unicode, names are bytes. A name that is UTF-8 is in the array as it is, with the
//! escapes that JSON requires. A byte that is not part of any character in UTF-8 is written as the
//! escape `\udcXX`, `XX` being the byte in hexadecimal: a lone surrogate, which no valid text
//! contains, so that every list reads back to exactly one list of names. Python does the same under
//! the name `surrogateescape`.
//!
//! ```text
//!   getch big ─▶ first piece ─▶ Next::Continue ─▶ piece ─▶ … ─▶ last piece: the list is whole ─▶ sent in parts
//! ```
//!
//! A long list is read in pieces: see [`ChildrenRead`]. The command stays in the connection's input, and runs again in each turn,
//! until all names are read. Between two pieces no lock is held and the other connections have their turns. A list is made at once,
//! whatever its size, for a datagram, and by a command whose item was replaced by another one again and again.

use std::time::{Duration, Instant};

use crate::protocol::memcached::text::{Words, reply};
use crate::service::kept_reply::KeptReply;
use crate::service::large_read::{LargeRead, PastReads};
use crate::store::{ChildrenRead, Node, ReadState, Tree};

use super::context::{TurnContext, with_path};
use super::large_listing::LargeListing;
use super::operations::DATABASE;
use super::step::ReadProgress;

/// The largest array, in bytes, that is put together for one answer; the list of an item with more
/// children is an error. It is held until the client has read it, so it needs a bound.
const LISTING_LIMIT: usize = 16 * 1024 * 1024;
/// Children that are listed at once.
const SMALL: usize = 512;
/// The end of a reply with such a list.
const LISTING_END: &[u8] = b"]\r\nEND\r\n";
/// Bytes of such a list after which it is begun again, in pieces.
const SMALL_LISTING: usize = 64 << 10;

impl TurnContext<'_> {
    /// Puts the next part of a long list into the output. Returns whether the turn ends with it.
    pub(super) fn sends_listing(&mut self) -> bool {
        match self.large.as_deref_mut() {
            Some(LargeListing::Sending(reply)) => {
                if reply.send(self.output.bytes) {
                    self.large = None;
                    return false;
                }
                true
            }
            _ => false,
        }
    }

    /// Counts the time of the pieces that were done in earlier turns.
    fn count_earlier(&mut self, time: Duration) {
        self.earlier = time;
        self.commands.add_earlier(time);
    }

    /// `getch`: the names of the children of the item at a path.
    pub(super) fn children(&mut self, path: Words<'_>) -> ReadProgress {
        let begun = self.large.take();
        let mut words = path;
        let key = words.next().unwrap_or_default();
        if self.operations.is_elsewhere(key) {
            self.refuse_elsewhere("getch");
            return ReadProgress::Done;
        }
        with_path(path, |names| {
            if let Some(LargeListing::Reading(listing)) = begun.map(|begun| *begun) {
                return self.go_on(listing, path, names);
            }
            let mut tree = self.shared.store.lock(DATABASE, names[0]);
            let node = tree.find(names);
            self.list((tree, node), path, names, PastReads::default())
        })
    }

    /// Lists the children of a node, or begins to.
    fn list(
        &mut self,
        (mut tree, node): (Tree<'_>, Option<Node>),
        path: Words<'_>,
        names: &[&[u8]],
        past: PastReads,
    ) -> ReadProgress {
        let Some(node) = node else {
            self.output.push(reply::END);
            return ReadProgress::Done;
        };
        let in_pieces = !self.input_is_whole && past.may_begin_another();
        if !in_pieces || tree.listed_children(node) <= SMALL {
            let limit = match self.input_is_whole {
                _ if in_pieces => SMALL_LISTING,
                true => self.output.limit,
                false => LISTING_LIMIT,
            };
            let json = list(&mut tree, node, limit);
            if json.is_some() || !in_pieces {
                drop(tree);
                return self.answer_list(path, json.as_deref());
            }
        }
        let children = tree.begin_children_read(node);
        drop(tree);
        self.go_on(LargeRead::new(children, past), path, names)
    }

    /// Answers a list that was made at once; `None` is one that is too long.
    fn answer_list(&mut self, path: Words<'_>, json: Option<&[u8]>) -> ReadProgress {
        match json {
            // The datagram is refused.
            None if self.input_is_whole => return ReadProgress::NoMemory,
            None => self.output.reply(false, reply::LISTING_TOO_LARGE),
            Some(json) if !self.output.has_memory(json.len()) => return ReadProgress::NoMemory,
            Some(json) => {
                reply::value(self.output.bytes, path, 0, json, None);
                self.output.push(reply::END);
            }
        }
        ReadProgress::Done
    }

    /// Reads the next piece of a list.
    fn go_on(&mut self, mut listing: LargeRead, path: Words<'_>, names: &[&[u8]]) -> ReadProgress {
        let began = Instant::now();
        let mut tree = self.shared.store.lock(DATABASE, names[0]);
        let state = tree.read_children(&mut listing.children, names, |json, child| {
            json.push(b',');
            string(json, child.key());
        });
        if state == ReadState::Gone {
            self.count_earlier(listing.past.time);
            let node = tree.peek(names);
            return self.list((tree, node), path, names, listing.past);
        }
        drop(tree);
        if listing.children.collected_bytes() > LISTING_LIMIT {
            self.count_earlier(listing.past.time);
            return self.answer_list(path, None);
        }
        if !self.output.has_memory(listing.children.bytes()) {
            return ReadProgress::NoMemory;
        }
        if state == ReadState::Partial {
            listing.add_piece(began);
            self.large = Some(Box::new(LargeListing::Reading(listing)));
            return ReadProgress::Unfinished;
        }
        self.count_earlier(listing.past.time);
        let reply = listing_reply(listing.children, path);
        self.large = Some(Box::new(LargeListing::Sending(reply)));
        ReadProgress::Done
    }
}

/// The reply with the names that were read, each of which has a comma in front.
fn listing_reply(children: ChildrenRead, path: Words<'_>) -> KeptReply {
    let mut head = Vec::new();
    reply::value_line(&mut head, path, 0, children.collected_bytes() + 1, None);
    let mut pages = children.into_pages();
    let first = pages.iter_mut().find_map(|page| page.first_mut());
    if let Some(comma) = first {
        *comma = b'[';
    }
    KeptReply::new(head, pages).with_tail(LISTING_END)
}

/// The names of a node's children; `None` if the array would be longer than the limit, about.
fn list(tree: &mut Tree<'_>, node: Node, limit: usize) -> Option<Vec<u8>> {
    let mut json = vec![b'['];
    for position in 0..tree.child_count(node) {
        let Some(child) = tree.child_at(node, position) else {
            break;
        };
        if position > 0 {
            json.push(b',');
        }
        string(&mut json, tree.item(child).key());
        if json.len() > limit {
            return None;
        }
    }
    json.push(b']');
    Some(json)
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

//! Lists of keys: `lru_crawler metadump`, `lru_crawler mgdump` and `stats cachedump`.
//!
//! ```text
//!   Session: InputStart::Dump ─▶ dump_piece ─▶ Store::scan, some items under one shard's lock ─▶ lines
//!                 ▲                │
//!                 └── cursor ──────┘   the turn ends when the output is full; the next one continues
//!                                      when the client has read it
//! ```
//!
//! A list is a walk over the store in pieces. Between two pieces no lock is held and only a cursor is
//! kept, so that a list of any length delays no other client. An item that is stored throughout is listed;
//! one that is added or removed meanwhile may be listed.
//!
//! The keys are those that memcached's commands can name: items with a value at the top level, with a key
//! of at most [`KEY_LIMIT`] bytes. A key with a space or a line feed is named by meta commands in base64, so it is
//! in the lists of `lru_crawler` if it is short enough for that. Nested keys are listed by `getch`.
//!
//! memcached has classes of items by size. larder has one, number 1, and the lists of the others are
//! empty. Cost: a piece is a look at [`PIECE`] items, and at free slots between them.

use std::io::Write;

use crate::protocol::memcached::text::meta::base64;
use crate::protocol::memcached::text::{KEY_LIMIT, Words, parse_number, reply};
use crate::store::Item;

use super::context::TurnContext;
use super::operations::DATABASE;

/// Items, or so, that are looked at under one lock.
const PIECE: usize = 256;

/// Classes that memcached may have, numbered from 1; a larger number is an error.
const CLASSES: u32 = 63;

/// The format of a list's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DumpFormat {
    /// `key=… exp=… la=… cas=… fetch=… cls=… size=… flags=…`.
    Metadump,
    /// `mg KEY`, or with the key in base64 `mg KEY b`.
    Mgdump,
    /// `ITEM KEY [… b; … s]`.
    Cachedump,
}

/// A list that is being written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dump {
    format: DumpFormat,
    cursor: u64,
    /// The number of items that may still be listed.
    left: u32,
}

impl TurnContext<'_> {
    /// `lru_crawler metadump CLASSES` and `lru_crawler mgdump CLASSES`. larder has no crawler, so the other
    /// orders to one are errors.
    pub(super) fn lru_crawler(&mut self, mut words: Words<'_>) -> Option<Dump> {
        let format = match words.next() {
            Some(b"metadump") => DumpFormat::Metadump,
            Some(b"mgdump") => DumpFormat::Mgdump,
            _ => return self.refuse_dump(reply::ERROR),
        };
        let Some(classes) = words.single() else {
            return self.refuse_dump(reply::ERROR);
        };
        let has_items = match classes {
            b"all" | b"hash" => true,
            list => {
                let classes: Option<Vec<u32>> = list
                    .split(|byte| *byte == b',')
                    .map(|class| parse_number(class).filter(|class| (1..=CLASSES).contains(class)))
                    .collect();
                match classes {
                    Some(classes) => classes.contains(&1),
                    None => return self.refuse_dump(reply::BAD_CLASS),
                }
            }
        };
        self.output.push(reply::OK);
        self.begin_dump(format, if has_items { u32::MAX } else { 0 })
    }

    /// `stats cachedump CLASS LIMIT`; a limit of 0 is none.
    pub(super) fn cachedump(&mut self, mut words: Words<'_>) -> Option<Dump> {
        if words.count_up_to(2) < 2 {
            return self.refuse_dump(reply::BAD_LINE);
        }
        let mut number = || words.next().and_then(parse_number);
        let (Some(class), Some(limit)) = (number(), number()) else {
            return self.refuse_dump(reply::BAD_FORMAT);
        };
        let left = match (class, limit) {
            (class, _) if class > CLASSES => return self.refuse_dump(reply::ILLEGAL_CLASS),
            (1, 0) => u32::MAX,
            (1, limit) => limit,
            _ => 0,
        };
        self.begin_dump(DumpFormat::Cachedump, left)
    }

    fn refuse_dump(&mut self, reply: &[u8]) -> Option<Dump> {
        self.output.push(reply);
        None
    }

    fn begin_dump(&mut self, format: DumpFormat, left: u32) -> Option<Dump> {
        Some(Dump {
            format,
            cursor: 0,
            left,
        })
    }

    /// Writes the next piece of a list; `None` when that was the last one.
    pub(super) fn dump_piece(&mut self, mut dump: Dump) -> Option<Dump> {
        if dump.left > 0 {
            let out = &mut *self.output.bytes;
            dump.cursor = self
                .shared
                .store
                .scan(DATABASE, dump.cursor, PIECE, |item| {
                    if dump.left > 0 && dump.format.lists(item.key()) && item.value().is_some() {
                        dump.left -= 1;
                        write_item(out, dump.format, item);
                    }
                });
            if dump.left > 0 && dump.cursor != 0 {
                return Some(dump);
            }
        }
        self.output.push(match dump.format {
            DumpFormat::Mgdump => reply::META_END,
            DumpFormat::Metadump | DumpFormat::Cachedump => reply::END,
        });
        None
    }
}

impl DumpFormat {
    /// Whether a key is in a list of this format. A Redis client may have stored keys that no command can name.
    fn lists(self, key: &[u8]) -> bool {
        match self {
            DumpFormat::Cachedump => is_plain(key),
            DumpFormat::Metadump | DumpFormat::Mgdump => {
                is_plain(key) || (1..=base64::LONGEST_KEY).contains(&key.len())
            }
        }
    }
}

/// Whether a line of the text protocol can contain the key as it is.
fn is_plain(key: &[u8]) -> bool {
    (1..=KEY_LIMIT).contains(&key.len()) && !key.iter().any(|byte| matches!(byte, b' ' | b'\n'))
}

fn write_item(out: &mut Vec<u8>, format: DumpFormat, item: &Item<'_>) {
    let seconds = item.expires_ms().map(|expires_ms| expires_ms / 1000);
    // Writing to a Vec can't fail.
    match format {
        DumpFormat::Metadump => {
            out.extend_from_slice(b"key=");
            uri_encode(out, item.key());
            let _ = match seconds {
                Some(seconds) => write!(out, " exp={seconds}"),
                None => write!(out, " exp=-1"),
            };
            let _ = writeln!(
                out,
                " la={} cas={} fetch={} cls=1 size={} flags={} ",
                item.last_access_ms() / 1000,
                item.cas(),
                if item.is_fetched() { "yes" } else { "no" },
                item.size(),
                item.flags(),
            );
        }
        DumpFormat::Mgdump => {
            out.extend_from_slice(b"mg ");
            if is_plain(item.key()) {
                out.extend_from_slice(item.key());
            } else {
                base64::encode(item.key(), out);
                out.extend_from_slice(b" b");
            }
            out.extend_from_slice(b"\r\n");
        }
        DumpFormat::Cachedump => {
            let length = item.value().map_or(0, <[u8]>::len);
            out.extend_from_slice(b"ITEM ");
            out.extend_from_slice(item.key());
            let _ = write!(out, " [{length} b; {} s]\r\n", seconds.unwrap_or(0));
        }
    }
}

/// Appends a key with `%XX` for every byte that may not stand in a URI.
fn uri_encode(out: &mut Vec<u8>, key: &[u8]) {
    for &byte in key {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
            _ => {
                // Writing to a Vec can't fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

//! The records of a snapshot: items into bytes and back. Pure: no files, no store, no clock.
//!
//! ```text
//!  item  1 │ fields │ db │ cas │ depth? │ expiry? │ flags? │ key length │ value length? │ key │ value
//!        1   1        1    8     4        8         4        4            4
//!  begin 3 │ number of items
//!        1   8
//!  end   2 │ next cas │ time of the end │ databases │ flushes, 0 for none
//!        1   8          8                 16          16 × 8
//! ```
//!
//! The begin is the first record. Its number is that of the store when the snapshot was begun, and only prepares for the items.
//!
//! `fields` says which of the optional fields are there, and has the marks of the item but one. The highest bit of the database is set
//! if the item was fetched from an origin.

use crate::store::{DATABASES, Marks, SavedItem, StoreState};

const ITEM: u8 = 1;
const END: u8 = 2;
const BEGIN: u8 = 3;

const HAS_VALUE: u8 = 1 << 0;
const HAS_EXPIRY: u8 = 1 << 1;
const HAS_FLAGS: u8 = 1 << 2;
const HAS_DEPTH: u8 = 1 << 3;
const STALE: u8 = 1 << 4;
const WON: u8 = 1 << 5;
const BASE64_KEY: u8 = 1 << 6;
const FETCHED: u8 = 1 << 7;

/// In the byte of the database.
const FROM_ORIGIN: u8 = 1 << 7;

/// The last record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(super) state: StoreState,
    /// The wall clock when the last item had been written.
    pub(super) ended_ms: u64,
}

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Record<'a> {
    Begin(u64),
    Item(SavedItem<'a>),
    End(Box<Ending>),
}

/// The bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends the begin.
pub(super) fn encode_begin(items: u64, out: &mut Vec<u8>) {
    out.push(BEGIN);
    out.extend_from_slice(&items.to_le_bytes());
}

/// Appends an item without the bytes of its value, which follow it.
pub(super) fn encode_head(item: &SavedItem<'_>, out: &mut Vec<u8>) {
    let mut fields = 0;
    for (bit, set) in [
        (HAS_VALUE, item.value.is_some()),
        (HAS_EXPIRY, item.expires_ms.is_some()),
        (HAS_FLAGS, item.flags != 0),
        (HAS_DEPTH, item.depth != 0),
        (STALE, item.marks.stale),
        (WON, item.marks.won),
        (BASE64_KEY, item.marks.base64_key),
        (FETCHED, item.is_fetched),
    ] {
        if set {
            fields |= bit;
        }
    }
    let db = match item.marks.from_origin {
        true => item.db | FROM_ORIGIN,
        false => item.db,
    };
    out.extend_from_slice(&[ITEM, fields, db]);
    out.extend_from_slice(&item.cas.to_le_bytes());
    if item.depth != 0 {
        out.extend_from_slice(&length(item.depth));
    }
    if let Some(expires_ms) = item.expires_ms {
        out.extend_from_slice(&expires_ms.to_le_bytes());
    }
    if item.flags != 0 {
        out.extend_from_slice(&item.flags.to_le_bytes());
    }
    out.extend_from_slice(&length(item.key.len()));
    if let Some(value) = item.value {
        out.extend_from_slice(&length(value.len()));
    }
    out.extend_from_slice(item.key);
}

/// Keys and values are far below 4 GiB, and no path has so many keys.
fn length(length: usize) -> [u8; 4] {
    (length as u32).to_le_bytes()
}

/// Appends the end.
pub(super) fn encode_end(ending: &Ending, out: &mut Vec<u8>) {
    out.push(END);
    out.extend_from_slice(&ending.state.next_cas.to_le_bytes());
    out.extend_from_slice(&ending.ended_ms.to_le_bytes());
    out.extend_from_slice(&ending.state.databases);
    for flush in ending.state.flushes {
        out.extend_from_slice(&flush.unwrap_or(0).to_le_bytes());
    }
}

/// The first record of `bytes` and its length; `None` if more bytes are needed.
pub(super) fn decode(bytes: &[u8]) -> Result<Option<(Record<'_>, usize)>, Malformed> {
    let mut fields = Fields { rest: bytes };
    let record = match fields.bytes() {
        None => return Ok(None),
        Some([ITEM]) => fields.item()?.map(Record::Item),
        Some([BEGIN]) => fields.number().map(Record::Begin),
        Some([END]) => fields.end()?.map(Box::new).map(Record::End),
        Some(_) => return Err(Malformed),
    };
    Ok(record.map(|record| (record, bytes.len() - fields.rest.len())))
}

/// The bytes that have not been read yet.
struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn slice(&mut self, length: u32) -> Option<&'a [u8]> {
        let (slice, rest) = self.rest.split_at_checked(length as usize)?;
        self.rest = rest;
        Some(slice)
    }

    fn item(&mut self) -> Result<Option<SavedItem<'a>>, Malformed> {
        let Some(item) = self.read_item() else {
            return Ok(None);
        };
        if item.db >= DATABASES {
            return Err(Malformed);
        }
        Ok(Some(item))
    }

    fn read_item(&mut self) -> Option<SavedItem<'a>> {
        let [fields, db] = self.bytes()?;
        let has = |bit: u8| fields & bit != 0;
        let cas = self.number()?;
        let depth = if has(HAS_DEPTH) { self.short()? } else { 0 };
        let expires_ms = if has(HAS_EXPIRY) {
            Some(self.number()?)
        } else {
            None
        };
        let flags = if has(HAS_FLAGS) { self.short()? } else { 0 };
        let key = self.short()?;
        let value = if has(HAS_VALUE) {
            Some(self.short()?)
        } else {
            None
        };
        Some(SavedItem {
            depth: depth as usize,
            db: db & !FROM_ORIGIN,
            key: self.slice(key)?,
            value: match value {
                Some(length) => Some(self.slice(length)?),
                None => None,
            },
            flags,
            expires_ms,
            cas,
            marks: Marks {
                stale: has(STALE),
                won: has(WON),
                base64_key: has(BASE64_KEY),
                from_origin: db & FROM_ORIGIN != 0,
            },
            is_fetched: has(FETCHED),
        })
    }

    fn end(&mut self) -> Result<Option<Ending>, Malformed> {
        let Some(ending) = self.read_end() else {
            return Ok(None);
        };
        // Each database is behind one number.
        let behind = ending.state.databases.iter().map(|db| 1 << (db & 15));
        if behind.fold(0, |all, db| all | db) != u32::from(u16::MAX)
            || ending.state.databases.iter().any(|db| *db >= DATABASES)
        {
            return Err(Malformed);
        }
        Ok(Some(ending))
    }

    fn read_end(&mut self) -> Option<Ending> {
        let (next_cas, ended_ms) = (self.number()?, self.number()?);
        let databases = self.bytes()?;
        let mut flushes = [None; DATABASES as usize];
        for flush in &mut flushes {
            *flush = Some(self.number()?).filter(|when_ms| *when_ms != 0);
        }
        let state = StoreState {
            next_cas,
            databases,
            flushes,
        };
        Some(Ending { state, ended_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_of_fields_reads_back_and_no_part_of_it_does() {
        for mask in 0..=255u8 {
            let has = |bit: u8| mask & bit != 0;
            let item = SavedItem {
                depth: if has(HAS_DEPTH) { 70_000 } else { 0 },
                db: mask % 16,
                key: b"the key",
                value: has(HAS_VALUE).then_some(b"the value"),
                flags: if has(HAS_FLAGS) { u32::MAX } else { 0 },
                expires_ms: has(HAS_EXPIRY).then_some(u64::MAX),
                cas: u64::MAX - 1,
                marks: Marks {
                    stale: has(STALE),
                    won: has(WON),
                    base64_key: has(BASE64_KEY),
                    from_origin: mask % 3 == 0,
                },
                is_fetched: has(FETCHED),
            };
            let mut bytes = Vec::new();
            encode_head(&item, &mut bytes);
            bytes.extend_from_slice(item.value.unwrap_or_default());
            let whole = bytes.len();
            for length in 0..whole {
                assert_eq!(decode(&bytes[..length]), Ok(None));
            }
            bytes.push(END);
            assert_eq!(decode(&bytes), Ok(Some((Record::Item(item), whole))));
        }
    }

    #[test]
    fn an_end_reads_back_and_databases_that_are_not_all_there_do_not() {
        let mut databases: [u8; 16] = std::array::from_fn(|db| db as u8);
        databases.swap(3, 9);
        let mut flushes = [None; 16];
        flushes[3] = Some(1_700_000_000_000);
        let ending = Ending {
            state: StoreState {
                next_cas: 77,
                databases,
                flushes,
            },
            ended_ms: 1_800_000_000_000,
        };
        let mut bytes = Vec::new();
        encode_end(&ending, &mut bytes);
        let whole = bytes.len();
        for length in 0..whole {
            assert_eq!(decode(&bytes[..length]), Ok(None));
        }
        assert_eq!(
            decode(&bytes),
            Ok(Some((Record::End(Box::new(ending)), whole)))
        );
        for wrong in [0, 16, 255] {
            bytes[17 + 15] = wrong;
            assert_eq!(decode(&bytes), Err(Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_begin_reads_back() {
        let mut bytes = Vec::new();
        encode_begin(u64::MAX, &mut bytes);
        assert_eq!(decode(&bytes[..8]), Ok(None));
        assert_eq!(decode(&bytes), Ok(Some((Record::Begin(u64::MAX), 9))));
    }

    #[test]
    fn other_bytes_are_no_record() {
        for kind in [0, 4, b'l', 255] {
            assert_eq!(decode(&[kind, 0, 0]), Err(Malformed));
        }
        let mut bytes = Vec::new();
        let item = SavedItem {
            db: 16,
            ..SavedItem::default()
        };
        encode_head(&item, &mut bytes);
        assert_eq!(decode(&bytes), Err(Malformed));
    }
}

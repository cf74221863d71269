//! A store's items into a snapshot.

use std::io::{self, Write};

use super::blocks::{BLOCK, BlockWriter};
use super::format::{Ending, encode_begin, encode_end, encode_head};
use super::time_shift::TimeShift;
use crate::store::{SavedItem, SharedValue, Store, Walk};

/// Bytes that are copied under one lock, or so: some ten microseconds.
const PIECE: usize = BLOCK / 4;

/// The size of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Items at any depth.
    pub(crate) items: u64,
    pub(crate) bytes: u64,
}

/// The items of one piece of the walk, as bytes.
#[derive(Default)]
struct Piece {
    bytes: Vec<u8>,
    /// Large values, and where in `bytes` each of them belongs.
    values: Vec<(usize, SharedValue)>,
    items: u64,
}

impl Piece {
    /// Adds an item, and returns whether there is room for more.
    fn add(&mut self, item: &SavedItem<'_>, large: Option<SharedValue>) -> bool {
        encode_head(item, &mut self.bytes);
        self.items += 1;
        match large {
            Some(value) => {
                self.values.push((self.bytes.len(), value));
                false
            }
            None => {
                self.bytes.extend_from_slice(item.value.unwrap_or_default());
                self.bytes.len() < PIECE
            }
        }
    }

    /// Writes the items, and forgets them.
    fn write_to<W: Write>(&mut self, blocks: &mut BlockWriter<W>) -> io::Result<()> {
        let mut written = 0;
        for (at, value) in self.values.drain(..) {
            blocks.write(&self.bytes[written..at])?;
            blocks.write(value.as_ref())?;
            written = at;
        }
        blocks.write(&self.bytes[written..])?;
        self.bytes.clear();
        Ok(())
    }
}

/// Writes all items. `after_piece` is called between two pieces, when no lock is held; its error ends the write.
pub(crate) fn write(
    store: &Store,
    to: impl Write,
    mut after_piece: impl FnMut() -> io::Result<()>,
) -> io::Result<Written> {
    let mut blocks = BlockWriter::begin(to)?;
    let clock = store.clock();
    let to_wall = TimeShift::between(clock.now_ms(), clock.wall_ms());
    let mut walk = Walk::default();
    let mut piece = Piece::default();
    encode_begin(store.stats().items, &mut piece.bytes);
    loop {
        let more = store.walk(&mut walk, |item, large| {
            let expires_ms = item.expires_ms.map(|when_ms| to_wall.shift(when_ms));
            piece.add(
                &SavedItem {
                    expires_ms,
                    ..*item
                },
                large,
            )
        });
        piece.write_to(&mut blocks)?;
        if !more {
            break;
        }
        after_piece()?;
    }
    let mut state = store.state();
    state.flushes = state
        .flushes
        .map(|due| due.map(|when_ms| to_wall.shift(when_ms)));
    let ending = Ending {
        state,
        ended_ms: clock.wall_ms(),
    };
    encode_end(&ending, &mut piece.bytes);
    piece.write_to(&mut blocks)?;
    Ok(Written {
        items: piece.items,
        bytes: blocks.finish()?,
    })
}

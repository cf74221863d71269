//! The items of a snapshot, one after another.

use std::io::Read;

use super::blocks::{BlockReader, Unreadable};
use super::format::{Ending, Record, decode};
use crate::store::SavedItem;

/// A part of a snapshot.
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// The number of items, about; it comes first, or not at all.
    Begin(u64),
    Item(&'a SavedItem<'a>),
}

/// Shows `each` every item of a snapshot, in the order of the file, and returns its end. Times are those of the wall clock.
/// An item has at most one key more than the one before it.
///
/// An error may come after any number of items. The memory is that of one block and the largest item.
pub(crate) fn read(from: impl Read, mut each: impl FnMut(Part<'_>)) -> Result<Ending, Unreadable> {
    let mut blocks = BlockReader::begin(from)?;
    let mut bytes = Vec::new();
    let (mut deepest, mut is_first) = (0, true);
    loop {
        let is_last = blocks.next(&mut bytes)?;
        let mut read = 0;
        while let Some((record, length)) = decode(&bytes[read..]).map_err(|_| blocks.damaged())? {
            read += length;
            match record {
                Record::Item(item) if item.depth <= deepest => {
                    deepest = item.depth + 1;
                    each(Part::Item(&item));
                }
                Record::Begin(items) if is_first => each(Part::Begin(items)),
                Record::End(ending) if is_last && read == bytes.len() => return Ok(*ending),
                Record::Begin(_) | Record::Item(_) | Record::End(_) => {
                    return Err(blocks.damaged());
                }
            }
            is_first = false;
        }
        if is_last {
            return Err(blocks.damaged());
        }
        bytes.drain(..read);
    }
}

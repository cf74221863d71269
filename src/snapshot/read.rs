//! The items of a snapshot, one after another.

use std::io::Read;

use super::blocks::{BlockReader, Unreadable};
use super::format::{Ending, Record, decode};
use crate::store::SavedItem;

/// Shows `each` every item of a snapshot, in the order of the file, and returns its end. Times are those of the wall clock.
/// An item has at most one key more than the one before it.
///
/// An error may come after any number of items. The memory is that of one block and the largest item.
pub(crate) fn read(
    from: impl Read,
    mut each: impl FnMut(&SavedItem<'_>),
) -> Result<Ending, Unreadable> {
    let mut blocks = BlockReader::begin(from)?;
    let mut bytes = Vec::new();
    let mut deepest = 0;
    loop {
        let is_last = blocks.next(&mut bytes)?;
        let mut read = 0;
        while let Some((record, length)) = decode(&bytes[read..]).map_err(|_| blocks.damaged())? {
            read += length;
            match record {
                Record::Item(item) if item.depth <= deepest => {
                    deepest = item.depth + 1;
                    each(&item);
                }
                Record::End(ending) if is_last && read == bytes.len() => return Ok(*ending),
                Record::Item(_) | Record::End(_) => return Err(blocks.damaged()),
            }
        }
        if is_last {
            return Err(blocks.damaged());
        }
        bytes.drain(..read);
    }
}

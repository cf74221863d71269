//! Snapshots: all items of a store in a file, so that a restart begins with a warm cache.
//!
//! ```text
//!  write:  Store::walk ─▶ records ─▶ blocks with checksums ─▶ FILE.writing ─▶ fsync ─▶ renamed to FILE ─▶ fsync of the directory
//!          a piece under      256 KiB each                     `replace_file`
//!          one shard's lock
//!
//!  load:   FILE ─▶ blocks, each checked ─▶ records ─▶ Restorer ─▶ store
//! ```
//!
//! In reading order: [`mod@format`] is the records, [`blocks`] the blocks around them; [`mod@write`], [`mod@read`] and
//! [`mod@load`] connect both with the store; [`mod@file`] puts a new file in the place of the old one; [`Saver`] is the part
//! of a server that writes: when it is asked to, at intervals, and at the end.
//!
//! # The format
//!
//! ```text
//!  file    "larder snapshot\n" │ version │ block │ block │ … │ last block          integers are little-endian
//!          16 bytes              4
//!  block   length, 1 << 31 for the last │ CRC-32 of number, length, payload │ payload
//!          4                              4                                   at most 256 KiB
//!  record  3: the begin │ 1: an item │ 2: the end, with the state of the store
//! ```
//!
//! The payloads one after another are the records. A record may begin in one block and end in another. An item has its depth and its own
//! key: the item before it with a depth that is smaller by one is its parent. The last record is the end, and behind its
//! block the file ends. So a file that was cut at any byte has no end, and a changed bit, a block that is missing, repeated or
//! at another place has a wrong checksum.
//!
//! # Invariants
//!
//! - FILE is a whole snapshot at any time: a failed write leaves the old one.
//! - Nothing is allocated by a length that the file only announces, except for the hash tables: up to a twentieth of the store's memory
//!   by the number of items. A block has at most 256 KiB, and a value takes memory as
//!   its blocks are read.
//! - Times are those of the wall clock, so the time during which no server runs counts for lifetimes. If the store's own clock
//!   differs from the wall clock when a snapshot is written or loaded, the difference is added.
//! - CAS numbers of items stay. Later changes get higher ones, also if there were more changes after the snapshot: up to
//!   200,000 a second.
//! - A snapshot is not taken at one moment; [`Walk`](crate::store::Walk) says what it may mix.
//!
//! Not kept: the last access of items and their place in the order of eviction, and counters.
//!
//! Cost of a write: a copy of each small value, its checksum, and a write of 256 KiB; the memory for two blocks and the largest
//! piece. Of a load: the same, and a write to the store for each item; the memory for a block and the largest item.

mod blocks;
mod file;
mod format;
mod load;
mod read;
mod saver;
mod status;
#[cfg(test)]
mod tests;
mod time_shift;
mod write;

pub(crate) use read::{Part, read};
pub(crate) use saver::{SaveError, Saver};
#[cfg(all(feature = "internals", feature = "program"))]
pub(crate) use {blocks::BlockWriter, load::load, write::write};

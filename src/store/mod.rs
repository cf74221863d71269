//! The embedded cache.
//!
//! ```text
//!            ┌ Store ────────────────────────────────────────────────────────────────┐
//!  lock(db,  │  hash of the top-level key names                                      │
//!    key) ─▶ │  ┌ Shard ┐ ┌ Shard ┐ ┌ Shard ┐ …  each behind a Mutex; a Tree is its   │
//!   Tree     │  │ table │ │       │ │       │    guard                                │
//!            │  │ slab  │ │       │ │       │                                         │
//!            │  │ order │ │       │ │       │    used ≤ memory, counted over all      │
//!            │  └───────┘ └───────┘ └───────┘                                         │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! In reading order: [`Store`], in `shards`, is all of it, `counts` its figures; [`Store::lock`] gives a [`Tree`], through
//! which items are read and written ([`Entry`] in, [`Item`] out); `shard` is the part that a lock guards, in which `shard/detached` has large trees that were removed, and `shard/flushed` flushed items, until they are freed, as `pending_removals` notes, and `emptied_memory` the buffers of a flushed shard; `slab`, `slot`, `slots`, `record` and
//! `record_log` are the layout of an item in memory, and `pages` maps that memory; `reservation` is a large value on its way in, `shared_value` one on its way out; `hash_table`
//! finds items, `child_lists` is the tree; `eviction` and `ghost` are the order of eviction in a shard, `make_room` chooses the shard, and `when_full` is the store that refuses instead; `look_ahead` brings several items into the caches; `tree/children_read` and `ongoing_reads` read all children of an item in pieces, and `tree/copying` and `ongoing_copies` copy a tree; `flush`, `scan` and `sweep` go over the whole store; `walk` shows all of it for a snapshot, and `restore` puts it back; `watch` notifies
//! clients of changes; `tree/rename` gives a tree another name, `placements` remembers where it stays, and `shard_choice` finds it there; `tree/lease` protects a path from values that are out of date; [`Clock`] gives the time.
//!
//! A key is a path: `user`, or `user 42 name`. The first key of a path picks the shard, so a tree
//! lives under one lock. Its hash names the shard, the same in all sixteen databases, except that a large tree
//! stays where it is when it is renamed. A node has a value, or children, or both. Removing a node removes its subtree; of a
//! large one most is freed later, a piece under each lock.
//!
//! The bound is on memory, not on values. It counts all mapped memory of the store: segments of
//! records, slots, pages of the hash tables, and a 64th of the limit that is set apart for free
//! buffers. Empty mappings go back to the system. A write that exceeds the bound evicts: before it
//! returns if its own shard has enough memory, otherwise when its guard is dropped, from other
//! shards. Evicted records leave holes; a shard with too many of
//! them moves the live records of the emptiest segment together, a piece at each write.

mod child_lists;
mod clock;
mod config;
mod counts;
mod emptied_memory;
mod entry;
mod eviction;
mod eviction_observer;
mod flush;
mod flush_schedule;
mod ghost;
mod hash_table;
#[cfg(all(feature = "internals", debug_assertions))]
pub mod interleaving;
mod look_ahead;
mod make_room;
mod memory;
mod ongoing_copies;
mod ongoing_reads;
mod pages;
mod pending_removals;
mod placements;
mod record;
mod record_log;
mod reservation;
mod restore;
mod saved_item;
mod scan;
mod shard;
mod shard_choice;
mod shards;
mod shared_value;
mod slab;
mod slot;
mod slots;
mod stats;
mod stored_item;
mod subtree;
mod sweep;
mod sweep_bell;
#[cfg(test)]
mod tests;
mod tree;
mod walk;
mod watch;
mod watched_keys;
mod when_full;

pub use clock::{Clock, ClockStart};
pub(crate) use config::DATABASES;
pub use config::{Config, WhenFull};
pub(crate) use entry::ItemUsage;
pub use entry::{Entry, Item, Marks, Node, Refused};
pub(crate) use eviction_observer::EvictedItem;
pub(crate) use look_ahead::BATCH;
pub(crate) use reservation::Reservation;
pub(crate) use restore::{RestoreCounts, Restorer, StoreState};
pub(crate) use saved_item::SavedItem;
pub(crate) use shards::SharedAccess;
pub use shards::Store;
pub(crate) use shared_value::SharedValue;
pub use stats::StoreStats;
pub use subtree::Subtree;
pub use sweep::Sweeper;
pub use tree::Tree;
pub(crate) use tree::{
    ChildrenRead, CopyOrder, CopyState, Lease, LeaseRefusal, ReadState, TreeCopy,
};
pub(crate) use walk::Walk;
pub(crate) use watch::{WatchLook, Watcher};

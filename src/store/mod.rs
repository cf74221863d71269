//! The embedded cache.
//!
//! ```text
//!            ┌ Store ────────────────────────────────────────────────────────────────┐
//!  lock(key) │  hash of the top-level key picks                                      │
//!  ────────▶ │  ┌ Shard ┐ ┌ Shard ┐ ┌ Shard ┐ …  each behind a Mutex; a Tree is its   │
//!   Tree     │  │ table │ │       │ │       │    guard                                │
//!            │  │ slab  │ │       │ │       │                                         │
//!            │  │ sieve │ │       │ │       │    used ≤ memory, counted over all      │
//!            │  └───────┘ └───────┘ └───────┘                                         │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! In reading order: [`Store`], in `shards`, is all of it; [`Store::lock`] gives a [`Tree`], through which items
//! are read and written ([`Entry`] in, [`Item`] out); `shard` is what a lock guards; `slot`, `slab`
//! and `record_log` are how an item lies in memory; `child_lists` is the tree; `sieve` is the order of eviction;
//! `flush`, `scan` and `sweep` are what goes over the whole store; [`Clock`] is what time it is.
//!
//! A key is a path: `user`, or `user 42 name`. The first key of a path picks the shard, so a tree
//! lives under one lock, and so does the same key in all sixteen databases. A node has a value, or
//! children, or both. What hangs on a node goes when the node goes.
//!
//! The bound is on memory, not on values: what is counted is what the segments of records, the
//! slots, the tables and the lists of children take. A write that goes over it evicts until it
//! holds again, before it returns if its own shard has enough to give, otherwise when its guard is
//! dropped.

mod child_lists;
mod clock;
mod config;
mod entry;
mod flush;
mod flush_schedule;
mod hash_table;
mod memory;
mod pages;
mod record_log;
mod scan;
mod shard;
mod shards;
mod sieve;
mod slab;
mod slot;
mod slots;
mod stats;
mod subtree;
mod sweep;
#[cfg(test)]
mod tests;
mod tree;
mod watch;
mod watched_keys;

pub use clock::{Clock, ClockStart};
pub use config::Config;
pub(crate) use config::DATABASES;
pub use entry::{Entry, Item, Node, Refused};
pub(crate) use shards::SharedAccess;
pub use shards::Store;
pub use stats::StoreStats;
pub use subtree::Subtree;
pub use sweep::Sweeper;
pub use tree::Tree;
pub(crate) use watch::Watcher;

//! Making caches forget: a write is recorded, answered, and then told to every cache that may hold the key.
//!
//! ```text
//!   clients ─▶ proxy workers ─ a batch a round ─▶ recorder ─▶ spool
//!      ▲                                           │  │
//!      └──────────── STORED, when recorded ◀───────┘  │ changes, by channel or through the spool
//!                                                     ▼
//!                              lane ─▶ upstream    lane ─▶ upstream    (threads, each with a connection)
//! ```
//!
//! [`Front`] says what a request changes, `target` which upstreams may hold the key, [`spool`] keeps it, the
//! [`recorder`] answers and directs, a [`lane`] delivers over a [`wire`].
//!
//! Promises: what was answered with success is on record, as the durability says, and stays there until every upstream
//! that may hold the key has answered that it has forgotten it, or has been flushed. The newest change of a key is the
//! last that an upstream is told of. An upstream that is slow, frozen or away holds up nobody but itself.
//!
//! Cost: a group of changes is one transaction; a change is two updates of a small tree, and one command to each
//! upstream. Memory is bounded: the spool's cache, and some megabytes of channels.

mod change;
mod collect;
mod front;
mod lane;
mod recorder;
mod settings;
mod spool;
mod start;
mod stats;
mod target;
mod upstreams;
mod wire;

pub use settings::{Durability, Forget, Kind, Mode, Reads, Settings, Target};
pub use start::{Control, Invalidate, Running, inspect};

//! Invalidation: a write is recorded, answered, and then delivered to every cache that may hold the key.
//!
//! ```text
//!   clients ─▶ proxy workers ─ a batch a round ─▶ recorder ─▶ spool
//!      ▲                                           │  │
//!      └──────────── STORED, when recorded ◀───────┘  │ changes, by channel or through the spool
//!                                                     ▼
//!                          delivery ─▶ upstream    delivery ─▶ upstream    (threads, each with a connection)
//! ```
//!
//! `collect` intercepts the requests of clients, `report` reads which keys a request changes, `target` finds the
//! upstreams that may hold a key, also by the earlier lists that `rings` remembers, [`spool`] keeps the pending changes, the [`recorder`] answers and directs, and a
//! [`delivery`] sends changes to one upstream.
//!
//! Promises: a change that was answered with success is recorded with the chosen durability, and stays recorded until
//! every upstream that may hold the key has confirmed the change, or has been flushed. The newest change of a key is the
//! last that an upstream gets. An upstream that is slow, frozen or unavailable delays only itself.
//!
//! Cost: a group of changes is one transaction; a change is two updates of a small tree, and one command to each
//! upstream. Memory is bounded: the spool's cache, and some megabytes of channels.
//!
//! ```
//! use larder::invalidate::{Invalidate, Settings, Target};
//! use larder::proxy::Protocol;
//!
//! let cache = larder::Server::start()?;
//! let pool = Target::new("pool", format!("{} 1\n", cache.memcached_addr()).parse()?);
//! let spool = tempfile::tempdir()?;
//! let listener = (Protocol::Memcached, "127.0.0.1:0".parse()?);
//! let (running, _control) =
//!     Invalidate::new(Settings::new(spool.path()), vec![pool]).start(vec![listener])?;
//! for (protocol, address) in running.listeners() {
//!     println!("send the keys that change to {protocol} {address}");
//! }
//! # drop(running);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod change;
mod collect;
mod delivery;
mod figures;
mod inspect;
mod message;
mod monitor;
mod recorder;
mod report;
mod rings;
mod running;
mod settings;
#[cfg(test)]
mod simulation;
mod spool;
mod start;
mod stats;
mod target;

pub(crate) use figures::TargetFigures;
pub use inspect::inspect;
pub(crate) use monitor::Monitor;
pub use running::{Control, Running};
pub use settings::{
    Durability, ForgetMethod, ReadPolicy, Settings, Target, TargetKind, TargetMode, TargetProtocol,
};
#[cfg(feature = "internals")]
pub(crate) use spool::{PendingRecord, UpstreamRow};
pub use start::Invalidate;

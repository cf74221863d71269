//! Standing in front of other servers: which of them a key belongs to, and where replies end.
//!
//! [`ServerList`] is the pool as its file tells it; [`Ring`] is where each key of a pool belongs, as existing clients
//! and proxies place it. [`reply`] finds where what a server answers ends.

mod hash;
pub mod reply;
mod ring;
mod servers;

pub use ring::{Placement, Ring};
pub use servers::{ListError, Server, ServerList};

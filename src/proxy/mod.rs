//! Standing in front of other servers: which of them a key belongs to.
//!
//! [`ServerList`] is the pool as its file tells it; [`Ring`] is where each key of a pool belongs, as existing clients
//! and proxies place it.

mod hash;
mod ring;
mod servers;

pub use ring::{Placement, Ring};
pub use servers::{ListError, Server, ServerList};

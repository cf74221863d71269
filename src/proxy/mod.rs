//! Standing in front of other servers: which of them a key belongs to, and where requests and replies end.
//!
//! [`ServerList`] is the pool as its file tells it; [`Ring`] is where each key of a pool belongs, as existing clients
//! and proxies place it. [`request`] cuts what clients send, [`reply`] what servers answer, and [`merge`] makes one reply
//! of several.

mod hash;
pub mod merge;
pub mod reply;
pub mod request;
mod ring;
mod servers;
pub mod slots;
mod tag;

pub use ring::{Placement, Ring};
pub use servers::{ListError, Server, ServerList};
pub use tag::tag;

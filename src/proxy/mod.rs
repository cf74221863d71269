//! Standing in front of other servers: a [`Proxy`] forwards the requests of many clients over few connections.
//!
//! ```text
//!   clients ─▶ Cutter ─▶ pool (ring) ─▶ a link of an upstream ─▶ server
//!      ▲                                                                    │
//!      └──── client, in its order ◀── merge, if divided ◀── Framer ◀─┘
//! ```
//!
//! [`ServerList`] is the pool as its file tells it; [`Ring`] is where each key of a pool belongs, as existing clients
//! and proxies place it. [`request`] cuts what clients send, [`reply`] what servers answer, and [`merge`] makes one reply
//! of several. [`slots`] is where keys belong in a Redis Cluster, `cluster` learns it. `worker` is the thread that does
//! all this, `client` and `upstream` what it has at either side. [`invalidate`] takes writes as reports instead of
//! forwarding them.

mod client;
mod cluster;
mod errors;
mod local;
pub mod merge;
mod settings;
mod shared;
mod split;
mod start;
mod stats;
mod worker;

pub use settings::{OnFailure, Protocol, Settings};
pub use start::{Control, Proxy};

//! The server that a key belongs to, and the health of each server.
//!
//! ```text
//!   servers.txt ─▶ ServerList ─▶ Ring ──┐
//!   CLUSTER SLOTS ─────────────▶ SlotMap ┴▶ Pool::locate(key) ─▶ an Upstream: health, counters, latency
//! ```
//!
//! [`ServerList`] is a pool as its file lists it; [`Ring`] places each key as existing clients and proxies do;
//! [`slots`] does the same for a Redis Cluster. `Pool` is the current set of upstreams with either of them, `Upstream`
//! the state of one server that all threads share. No code here opens a connection; `resolve` looks names up on
//! threads of its own.
//!
//! Cost: a lookup in a ring is a hash and a binary search; in a cluster, a CRC and an index.

mod failure;
mod hash;
mod health;
mod latency;
mod membership;
mod protocol;
mod resolve;
mod ring;
mod servers;
pub(crate) mod slots;
mod tag;
mod upstream;

pub(crate) use failure::UpstreamFailure;
pub(crate) use health::{Health, HealthChange};
pub(crate) use latency::{Latency, LatencyCounts};
pub(crate) use membership::Pool;
pub use protocol::Protocol;
pub(crate) use resolve::{ResolvedName, Resolver};
pub use ring::{Placement, Ring};
pub use servers::{ListError, PoolServer, ServerList};
pub use slots::{SLOTS, slot};
pub(crate) use tag::tag;
pub(crate) use upstream::Upstream;

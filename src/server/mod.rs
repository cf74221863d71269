//! Listeners, the pool, workers, connections, limits and shutdown. Knows no protocol and no cache: what bytes mean is
//! behind the [`Service`] seam.

pub mod connections;
pub mod limits;
mod service;

pub use service::{Next, Peer, Refusal, Service, Session, Turn};

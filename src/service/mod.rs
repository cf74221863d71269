//! The commands of a protocol, executed on the store: one service per protocol.

#[cfg(test)]
mod delivery;
pub mod echo;
mod kept_insertions;
mod kept_reply;
mod large_read;
mod latency_histogram;
pub(crate) mod latency_monitor;
pub mod memcached;
pub mod resp;
mod secret;
pub(crate) mod slow_log;

pub use secret::Secret;

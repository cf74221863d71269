//! Bytes to commands and replies to bytes. Pure: no sockets, no store, no clock.

pub mod framing;
pub mod memcached;
pub mod resp;

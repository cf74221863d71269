//! What the commands of a protocol do to the store: one service per protocol.

pub mod echo;
pub mod memcached;
pub mod resp;

//! What the commands of a protocol do to the store: one service per front door.

pub mod echo;
pub mod memcached;
pub mod resp;

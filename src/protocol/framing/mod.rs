//! Finds the end of a request or a reply without decoding it, for programs between a client and a server.
//!
//! [`request`] cuts the bytes of clients into requests and finds the facts for a router: the keys, and whether the
//! request can share a connection. [`reply`] follows the bytes of servers until the reply to a request is complete.
//! Pure: bytes in, boundaries out, and only bytes that have to be kept are copied.

pub mod reply;
pub mod request;

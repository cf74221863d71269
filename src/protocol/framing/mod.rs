//! Where a request or a reply ends, without decoding it: for everything that stands between a client and a server.
//!
//! [`request`] cuts what clients send into requests and says what each needs of a router: its keys, and whether it can
//! share a connection. [`reply`] follows what servers answer until the reply to a request is complete. Pure: bytes in,
//! boundaries out, nothing is copied that need not be kept.

pub mod reply;
pub mod request;

//! Connections to servers: requests sent, replies matched.
//!
//! ```text
//!                        ┌─ Link                 non-blocking, of a proxy's worker: many clients share it
//!   Greeting, framing, ──┤
//!   RequestQueue,        │  Exchange             a connection as a value, without a socket
//!   UpstreamFailure      └─ BlockingConnection   an Exchange over a socket with deadlines, for a thread of its own
//! ```
//!
//! Both kinds have the same rules: what is said first ([`Greeting`]), how the next reply is framed and whose it is, and
//! after which [`UpstreamFailure`](crate::pool::UpstreamFailure) a connection may be used again.

mod blocking;
mod exchange;
mod greeting;
mod link;
mod queue;
mod socket;
mod state;

pub(crate) use blocking::{Answer, BlockingConnection, BlockingStream, Deadlines};
pub(crate) use exchange::Exchange;
pub(crate) use greeting::{Greeting, MEMCACHED_FLUSH, MEMCACHED_PROBE, RESP_FLUSH, RESP_PROBE};
pub(crate) use link::{DETOUR, Knows, Link, Look, Owner, Piece, Purpose, Stage, Waiting};
pub(crate) use socket::{UpstreamSocket, send};
pub(crate) use state::{ConnectionState, DATABASES};

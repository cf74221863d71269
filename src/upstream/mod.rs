//! Connections to servers: requests sent, replies matched.
//!
//! ```text
//!                        ┌─ UpstreamConnection   a connection that many clients share, as a value; UpstreamSocket its socket
//!   Greeting, framing, ──┤
//!   RequestQueue,        │  Exchange             a connection as a value, with whole replies
//!   UpstreamFailure      └─ BlockingConnection   an Exchange over a socket with deadlines, for a thread of its own
//! ```
//!
//! Both kinds have the same rules: the first requests ([`Greeting`]), the framing of the next reply and its owner, and
//! after which [`UpstreamFailure`](crate::pool::UpstreamFailure) a connection may be used again.

mod blocking;
mod connection;
mod exchange;
mod framed_piece;
mod greeting;
mod pending;
mod queue;
mod socket;
mod state;
mod unanswered;

pub(crate) use blocking::{Answer, BlockingConnection, BlockingStream, Deadlines, end_of};
pub(crate) use connection::{
    ConnectionPurpose, ConnectionStage, REDIRECTED, RedirectCheck, UpstreamConnection,
};
pub(crate) use exchange::Exchange;
pub(crate) use framed_piece::FramedPiece;
pub(crate) use greeting::{
    BINARY_FLUSH, BINARY_NOOP, Greeting, Login, MEMCACHED_FLUSH, MEMCACHED_PROBE, RESP_FLUSH,
    RESP_PROBE, login,
};
pub(crate) use pending::{MetaSupport, PendingRequest, ReplyOwner};
pub(crate) use socket::{UpstreamSocket, send};
pub(crate) use state::{ConnectionState, DATABASES};

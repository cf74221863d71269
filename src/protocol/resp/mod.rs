//! RESP, the protocol of Redis: a reader of requests and a writer of replies.
//!
//! ```text
//!   *2 CRLF $3 CRLF GET CRLF $1 CRLF a CRLF      what a client library sends
//!   GET a CRLF                                   the same, typed by hand: an inline command
//!        │
//!        ▼  Reader::read                         remembers where it stopped, never looks back
//!   CommandWords ── args ──▶ CommandArgs ["GET", "a"]   ranges into the input; nothing is copied
//!        │
//!        ▼  a command runs
//!   Reply::bulk …  ──▶  $3 CRLF one CRLF         RESP2 or RESP3, as HELLO chose
//! ```
//!
//! Both sides work on buffers that others own: the reader on the bytes that have arrived, the
//! writer on the output of the turn. The hot path allocates nothing: the ranges live in a [`CommandWords`]
//! that the caller reuses.

mod args;
mod inline;
mod number;
mod protocol_error;
mod reader;
mod reply;
mod request;

pub use args::{CommandArgs, CommandWords};
pub(crate) use number::parse_integer;
pub use protocol_error::ProtocolError;
pub use reader::{Limits, ReadOutcome, Reader};
pub use reply::{Reply, ReplyBudget};
pub use request::request;
pub(crate) use request::write_request;

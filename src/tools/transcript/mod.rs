//! Conversations with a server, written as plain text and replayed to the byte.
//!
//! A transcript has the bytes to send and the replies to expect. The same file is run against
//! larder's services inside a test, against the built server, against real memcached and
//! redis-server (which proves the file right), and by `larder probe` against any server. The format
//! is described for its writers in `tests/transcripts/README.md`.
//!
//! ```text
//!   file ──parse──▶ Transcript ──Run──▶ pieces ──▶ Connection (a session here, or a socket)
//!                                 │                  │
//!                                 └── compare ◀──────┘ bytes, to the end of the connection
//! ```
//!
//! - [`parse`](fn@parse) reads a file; its errors name file and line.
//! - [`Transcript`] is the result: a header, then exchanges and advances of the clock.
//! - [`Target`] opens connections ([`Connection`]) and lets time pass: [`InProcess`] runs sessions
//!   without sockets, [`Remote`] connects to an address.
//! - [`TranscriptDelivery`] is a way of cutting the sent bytes into writes. Every delivery must bring the
//!   same replies.
//! - [`Run`] replays one transcript in one delivery and reports the first [`Difference`].
//!
//! Invariants: replies are compared as exact bytes, in order, and at the end the sending side is
//! shut and nothing more may arrive. Cost: one pass over the bytes for each delivery; cutting
//! everywhere costs as many runs as the longest exchange has bytes.

mod connection;
mod datagrams;
mod delivery;
mod difference;
mod format;
mod hex;
mod in_process;
mod in_time;
mod parse;
mod readable;
mod remote;
mod run;
mod target;
mod values;

pub use delivery::TranscriptDelivery;
pub use difference::{Difference, Mismatch};
pub use format::Sending;
pub use format::{
    Agrees, Expectation, Expected, Protocol, Sent, Side, Step, Transcript, TranscriptExchange,
};
pub(crate) use hex::binary_frame;
pub use in_process::InProcess;
pub use in_time::in_time;
pub use parse::{ParseError, parse};
pub use readable::readable;
pub use remote::{Address, Remote};
pub use run::{Outcome, Run};
pub use target::{Connection, RealTime, Received, Target, Time};

//! TLS over the TCP sockets of clients and of upstreams, with rustls.
//!
//! ```text
//!   socket ──records──▶ TlsSession ──bytes──▶ TlsStream::read      ┐
//!   socket ◀──records── TlsSession ◀──bytes── TlsStream::write     ┘ a variant of Stream: callers see no difference
//!                           ▲
//!                 ServerTls, ClientTls: the files of certificates and keys, read at the start and on request
//! ```
//!
//! Everything above a [`Stream`](super::Stream) is the same with and without TLS, under both models and in the proxy. Three
//! rules make this possible:
//! - A read reports whether a further read may find bytes without an event of the poller, because a session may hold bytes
//!   that the socket no longer has.
//! - A write counts bytes as written when their records have left whole. So the output that a client has not read stays
//!   with its connection, which parks as always and whose bytes count for the memory of replies.
//! - The handshake is a part of the first read. A connection that only shakes hands is one of those that are open. It is
//!   closed when the handshake takes longer than [`HANDSHAKE_TIMEOUT`](super::limits::HANDSHAKE_TIMEOUT).
//!
//! Cost: an open connection holds the keys and the state of rustls, a few kilobytes, and no buffer. Records are read into and
//! made in buffers that each thread has once. Only the start of a record that has not come whole, decrypted bytes for which
//! the caller had no space, and records that the socket did not take stay with the connection: at most a record or two, and
//! 64 KiB. The last count as memory of the reply, beside its own bytes. Large values are decrypted in the thread's buffer and
//! copied into the store's memory.

mod client;
mod config;
mod session;
mod stream;

pub use client::ClientTls;
pub use config::{ServerTls, TlsError, TlsVersion};
pub(crate) use stream::TlsStream;

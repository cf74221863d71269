//! Listeners, the pool, workers, connections, limits and shutdown. Depends on no protocol and no
//! cache: the meaning of bytes is behind the [`Service`] seam.
//!
//! ```text
//!            ┌ acceptor ┐   one blocking thread for each listener: admits to the set, or refuses
//!   clients ─┤ acceptor ├─┐
//!            └ acceptor ┘ │                           ┌─────────────────────────────┐
//!                         ├─ channel and waker ─────▶ │ threadpool                  │
//!                         │  (turns)                  │ worker: read ─ turn ─ write │──▶ Session
//!                         ├─ the pool's queue ──────▶ │ worker: read ─ turn ─ write │──▶ Session
//!                         │  (threads)                └─────────────────────────────┘
//!   Handle ─── stop ──────┘                              │ joins, counts, leaves
//!                                                        ▼
//!                             Connections: the open ones, counts, kill ◀── services read this
//! ```
//!
//! The way of a byte: an acceptor accepts its connection, the model hands the socket to a worker,
//! the worker reads into a buffer of its own and gives the session a turn. Unconsumed input stays
//! with the connection and is passed to the next turn with more bytes; appended output is written at
//! once. There are two ways of doing this, chosen by [`Model`], with the same meaning for sessions
//! and clients:
//! - **turns**: a worker runs many connections with one poller. Output that the socket does not
//!   accept is kept, and the connection is parked until its client has read it. The default.
//! - **threads**: a worker serves one connection with blocking reads and writes until it ends. The
//!   simplest way; connections beyond the number of workers wait.
//!
//! UDP has no connections: a socket has a thread of its own, which gives each datagram to a [`DatagramService`].
//!
//! In reading order: `service` (the seam), `stream`, `tls`, `listener` and `passed` (sockets), `connections` (the
//! set), `reply_memory` and `replies` (the bound for unwritten replies), `acceptor`, `workers` (their connections), `waiter` (connections that wait for another thread), `handshakes` (deadlines), `gather` (writes), `threads`, `turns`, `datagrams` (UDP), `guard` (panics), `start` and `running` (a server's
//! beginning and end), `signals`, `limits`.
//!
//! Cost: a request is one read and one write. A quiet connection under turns costs its socket and,
//! with its session's own state, a few hundred bytes; it holds no buffer.
//!
//! Invariants: a connection is in the set until its socket is closed, however it ended. One
//! client's silence, flood, reset or panic is not noticed by another. No thread of the server
//! survives [`Running`].

mod acceptor;
mod certificates;
mod connection_counts;
mod connection_states;
mod connections;
mod datagrams;
mod end_reason;
mod gather;
mod guard;
mod handshakes;
pub mod limits;
mod listener;
mod open_files;
pub(crate) mod passed;
mod replies;
mod reply_memory;
mod running;
mod service;
pub mod signals;
mod start;
mod stream;
mod system_calls;
mod threads;
#[cfg(feature = "tls")]
mod tls;
#[cfg(not(feature = "tls"))]
#[path = "tls_absent.rs"]
mod tls;
mod traffic;
mod turns;
mod waiter;
mod workers;

pub(crate) use acceptor::Accepted;
pub(crate) use certificates::Certificates;
pub use connections::{Connection, Connections};
pub(crate) use connections::{Membership, ticks};
pub use end_reason::EndReason;
pub(crate) use handshakes::Handshakes;
pub(crate) use limits::FAILED_LOGIN_DELAY;
pub use listener::Listen;
pub use running::{Handle, Running};
pub use service::{
    DatagramService, DatagramSession, Insertion, Next, Peer, Refusal, Service, Session, Turn,
};
pub use start::{Model, Server, Settings, StartError};
pub use stream::Address;
pub(crate) use stream::Stream;
pub(crate) use system_calls::Received;
pub use tls::{ClientTls, ServerTls};
#[cfg(feature = "tls")]
pub use tls::{TlsError, TlsVersion};
pub use waiter::Waiter;
pub(crate) use workers::{WorkerHandle, WorkerHandles, WorkerInbox, WorkerMessage, worker_channel};

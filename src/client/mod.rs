//! A client for blocking code: [`Client`] for one server, [`Cluster`] for a pool. It speaks memcached's text protocol, and RESP for
//! the commands that mean the same there.
//!
//! ```text
//!   Cluster ── ring: the server of the key ──▶ Client ──▶ server: ejected? an idle connection, or a new one
//!                                                            │
//!                        request: bytes ──▶ connection ◀─────┘
//!                        reply: meaning ◀──────┘ ──▶ idle again, or closed
//! ```
//!
//! Connecting, sending and receiving have deadlines, and an [`Error`] names the server and the deadline that passed. One
//! predicate, `UpstreamFailure::leaves_connection_usable`, decides whether a connection may be used after an error. A server
//! that fails several times in a row is ejected and probed, by the rules of `larder proxy`.
//!
//! Cost: a command is one write and one read, and a look at the idle connection before. A get of many keys is one write and one
//! read for each server, and all servers work at the same time. The only thread is that of the lookup of a server's name. Memory: a few idle connections for each
//! server, and the values that have arrived; no length that a server announces is allocated.
//!
//! Invariants: a reply is given only to the request that it belongs to: after a deadline, a malformed reply or one for another
//! key the connection is closed. A request is sent at most once, so an `incr` never counts twice.

mod cache;
mod cluster;
mod commands;
mod connection;
mod error;
mod gather;
mod item;
#[cfg(feature = "json")]
mod json;
mod keys;
mod lock;
mod meta;
mod meta_of_peer;
mod reply;
mod request;
mod resp;
mod resp_reply;
mod resp_request;
mod route;
mod server;
mod settings;
mod steps;
#[cfg(feature = "program")]
mod transfer;

pub use cache::Cache;
pub use cluster::Cluster;
pub use commands::Client;
pub use error::{Error, ErrorKind};
pub use item::{CasOutcome, Item};
#[cfg(feature = "json")]
pub use json::JsonValues;
pub use keys::{KeyEntry, Keys};
pub use lock::Lock;
pub use meta::{MetaCommands, MetaReply, MetaStatus};
pub(crate) use meta_of_peer::write_quiet_delete;
#[cfg(feature = "program")]
pub(crate) use request::exptime;
pub use resp_reply::RespReply;
pub use settings::Settings;
#[cfg(feature = "program")]
pub(crate) use transfer::{Entry, Form, StoreOutcome};

pub use crate::pool::Protocol;

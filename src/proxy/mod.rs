//! Forwarding: a [`Proxy`] sends the requests of many clients over few connections to other servers.
//!
//! ```text
//!   clients ─▶ RequestFramer ─▶ pool (ring or slots) ─▶ a connection of an upstream ─▶ server
//!      ▲                                                                                 │
//!      └──── client, in its order ◀── merge, if divided ◀──────────── ReplyFramer ◀──────┘
//! ```
//!
//! [`framing`](crate::protocol::framing) cuts what clients send and what servers answer, [`pool`](crate::pool) says
//! where each key belongs. `split` divides a request among several servers and [`merge`] makes one reply of theirs.
//! `forwarder` is all of it between the sockets, as a value, and `client` what it keeps of each client; `worker` is the
//! thread with the sockets. `cluster` learns the slots of a Redis Cluster, `intercept` is the seam for what answers requests in place of an upstream.

mod client;
mod cluster;
mod errors;
mod forwarder;
mod intercept;
mod local;
pub(crate) mod merge;
mod scan;
mod session;
mod settings;
mod shared;
#[cfg(test)]
mod simulation;
mod split;
mod start;
mod stats;
mod subscriptions;
mod worker;

pub(crate) use intercept::{
    AnswerSender, Intercepted, Interceptor, LaterAnswer, Ticket, WorkerInterceptor,
};
pub use settings::{OnFailure, OnReturn, Protocol, Settings};
pub use start::{Control, Proxy};

//! Forwarding: a [`Proxy`] sends the requests of many clients over few connections to other servers.
//!
//! ```text
//!   clients ─▶ RequestFramer ─▶ pool (ring or slots) ─▶ a connection of an upstream ─▶ server
//!      ▲                                                                                 │
//!      └──── client, in its order ◀── merge, if divided ◀──────────── ReplyFramer ◀──────┘
//! ```
//!
//! [`framing`](crate::protocol::framing) cuts requests and replies, [`pool`](crate::pool) finds the server of each key. `split` divides a request
//! among several servers and [`merge`] makes one reply of theirs. `forwarder` is the proxy between its sockets, as a value, and `client` is its
//! state of each client; `worker` is the thread with the sockets. `cluster` learns the slots of a Redis Cluster, `intercept` is the seam for code
//! that answers requests in place of an upstream.
//!
//! ```
//! use larder::proxy::{Protocol, Proxy, Settings};
//! use larder::pool::Placement;
//!
//! let servers = [larder::Server::start()?, larder::Server::start()?];
//! let list: String = servers.iter().map(|server| format!("{} 1\n", server.resp_addr())).collect();
//! let proxy = Proxy::new(Settings::new(Protocol::Resp), list.parse()?, Placement::Ketama);
//! let (running, _control) = proxy.start("127.0.0.1:0".parse()?)?;
//! println!("redis-cli -u redis://{}", running.addresses()[0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod client_command;
mod client_counts;
mod cluster;
mod errors;
mod forwarder;
mod intercept;
mod local;
pub(crate) mod merge;
mod monitor;
mod scan;
mod session;
mod settings;
mod shared;
#[cfg(test)]
pub(crate) mod simulation;
mod split;
mod start;
mod stats;
mod subscriptions;
mod worker;

pub use crate::pool::Protocol;
pub(crate) use intercept::{
    AnswerSender, Intercepted, Interceptor, LaterAnswer, RequestId, WorkerInterceptor,
};
pub(crate) use monitor::Monitor;
pub use settings::{OnFailure, OnReturn, Settings};
pub use start::{Control, Proxy};

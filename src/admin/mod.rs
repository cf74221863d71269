//! The admin listener: pages over HTTP about a program that runs, for people and for programs that watch it.
//!
//! ```text
//!   Prometheus ─▶ /metrics ┐            ┌─▶ exposition   names, help, labels, values
//!   a supervisor ▶ /healthz ├─▶ session ─┤
//!   a person ────▶ /        ┘   (http)   └─▶ Monitored    the figures and the health of serve, proxy or invalidate
//! ```
//!
//! HTTP is one more [`Service`](crate::server::Service): a session gets bytes and returns bytes, and a server of its own runs it, with one
//! worker, a bound of connections, and deadlines. So it answers while all workers of the program are busy. Sockets
//! that systemd passes, Unix sockets and the end of connections work as for every other listener. A request gets one answer, and
//! then the connection closes.
//!
//! The figures are the statistics that the program counts anyway. Cost: nothing for requests to the cache. A look at
//! `/metrics` locks one shard of the store after the other, each for the time of reading a few numbers, so the number of items
//! doesn't matter. It takes a fifth of a millisecond of a thread of its own, with a thousand connections half a millisecond more,
//! and for each command that was ever called some 2 KiB of histogram: 19 KiB at the start, 75 KiB after 27 commands.
//!
//! It has no login and no TLS. Its bounds are in [`limits`].

mod client_requests;
mod connections;
mod exposition;
mod hosts;
mod http;
mod invalidate;
mod latencies;
mod limits;
mod memcached_names;
mod monitored;
mod origin;
mod page;
mod process;
mod proxy;
mod redis_names;
mod serve;
mod service;
mod session;
mod upstreams;

pub(crate) use invalidate::MonitoredInvalidation;
pub(crate) use monitored::Monitored;
pub(crate) use proxy::MonitoredProxy;
pub(crate) use serve::MonitoredServer;
pub(crate) use service::start;

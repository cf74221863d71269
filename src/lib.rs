//! larder is a cache server and cache proxy for one box that people can read.
//!
//! It speaks memcached's text and binary protocols and Redis's RESP on one embedded store. This page is the map: the rooms in the
//! order in which a byte passes through them, and then three journeys from file to file.
//!
//! 1. [`server`] accepts connections, gives each its turns on a fixed pool of threads, keeps the limits and shuts down.
//!    It depends on no protocol and no cache, only on the [`server::Service`] trait.
//! 2. [`protocol`] turns bytes into commands and replies into bytes. Pure: no sockets, no store, no clock.
//! 3. [`service`] executes a protocol's commands on the store: one service per protocol.
//! 4. [`store`] is the cache: shards, the bound in bytes, eviction, expiry, the tree of nested keys.
//!    `snapshot` writes all of it to a file, and loads it at the next start.
//!    [`origin`] fetches what it doesn't have. `peers` makes several larders one cache.
//! 5. [`pool`] finds the server of a key and tracks the health of each server; `upstream` is a connection to one.
//! 6. [`proxy`] forwards the requests of many clients over few connections to the servers of a pool.
//! 7. [`invalidate`] records changed keys, deletes them from every cache that may hold them, and loses none.
//! 8. [`client`] is a client of memcached and Redis, for one server or a pool.
//! 9. `admin` shows over HTTP what a running larder does: metrics, its health, and a page with plots.
//! 10. [`tools`] are the command-line tools beside the server.
//!
//! [`Server`] puts 1 to 4 together: the same server as the binary's, inside a Rust program, on free ports.
//!
//! The public items are those that programs embed: [`Server`] and its [`Builder`], [`Ring`] and [`ServerList`], and the
//! rooms [`client`] and [`origin`]. The other rooms are private outside of the feature `internals`, which this project's tests, its benches and the book's stages have. A
//! program that embeds larder with `default-features = false` gets 1 to 4; the features `proxy` (5 to 8), `tools` and
//! `program` add the others, `tls` adds TLS, and `json` the client's values of Rust types.
//!
//! Imports go one way: main → tools → client; main → service, invalidate → proxy → upstream → pool → protocol, client → upstream, and service → snapshot → store; the
//! server uses services only through a trait. service → peers → origin → client and store; admin → invalidate, proxy and service. No files import one another in a cycle.
//!
//! # A memcached `get`
//!
//! ```text
//! server/acceptor.rs                 accepts the connection and hands it to a worker
//! server/turns.rs                    the worker's loop: waits with mio until the connection has bytes
//! server/turns/client.rs             reads them into the worker's buffer and gives the session a turn
//! service/memcached/connection_session.rs  knows the protocol by the connection's first byte: here text
//! service/memcached/text_session.rs  takes one complete command after the other from the input
//! protocol/memcached/text/mod.rs     finds the command: scanner.rs for a plain get, else grammar.rs, the regex
//! service/memcached/retrieval.rs     asks the store and writes VALUE and the data into the output
//! store/tree.rs                      locks the key's shard and counts a hit or a miss
//! store/shard.rs                     finds the item, removes it if it has expired, marks it as used
//! store/hash_table.rs                from the key's hash to the slot of the item
//! store/slab.rs                      the slot's record: key, value, flags, expiry, cas unique
//! ```
//!
//! The way back is short: the turn returns, and `server/turns/client.rs` writes the output to the socket.
//!
//! # A proxied `get`
//!
//! ```text
//! proxy/worker.rs                    the thread with the sockets: reads the clients that are ready
//! proxy/forwarder/gather.rs          a client's input, cut into complete requests
//! protocol/framing/request/mod.rs    where the request ends, its keys, and what kind of route it needs
//! proxy/forwarder/route.rs           the upstream of its key
//! pool/ring.rs                       ketama: the server behind the key's point on the ring
//! proxy/forwarder/append.rs          adds the request to the output of a connection of that upstream
//! upstream/queue.rs                  remembers whose reply comes next on the connection
//! proxy/forwarder/scatter.rs         reads the connection and gives each reply to the client whose turn it is
//! protocol/framing/reply/mod.rs      where the reply ends
//! proxy/client.rs                    the client's replies, in the order of its requests
//! proxy/forwarder/flush.rs           the bytes that leave in this round: one write per connection and per client
//! ```
//!
//! # An invalidation
//!
//! ```text
//! invalidate/collect.rs              stands in the proxy's place of an upstream: takes each request of a client
//! invalidate/report.rs               the keys that the request changes, and its answer
//! invalidate/change.rs               the batch of changes of a worker's round, with the answers that wait for it
//! invalidate/recorder/thread.rs      the one thread that writes the spool: receives batches
//! invalidate/recorder/group.rs       records a group of batches in one transaction, then answers the clients
//! invalidate/recorder/spread.rs      the upstreams that may hold each key
//! invalidate/spool/transaction.rs    each upstream's pending set, by key, in the redb file
//! invalidate/recorder/direct.rs      the next step of each delivery that is ready
//! invalidate/delivery/mod.rs         brings one upstream up to date: replay, fresh changes, or a flush
//! invalidate/delivery/command.rs     the deletes as bytes, and what the upstream's replies mean
//! invalidate/delivery/thread.rs      sends them; the recorder then removes the changes from the spool
//! ```

// Without the feature `internals`, items that only tests, benches and the book's stages use are used by nothing, and
// without the proxy, parts of the server and of the protocols are.
#![cfg_attr(
    not(all(feature = "internals", feature = "proxy")),
    allow(dead_code, unreachable_pub, unused_imports)
)]
// The map above names rooms that may be private or left out.
#![cfg_attr(not(feature = "internals"), allow(rustdoc::private_intra_doc_links))]
#![cfg_attr(not(feature = "program"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(feature = "program")]
mod admin;
mod embed;
mod peers;
#[cfg(feature = "program")]
mod program;
mod snapshot;
#[cfg(feature = "proxy")]
mod upstream;

pub mod origin;

// For the fuzz targets.
#[cfg(all(feature = "internals", feature = "program"))]
pub mod fuzzed;

#[cfg(feature = "proxy")]
pub mod client;
#[cfg(all(feature = "internals", feature = "proxy"))]
pub mod invalidate;
#[cfg(all(feature = "internals", feature = "proxy"))]
pub mod pool;
#[cfg(feature = "internals")]
pub mod protocol;
#[cfg(all(feature = "internals", feature = "proxy"))]
pub mod proxy;
#[cfg(feature = "internals")]
pub mod server;
#[cfg(feature = "internals")]
pub mod service;
#[cfg(feature = "internals")]
pub mod store;
#[cfg(all(feature = "internals", feature = "tools"))]
pub mod tools;

#[cfg(all(not(feature = "internals"), feature = "proxy"))]
mod invalidate;
#[cfg(all(not(feature = "internals"), feature = "proxy"))]
mod pool;
#[cfg(not(feature = "internals"))]
mod protocol;
#[cfg(all(not(feature = "internals"), feature = "proxy"))]
mod proxy;
#[cfg(not(feature = "internals"))]
mod server;
#[cfg(not(feature = "internals"))]
mod service;
#[cfg(not(feature = "internals"))]
mod store;
#[cfg(all(not(feature = "internals"), feature = "tools"))]
mod tools;

pub use embed::{Builder, GRACE, Server};
#[cfg(feature = "proxy")]
pub use pool::{ListError, Placement, PoolServer, Ring, SLOTS, ServerList, slot};
#[cfg(feature = "program")]
pub use program::run;
#[cfg(all(feature = "proxy", feature = "tls"))]
pub use server::ClientTls;
pub use server::{Address, Handle, Listen, Model, StartError};
#[cfg(feature = "tls")]
pub use server::{ServerTls, TlsError, TlsVersion};
pub use service::memcached::SpokenProtocol;
pub use store::WhenFull;

// The README's Rust is compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

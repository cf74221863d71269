//! larder is a cache server and cache proxy for one box that people can read.
//!
//! It speaks memcached's text protocol and Redis's RESP on one embedded store. This page is the map: the rooms of the
//! house in the order in which a byte passes through them.
//!
//! 1. [`server`] accepts connections, gives each its turns on a fixed pool of threads, keeps the limits and shuts down.
//!    It knows no protocol and no cache, only the [`server::Service`] seam.
//! 2. [`protocol`] turns bytes into commands and replies into bytes. Pure: no sockets, no store, no clock.
//! 3. [`service`] is what a protocol's commands do to the store: one service per front door.
//! 4. [`store`] is the cache: shards, the bound in bytes, eviction, expiry, the tree of nested keys.
//! 5. [`proxy`] stands in front of other servers: their clients' requests over few connections, keys placed on a ring or
//!    by a cluster's slots. [`proxy::invalidate`] makes caches forget what has changed, and loses nothing.
//! 6. [`tools`] are the command-line tools beside the server.
//!
//! [`Server`] puts 1 to 4 together: the same server as the binary's, inside a Rust program, on free ports.
//!
//! Arrows go one way: main → tools, service, proxy → store, protocol; the server knows services only as a trait.

mod embed;
pub mod protocol;
pub mod proxy;
pub mod server;
pub mod service;
pub mod store;
pub mod tools;

pub use embed::{Builder, GRACE, Server};

// The README's Rust is compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

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
//! 5. [`pool`] says which server a key belongs to and how each server is doing; `upstream` is a connection to one.
//! 6. [`proxy`] forwards the requests of many clients over few connections to the servers of a pool.
//! 7. [`invalidate`] records what has changed and deletes it from every cache that may hold it, and loses nothing.
//! 8. [`tools`] are the command-line tools beside the server.
//!
//! [`Server`] puts 1 to 4 together: the same server as the binary's, inside a Rust program, on free ports.
//!
//! Arrows go one way: main → tools, service, invalidate → proxy → upstream → pool → protocol, and service → store; the
//! server knows services only as a trait.

// The proxy uses parts of the server and of the protocols that nothing else uses.
#![cfg_attr(not(feature = "proxy"), allow(dead_code, unused_imports))]

mod embed;
#[cfg(feature = "proxy")]
pub mod invalidate;
#[cfg(feature = "proxy")]
pub mod pool;
pub mod protocol;
#[cfg(feature = "proxy")]
pub mod proxy;
pub mod server;
pub mod service;
pub mod store;
#[cfg(feature = "tools")]
pub mod tools;
#[cfg(feature = "proxy")]
mod upstream;

pub use embed::{Builder, GRACE, Server};

// The README's Rust is compiled and run with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

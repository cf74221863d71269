//! The servers behind the proxy: their health, the connections to them, their names.
//!
//! An [`Upstream`] is what all workers share of a server; a [`Link`] is one connection to it, which
//! belongs to one worker.

mod failure;
mod health;
mod kept;
mod latency;
mod link;
mod resolve;

use std::sync::atomic::{AtomicU64, AtomicUsize};

pub(super) use failure::Failure;
pub(super) use health::{Change, Health};
pub(super) use kept::Kept;
pub(super) use latency::Latency;
pub(super) use link::{DETOUR, Knows, Link, Look, Owner, Purpose, Stage, Waiting};
pub(super) use resolve::{Lookup, Resolver};

/// One server behind the proxy.
#[derive(Debug)]
pub(super) struct Upstream {
    /// A number that no other upstream of this process has had.
    pub(super) id: u64,
    /// Host and port as they were given; also its name in errors, logs and statistics.
    pub(super) address: String,
    pub(super) health: Health,
    pub(super) counters: Counters,
}

/// What is counted of an upstream.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Requests sent, or meant to be.
    pub(super) requests: AtomicU64,
    /// Requests that got an error of the proxy instead of an answer.
    pub(super) errors: AtomicU64,
    /// Requests that were sent again after their connection broke.
    pub(super) repeats: AtomicU64,
    /// Requests without their answer yet.
    pub(super) in_flight: AtomicUsize,
    /// Requests that it sent elsewhere, in a cluster.
    pub(super) redirects: AtomicU64,
    /// Answers that came.
    pub(super) answers: AtomicU64,
    /// Connections that are open or being made.
    pub(super) links: AtomicUsize,
    /// From request to answer.
    pub(super) latency: Latency,
}

impl Upstream {
    pub(super) fn new(address: &str, id: u64) -> Upstream {
        Upstream {
            id,
            address: address.to_owned(),
            health: Health::default(),
            counters: Counters::default(),
        }
    }
}

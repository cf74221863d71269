//! The state of one server that all threads share: its address, health and counters.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize};

use super::{Health, Latency};

/// One server behind the proxy.
#[derive(Debug)]
pub(crate) struct Upstream {
    /// A number that no other upstream of this process has had.
    pub(crate) id: u64,
    /// Host and port, as configured; also its name in errors, logs and statistics.
    pub(crate) address: String,
    pub(crate) health: Health,
    pub(crate) counters: Counters,
    /// The protocol of its last answer, as a number: [`TEXT`], [`BINARY`], or 0 before the first.
    answers_in: AtomicU8,
}

/// Text, or RESP.
const TEXT: u8 = 1;
/// memcached's binary protocol.
const BINARY: u8 = 2;

/// The counters of an upstream.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Requests sent, or to be sent.
    pub(crate) requests: AtomicU64,
    /// Requests that got an error of the proxy instead of an answer.
    pub(crate) errors: AtomicU64,
    /// Requests that were sent again after their connection broke.
    pub(crate) repeats: AtomicU64,
    /// Requests without their answer yet.
    pub(crate) in_flight: AtomicUsize,
    /// Requests that it redirected, in a cluster.
    pub(crate) redirects: AtomicU64,
    /// Answers that came.
    pub(crate) answers: AtomicU64,
    /// Connections that are open or being made.
    pub(crate) connections: AtomicUsize,
    /// From request to answer.
    pub(crate) latency: Latency,
}

impl Upstream {
    pub(crate) fn new(address: &str, id: u64) -> Upstream {
        Upstream {
            id,
            address: address.to_owned(),
            health: Health::default(),
            counters: Counters::default(),
            answers_in: AtomicU8::new(0),
        }
    }

    /// Notes the protocol of an answer.
    pub(crate) fn note_answer(&self, binary: bool) {
        let now = if binary { BINARY } else { TEXT };
        if self.answers_in.load(Relaxed) != now {
            self.answers_in.store(now, Relaxed);
        }
    }

    /// Whether the next probe is in memcached's binary protocol: if the last answer was, and before the first answer for
    /// every second probe.
    pub(crate) fn is_probed_in_binary(&self) -> bool {
        match self.answers_in.load(Relaxed) {
            TEXT => false,
            BINARY => true,
            _ => self.health.probes().is_multiple_of(2),
        }
    }
}

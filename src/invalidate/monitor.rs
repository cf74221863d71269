//! A running invalidation server, as a program that watches it sees it.

use std::sync::Arc;

use crate::invalidate::figures::InvalidationFigures;
use crate::invalidate::message::unix_micros;
use crate::invalidate::stats::InvalidationStats;
use crate::proxy;
use crate::server::Handle;

/// Reads the figures of a running invalidation server.
pub(crate) struct Monitor {
    pub(super) stats: Arc<InvalidationStats>,
    pub(super) proxies: Vec<proxy::Monitor>,
    pub(super) handles: Vec<Handle>,
}

impl Monitor {
    /// The clients of each listener, and the servers to which their reads are forwarded.
    pub(crate) fn proxies(&self) -> &[proxy::Monitor] {
        &self.proxies
    }

    /// Whether the end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.handles.iter().any(Handle::is_ending)
    }

    /// The figures now.
    pub(crate) fn figures(&self) -> InvalidationFigures {
        self.stats.figures(unix_micros())
    }
}

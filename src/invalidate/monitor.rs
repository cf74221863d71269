//! A running invalidation server, as a program that watches it sees it.

use std::sync::Arc;

use crate::invalidate::figures::InvalidationFigures;
use crate::invalidate::message::unix_micros;
use crate::invalidate::stats::InvalidationStats;
use crate::proxy::Protocol;
use crate::server::{Connections, Handle};

/// Reads the figures of a running invalidation server.
pub(crate) struct Monitor {
    pub(super) stats: Arc<InvalidationStats>,
    pub(super) listeners: Vec<(Protocol, Arc<Connections>, Handle)>,
}

impl Monitor {
    /// The clients of each listener.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (Protocol, &Arc<Connections>)> {
        let listeners = self.listeners.iter();
        listeners.map(|(protocol, connections, _)| (*protocol, connections))
    }

    /// Whether the end has begun.
    pub(crate) fn is_ending(&self) -> bool {
        self.listeners
            .iter()
            .any(|(_, _, handle)| handle.is_ending())
    }

    /// The figures now.
    pub(crate) fn figures(&self) -> InvalidationFigures {
        self.stats.figures(unix_micros())
    }
}

//! A running proxy, as a program that watches it sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::{Protocol, Upstream};
use crate::proxy::client_counts::ClientCounts;
use crate::proxy::shared::Shared;
use crate::server::Connections;

/// Reads the figures of a running proxy.
#[derive(Clone)]
pub(crate) struct Monitor(pub(super) Arc<Shared>);

impl Monitor {
    /// Its clients.
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.0.connections
    }

    /// The protocol of its listener.
    pub(crate) fn protocol(&self) -> Protocol {
        self.0.settings.protocol
    }

    /// The requests of its clients.
    pub(crate) fn requests(&self) -> &ClientCounts {
        &self.0.requests
    }

    /// The upstreams as they are now.
    pub(crate) fn upstreams(&self) -> Vec<Arc<Upstream>> {
        self.0.pool().1.upstreams.clone()
    }

    /// Connections that clients have for themselves now, and how many they may have.
    pub(crate) fn dedicated(&self) -> [usize; 2] {
        let shared = &self.0;
        [shared.detached.load(Relaxed), shared.settings.detached]
    }
}

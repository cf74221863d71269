//! A running proxy, as a program that watches it sees it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::Upstream;
use crate::proxy::shared::Shared;
use crate::server::Connections;

/// Reads the figures of a running proxy.
pub(crate) struct Monitor(pub(super) Arc<Shared>);

impl Monitor {
    /// Its clients.
    pub(crate) fn connections(&self) -> &Arc<Connections> {
        &self.0.connections
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

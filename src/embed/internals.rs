//! The parts of a server, for tests and measurements of larder itself.

use std::sync::Arc;

use super::Server;
use crate::server::Connections;
use crate::service::memcached::Memcached;
use crate::store::Store;

#[cfg(feature = "internals")]
impl Server {
    /// The store behind both protocols.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The service of memcached's protocol.
    pub fn memcached(&self) -> &Arc<Memcached> {
        &self.memcached
    }

    /// The connections that are open.
    pub fn connections(&self) -> &Arc<Connections> {
        self.running.connections()
    }
}

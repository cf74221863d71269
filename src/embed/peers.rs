//! The peers of a server that is started inside this program.

use std::sync::{Arc, Weak};

use crate::peers::{PeerSettings, PeerStartError, RunningPeers};
use crate::server::StartError;
use crate::service::memcached::Memcached;
use crate::service::resp::Resp;
use crate::store::Store;

use super::{Builder, Server};

impl Builder {
    /// The larders that form one cache with this one; `None` for none. Excludes users of memcached's protocol and TLS.
    pub(crate) fn peers(mut self, peers: Option<PeerSettings>) -> Builder {
        self.peers = peers;
        self
    }

    /// Starts the threads that ask peers, if there are any, for both services.
    pub(super) fn start_peers(
        &self,
        store: &Arc<Store>,
        memcached: &Memcached,
        resp: &Resp,
    ) -> Result<Option<Arc<RunningPeers>>, StartError> {
        let Some(settings) = &self.peers else {
            return Ok(None);
        };
        if self.auth_file.is_some() || self.tls.is_some() {
            return Err(StartError::Peers(
                "peers can't log in and have no TLS: --peers can't be used with --auth-file or --tls-cert".into(),
            ));
        }
        let running = RunningPeers::start(store, settings.clone(), self.max_item_size);
        let running = running.map_err(|error| match error {
            PeerStartError::List(problem) => StartError::Peers(format!("--peers {problem}")),
            PeerStartError::Threads(error) => StartError::Worker(error),
        })?;
        memcached.share_with(running.link());
        resp.share_with(running.link());
        Ok(Some(Arc::new(running)))
    }
}

impl Server {
    /// The threads that ask peers, while the server runs.
    pub(crate) fn peers(&self) -> Option<Weak<RunningPeers>> {
        self.peers.as_ref().map(Arc::downgrade)
    }
}

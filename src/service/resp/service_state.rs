//! The state that all sessions of the service share, and its settings.

use std::sync::Arc;
use std::time::Duration;

use super::client_state::ClientRegistry;
use super::statistics::Statistics;
use crate::server::Connections;
use crate::store::Store;

/// The version whose commands these are, told to clients that choose what they use by it.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// How the store evicts, worded as Redis words its policies: any key may go, and SIEVE says which.
pub(super) const MAXMEMORY_POLICY: &str = "allkeys-sieve";

/// Bytes of the largest request, whatever is asked for: what the reader's offsets can address.
pub(super) const MAX_REQUEST: usize = 2 << 30;

/// Bytes of the longest item that CONFIG SET allows: what the protocol can carry.
pub(super) const MAX_BULK: i64 = 512 << 20;

/// What the service can be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What AUTH must bring before other commands are answered; none for an open door.
    pub password: Option<String>,
    /// Bytes that one request, or the commands queued by MULTI, may take; a client that sends more
    /// is closed. Redis's `client-query-buffer-limit`. The server's
    /// [`max_input`](crate::server::Settings::max_input) must be larger.
    pub max_request: usize,
    /// Bytes that the reply to one command may take; a client that asks for more is closed. Redis's
    /// `client-output-buffer-limit`.
    pub max_reply: usize,
    /// Silence after which the server closes a connection, zero for never. Only told to clients
    /// that ask.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            password: None,
            max_request: 32 << 20,
            max_reply: 64 << 20,
            idle_timeout: Duration::ZERO,
        }
    }
}

/// What all sessions have in common.
pub(crate) struct ServiceState {
    pub store: Arc<Store>,
    pub connections: Arc<Connections>,
    pub settings: Settings,
    pub clients: ClientRegistry,
    pub statistics: Statistics,
    /// Forty hexadecimal digits that no other run has, so that clients notice a restart.
    pub run_id: String,
    /// When the service was made, by the store's clock.
    pub started_ms: u64,
}

impl ServiceState {
    /// What AUTH must bring.
    pub(crate) fn password(&self) -> Option<&str> {
        self.settings.password.as_deref()
    }

    /// Begins to count anew.
    pub(crate) fn reset_counts(&self) {
        self.store.reset_stats();
        self.statistics.reset();
    }
}

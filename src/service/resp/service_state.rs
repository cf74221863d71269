//! The state that all sessions of the service share, and its settings.

use std::sync::Arc;
use std::time::Duration;

use super::client_state::ClientRegistry;
use super::statistics::Statistics;
use crate::server::Connections;
use crate::store::Store;

/// The version of Redis that the commands follow. Clients choose by it which commands they use.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// The name of the store's eviction, in the form of Redis's policies: any key may be evicted, and
/// SIEVE chooses.
pub(super) const MAXMEMORY_POLICY: &str = "allkeys-sieve";

/// Bytes of the largest request, whatever the settings say: the reader's offsets reach no further.
pub(super) const MAX_REQUEST: usize = 2 << 30;

/// Bytes of the longest item that CONFIG SET allows: the protocol carries no longer one.
pub(super) const MAX_BULK: i64 = 512 << 20;

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The password that AUTH must give before other commands are answered; `None` for no password.
    pub password: Option<String>,
    /// Bytes that one request, or the commands queued by MULTI, may take; a client that sends more
    /// is closed. Redis's `client-query-buffer-limit`. The server's
    /// [`max_input`](crate::server::Settings::max_input) must be larger.
    pub max_request: usize,
    /// Bytes that the reply to one command may take; a client that asks for more is closed. Redis's
    /// `client-output-buffer-limit`.
    pub max_reply: usize,
    /// Idle time after which the server closes a connection, zero for never. The service only reports
    /// it (`CONFIG GET timeout`); the server enforces it.
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

/// The state that all sessions share.
pub(crate) struct ServiceState {
    pub store: Arc<Store>,
    pub connections: Arc<Connections>,
    pub settings: Settings,
    pub clients: ClientRegistry,
    pub statistics: Statistics,
    /// Forty hexadecimal digits that no other run has, so that clients notice a restart.
    pub run_id: String,
    /// The start of the service, by the store's clock.
    pub started_ms: u64,
}

impl ServiceState {
    /// The password that AUTH must give.
    pub(crate) fn password(&self) -> Option<&str> {
        self.settings.password.as_deref()
    }

    /// Sets all counters to zero.
    pub(crate) fn reset_counts(&self) {
        self.store.reset_stats();
        self.statistics.reset();
    }
}

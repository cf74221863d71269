//! The state that all sessions of the service share, and its settings.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::acl::users::Users;
use super::client_info::ClientRegistry;
use super::monitors::Monitors;
use super::pause_state::Pause;
use super::rates::RateSampler;
use super::statistics::Statistics;
use crate::origin::ReadThrough;
use crate::peers::Peers;
use crate::server::Connections;
use crate::service::memcached::Memcached;
use crate::service::secret::Secret;
use crate::service::slow_log::SlowLog;
use crate::snapshot::Saver;
use crate::store::Store;

/// The version of Redis that the commands follow. Clients choose by it which commands they use.
pub(super) const REDIS_VERSION: &str = "7.0.15";

/// The names of what the store does when it is full, in the form of Redis's policies: nothing is evicted; or any key may be, and
/// an algorithm like S3-FIFO chooses.
pub(super) const MAXMEMORY_POLICIES: [&str; 2] = ["noeviction", "allkeys-s3fifo"];

/// Bytes of the largest request with any settings: the words of a request are found by 32-bit offsets.
const MAX_REQUEST: usize = 2 << 30;

/// Bytes of the longest item that CONFIG SET allows: the protocol carries no longer one.
pub(super) const MAX_BULK: i64 = 512 << 20;

/// Bytes of the largest request, unless the settings say otherwise or items are larger.
const LEAST_REQUEST: usize = 32 << 20;

/// Bytes that a request or a reply with the largest item may have beside it.
const BESIDE_ITEM: usize = 64 << 10;

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The password of the default user, which AUTH must give before other commands are answered; `None` for no
    /// password. It can change while the service runs.
    pub password: Option<Secret>,
    /// Bytes that one request, or the commands queued by MULTI, may take; a client that sends more is closed. Redis's
    /// `client-query-buffer-limit`. The server's [`max_input`](crate::server::Settings::max_input) must be larger. `None`
    /// for 32 MiB, or what the largest item needs.
    pub max_request: Option<usize>,
    /// Bytes that the reply to one command may take; a client that asks for more is closed. Redis's
    /// `client-output-buffer-limit`. `None` for [`Connections::max_reply`].
    pub max_reply: Option<usize>,
    /// Idle time after which the server closes a connection, zero for never. The service only reports
    /// it (`CONFIG GET timeout`); the server enforces it.
    pub idle_timeout: Duration,
    /// Whether clients of other machines are refused while the default user is open.
    pub protected: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            password: None,
            max_request: None,
            max_reply: None,
            idle_timeout: Duration::ZERO,
            protected: false,
        }
    }
}

/// The state that all sessions share.
pub(crate) struct ServiceState {
    pub store: Arc<Store>,
    pub connections: Arc<Connections>,
    pub users: Users,
    pub settings: Settings,
    pub clients: ClientRegistry,
    pub statistics: Statistics,
    pub monitors: Monitors,
    pub pause: Pause,
    /// Commands and bytes in a second.
    pub rates: RateSampler,
    /// The service of memcached's protocols beside this one, whose requests INFO counts.
    pub memcached: OnceLock<Arc<Memcached>>,
    /// The writer of snapshots, if there is a file for them.
    pub snapshots: OnceLock<Arc<Saver>>,
    /// The origin of what the store doesn't have, if there is one.
    pub origin: OnceLock<Arc<ReadThrough>>,
    /// The larders that form one cache with this one, if there are any.
    pub peers: OnceLock<Arc<dyn Peers>>,
    /// The requests that took long; that of the program, or one of its own.
    pub slow_log: OnceLock<Arc<SlowLog>>,
    /// Forty hexadecimal digits that no other run has, so that clients notice a restart.
    pub run_id: String,
    /// The start of the service, by the store's clock.
    pub started_ms: u64,
}

impl ServiceState {
    /// The requests that took long.
    #[inline]
    pub(super) fn slow_log(&self) -> &SlowLog {
        self.slow_log.get_or_init(Arc::default)
    }

    /// Redis's name of the policy for a full store.
    pub(super) fn maxmemory_policy(&self) -> &'static str {
        let evicts = !self.store.refuses();
        MAXMEMORY_POLICIES[usize::from(evicts)]
    }

    /// Bytes of the longest word that is kept: those of the largest item that can be stored and returned.
    pub(crate) fn max_bulk(&self) -> usize {
        let reply = self.max_reply().saturating_sub(BESIDE_ITEM);
        self.store.max_item_size().min(MAX_BULK as usize).min(reply)
    }

    /// Bytes that one request may take.
    pub(crate) fn max_request(&self) -> usize {
        let default = || LEAST_REQUEST.max(self.max_bulk() + BESIDE_ITEM);
        let limit = self.settings.max_request.unwrap_or_else(default);
        limit.min(MAX_REQUEST)
    }

    /// Bytes that the reply to one command may take.
    pub(crate) fn max_reply(&self) -> usize {
        let default = || self.connections.max_reply();
        self.settings.max_reply.unwrap_or_else(default)
    }

    /// Sets all counters to zero.
    pub(crate) fn reset_counts(&self) {
        self.store.reset_stats();
        self.statistics.reset();
        self.users.log.reset_counts();
        self.connections.reset_counts();
        self.rates.reset(self.store.now_ms());
    }
}

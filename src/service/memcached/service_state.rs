//! The state of the service, which all sessions share, and its settings.

use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::origin::ReadThrough;
use crate::peers::Peers;
use crate::protocol::memcached::text::Nesting;
use crate::server::{Address, Certificates, Connection, Connections, limits};
use crate::service::slow_log::SlowLog;
use crate::snapshot::Saver;
use crate::store::Store;

use super::auth_file::AuthFile;
use super::command_counts::CommandCounters;
use super::counters::{Counters, OF_DATAGRAMS};
use super::prefixes::Prefixes;
use super::watch::EventLog;

/// The protocols that clients of a connection may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SpokenProtocol {
    /// The first byte of a connection decides, as in memcached.
    #[default]
    Auto,
    /// The text protocol, with the meta commands.
    Text,
    /// The binary protocol.
    Binary,
}

/// The settings of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether keys are paths; without it the service is memcached to the letter.
    pub nested: bool,
    /// Whether clients may remove all items.
    pub flush_all: bool,
    /// Whether clients may watch what others do.
    pub watch: bool,
    /// The protocols that clients may speak.
    pub protocol: SpokenProtocol,
    /// The number of connections that may wait to be accepted, for `stats settings`.
    pub backlog: u32,
    /// The number of the server's worker threads, for `stats`.
    pub workers: usize,
    /// The time after which the server closes an idle connection, for `stats settings`; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// Bytes that key and value of one item may have together, if a client of this service stores it. The store's own
    /// limit holds too. Items that others have stored may be larger, and are returned.
    pub max_item_size: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            nested: true,
            flush_all: true,
            watch: true,
            protocol: SpokenProtocol::Auto,
            backlog: limits::BACKLOG,
            workers: 1,
            idle_timeout: None,
            max_item_size: 1 << 20,
        }
    }
}

/// Ends the server.
pub(super) struct EndHandle(pub(super) Box<dyn Fn() + Send + Sync>);

impl fmt::Debug for EndHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EndHandle")
    }
}

/// The state that all sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) connections: Arc<Connections>,
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    pub(super) commands: CommandCounters,
    pub(super) prefixes: Prefixes,
    pub(super) log: Arc<EventLog>,
    /// The start of the service, by the store's clock.
    pub(super) started_ms: u64,
    /// The users, if clients have to authenticate.
    pub(super) auth_file: OnceLock<AuthFile>,
    /// The record that stands for all senders of datagrams, if there is a socket for them.
    pub(super) udp: OnceLock<Arc<Connection>>,
    /// Ends the server, if clients may.
    pub(super) shutdown: OnceLock<EndHandle>,
    /// The certificates of the listeners, if they have TLS.
    pub(super) certificates: OnceLock<Arc<dyn Certificates>>,
    /// The other listeners.
    pub(super) listeners: OnceLock<Vec<Address>>,
    /// The writer of snapshots, if there is a file for them.
    pub(super) snapshots: OnceLock<Arc<Saver>>,
    /// The origin of what the store doesn't have, if there is one.
    pub(super) origin: OnceLock<Arc<ReadThrough>>,
    /// The larders that form one cache with this one, if there are any.
    pub(super) peers: OnceLock<Arc<dyn Peers>>,
    /// The requests that took long; that of the program, or one of its own.
    pub(super) slow_log: OnceLock<Arc<SlowLog>>,
    /// The level of the last `verbosity`. `stats settings` shows it; it doesn't change larder's log
    /// level.
    pub(super) verbosity: AtomicU32,
    pub(super) max_item_size: AtomicUsize,
}

impl Shared {
    /// The requests that took long.
    #[inline]
    pub(super) fn slow_log(&self) -> &SlowLog {
        self.slow_log.get_or_init(Arc::default)
    }

    /// Bytes that key and value of an item may have together.
    pub(super) fn max_item_size(&self) -> usize {
        let own = self.max_item_size.load(Ordering::Relaxed);
        own.min(self.store.max_item_size())
    }

    /// The numbers of requests by protocol, under their names in `stats`.
    pub(super) fn requests_by_protocol(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let commands = [
            ("text_commands", "text"),
            ("meta_commands", "meta"),
            ("binary_commands", "binary"),
        ];
        let commands = commands.map(|(name, protocol)| (name, self.commands.calls_in(protocol)));
        let datagrams = OF_DATAGRAMS.map(|name| (name, self.counters.get(name)));
        commands.into_iter().chain(datagrams)
    }

    pub(super) fn nesting(&self) -> Nesting {
        if self.settings.nested {
            Nesting::On
        } else {
            Nesting::Off
        }
    }
}

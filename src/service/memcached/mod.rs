//! memcached's protocols on the store: classic and meta text, nested keys, and in `binary` the binary protocol.
//!
//! ```text
//!   input ─▶ TextSession::step ─▶ text::parse ─▶ TurnContext (one method per family) ─▶ Operations ─▶ Tree
//!                 │                             │                                      │          one lock per key
//!                 └ InputStart: what a turn     └ Output: the outcome in words         └ TurnCounts: added to the
//!                   left unfinished                                                      service's counters once per turn
//! ```
//!
//! The families of commands are files, as in [`text`](crate::protocol::memcached::text): `retrieval`,
//! `storage`, `key_commands` and `admin` each begin with the method that runs the family's commands. What a command does
//! to an item is in `operations`, which knows no protocol.
//!
//! A [`ConnectionSession`] chooses the protocol by the first byte. It holds no bytes: a value stays in the connection's input until all of it has arrived, after its length was checked, and the bytes of one
//! that is too large are counted and dropped. A large value goes into memory of the store as it arrives (`receiving`). A `get` of many keys writes them one by one and
//! stops between two keys when the output is full; it consumes the keys that it has written, so it continues with the rest of the line.
//!
//! A client's items are in the store's database 0, where Redis clients find them too. A Redis hash
//! is a node without a value: to memcached's commands it holds no data (`get` misses, `add` and
//! `replace` don't store), while `getn` and `getch` read its fields. `set`, `add`, `replace` and
//! `cas` replace an item and remove all that is below it; `append`, `prepend`, `incr`, `decr` and
//! `touch` leave the items below it unchanged. A change below an item changes its cas unique.
//!
//! With an [origin](crate::origin), `get`, `gets`, `gat`, `gats`, `mg` without `N`, `getn`, `getns` and the reads of the binary protocol
//! wait for what the store doesn't have. A wait counts as nothing in `stats`; the command counts when it runs again. UDP has no
//! connection that could wait, so it misses.
//!
//! Cost of a `get` that hits: the scanner, one lock, one look-up, one copy of the value into the
//! output, none if it is large. No allocation once the output has grown.

mod admin;
mod auth_file;
mod binary;
mod children;
mod command_counts;
mod connection_session;
mod context;
mod counters;
mod datagrams;
mod dump;
mod key_commands;
mod large_listing;
mod meta;
mod operations;
mod output;
mod peers;
mod prefixes;
mod receiving;
mod retrieval;
mod service_state;
mod slow_requests;
mod stats;
mod stats_conns;
mod stats_general;
mod stats_settings;
mod step;
mod storage;
#[cfg(test)]
mod tests;
mod text_session;
mod watch;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use crate::origin::ReadThrough;
use crate::peers::Peers;
use crate::protocol::memcached::text::reply;
use crate::server::{self, Address, Certificates, Connections, Peer, Refusal};
use crate::service::slow_log::SlowLog;
use crate::snapshot::Saver;
use crate::store::Store;

pub use auth_file::AuthFile;
use command_counts::CommandCounters;
pub(crate) use command_counts::CommandFigures;
use connection_session::ConnectionSession;
use counters::Counters;
use prefixes::Prefixes;
use service_state::{EndHandle, Shared};
pub use service_state::{Settings, SpokenProtocol};
use watch::EventLog;

/// The memcached service: opens a session for each connection.
#[derive(Debug)]
pub struct Memcached {
    shared: Arc<Shared>,
}

impl Memcached {
    /// A service on a store; `stats` reports on `connections`.
    pub fn new(store: Arc<Store>, connections: Arc<Connections>, settings: Settings) -> Memcached {
        let started_ms = store.now_ms();
        Memcached {
            shared: Arc::new(Shared {
                log: EventLog::new(&store),
                store,
                connections,
                settings,
                counters: Counters::default(),
                commands: CommandCounters::default(),
                prefixes: Prefixes::default(),
                started_ms,
                auth_file: OnceLock::new(),
                udp: OnceLock::new(),
                shutdown: OnceLock::new(),
                certificates: OnceLock::new(),
                listeners: OnceLock::new(),
                snapshots: OnceLock::new(),
                origin: OnceLock::new(),
                peers: OnceLock::new(),
                slow_log: OnceLock::new(),
                verbosity: AtomicU32::new(0),
                max_item_size: AtomicUsize::new(settings.max_item_size),
            }),
        }
    }

    /// Lets clients end the server, which `end` does, by `shutdown`.
    pub(crate) fn allow_shutdown(&self, end: impl Fn() + Send + Sync + 'static) {
        let _ = self.shared.shutdown.set(EndHandle(Box::new(end)));
    }

    /// Lets clients have the certificates of the listeners read again, by `refresh_certs`.
    pub(crate) fn refresh_certificates(&self, certificates: Arc<dyn Certificates>) {
        // Only the first ones count.
        let _ = self.shared.certificates.set(certificates);
    }

    /// Names the listeners for streams, which `stats conns` lists. Their numbers, and that of the socket for datagrams, have
    /// to be [reserved](Connections::reserve_numbers).
    pub(crate) fn list_listeners(&self, listeners: Vec<Address>) {
        let _ = self.shared.listeners.set(listeners);
    }

    /// Makes clients authenticate as users of a file, before the first connects.
    pub fn require_users_of(&self, file: AuthFile) {
        // Only the first file counts.
        let _ = self.shared.auth_file.set(file);
    }

    /// Puts requests that take long into a log that other services share.
    pub(crate) fn log_slow_requests_to(&self, log: Arc<SlowLog>) {
        // Only the first one counts.
        let _ = self.shared.slow_log.set(log);
    }

    /// Lets `stats` report on snapshots.
    pub(crate) fn report_snapshots_of(&self, saver: Arc<Saver>) {
        // Only the first one counts.
        let _ = self.shared.snapshots.set(saver);
    }

    /// Has reads ask an origin for what the store doesn't have.
    pub(crate) fn read_through(&self, origin: Arc<ReadThrough>) {
        // Only the first counts.
        let _ = self.shared.origin.set(origin);
    }

    /// Forms one cache with peers.
    pub(crate) fn share_with(&self, peers: Arc<dyn Peers>) {
        // Only the first counts.
        let _ = self.shared.peers.set(peers);
    }

    /// Reads the file of users again, if there is one. After an error the old users stay.
    ///
    /// # Errors
    /// A sentence for a person, if the file can't be read or has a malformed line.
    pub fn reload_users(&self) -> Result<(), String> {
        self.shared.auth_file.get().map_or(Ok(()), AuthFile::reload)
    }

    /// The count of this name in `stats`, of those that the service counts itself.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.shared.counters.get(name)
    }

    /// The commands that were called, and the latencies of a sample by these upper bounds in nanoseconds.
    pub(crate) fn commands(&self, bounds: &[u64]) -> Vec<CommandFigures> {
        self.shared.commands.figures(bounds)
    }

    /// Milliseconds since the start.
    pub(crate) fn uptime_ms(&self) -> u64 {
        let now_ms = self.shared.store.now_ms();
        now_ms.saturating_sub(self.shared.started_ms)
    }

    /// The figures of the origin and of peers, if there are any, under their names in `stats`.
    pub(crate) fn origin_statistics(&self) -> Vec<(&'static str, u64)> {
        let (origin, peers) = (self.shared.origin.get(), self.shared.peers.get());
        let mut lines = origin.map(|origin| origin.statistics()).unwrap_or_default();
        lines.extend(peers.map(|peers| peers.statistics()).unwrap_or_default());
        lines
    }

    /// The numbers of requests by protocol, under their names in `stats`.
    pub(super) fn requests_by_protocol(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.shared.requests_by_protocol()
    }

    /// Sets how many bytes key and value of one item may have together. Stored items stay.
    pub fn set_max_item_size(&self, bytes: usize) {
        self.shared.max_item_size.store(bytes, Ordering::Relaxed);
        if let Some(origin) = self.shared.origin.get() {
            origin.set_max_item_size(bytes);
        }
        if let Some(peers) = self.shared.peers.get() {
            peers.reads().set_max_item_size(bytes);
        }
    }
}

impl server::Service for Memcached {
    fn protocol(&self) -> &'static str {
        "memcached"
    }

    fn open(&self, peer: Peer) -> Box<dyn server::Session> {
        Box::new(ConnectionSession::new(
            Arc::clone(&self.shared),
            peer.connection,
        ))
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        match why {
            Refusal::TooManyConnections => Cow::Borrowed(reply::TOO_MANY_CONNECTIONS),
        }
    }
}

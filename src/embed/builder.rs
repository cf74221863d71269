//! The settings of a server that is to be started inside this program.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::origin::{self, Origin};
#[cfg(feature = "proxy")]
use crate::peers::PeerSettings;
use crate::server::{self, Listen, Model, ServerTls};
use crate::service::memcached::SpokenProtocol;
use crate::service::{Secret, memcached, slow_log};
use crate::store::{self, Clock};

/// The settings of a [`Server`](super::Server) to be started. The defaults are the binary's, except for the ports, which are free
/// ones.
#[derive(Debug, Clone)]
pub struct Builder {
    pub(super) memcached: Option<Listen>,
    pub(super) resp: Option<Listen>,
    pub(super) unix: Option<Listen>,
    pub(super) udp: Option<String>,
    pub(super) store: store::Config,
    pub(super) clock: Option<Clock>,
    pub(super) commands: memcached::Settings,
    pub(super) shutdown_command: bool,
    pub(super) password: Option<Secret>,
    pub(super) auth_file: Option<PathBuf>,
    pub(super) acl_file: Option<PathBuf>,
    pub(super) protected: bool,
    pub(super) snapshot: Option<PathBuf>,
    pub(super) snapshot_every: Option<Duration>,
    pub(super) max_item_size: usize,
    pub(super) max_reply_memory: Option<usize>,
    /// Microseconds of a request that belongs into the slow log, negative for no log; and its entries.
    pub(super) slow_log: (i64, u64),
    pub(super) server: server::Settings,
    pub(super) tls: Option<Arc<ServerTls>>,
    pub(super) origin: Option<(Arc<dyn Origin>, origin::Settings)>,
    #[cfg(feature = "proxy")]
    pub(super) peers: Option<PeerSettings>,
}

impl Default for Builder {
    fn default() -> Builder {
        let free = || Some(Listen::Tcp("127.0.0.1:0".into()));
        Builder {
            memcached: free(),
            resp: free(),
            unix: None,
            udp: None,
            store: store::Config::default(),
            clock: None,
            commands: memcached::Settings::default(),
            shutdown_command: false,
            password: None,
            auth_file: None,
            acl_file: None,
            protected: false,
            snapshot: None,
            snapshot_every: None,
            max_item_size: memcached::Settings::default().max_item_size,
            max_reply_memory: None,
            slow_log: (slow_log::SLOWER_THAN, slow_log::MAX_LEN),
            server: server::Settings::default(),
            tls: None,
            origin: None,
            #[cfg(feature = "proxy")]
            peers: None,
        }
    }
}

impl Builder {
    /// The address of memcached's text protocol; `None` for no listener.
    pub fn memcached(mut self, listen: Option<Listen>) -> Builder {
        self.memcached = listen;
        self
    }

    /// The address of RESP; `None` for no listener.
    pub fn resp(mut self, listen: Option<Listen>) -> Builder {
        self.resp = listen;
        self
    }

    /// A Unix socket on which memcached's text protocol listens, too.
    pub fn unix(mut self, listen: Option<Listen>) -> Builder {
        self.unix = listen;
        self
    }

    /// The address of memcached's protocols over UDP, `host:port`; `None` for no UDP. Excludes [`Builder::auth_file`].
    pub fn udp(mut self, address: Option<String>) -> Builder {
        self.udp = address;
        self
    }

    /// Bytes that items may take, overhead counted.
    pub fn memory(mut self, bytes: u64) -> Builder {
        self.store.memory = bytes;
        self
    }

    /// The policy for a write for which there is no memory: it evicts other items, or it is refused.
    pub fn when_full(mut self, when_full: store::WhenFull) -> Builder {
        self.store.when_full = when_full;
        self
    }

    /// Bytes that key and value of an item may have together if a client of memcached's protocol stores it. RESP takes
    /// items up to half of the memory, as [`store::Config`] says.
    pub fn max_item_size(mut self, bytes: usize) -> Builder {
        self.max_item_size = bytes;
        self
    }

    /// Bytes that the replies of all connections may take while they wait for their clients, and unfinished requests. `None` for
    /// [`Server::default_reply_memory`](super::Server::default_reply_memory), or for two of the largest items if that is more. One reply may take three quarters of it.
    pub fn max_reply_memory(mut self, bytes: Option<usize>) -> Builder {
        self.max_reply_memory = bytes;
        self
    }

    /// The time from which on a request is put into the slow log, to the microsecond, `None` for no log; and the entries that the log
    /// may have. SLOWLOG and `stats slowlog` show them.
    pub fn slow_log(mut self, slower_than: Option<Duration>, entries: u64) -> Builder {
        let microseconds = slower_than.map_or(-1, |time| {
            i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
        });
        self.slow_log = (microseconds, entries);
        self
    }

    /// Whether memcached's text protocol has nested keys; without them it is exactly memcached's.
    pub fn nested(mut self, nested: bool) -> Builder {
        self.commands.nested = nested;
        self
    }

    /// Which of memcached's protocols its clients may speak.
    pub fn memcached_protocol(mut self, protocol: SpokenProtocol) -> Builder {
        self.commands.protocol = protocol;
        self
    }

    /// Whether memcached's clients may remove all items by `flush_all`.
    pub fn flush_all(mut self, allowed: bool) -> Builder {
        self.commands.flush_all = allowed;
        self
    }

    /// Whether memcached's clients may follow by `watch` what others do.
    pub fn watch(mut self, allowed: bool) -> Builder {
        self.commands.watch = allowed;
        self
    }

    /// Whether memcached's clients may end the server by `shutdown`, as with memcached's `-A`.
    /// [`Server::join`](super::Server::join) returns then.
    pub fn shutdown_command(mut self, allowed: bool) -> Builder {
        self.shutdown_command = allowed;
        self
    }

    /// The password that RESP clients must give; `None` for none.
    pub fn password(mut self, password: Option<String>) -> Builder {
        self.password = password.map(Secret::from);
        self
    }

    /// A file with the users of memcached's protocol, a line `user:password` for each, as memcached's `-Y`. Clients have to
    /// authenticate by a `set` whose value is user and password with a space between. `None` for no users.
    pub fn auth_file(mut self, path: Option<PathBuf>) -> Builder {
        self.auth_file = path;
        self
    }

    /// A file with the users of RESP, in the format of Redis's `aclfile`; `None` for the default user alone. It also says
    /// which password the default user has, instead of [`Builder::password`].
    pub fn acl_file(mut self, path: Option<PathBuf>) -> Builder {
        self.acl_file = path;
        self
    }

    /// Whether clients of other machines are refused while the default user of RESP is open. The program's listeners are
    /// checked at the start; this holds for what administrators change later.
    pub(crate) fn protected(mut self, protected: bool) -> Builder {
        self.protected = protected;
        self
    }

    /// A file for snapshots of all items: loaded at the start, and written when the server ends, at intervals, and by SAVE
    /// and BGSAVE. `None` for none. A file that can't be loaded is renamed, and the server starts empty.
    pub fn snapshot(mut self, path: Option<PathBuf>) -> Builder {
        self.snapshot = path;
        self
    }

    /// The interval between two snapshots; `None` for no snapshots but those that are asked for, and the one at the end.
    pub fn snapshot_every(mut self, interval: Option<Duration>) -> Builder {
        self.snapshot_every = interval;
        self
    }

    /// A clock that stands still until [`Server::advance`](super::Server::advance) moves it; it starts at the system's time.
    pub fn manual_clock(mut self) -> Builder {
        let since_1970 = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        self.clock = Some(Clock::manual(since_1970.as_millis() as u64));
        self
    }

    /// The origin from which reads fetch what the cache doesn't have, `None` for none; see [`crate::origin`].
    pub fn origin(
        mut self,
        origin: Option<Arc<dyn Origin>>,
        settings: origin::Settings,
    ) -> Builder {
        self.origin = origin.map(|origin| (origin, settings));
        self
    }

    /// The model that runs connections.
    pub fn model(mut self, model: Model) -> Builder {
        self.server.model = model;
        self
    }

    /// Threads that serve connections; `None` for the model's default.
    pub fn workers(mut self, workers: Option<usize>) -> Builder {
        self.server.workers = workers;
        self
    }

    /// Connections that may wait to be accepted, for each listener; the system may allow fewer.
    pub fn backlog(mut self, connections: u32) -> Builder {
        self.server.backlog = connections;
        self
    }

    /// Connections that may be open at once, over all listeners.
    pub fn max_connections(mut self, connections: usize) -> Builder {
        self.server.max_connections = connections;
        self
    }

    /// Closes connections that were silent for this long; `None` for never.
    pub fn idle_timeout(mut self, timeout: Option<Duration>) -> Builder {
        self.server.idle_timeout = timeout;
        self
    }

    /// TLS on all TCP listeners; `None` for none. Unix sockets have none.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Option<Arc<ServerTls>>) -> Builder {
        self.tls = tls;
        self
    }
}

//! The whole server inside a Rust program: a real memcached and Redis for tests, on free ports, ended when
//! dropped.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//! use std::time::Duration;
//!
//! let server = larder::Server::builder().manual_clock().start()?;
//!
//! // Any memcached or Redis client works. Here the requests are written by hand:
//! let mut client = TcpStream::connect(server.resp_addr())?;
//! client.write_all(b"SET session:1 open EX 60\r\nGET session:1\r\n")?;
//! let mut reply = [0; 15];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"+OK\r\n$4\r\nopen\r\n");
//!
//! // A test need not sleep: it moves the clock.
//! server.advance(Duration::from_secs(60));
//! client.write_all(b"GET session:1\r\n")?;
//! let mut reply = [0; 5];
//! client.read_exact(&mut reply)?;
//! assert_eq!(&reply, b"$-1\r\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A program that only embeds the server can leave the other features out, and builds in a third of
//! the time:
//!
//! ```toml
//! larder = { version = "0.1", default-features = false }
//! ```
//!
//! Cost: two listeners, as many worker threads as there are cores and one that sweeps expired items; about a
//! millisecond to start. The binary serves through the same [`Builder`], so a test uses the same server as
//! production.

mod builder;
#[cfg(feature = "internals")]
mod internals;
mod last_snapshot;
#[cfg(feature = "proxy")]
mod peers;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::origin::FetchThreads;
use crate::server::{self, Address, Connections, Handle, Running, Service, StartError};
use crate::service::latency_monitor::EXPIRE_CYCLE;
use crate::service::memcached::{self, AuthFile, Memcached};
use crate::service::resp::{self, Resp};
use crate::service::slow_log::SlowLog;
use crate::snapshot::{SaveError, Saver};
use crate::store::{Clock, Store, Sweeper};

pub use builder::Builder;

use last_snapshot::LastSnapshot;

/// The time that a dropped or stopped server gives to requests in flight, all connections together.
pub const GRACE: Duration = Duration::from_secs(10);

/// A server that runs inside this program. Dropping it ends it.
pub struct Server {
    pub(crate) running: Running,
    pub(crate) store: Arc<Store>,
    pub(crate) memcached: Arc<Memcached>,
    pub(crate) resp: Arc<Resp>,
    pub(crate) slow_log: Arc<SlowLog>,
    protocols: Vec<&'static str>,
    // Ends its thread when dropped.
    _sweeper: Sweeper,
    // Ends its threads when dropped, which is after the connections that wait for them have ended.
    _fetch_threads: Option<FetchThreads>,
    // The same.
    #[cfg(feature = "proxy")]
    peers: Option<Arc<crate::peers::RunningPeers>>,
    // Writes when dropped, after the connections have ended.
    snapshots: LastSnapshot,
}

impl Server {
    /// Starts memcached and RESP on free ports of 127.0.0.1, with 64 MiB.
    ///
    /// # Errors
    /// When no port or thread is available.
    pub fn start() -> Result<Server, StartError> {
        Server::builder().start()
    }

    /// A server to be started with settings of your own.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Bytes that the replies and unfinished requests of all connections may take if items may take `memory`, by default: enough for the largest
    /// item.
    pub(crate) fn default_reply_memory(memory: u64) -> usize {
        const MOST: usize = 1 << 30;
        let memory = usize::try_from(memory).unwrap_or(MOST);
        memory.clamp(server::limits::MAX_REPLY_MEMORY, MOST)
    }

    /// The address of memcached's protocols, text and binary.
    ///
    /// # Panics
    /// When the server was built without it, or on a Unix socket.
    pub fn memcached_addr(&self) -> SocketAddr {
        self.tcp("memcached")
    }

    /// The address of RESP.
    ///
    /// # Panics
    /// When the server was built without it, or on a Unix socket.
    pub fn resp_addr(&self) -> SocketAddr {
        self.tcp("resp")
    }

    /// The address of memcached's protocols over UDP.
    ///
    /// # Panics
    /// When the server was built without it.
    pub fn udp_addr(&self) -> SocketAddr {
        let found = self.listeners().find_map(|(_, address)| address.udp());
        found.expect("this server was built with UDP")
    }

    fn tcp(&self, protocol: &str) -> SocketAddr {
        let found = self.listeners().find_map(|(name, address)| match address {
            Address::Tcp(addr) if name == protocol => Some(*addr),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("this server has no TCP listener for {protocol}"))
    }

    /// Every listener: its protocol and its address.
    pub fn listeners(&self) -> impl Iterator<Item = (&'static str, &Address)> {
        self.protocols.iter().copied().zip(self.running.addresses())
    }

    /// Names memcached's listeners for `stats conns`.
    fn list_listeners(&self) {
        let listeners = self.listeners();
        let of_memcached = listeners.filter(|(name, _)| ["memcached", "unix"].contains(name));
        let addresses = of_memcached.map(|(_, address)| address.clone()).collect();
        self.memcached.list_listeners(addresses);
    }

    /// Moves the clock of a server built with [`Builder::manual_clock`]: items that are due then have expired
    /// when this returns.
    ///
    /// # Panics
    /// When the server runs on the system's clock.
    pub fn advance(&self, by: Duration) {
        self.store.clock().advance(by);
    }

    /// A handle to end this server from another thread while [`Server::join`] waits.
    pub fn handle(&self) -> Handle {
        self.running.handle()
    }

    /// Waits until the server is ended through its [`Server::handle`].
    pub fn join(self) {
        self.running.join();
    }

    /// The same; the error is that of the snapshot at the end, which the log has, too.
    pub(crate) fn join_and_save(self) -> Result<(), SaveError> {
        self.running.join();
        self.snapshots.write()
    }

    /// The writer of snapshots, if there is a file for them.
    pub(crate) fn saver(&self) -> Option<&Arc<Saver>> {
        self.snapshots.saver.as_ref()
    }

    /// Ends the server gracefully: requests in flight are answered, for at most [`GRACE`].
    pub fn stop(self) {
        self.running.shutdown(GRACE);
    }
}

impl Builder {
    fn memcached_service(
        &self,
        store: &Arc<Store>,
        connections: &Arc<Connections>,
    ) -> Result<Arc<Memcached>, StartError> {
        let default_workers = || self.server.model.default_workers();
        let workers = self.server.workers.unwrap_or_else(default_workers);
        let memcached = Arc::new(Memcached::new(
            Arc::clone(store),
            Arc::clone(connections),
            memcached::Settings {
                workers,
                idle_timeout: self.server.idle_timeout,
                max_item_size: self.max_item_size,
                backlog: self.server.backlog,
                ..self.commands
            },
        ));
        if let Some(path) = &self.auth_file {
            if self.udp.is_some() {
                return Err(StartError::UdpWithUsers);
            }
            memcached.require_users_of(AuthFile::load(path).map_err(StartError::Users)?);
        }
        if let Some(tls) = &self.tls {
            memcached.refresh_certificates(tls.clone());
        }
        Ok(memcached)
    }

    fn resp_service(
        &self,
        store: &Arc<Store>,
        connections: &Arc<Connections>,
    ) -> Result<Arc<Resp>, StartError> {
        let settings = resp::Settings {
            password: self.password.clone(),
            idle_timeout: self.server.idle_timeout.unwrap_or_default(),
            protected: self.protected,
            ..resp::Settings::default()
        };
        let resp = Resp::new(Arc::clone(store), Arc::clone(connections), settings);
        if let Some(path) = &self.acl_file {
            resp.use_acl_file(path).map_err(StartError::Users)?;
        }
        Ok(Arc::new(resp))
    }

    /// Lets the services share the memory for replies, their figures and the slow log, which is returned.
    fn join(
        &self,
        store: &Store,
        connections: &Connections,
        memcached: &Arc<Memcached>,
        resp: &Resp,
    ) -> Arc<SlowLog> {
        connections.set_max_reply_memory(self.reply_memory());
        resp.count_requests_of(Arc::clone(memcached));
        let log = Arc::new(SlowLog::default());
        log.set_slower_than(self.slow_log.0);
        log.set_max_len(self.slow_log.1);
        memcached.log_slow_requests_to(Arc::clone(&log));
        resp.log_slow_requests_to(Arc::clone(&log));
        let monitored = Arc::clone(&log);
        store.observe_sweeps(move |time, now_ms| {
            monitored.latency().note(EXPIRE_CYCLE, time, now_ms / 1000);
        });
        log
    }

    /// Loads the last snapshot, if there is a file for it, and lets the services use the file.
    fn snapshots(
        &self,
        store: &Arc<Store>,
        memcached: &Memcached,
        resp: &Resp,
    ) -> Result<LastSnapshot, StartError> {
        let Some(path) = &self.snapshot else {
            return Ok(LastSnapshot::of(None));
        };
        let saver = Saver::start(Arc::clone(store), path, self.snapshot_every);
        let saver = Arc::new(saver.map_err(StartError::Snapshot)?);
        resp.save_with(Arc::clone(&saver));
        memcached.report_snapshots_of(Arc::clone(&saver));
        Ok(LastSnapshot::of(Some(saver)))
    }

    /// Starts the threads that fetch from the origin, if there is one, for both services.
    fn start_fetch_threads(
        &self,
        store: &Arc<Store>,
        memcached: &Memcached,
        resp: &Resp,
    ) -> Result<Option<FetchThreads>, StartError> {
        let Some((origin, settings)) = &self.origin else {
            return Ok(None);
        };
        let threads = FetchThreads::start(store, Arc::clone(origin), *settings, self.max_item_size)
            .map_err(StartError::Worker)?;
        memcached.read_through(Arc::clone(threads.read_through()));
        resp.read_through(Arc::clone(threads.read_through()));
        Ok(Some(threads))
    }

    /// Bytes that the replies and unfinished requests of all connections may take.
    fn reply_memory(&self) -> usize {
        let default = Server::default_reply_memory(self.store.memory).max(2 * self.max_item_size);
        self.max_reply_memory.unwrap_or(default)
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When an address is in use, when a file of users can't be read or the one for snapshots can't be used, or when the
    /// system has no threads or files left. Listeners are tried in the order
    /// memcached, RESP, Unix socket, UDP; [`StartError::Listen`] counts those that were asked for.
    pub fn start(self) -> Result<Server, StartError> {
        let clock = self.clock.clone().unwrap_or_else(Clock::system);
        let store = Arc::new(Store::new(self.store, clock));
        let connections = Connections::new();
        let memcached = self.memcached_service(&store, &connections)?;
        let resp = self.resp_service(&store, &connections)?;
        let slow_log = self.join(&store, &connections, &memcached, &resp);
        let snapshots = self.snapshots(&store, &memcached, &resp)?;
        let fetch_threads = self.start_fetch_threads(&store, &memcached, &resp)?;
        #[cfg(feature = "proxy")]
        let peers = self.start_peers(&store, &memcached, &resp)?;
        let mut core = self.server;
        // The services limit their requests, by the largest item, which may change while the server runs.
        core.max_input = usize::MAX;

        let sockets = [
            self.memcached.is_some(),
            self.unix.is_some(),
            self.udp.is_some(),
        ];
        connections.reserve_numbers(sockets.into_iter().filter(|there| *there).count());
        let mut server = server::Server::new(connections)
            .settings(core)
            .tls(self.tls);
        let mut protocols = Vec::new();
        let listeners: [(_, _, Arc<dyn Service>); 3] = [
            ("memcached", self.memcached, memcached.clone()),
            ("resp", self.resp, resp.clone()),
            ("unix", self.unix, memcached.clone()),
        ];
        for (protocol, listen, service) in listeners {
            if let Some(listen) = listen {
                protocols.push(protocol);
                server = server.listen(listen, service);
            }
        }
        if let Some(address) = self.udp {
            protocols.push("udp");
            server = server.answer_datagrams(address, memcached.clone());
        }
        let server = Server {
            _sweeper: Sweeper::start(Arc::clone(&store)).map_err(StartError::Worker)?,
            running: server.start()?,
            store,
            memcached,
            resp,
            slow_log,
            protocols,
            _fetch_threads: fetch_threads,
            #[cfg(feature = "proxy")]
            peers,
            snapshots: snapshots.armed(),
        };
        if self.shutdown_command {
            let handle = server.handle();
            (server.memcached).allow_shutdown(move || handle.begin_shutdown(GRACE));
        }
        server.list_listeners();
        Ok(server)
    }
}

//! Building and starting a proxy.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use crossbeam_channel::Receiver;
use mio::Waker;

use crate::pool::slots::SlotMap;
use crate::pool::{Placement, Pool, Protocol, Resolver, ServerList};
use crate::proxy::cluster::ClusterWatcher;
use crate::proxy::intercept::Interceptor;
use crate::proxy::monitor::Monitor;
use crate::proxy::settings::Settings;
use crate::proxy::shared::Shared;
use crate::proxy::worker::Worker;
use crate::server::{
    self, ClientTls, Connections, Listen, Next, Peer, Refusal, Running, ServerTls, Service,
    Session, StartError, Turn, WorkerHandles,
};
use crate::upstream::{Login, login};

/// A proxy to be started.
pub struct Proxy {
    settings: Settings,
    servers: ServerList,
    way: PoolSource,
    password: Option<String>,
    user: Option<String>,
    tls: Option<Arc<ServerTls>>,
    upstream_tls: Option<Arc<ClientTls>>,
    interceptor: Option<Arc<dyn Interceptor>>,
}

/// The source of the pool: how keys are assigned to upstreams.
#[derive(Clone, Copy)]
enum PoolSource {
    /// The ring of all servers. With `tags`, the text in braces in a key decides.
    Ring { placement: Placement, tags: bool },
    /// The slots of a cluster, which is entered through these servers.
    Cluster,
}

impl Proxy {
    /// A proxy in front of these servers.
    pub fn new(settings: Settings, servers: ServerList, placement: Placement) -> Proxy {
        let tags = settings.protocol == Protocol::Resp;
        Proxy {
            settings,
            servers,
            way: PoolSource::Ring { placement, tags },
            password: None,
            user: None,
            tls: None,
            upstream_tls: None,
            interceptor: None,
        }
    }

    /// A proxy in front of the Redis Cluster that any of these servers belongs to.
    pub fn cluster(settings: Settings, seeds: ServerList) -> Proxy {
        Proxy {
            settings,
            servers: seeds,
            way: PoolSource::Cluster,
            password: None,
            user: None,
            tls: None,
            upstream_tls: None,
            interceptor: None,
        }
    }

    /// The password of the upstreams; clients have to give the same. Only RESP has one.
    pub fn password(mut self, password: Option<String>) -> Proxy {
        self.password = password;
        self
    }

    /// The user of the upstreams whose password that is; the default one without it. Clients may give this name or the
    /// default one.
    pub fn user(mut self, user: Option<String>) -> Proxy {
        self.user = user;
        self
    }

    /// TLS for the TCP connections of clients.
    pub fn tls(mut self, tls: Option<Arc<ServerTls>>) -> Proxy {
        self.tls = tls;
        self
    }

    /// TLS for the connections to upstreams.
    pub fn upstream_tls(mut self, tls: Option<Arc<ClientTls>>) -> Proxy {
        self.upstream_tls = tls;
        self
    }

    /// Requests are offered to this before they are forwarded.
    pub(crate) fn interceptor(mut self, interceptor: Arc<dyn Interceptor>) -> Proxy {
        self.interceptor = Some(interceptor);
        self
    }

    /// Listens and starts forwarding. The upstreams need not be up yet. A cluster is asked for its slots first; if no
    /// server answers, it is asked again until one does, and requests go to the configured servers.
    ///
    /// # Errors
    /// When the address is in use, or when the system has no threads or files left.
    pub fn start(self, listen: Listen) -> Result<(Running, Control), StartError> {
        let (pool, watch) = self.pool();
        let max_connections = self.settings.max_connections;
        let width = self.settings.connections.max(1);
        let workers = self.settings.workers.clamp(1, width);
        let files = self.files(&pool, width, workers);
        let front = ProxyService(self.settings.protocol);
        let connections = Connections::new();
        let (ring, bell) = crossbeam_channel::bounded(1);
        let mut shared = Shared::new(
            self.settings,
            self.password,
            pool,
            Arc::clone(&connections),
            self.interceptor,
            watch.is_some().then_some(ring),
        );
        (shared.user, shared.upstream_tls) = (self.user, self.upstream_tls);
        let shared = Arc::new(shared);
        let mut wakers = Vec::new();
        let running = server::Server::new(connections)
            .settings(server::Settings {
                max_connections,
                ..server::Settings::default()
            })
            .tls(self.tls)
            .listen(listen, Arc::new(front))
            .start_on(workers, "proxy worker", files, |threads| {
                let resolver = Resolver::new();
                let mut handles = Vec::new();
                for index in 0..workers {
                    // All workers' connections together are as many as were asked for.
                    let width = width / workers + usize::from(index < width % workers);
                    let (worker, handle) =
                        Worker::new(index, width, Arc::clone(&shared), resolver.clone())?;
                    wakers.push(handle.waker());
                    handles.push(handle);
                    threads.execute(move || worker.run());
                }
                Ok(Arc::new(WorkerHandles::new(
                    handles,
                    Arc::new(workers.into()),
                )))
            })?;
        if let Some(watch) = watch {
            spawn_watcher(watch, bell, &shared, wakers.clone());
        }
        let control = Control {
            shared,
            way: self.way,
            wakers,
        };
        Ok((running, control))
    }

    /// The first list of servers, and the state that keeps the map of a cluster.
    fn pool(&self) -> (Pool, Option<ClusterWatcher>) {
        match self.way {
            PoolSource::Ring { placement, tags } => {
                (Pool::new(&self.servers, placement, tags, None), None)
            }
            PoolSource::Cluster => {
                let login = login(self.user.as_deref(), self.password.as_deref());
                let tls = self.upstream_tls.clone();
                let (pool, watch) = first_map(&self.servers, &self.settings, login, tls);
                (pool, Some(watch))
            }
        }
    }

    /// The number of files that it may have open beside its clients' connections.
    fn files(&self, pool: &Pool, width: usize, workers: usize) -> usize {
        let upstreams = match self.way {
            PoolSource::Ring { .. } => pool.upstreams.len(),
            // A cluster may grow.
            PoolSource::Cluster => 2 * pool.upstreams.len().max(8),
        };
        upstreams * width + self.settings.detached + 2 * workers
    }
}

/// Starts the thread that keeps the map of a cluster.
fn spawn_watcher(
    watch: ClusterWatcher,
    bell: Receiver<()>,
    shared: &Arc<Shared>,
    wakers: Vec<Arc<Waker>>,
) {
    let shared = Arc::downgrade(shared);
    let run = move || watch.run(&bell, &shared, &wakers);
    let thread = thread::Builder::new().name("cluster watch".to_owned());
    if let Err(error) = thread.spawn(run) {
        log::error!(
            "can't start the thread that updates the cluster's map: {error}; only MOVED corrects the map"
        );
    }
}

/// Changes a running proxy.
pub struct Control {
    shared: Arc<Shared>,
    way: PoolSource,
    wakers: Vec<Arc<Waker>>,
}

impl Control {
    /// Reads the figures of the proxy, for programs that watch it.
    pub(crate) fn monitor(&self) -> Monitor {
        Monitor(Arc::clone(&self.shared))
    }

    /// Has a cluster asked for its slots again, soon.
    pub fn look_again(&self) {
        self.shared.ask_for_slots();
    }

    /// Replaces the list of servers. Servers that stay keep their connections; removed servers still
    /// answer the requests under way. In a cluster, only the map is requested again: it lists the
    /// servers.
    pub fn replace_servers(&self, servers: &ServerList) {
        let PoolSource::Ring { placement, tags } = self.way else {
            return self.look_again();
        };
        self.shared
            .replace(|pool| Some(Pool::new(servers, placement, tags, Some(pool))));
        for waker in &self.wakers {
            if let Err(error) = waker.wake() {
                log::error!(
                    "could not wake a worker: {error}; it adopts the servers with its next event"
                );
            }
        }
    }
}

/// The pool of the cluster that these servers belong to, if one of them answers.
fn first_map(
    seeds: &ServerList,
    settings: &Settings,
    login: Option<Login<'_>>,
    tls: Option<Arc<ClientTls>>,
) -> (Pool, ClusterWatcher) {
    let addresses = seeds.servers().iter().map(|seed| &seed.address);
    let mut map = SlotMap::default();
    addresses.clone().for_each(|seed| {
        map.add(seed);
    });
    let pool = Pool::cluster(map, None);
    let mut watch = ClusterWatcher::new(addresses.cloned().collect(), tls);
    match watch.ask_for_map(&pool, settings, login) {
        Some(map) => (Pool::cluster(map, Some(&pool)), watch),
        None => (pool, watch),
    }
}

/// The proxy's service. Its workers run the connections themselves, so none of its sessions is ever used.
struct ProxyService(Protocol);

impl Service for ProxyService {
    fn protocol(&self) -> &'static str {
        self.0.name()
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(ClosedSession)
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        match self.0 {
            Protocol::Memcached => b"ERROR Too many open connections\r\n"[..].into(),
            Protocol::Resp => b"-ERR max number of clients reached\r\n"[..].into(),
        }
    }
}

/// A session that ends at once.
struct ClosedSession;

impl Session for ClosedSession {
    fn turn(&mut self, input: &[u8], _: &mut Vec<u8>) -> Turn {
        Turn {
            consumed: input.len(),
            next: Next::Close,
        }
    }
}

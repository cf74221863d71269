//! Building and starting a server.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use std::{error::Error, fmt};

use threadpool::ThreadPool;

use super::acceptor::{self, Dispatch, ListenerContext};
use super::connections::{Connections, Endpoint};
use super::datagrams::DatagramServer;
use super::limits;
use super::listener::{Listen, Listener};
use super::open_files::{self, OpenFilesError};
use super::running::{Handle, Running, ShutdownControl};
use super::service::{DatagramService, Service};
use super::threads::{self, Threads};
use super::tls::ServerTls;
use super::turns::{self, WorkerGroup};

/// The model that runs connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Model {
    /// Each worker runs many connections by turns. Idle ones cost no thread.
    #[default]
    Turns,
    /// Each worker serves one connection until it ends. Connections beyond the number of workers
    /// wait.
    Threads,
}

impl Model {
    /// Workers unless the user says otherwise: one per core under turns, of which half are active at first and all if
    /// that is faster; [`limits::THREADS`] under threads.
    pub fn default_workers(self) -> usize {
        match self {
            Model::Turns => thread::available_parallelism().map_or(1, usize::from),
            Model::Threads => limits::THREADS,
        }
    }
}

/// The settings of the server core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The model that runs connections.
    pub model: Model,
    /// Threads that run connections, all of the time; `None` for [`Model::default_workers`].
    pub workers: Option<usize>,
    /// Connections that may be open at once.
    pub max_connections: usize,
    /// A connection on which nothing passed in either direction for this long is closed; `None` or
    /// zero for never.
    pub idle_timeout: Option<Duration>,
    /// Connections that may wait to be accepted; the kernel caps it at its own `somaxconn`.
    pub backlog: u32,
    /// Bytes that may arrive on a connection without being consumed: [`limits::MAX_INPUT`].
    pub max_input: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            model: Model::default(),
            workers: None,
            max_connections: limits::MAX_CONNECTIONS,
            idle_timeout: None,
            backlog: limits::BACKLOG,
            max_input: limits::MAX_INPUT,
        }
    }
}

/// A server to be started: services, their listeners, and settings.
pub struct Server {
    connections: Arc<Connections>,
    settings: Settings,
    listeners: Vec<(Listen, Arc<dyn Service>)>,
    datagrams: Vec<(String, Arc<dyn DatagramService>)>,
    tls: Option<Arc<ServerTls>>,
}

impl Server {
    /// A server without listeners. Services that show or end connections were given the same
    /// `connections`.
    pub fn new(connections: Arc<Connections>) -> Server {
        Server {
            connections,
            settings: Settings::default(),
            listeners: Vec::new(),
            datagrams: Vec::new(),
            tls: None,
        }
    }

    /// Replaces the settings.
    pub fn settings(mut self, settings: Settings) -> Server {
        self.settings = settings;
        self
    }

    /// Adds a listener whose connections `service` serves.
    pub fn listen(mut self, to: Listen, service: Arc<dyn Service>) -> Server {
        self.listeners.push((to, service));
        self
    }

    /// Adds a UDP socket whose datagrams `service` answers. `to` is `host:port`, as in [`Listen::Tcp`].
    pub fn answer_datagrams(mut self, to: String, service: Arc<dyn DatagramService>) -> Server {
        self.datagrams.push((to, service));
        self
    }

    /// TLS for all TCP listeners.
    pub fn tls(mut self, tls: Option<Arc<ServerTls>>) -> Server {
        self.tls = tls;
        self
    }

    /// Binds all listeners and starts serving. On an error nothing is left behind.
    pub fn start(self) -> Result<Running, StartError> {
        let Settings {
            model, max_input, ..
        } = self.settings;
        let workers = self
            .settings
            .workers
            .unwrap_or_else(|| model.default_workers())
            .max(1);
        // Workers that the user asks for run all the time.
        let least = self
            .settings
            .workers
            .map_or((workers / 2).max(1), |_| workers);
        let idle_timeout = self
            .settings
            .idle_timeout
            .filter(|timeout| !timeout.is_zero());
        let connections = Arc::clone(&self.connections);
        let name = format!("{model:?} worker").to_lowercase();
        self.start_on(workers, &name, 2 * workers, |pool| match model {
            Model::Turns => {
                let group = Arc::new(WorkerGroup::new(least, workers));
                let workers: Arc<dyn Dispatch> =
                    turns::start(pool, &group, &connections, idle_timeout, max_input)?;
                Ok(workers)
            }
            Model::Threads => {
                let threads: Arc<dyn Dispatch> = Arc::new(Threads {
                    pool: pool.clone(),
                    context: Arc::new(threads::JobContext {
                        idle_timeout,
                        max_input,
                        stopping: false.into(),
                        connections,
                    }),
                });
                Ok(threads)
            }
        })
    }

    /// Binds all listeners and passes their connections to the dispatch that `make` returns when it
    /// has started its workers on the pool. `files` are the descriptors that the workers need.
    pub(crate) fn start_on(
        self,
        workers: usize,
        name: &str,
        files: usize,
        make: impl FnOnce(&ThreadPool) -> io::Result<Arc<dyn Dispatch>>,
    ) -> Result<Running, StartError> {
        let max_connections = self.settings.max_connections;
        self.connections.set_max(max_connections);
        let sockets = self.listeners.len() + self.datagrams.len();
        raise_open_files(max_connections, sockets + files)?;
        self.connections.own_files.store(sockets + files, Relaxed);

        let bound = self.bind()?;
        let datagrams = self.bind_datagrams()?;
        let pool = threadpool::Builder::new()
            .num_threads(workers)
            .thread_name(name.to_owned())
            .build();
        let dispatch = make(&pool).map_err(StartError::Worker)?;

        let (stop, stopped) = crossbeam_channel::bounded(0);
        let control = ShutdownControl {
            connections: self.connections,
            listeners: weak(bound.iter().map(|(listener, _)| listener)),
            datagram_sockets: weak(datagrams.iter().map(DatagramServer::socket)),
            stop: Mutex::new(Some(stop)),
            deadline: Mutex::new(None),
            dispatch: Arc::downgrade(&dispatch),
        };
        let mut running = Running {
            handle: Handle {
                control: Arc::new(control),
            },
            addresses: bound
                .iter()
                .map(|(_, listener_context)| listener_context.endpoint.address.clone())
                .chain(datagrams.iter().map(|server| server.socket().address()))
                .collect(),
            acceptors: Vec::new(),
            pool,
        };
        for (listener, listener_context) in bound {
            let (dispatch, stopped) = (Arc::clone(&dispatch), stopped.clone());
            let name = format!("accept {}", listener_context.endpoint.protocol);
            let run = move || acceptor::run(&*listener, &listener_context, &*dispatch, &stopped);
            running.acceptors.push(spawn(name, run)?);
        }
        for server in datagrams {
            let stopped = stopped.clone();
            running
                .acceptors
                .push(spawn("udp".into(), move || server.run(&stopped))?);
        }
        Ok(running)
    }

    /// Binds all sockets for datagrams, in their order.
    fn bind_datagrams(&self) -> Result<Vec<DatagramServer>, StartError> {
        let bind = |(index, (address, service)): (usize, &(String, Arc<dyn DatagramService>))| {
            DatagramServer::bind(address, Arc::clone(service), Arc::clone(&self.connections))
                .map_err(|source| StartError::Listen {
                    index: self.listeners.len() + index,
                    address: address.clone(),
                    source,
                })
        };
        self.datagrams.iter().enumerate().map(bind).collect()
    }

    /// Binds all listeners, in their order.
    fn bind(&self) -> Result<Vec<(Arc<Listener>, ListenerContext)>, StartError> {
        let mut bound = Vec::new();
        for (index, (listen, service)) in self.listeners.iter().enumerate() {
            let listener = Listener::bind(listen, self.settings.backlog).map_err(|source| {
                StartError::Listen {
                    index,
                    address: listen.to_string(),
                    source,
                }
            })?;
            let endpoint = Endpoint {
                protocol: service.protocol(),
                address: listener.address(),
            };
            let listener_context = ListenerContext {
                endpoint: Arc::new(endpoint),
                service: Arc::clone(service),
                connections: Arc::clone(&self.connections),
                tls: self.tls.clone(),
            };
            bound.push((Arc::new(listener), listener_context));
        }
        Ok(bound)
    }
}

/// References to sockets that their threads hold.
fn weak<'a, S: 'a>(sockets: impl Iterator<Item = &'a Arc<S>>) -> Vec<Weak<S>> {
    sockets.map(Arc::downgrade).collect()
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let thread = thread::Builder::new().name(name).spawn(run);
    thread.map_err(StartError::Worker)
}

/// Raises the limit of open files to the number that the connections need, if it is lower.
fn raise_open_files(connections: usize, own: usize) -> Result<(), StartError> {
    open_files::raise(connections, own).map_err(|error| match error {
        OpenFilesError::Unknown(error) => StartError::Worker(error),
        OpenFilesError::TooFew { needed, allowed } => StartError::OpenFiles {
            connections,
            needed,
            allowed,
        },
    })
}

/// The reason why a server did not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    Listen {
        /// The number of the listener, counted from 0 in the order in which they were added; UDP sockets come last.
        index: usize,
        /// Its address as given.
        address: String,
        /// The system's error.
        source: io::Error,
    },
    /// The system doesn't allow as many open files as the connections need.
    OpenFiles {
        /// The connections asked for.
        connections: usize,
        /// The open files that they need.
        needed: u64,
        /// The open files that the system allows.
        allowed: u64,
    },
    /// A file of users can't be read or is malformed: a sentence that names the file and the line.
    Users(String),
    /// The file for snapshots can't be used: a sentence that names it.
    Snapshot(String),
    /// The list of peers can't be used: a sentence that names it.
    Peers(String),
    /// UDP was asked for together with users of memcached's protocol.
    UdpWithUsers,
    /// A thread or its poller could not be made.
    Worker(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Listen {
                address, source, ..
            } => match source.kind() {
                io::ErrorKind::AddrInUse => {
                    write!(f, "can't listen on {address}: another process already does")
                }
                io::ErrorKind::PermissionDenied => {
                    write!(f, "can't listen on {address}: not allowed ({source})")
                }
                _ => write!(f, "can't listen on {address}: {source}"),
            },
            StartError::OpenFiles {
                connections,
                needed,
                allowed,
            } => write!(
                f,
                "{connections} connections need {needed} open files, and the system allows {allowed}: lower the limit of connections, or raise the hard limit of files (ulimit -Hn)",
            ),
            StartError::Users(problem)
            | StartError::Snapshot(problem)
            | StartError::Peers(problem) => f.write_str(problem),
            StartError::UdpWithUsers => f.write_str(
                "UDP can't be used with a file of users, because a datagram can't authenticate its sender",
            ),
            StartError::Worker(source) => write!(f, "can't start a worker: {source}"),
        }
    }
}

impl Error for StartError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            StartError::Listen { source, .. } | StartError::Worker(source) => Some(source),
            StartError::OpenFiles { .. }
            | StartError::Users(_)
            | StartError::Snapshot(_)
            | StartError::Peers(_)
            | StartError::UdpWithUsers => None,
        }
    }
}

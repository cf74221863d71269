//! Building and starting a proxy.

use std::borrow::Cow;
use std::sync::Arc;

use mio::Waker;

use super::invalidate;
use super::pool::Pool;
use super::ring::Placement;
use super::servers::ServerList;
use super::settings::{Protocol, Settings};
use super::shared::Shared;
use super::worker::{Seats, Worker};
use crate::server::{
    self, Connections, Crew, Listen, Next, Peer, Refusal, Running, Service, Session, StartError,
    Turn,
};

/// A proxy to be started.
pub struct Proxy {
    settings: Settings,
    servers: ServerList,
    placement: Placement,
    password: Option<String>,
    front: Option<Arc<invalidate::Front>>,
}

impl Proxy {
    /// A proxy in front of these servers.
    pub fn new(settings: Settings, servers: ServerList, placement: Placement) -> Proxy {
        Proxy {
            settings,
            servers,
            placement,
            password: None,
            front: None,
        }
    }

    /// The password of the upstreams; clients have to give the same. Only RESP has one.
    pub fn password(mut self, password: Option<String>) -> Proxy {
        self.password = password;
        self
    }

    /// Writes are recorded in place of being forwarded.
    pub(super) fn recorder(mut self, front: Arc<invalidate::Front>) -> Proxy {
        self.front = Some(front);
        self
    }

    /// Listens and starts forwarding. The upstreams need not be there yet.
    ///
    /// # Errors
    /// When the address is taken, or when the system has no threads or files to give.
    pub fn start(self, listen: Listen) -> Result<(Running, Control), StartError> {
        let Proxy {
            settings,
            servers,
            placement,
            password,
            front,
        } = self;
        let protocol = settings.protocol;
        let links = settings.connections.max(1);
        let workers = settings.workers.clamp(1, links);
        let tags = protocol == Protocol::Resp;
        let pool = Pool::new(&servers, placement, tags, None);
        let files = pool.upstreams.len() * links + settings.detached + 2 * workers;
        let max_connections = settings.max_connections;
        let connections = Connections::new();
        let shared = Shared::new(settings, password, pool, Arc::clone(&connections), front);
        let shared = Arc::new(shared);
        let mut wakers = Vec::new();
        let running = server::Server::new(Arc::clone(&connections))
            .settings(server::Settings {
                max_connections,
                ..server::Settings::default()
            })
            .listen(listen, Arc::new(Front(protocol)))
            .start_on(workers, "proxy worker", files, |threads| {
                let mut seats = Vec::new();
                for index in 0..workers {
                    // All workers' links together are as many as were asked for.
                    let width = links / workers + usize::from(index < links % workers);
                    let (worker, seat) =
                        Worker::new(index, width, Arc::clone(&shared), Arc::clone(&connections))?;
                    wakers.push(Arc::clone(&seat.waker));
                    seats.push(seat);
                    threads.execute(move || worker.run());
                }
                let crew: Crew = (Arc::new(Seats(seats)), None);
                Ok(crew)
            })?;
        let control = Control {
            shared,
            placement,
            tags,
            wakers,
        };
        Ok((running, control))
    }
}

/// Changes a running proxy.
pub struct Control {
    shared: Arc<Shared>,
    placement: Placement,
    tags: bool,
    wakers: Vec<Arc<Waker>>,
}

impl Control {
    /// Goes over to another list of servers. Servers that stay keep their connections; requests
    /// under way at those that go are answered by them.
    pub fn replace_servers(&self, servers: &ServerList) {
        self.shared
            .replace(|pool| Pool::new(servers, self.placement, self.tags, Some(pool)));
        for waker in &self.wakers {
            if let Err(error) = waker.wake() {
                log::error!("could not wake a worker: {error}; it changes servers when it wakes");
            }
        }
    }
}

/// The proxy's door. Its workers run the connections themselves, so no session of it is ever used.
struct Front(Protocol);

impl Service for Front {
    fn protocol(&self) -> &'static str {
        self.0.name()
    }

    fn open(&self, _: Peer) -> Box<dyn Session> {
        Box::new(Closed)
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        match self.0 {
            Protocol::Memcached => b"ERROR Too many open connections\r\n"[..].into(),
            Protocol::Resp => b"-ERR max number of clients reached\r\n"[..].into(),
        }
    }
}

/// A session that ends at once.
struct Closed;

impl Session for Closed {
    fn turn(&mut self, input: &[u8], _: &mut Vec<u8>) -> Turn {
        Turn {
            consumed: input.len(),
            next: Next::Close,
        }
    }
}

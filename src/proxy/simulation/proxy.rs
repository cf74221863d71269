//! The simulation itself: clients, the forwarder and servers, and the steps by which bytes move between them.

use std::collections::BTreeMap;
use std::hash::DefaultHasher;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;

use crate::pool::slots::{SlotMap, slot};
use crate::pool::{Placement, Pool, Protocol, ServerList};
use crate::protocol::resp;
use crate::proxy::forwarder::Forwarder;
use crate::proxy::settings::Settings;
use crate::proxy::shared::Shared;
use crate::proxy::simulation::client::Client;
use crate::proxy::simulation::names::Names;
use crate::proxy::simulation::network::ConnectionPipes;
use crate::proxy::simulation::server::{Server, UpstreamBehaviour};
use crate::proxy::simulation::{PlantedFault, trace};
use crate::server::{Connection, Connections};

/// Slots of a cluster.
const SLOTS: usize = 16384;

/// The kind of pool, and the number of its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Pool(usize),
    /// A pool whose list has names, which lead to other addresses when servers move.
    Named(usize),
    Cluster(usize),
}

/// A client's connection.
pub(crate) struct ClientEnd {
    pub(crate) client: Client,
    pub(crate) pipes: ConnectionPipes,
    /// The forwarder's key, as long as it has the connection.
    pub(crate) key: Option<usize>,
}

/// A connection of the proxy to a server.
pub(super) struct ServerEnd {
    pub(super) server: usize,
    /// The address that it is made to.
    pub(super) address: SocketAddr,
    pub(super) pipes: ConnectionPipes,
    pub(super) connected: bool,
}

fn list(addresses: &[String]) -> ServerList {
    let lines: String = addresses.iter().map(|a| format!("{a} 1\n")).collect();
    lines.parse().expect("a list of servers")
}

/// The times of probes follow from the seed, too.
fn seed_jitter(rng: &mut Rng, pool: &Pool) {
    let upstreams = pool.upstreams.iter();
    upstreams.for_each(|upstream| upstream.health.seed_jitter(rng.u64(..)));
}

/// All parts of the simulation.
pub(crate) struct Simulation {
    pub(super) rng: Rng,
    now: u64,
    pub(crate) forwarder: Forwarder,
    shared: Arc<Shared>,
    pub(crate) clients: Vec<ClientEnd>,
    pub(crate) servers: Vec<Server>,
    pub(super) connections: BTreeMap<usize, ServerEnd>,
    pub(super) names: Names,
    /// Servers fail.
    pub(crate) faulty: bool,
    pub(crate) planted: Option<PlantedFault>,
    /// All bytes arrive at once and whole.
    pub(super) calm: bool,
    /// The bytes sent to clients, to check that a seed repeats.
    pub(super) sent: DefaultHasher,
}

impl Simulation {
    pub(crate) fn new(mut rng: Rng, settings: Settings, layout: Layout) -> Simulation {
        let protocol = settings.protocol;
        let (Layout::Pool(count) | Layout::Named(count) | Layout::Cluster(count)) = layout;
        let names = Names::new(count, matches!(layout, Layout::Named(_)));
        let addresses: Vec<String> = match layout {
            Layout::Named(_) => (1..=count).map(|n| format!("cache-{n}:7000")).collect(),
            _ => names.addresses.iter().map(ToString::to_string).collect(),
        };
        let mut servers: Vec<Server> = addresses
            .iter()
            .map(|address| Server::new(address, protocol))
            .collect();
        let pool = match layout {
            Layout::Pool(_) | Layout::Named(_) => {
                let tags = protocol == Protocol::Resp;
                Pool::new(&list(&addresses), Placement::Ketama, tags, None)
            }
            Layout::Cluster(_) => {
                let mut map = SlotMap::default();
                let mut owners: Vec<Rc<str>> = Vec::new();
                for (number, address) in addresses.iter().enumerate() {
                    let first = number * SLOTS / count;
                    let end = (number + 1) * SLOTS / count;
                    map.assign(first as u16, end as u16 - 1, address);
                    owners.resize(end, address.as_str().into());
                }
                servers
                    .iter_mut()
                    .for_each(|server| server.slots = owners.clone());
                Pool::cluster(map, None)
            }
        };
        seed_jitter(&mut rng, &pool);
        let shared = Shared::new(settings, None, pool, Connections::new(), None, None);
        let shared = Arc::new(shared);
        let mut forwarder = Forwarder::new(Arc::clone(&shared), 2, None);
        forwarder.set_time(1, 1000);
        Simulation {
            rng,
            now: 1,
            forwarder,
            shared,
            clients: Vec::new(),
            servers,
            connections: BTreeMap::new(),
            names,
            faulty: false,
            planted: None,
            calm: false,
            sent: DefaultHasher::new(),
        }
    }

    /// Connects a client; its number.
    pub(crate) fn connect(&mut self, client: Client) -> usize {
        let id = self.clients.len() as u64 + 1;
        let connection = Arc::new(Connection::detached());
        let key = self.forwarder.client_opened(id, connection);
        self.clients.push(ClientEnd {
            client,
            pipes: ConnectionPipes::default(),
            key: Some(key),
        });
        self.clients.len() - 1
    }

    pub(crate) fn set_behaviour(&mut self, server: usize, behaviour: UpstreamBehaviour) {
        self.servers[server].behaviour = behaviour;
    }

    /// A server closes one of its connections, at any moment.
    pub(crate) fn hang_up(&mut self, server: usize) {
        let of_server =
            |(key, connection): (&usize, &ServerEnd)| (connection.server == server).then_some(*key);
        let keys: Vec<usize> = self.connections.iter().filter_map(of_server).collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.rng.usize(..keys.len())];
        self.end_connection(key);
    }

    /// A server's end of a connection is closed.
    pub(super) fn end_connection(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(&key) {
            self.servers[connection.server].sessions.remove(&key);
            connection.pipes.outward.cut();
            match self.rng.bool() {
                true => connection.pipes.inward.end(),
                false => connection.pipes.inward.cut(),
            }
        }
    }

    /// A client disconnects without QUIT.
    pub(crate) fn leave(&mut self) {
        let number = self.rng.usize(..self.clients.len());
        let end = &mut self.clients[number];
        end.pipes.inward.end();
        end.pipes.outward.cut();
    }

    /// The list of servers changes: some of them leave it, or come back.
    pub(crate) fn change_servers(&mut self) {
        let addresses = self.servers.iter().map(|server| server.address.clone());
        let mut addresses: Vec<String> = addresses.collect();
        while addresses.len() > 1 && self.rng.bool() {
            addresses.swap_remove(self.rng.usize(..addresses.len()));
        }
        trace(|| format!("servers {addresses:?}"));
        let tags = self.shared.settings.protocol == Protocol::Resp;
        let rng = &mut self.rng;
        self.shared.replace(|before| {
            let pool = Pool::new(&list(&addresses), Placement::Ketama, tags, Some(before));
            seed_jitter(rng, &pool);
            Some(pool)
        });
    }

    /// A third of the slots moves to the next server, whose cluster knows of it at once.
    pub(crate) fn move_slots(&mut self) {
        let from = self.rng.usize(..self.servers.len());
        let to = (from + 1) % self.servers.len();
        let first = self.rng.u16(..SLOTS as u16);
        let target: Rc<str> = self.servers[to].address.as_str().into();
        let is_here = |slot: &u16| {
            let server = &self.servers[from];
            *server.slots[usize::from(*slot)] == *server.address
        };
        let moving: Vec<u16> = (first..SLOTS as u16).take(4000).filter(is_here).collect();
        for server in &mut self.servers {
            for slot in &moving {
                server.slots[usize::from(*slot)] = Rc::clone(&target);
            }
        }
        let moves = |at: &(u32, Vec<u8>)| moving.binary_search(&slot(&at.1)).is_ok();
        let source = &mut self.servers[from];
        let keys: Vec<_> = source
            .values
            .keys()
            .filter(|at| moves(at))
            .cloned()
            .collect();
        let lists: Vec<_> = source
            .lists
            .keys()
            .filter(|at| moves(at))
            .cloned()
            .collect();
        let values: Vec<_> = keys
            .into_iter()
            .filter_map(|at| source.take_value(&at).map(|value| (at, value)))
            .collect();
        let lists: Vec<_> = lists
            .into_iter()
            .filter_map(|at| source.lists.remove(&at).map(|list| (at, list)))
            .collect();
        self.servers[to].values.extend(values);
        self.servers[to].lists.extend(lists);
    }

    pub(crate) fn pass_time(&mut self, millis: u64) {
        self.now += millis;
        self.forwarder.set_time(self.now, self.now * 1000);
    }

    /// One random event.
    pub(crate) fn step(&mut self) -> Result<(), String> {
        match self.rng.u8(..12) {
            0 => self.clients_send(),
            1 => self.gather(),
            2 => self.send_to_servers(),
            3 => self.servers_work(),
            4 => self.scatter(),
            5 => self.send_to_clients(),
            6 => self.clients_receive()?,
            7 => self.forwarder.resume(),
            8 => self.pass_time(self.rng.clone().u64(..30)),
            9 => self.forwarder.sweep(),
            10 => self.forwarder.follow_pool(),
            _ => self.connecting(),
        }
        Ok(())
    }

    /// One event of each kind, in the order of a worker's round.
    pub(crate) fn round(&mut self) -> Result<(), String> {
        self.clients_send();
        self.connecting();
        self.forwarder.follow_pool();
        self.gather();
        self.send_to_servers();
        self.servers_work();
        self.scatter();
        self.send_to_servers();
        self.send_to_clients();
        self.forwarder.resume();
        self.forwarder.sweep();
        self.carry_out();
        self.clients_receive()
    }

    /// Continues until all clients have their answers.
    fn answer_all(&mut self) -> Result<(), String> {
        for _ in 0..3000 {
            self.round()?;
            self.pass_time(10);
            if self.clients.iter().all(|end| end.client.is_done()) {
                return Ok(());
            }
        }
        let late = self.clients.iter().position(|end| !end.client.is_done());
        let number = late.unwrap_or_default();
        let due = self.clients[number].client.due.front();
        Err(format!("client {number} waits for ever for {due:?}"))
    }

    /// A value pushed to a list is still stored if the clients that waited for it have left.
    fn push_to_cancelled(&mut self) -> Result<(), String> {
        let is_blocked = |end: &ClientEnd| end.client.blocked.is_some() && end.key.is_some();
        for _ in 0..2000 {
            if !self.clients.iter().any(is_blocked) {
                break;
            }
            self.round()?;
            self.pass_time(10);
        }
        let lists = self
            .clients
            .iter()
            .filter_map(|end| end.client.blocked.clone());
        for list in lists.collect::<Vec<_>>() {
            self.connect(Client::that_pushes(&list));
        }
        self.answer_all()
    }

    /// Plants messages to clients that have left all channels.
    fn send_late_messages(&mut self) {
        if self.planted == Some(PlantedFault::LateMessage) {
            let left = self
                .clients
                .iter_mut()
                .filter(|end| end.client.has_been_subscribed);
            for end in left {
                let message = resp::request(&[b"message", b"c0:0", b"late"]);
                end.pipes.outward.send(&message);
            }
        }
    }

    /// Messages that servers have published are due to the clients that are subscribed.
    pub(super) fn note_published(&mut self) {
        let published = self.servers.iter_mut();
        let published: Vec<_> = published
            .flat_map(|it| std::mem::take(&mut it.published))
            .collect();
        for (channel, message) in published {
            for end in self.clients.iter_mut().filter(|end| end.key.is_some()) {
                end.client.await_message(&channel, &message);
            }
        }
    }

    /// Servers that are up again are found, and get requests.
    fn reach_all(&mut self) -> Result<(), String> {
        let is_ejected = |simulation: &Simulation| {
            let (_, pool) = simulation.shared.pool();
            let mut upstreams = pool.upstreams.iter();
            let found = upstreams.find(|upstream| upstream.health.is_ejected());
            found.map(|upstream| upstream.address.clone())
        };
        let mut rounds = 0;
        while let Some(address) = is_ejected(self) {
            if rounds == 3000 {
                return Err(format!("{address} is well and stays ejected"));
            }
            rounds += 1;
            self.round()?;
            self.pass_time(10);
        }
        self.connect(Client::that_writes(self.shared.settings.protocol));
        self.answer_all()
    }

    /// Lets all requests and connections end, and checks that nothing is left.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.calm = true;
        for server in &mut self.servers {
            server.behaviour = UpstreamBehaviour::Well;
        }
        self.answer_all()?;
        self.send_late_messages();
        self.push_to_cancelled()?;
        self.reach_all()?;
        for end in &mut self.clients {
            end.pipes.inward.end();
        }
        for _ in 0..2000 {
            if self.forwarder.leftovers().is_ok() {
                break;
            }
            self.round()?;
            self.pass_time(10);
        }
        if let Some(number) = self.clients.iter().position(|end| end.key.is_some()) {
            return Err(format!("client {number} is still connected"));
        }
        self.forwarder.leftovers()
    }
}

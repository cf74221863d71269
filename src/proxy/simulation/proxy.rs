//! The simulation itself: clients, the forwarder and servers, and the steps by which bytes move between them.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use fastrand::Rng;

use crate::pool::slots::{SlotMap, slot};
use crate::pool::{Placement, Pool, UpstreamFailure};
use crate::proxy::forwarder::{Command, Forwarder};
use crate::proxy::settings::{Protocol, Settings};
use crate::proxy::shared::Shared;
use crate::proxy::simulation::client::Client;
use crate::proxy::simulation::network::{Wire, piece};
use crate::proxy::simulation::server::{Mood, Server, Session};
use crate::server::{Connection, Connections};

/// Slots of a cluster.
const SLOTS: usize = 16384;

/// How servers belong together, and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    Pool(usize),
    Cluster(usize),
}

/// A client's connection.
pub(crate) struct ClientEnd {
    pub(crate) client: Client,
    pub(crate) wire: Wire,
    /// The forwarder's key, as long as it has the connection.
    pub(crate) key: Option<usize>,
}

/// A connection of the proxy to a server.
struct ServerEnd {
    server: usize,
    wire: Wire,
    connected: bool,
}

/// Shows what happens, when one seed is run alone.
fn trace(line: impl Fn() -> String) {
    if std::env::var_os("LARDER_SEED").is_some() {
        println!("{}", line());
    }
}

/// All that takes part.
pub(crate) struct Simulation {
    rng: Rng,
    now: u64,
    pub(crate) forwarder: Forwarder,
    pub(crate) clients: Vec<ClientEnd>,
    pub(crate) servers: Vec<Server>,
    links: BTreeMap<usize, ServerEnd>,
    /// Everything arrives at once and whole.
    calm: bool,
}

impl Simulation {
    pub(crate) fn new(rng: Rng, protocol: Protocol, layout: Layout) -> Simulation {
        let (Layout::Pool(count) | Layout::Cluster(count)) = layout;
        let addresses: Vec<String> = (1..=count).map(|n| format!("10.0.0.{n}:7000")).collect();
        let mut servers: Vec<Server> = addresses
            .iter()
            .map(|address| Server::new(address, protocol))
            .collect();
        let pool = match layout {
            Layout::Pool(_) => {
                let list: String = addresses.iter().map(|a| format!("{a} 1\n")).collect();
                let list = list.parse().expect("a list of servers");
                Pool::new(&list, Placement::Ketama, protocol == Protocol::Resp, None)
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
        let mut settings = Settings::new(protocol);
        settings.detached = 8;
        let shared = Shared::new(settings, None, pool, Connections::new(), None, None);
        let shared = Arc::new(shared);
        let mut forwarder = Forwarder::new(shared, 2, None);
        forwarder.set_time(1, 1000);
        Simulation {
            rng,
            now: 1,
            forwarder,
            clients: Vec::new(),
            servers,
            links: BTreeMap::new(),
            calm: false,
        }
    }

    /// Connects a client; its number.
    pub(crate) fn connect(&mut self, client: Client) -> usize {
        let id = self.clients.len() as u64 + 1;
        let connection = Arc::new(Connection::detached());
        let key = self.forwarder.client_opened(id, connection);
        self.clients.push(ClientEnd {
            client,
            wire: Wire::default(),
            key: Some(key),
        });
        self.clients.len() - 1
    }

    pub(crate) fn set_mood(&mut self, server: usize, mood: Mood) {
        self.servers[server].mood = mood;
    }

    /// A server closes one of its connections, in the middle of whatever goes on.
    pub(crate) fn hang_up(&mut self, server: usize) {
        let of_server = |(key, link): (&usize, &ServerEnd)| (link.server == server).then_some(*key);
        let keys: Vec<usize> = self.links.iter().filter_map(of_server).collect();
        if keys.is_empty() {
            return;
        }
        let key = keys[self.rng.usize(..keys.len())];
        self.servers[server].sessions.remove(&key);
        if let Some(link) = self.links.get_mut(&key) {
            link.wire.outward.cut();
            match self.rng.bool() {
                true => link.wire.inward.end(),
                false => link.wire.inward.cut(),
            }
        }
    }

    /// A client goes away without a word.
    pub(crate) fn leave(&mut self) {
        let number = self.rng.usize(..self.clients.len());
        let end = &mut self.clients[number];
        end.wire.inward.end();
        end.wire.outward.cut();
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

    /// One thing happens, whichever.
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

    /// One of each, in the order of a worker's round.
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

    /// Lets everything come to its end, and looks whether something is left.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        self.calm = true;
        for server in &mut self.servers {
            server.mood = Mood::Well;
        }
        for _ in 0..3000 {
            self.round()?;
            self.pass_time(10);
            if self.clients.iter().all(|end| end.client.is_done()) {
                break;
            }
        }
        if let Some(number) = self.clients.iter().position(|end| !end.client.is_done()) {
            let due = self.clients[number].client.due.front();
            return Err(format!("client {number} waits for ever for {due:?}"));
        }
        for end in &mut self.clients {
            end.wire.inward.end();
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

    /// How much of so many bytes is taken.
    fn piece(&mut self, length: usize) -> usize {
        match self.calm || length == 0 {
            true => length,
            false => piece(&mut self.rng, length),
        }
    }

    /// Clients send what their scripts say, and the forwarder hears of it.
    fn clients_send(&mut self) {
        for number in 0..self.clients.len() {
            let sends = self.calm || self.rng.bool();
            let end = &mut self.clients[number];
            if sends && let Some(bytes) = end.client.next() {
                end.wire.inward.send(&bytes);
            }
            if let Some(key) = end.key
                && (!end.wire.inward.is_empty() || end.wire.inward.has_ended())
            {
                self.forwarder.client_readable(key);
            }
        }
    }

    /// The forwarder reads clients.
    fn gather(&mut self) {
        for _ in 0..self.forwarder.ready_clients() {
            let Some(key) = self.forwarder.next_client() else {
                continue;
            };
            let Some(number) = self.clients.iter().position(|end| end.key == Some(key)) else {
                continue;
            };
            if self.clients[number].wire.inward.is_at_end() {
                self.forwarder.client_ended(key);
            } else if self.clients[number].wire.inward.is_empty() {
                self.forwarder.client_drained(key);
            } else {
                let rng = if self.calm { None } else { Some(&mut self.rng) };
                let inward = &mut self.clients[number].wire.inward;
                let bytes = inward.receive(rng);
                let more = !inward.is_empty() || inward.has_ended();
                trace(|| format!("client {number} > {}", bytes.escape_ascii()));
                self.forwarder.client_received(key, &bytes, more);
            }
        }
        self.carry_out();
    }

    fn send_to_servers(&mut self) {
        self.carry_out();
        for key in self.links.keys() {
            self.forwarder.link_writable(*key);
        }
        for _ in 0..self.forwarder.dirty_links() {
            let Some((key, output)) = self.forwarder.next_link_output() else {
                continue;
            };
            let output = output.to_vec();
            let count = self.piece(output.len());
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            if link.wire.outward.has_ended() {
                self.forwarder.link_failed(key, UpstreamFailure::Closed);
            } else {
                link.wire.outward.send(&output[..count]);
                self.forwarder.link_sent(key, count);
            }
        }
        self.carry_out();
    }

    /// Servers read, execute and answer.
    fn servers_work(&mut self) {
        let keys: Vec<usize> = self.links.keys().copied().collect();
        for key in keys {
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let Some(link) = self.links.get_mut(&key).filter(|link| link.connected) else {
                continue;
            };
            let server = &mut self.servers[link.server];
            if server.mood == Mood::Sleeps {
                continue;
            }
            let bytes = link.wire.outward.receive(rng);
            if !bytes.is_empty() {
                trace(|| format!("link {key} > {}", bytes.escape_ascii()));
            }
            server.receive(key, &bytes);
        }
        for (key, link) in &mut self.links {
            let server = &mut self.servers[link.server];
            if let Some(session) = server.sessions.get_mut(key) {
                link.wire.inward.send(&std::mem::take(&mut session.output));
            }
            if !link.wire.inward.is_empty() || link.wire.inward.has_ended() {
                let ends = link.wire.inward.has_ended();
                if link.connected {
                    self.forwarder.link_readable(*key, ends);
                }
            }
        }
    }

    /// The forwarder reads servers.
    fn scatter(&mut self) {
        for _ in 0..self.forwarder.readable_links() {
            let Some(key) = self.forwarder.next_link() else {
                continue;
            };
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            let inward = &mut link.wire.inward;
            if inward.is_at_end() {
                self.forwarder.link_failed(key, UpstreamFailure::Closed);
            } else if inward.is_empty() {
                self.forwarder.link_drained(key);
            } else {
                let bytes = inward.receive(rng);
                let more = !inward.is_empty() || inward.has_ended();
                trace(|| format!("link {key} < {}", bytes.escape_ascii()));
                self.forwarder.link_received(key, &bytes, more);
            }
            self.carry_out();
        }
    }

    fn send_to_clients(&mut self) {
        for key in self.clients.iter().filter_map(|end| end.key) {
            self.forwarder.client_writable(key);
        }
        for _ in 0..self.forwarder.dirty_clients() {
            let Some((key, output)) = self.forwarder.next_client_output() else {
                continue;
            };
            let output = output.to_vec();
            let count = self.piece(output.len());
            if let Some(end) = self.clients.iter_mut().find(|end| end.key == Some(key)) {
                end.wire.outward.send(&output[..count]);
                self.forwarder.client_sent(key, count);
            }
        }
        self.carry_out();
    }

    fn clients_receive(&mut self) -> Result<(), String> {
        for number in 0..self.clients.len() {
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let end = &mut self.clients[number];
            let bytes = end.wire.outward.receive(rng);
            if !bytes.is_empty() {
                trace(|| format!("client {number} < {}", bytes.escape_ascii()));
            }
            let received = end.client.receive(&bytes);
            received.map_err(|fault| format!("client {number}: {fault}"))?;
            if end.wire.outward.is_at_end() && !end.client.is_done() {
                match end.client.fragile {
                    true => end.client.give_up(),
                    false => return Err(format!("client {number}: its connection was closed")),
                }
            }
        }
        Ok(())
    }

    /// Connections that were begun are made, or refused.
    fn connecting(&mut self) {
        let keys: Vec<usize> = self.links.keys().copied().collect();
        for key in keys {
            let now = self.calm || self.rng.bool();
            let Some(link) = self.links.get_mut(&key) else {
                continue;
            };
            if link.connected || !now {
                continue;
            }
            let server = &mut self.servers[link.server];
            if server.mood == Mood::Refuses {
                self.links.remove(&key);
                let error = std::io::ErrorKind::ConnectionRefused.into();
                self.forwarder.connect_failed(key, error);
            } else {
                link.connected = true;
                server.sessions.insert(key, Session::default());
                self.forwarder.connected(key);
            }
            self.carry_out();
        }
    }

    /// Does what the forwarder asks for.
    fn carry_out(&mut self) {
        while let Some(command) = self.forwarder.next_command() {
            trace(|| format!("{command:?}"));
            match command {
                Command::Resolve { name, .. } => panic!("{name} is no address"),
                Command::Connect { key, address } => {
                    let address = address.to_string();
                    let is = |server: &Server| server.address == address;
                    let server = self.servers.iter().position(is).expect("a server");
                    let end = ServerEnd {
                        server,
                        wire: Wire::default(),
                        connected: false,
                    };
                    assert!(self.links.insert(key, end).is_none(), "key {key} is taken");
                }
                Command::CloseUpstream(key) => {
                    if let Some(link) = self.links.remove(&key) {
                        self.servers[link.server].sessions.remove(&key);
                    }
                }
                Command::CloseClient { key, .. } => {
                    let mut ends = self.clients.iter_mut();
                    if let Some(end) = ends.find(|end| end.key == Some(key)) {
                        end.key = None;
                        end.wire.outward.end();
                    }
                }
            }
        }
    }
}

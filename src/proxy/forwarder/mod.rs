//! The proxy between its sockets, as a value: clients, upstream connections, and the traffic between them.
//!
//! A [`Forwarder`] gets bytes, ends of connections and the time. It returns bytes to send and [`Command`]s. It has no
//! socket and no clock, so a test can run it in one thread with any behaviour of clients and upstreams. The
//! [worker](crate::proxy::worker) is the thread that has the sockets; a round of it is
//!
//! ```text
//!  clients ─▶ gather   read the clients that are ready, cut complete requests
//!             route    find each one's upstream
//!             append   add it to that connection's output, and whose it is to its queue
//!             flush    one write for each connection that has output
//!  upstreams─▶ scatter read the connections that are ready, frame their answers, append each to the
//!                      client whose turn it is
//!             flush    one write for each client that has output
//! ```
//!
//! Each step is a file. Beside them: incoming (the arrival of clients), connections (their start and
//! their end), dedicated (clients with a connection of their own), transaction (MULTI), meta (memcached's
//! meta commands), redirect (redirections of a cluster), repeat (retries), sweep (deadlines).
//!
//! Only the clients that sent a request wait for its upstream. Bounds keep memory in check: a client with
//! too many requests or bytes under way is not read, a connection with too much to send takes no request,
//! and the answer for a slow client is left with its upstream. A client that reads nothing until the
//! write deadline is closed, so that it can't hold up the others on its connection.
//!
//! Cost: a request is a share of one read and one write on either side. A client between requests
//! is about 300 bytes; a connection has a buffer of its own only while answers are held back.
//!
//! Invariants: requests of one client to one upstream go over one connection, so they are executed in its
//! order. A slab's number is used only together with the serial or id of its client or connection.

mod append;
mod connections;
mod dedicated;
mod flush;
mod gather;
mod incoming;
mod intercept;
mod large;
mod login;
mod meta;
mod redirect;
mod repeat;
mod route;
mod scatter;
mod subscribe;
mod sweep;
mod transaction;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use ahash::AHashMap;
use slab::Slab;

use crate::pool::Pool;
use crate::protocol::framing::request::RequestBuffers;
use crate::proxy::client::Client;
use crate::proxy::client_counts::RequestRun;
use crate::proxy::intercept::Interception;
use crate::proxy::settings::SWEEP_MS;
use crate::proxy::shared::Shared;
use crate::upstream::{ConnectionState, UpstreamConnection};

/// An action for the I/O side, which owns the sockets.
#[derive(Debug)]
pub(super) enum Command {
    /// Find the addresses of a name; the answer is given to [`Forwarder::resolved`] with the same numbers.
    Resolve {
        key: usize,
        serial: u64,
        name: String,
    },
    /// Connect to an address, under this key; the outcome is [`Forwarder::connected`] or
    /// [`Forwarder::connect_failed`].
    Connect { key: usize, address: SocketAddr },
    /// Close the connection to an upstream that has this key, if there is one.
    CloseUpstream(usize),
    /// Close a client's connection: gracefully, so that sent bytes reach the client, or at once.
    CloseClient { key: usize, gracefully: bool },
}

/// The key of a shared connection: upstream, connection state of its clients, and the number among those
/// alike.
type SharedConnection = (u64, ConnectionState, usize);

/// One thread's worth of clients and connections.
pub(super) struct Forwarder {
    shared: Arc<Shared>,
    pool: Arc<Pool>,
    generation: usize,
    clients: Slab<Client>,
    connections: Slab<UpstreamConnection>,
    shared_connections: AHashMap<SharedConnection, usize>,
    /// The number of this forwarder's connections to each upstream.
    width: usize,
    serial: u64,
    /// Clients with requests, connections with bytes to read.
    ready: VecDeque<usize>,
    readable: VecDeque<usize>,
    /// Clients and connections with output.
    dirty_clients: VecDeque<usize>,
    dirty_connections: VecDeque<usize>,
    /// Clients whose sockets have not accepted all output.
    slow: Vec<usize>,
    /// Connections that hold bytes back.
    held: Vec<usize>,
    commands: VecDeque<Command>,
    buffers: RequestBuffers,
    /// The requests of the turn that are not yet counted.
    run: RequestRun,
    /// The time, as the caller gives it: in milliseconds, and in microseconds for measuring.
    now: u64,
    micros: u64,
    next_sweep: u64,
    /// The clients whose answer to a wrong password is delayed, by its time: that time, and their keys and ids.
    delays: VecDeque<(u64, usize, u64)>,
    draining: bool,
    /// Answers requests in place of an upstream.
    interception: Option<Interception>,
}

impl Forwarder {
    /// A forwarder without clients, which may have `width` shared connections to each upstream.
    pub(super) fn new(
        shared: Arc<Shared>,
        width: usize,
        interception: Option<Interception>,
    ) -> Forwarder {
        let (generation, pool) = shared.pool();
        Forwarder {
            shared,
            pool,
            generation,
            clients: Slab::new(),
            connections: Slab::new(),
            shared_connections: AHashMap::new(),
            width,
            serial: 0,
            ready: VecDeque::new(),
            readable: VecDeque::new(),
            dirty_clients: VecDeque::new(),
            dirty_connections: VecDeque::new(),
            slow: Vec::new(),
            held: Vec::new(),
            commands: VecDeque::new(),
            buffers: RequestBuffers::default(),
            run: RequestRun::default(),
            now: 0,
            micros: 0,
            next_sweep: 0,
            delays: VecDeque::new(),
            draining: false,
            interception,
        }
    }

    /// The time, in milliseconds since any moment and in microseconds since any other. Never less than before.
    pub(super) fn set_time(&mut self, millis: u64, micros: u64) {
        (self.now, self.micros) = (millis, micros);
    }

    /// The next action for the I/O side.
    pub(super) fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// Takes over a changed pool.
    pub(super) fn follow_pool(&mut self) {
        if self.shared.generation() != self.generation {
            self.change_pool();
        }
    }

    /// No more clients come: the present ones get the answers that are due, and are closed. New ones may send their first
    /// request before.
    pub(super) fn drain(&mut self) {
        self.draining = true;
        // Each client gets one more turn: its complete requests are forwarded, and clients without
        // requests in flight are closed.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    /// Whether it is [draining](Forwarder::drain), and the last client has left.
    pub(super) fn is_drained(&self) -> bool {
        self.draining && self.clients.is_empty()
    }

    /// The milliseconds until [`Forwarder::sweep`] must be called, if no event comes before; 0 when clients or
    /// connections wait for their turn. It is called in each round, so quiet clients must not add to its cost.
    pub(super) fn deadline(&mut self) -> Option<u64> {
        if !self.ready.is_empty() || !self.readable.is_empty() {
            return Some(0);
        }
        if self
            .interception
            .as_ref()
            .is_some_and(Interception::is_stalled)
        {
            return Some(1);
        }
        let clients = &mut self.clients;
        self.slow.retain(|key| match clients.get_mut(*key) {
            Some(client) => {
                client.slow = client.unsent() > 0;
                client.slow
            }
            None => false,
        });
        let watching = !self.slow.is_empty()
            || !self.dirty_clients.is_empty()
            || !self.delays.is_empty()
            || self
                .connections
                .iter()
                .any(|(_, connection)| connection.is_waiting())
            || self.pool.upstreams.iter().any(|u| u.health.is_ejected());
        watching.then_some(SWEEP_MS)
    }

    /// Resources that are still held although all clients have gone.
    #[cfg(test)]
    pub(super) fn leftovers(&self) -> Result<(), String> {
        let dedicated = self
            .shared
            .detached
            .load(std::sync::atomic::Ordering::Relaxed);
        let connections = self.connections.iter().map(|(_, connection)| connection);
        let waiting = connections
            .clone()
            .filter(|connection| connection.is_waiting())
            .count();
        let waiters = connections
            .clone()
            .map(|connection| connection.waiters.len())
            .sum();
        let bytes = connections.map(|connection| connection.bytes_held()).sum();
        for (what, count) in [
            ("clients", self.clients.len()),
            ("dedicated connections", dedicated),
            ("connections with requests", waiting),
            ("clients that wait for connections", waiters),
            ("connections that hold bytes", self.held.len()),
            ("bytes that connections hold", bytes),
            (
                "slow clients",
                self.slow
                    .iter()
                    .filter(|key| self.clients.contains(**key))
                    .count(),
            ),
        ] {
            if count != 0 {
                return Err(format!("{count} {what} are left"));
            }
        }
        Ok(())
    }

    /// Hands over the interceptor's remaining requests when the last client is gone.
    pub(super) fn finish(self) {
        if let Some(interception) = self.interception {
            interception.finish();
        }
    }
}

fn queue(ready: &mut VecDeque<usize>, key: usize, client: &mut Client) {
    if !client.queued {
        client.queued = true;
        ready.push_back(key);
    }
}

fn mark(dirty: &mut VecDeque<usize>, key: usize, is_dirty: &mut bool) {
    if !*is_dirty {
        *is_dirty = true;
        dirty.push_back(key);
    }
}

#[cfg(test)]
mod tests;

//! The life of a worker's connections: made when a client first needs one, connected without waiting,
//! ended by a failure or when no client needs them any more.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::{HealthChange, Protocol, ResolvedName, Upstream, UpstreamFailure};
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::{Command, Forwarder, mark, queue};
use crate::proxy::settings::OnReturn;
use crate::upstream::ConnectionState;
use crate::upstream::{
    BINARY_FLUSH, BINARY_NOOP, ConnectionPurpose, ConnectionStage, Greeting, MEMCACHED_FLUSH,
    MEMCACHED_PROBE, PendingRequest, RESP_FLUSH, RESP_PROBE, ReplyOwner, UpstreamConnection,
};

impl Forwarder {
    /// Opens a connection to an upstream and begins to connect. If that fails at once, the returned
    /// number belongs to no connection.
    pub(super) fn open_connection(
        &mut self,
        upstream: Arc<Upstream>,
        purpose: ConnectionPurpose,
        state: ConnectionState,
    ) -> usize {
        self.serial += 1;
        let cluster = self.pool.is_cluster();
        let connection = UpstreamConnection::new(upstream, purpose, self.serial, cluster, self.now);
        let name = connection.upstream.address.clone();
        let key = self.connections.insert(connection);
        self.greet(key, state);
        match name.parse() {
            Ok(address) => self.connect(key, VecDeque::from([address])),
            Err(_) => self.commands.push_back(Command::Resolve {
                key,
                serial: self.serial,
                name,
            }),
        }
        key
    }

    /// The addresses of a connection's name have been found, or could not be.
    pub(crate) fn resolved(&mut self, lookup: ResolvedName) {
        let key = lookup.connection;
        let waits = self.connections.get(key).is_some_and(|connection| {
            connection.serial == lookup.serial
                && matches!(connection.stage, ConnectionStage::Resolving)
        });
        if !waits {
            return;
        }
        match lookup.found {
            Ok(addresses) if addresses.is_empty() => {
                let failure = UpstreamFailure::Unknown("the name has no address".to_owned());
                self.connection_failed(key, failure);
            }
            Ok(addresses) => self.connect(key, addresses.into()),
            Err(why) => self.connection_failed(key, UpstreamFailure::Unknown(why)),
        }
    }

    /// Requests a connect to the first of the addresses.
    fn connect(&mut self, key: usize, mut addresses: VecDeque<SocketAddr>) {
        if let Some(address) = addresses.pop_front() {
            self.connections[key].stage = ConnectionStage::Connecting(addresses);
            self.commands.push_back(Command::Connect { key, address });
        }
    }

    /// The name of the server of a connection, `host:port`.
    pub(crate) fn connection_name(&self, key: usize) -> &str {
        let connection = self.connections.get(key);
        connection.map_or("", |connection| &connection.upstream.address)
    }

    /// Connecting to the address failed; the next one is tried.
    pub(crate) fn connect_failed(&mut self, key: usize, error: io::Error) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        match &mut connection.stage {
            ConnectionStage::Connecting(rest) if !rest.is_empty() => {
                let rest = std::mem::take(rest);
                self.connect(key, rest);
            }
            _ => self.connection_failed(key, UpstreamFailure::Refused(error)),
        }
    }

    /// A connection is connected.
    pub(crate) fn connected(&mut self, key: usize) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.stage = ConnectionStage::Up;
        connection.since = self.now;
        log::debug!("upstream {}: connected", connection.upstream.address);
        mark(&mut self.dirty_connections, key, &mut connection.dirty);
    }

    /// Ends a connection after an error: clients that wait for an answer get an error, except for
    /// requests that may be sent again.
    pub(crate) fn connection_failed(&mut self, key: usize, failure: UpstreamFailure) {
        let Some(mut connection) = self.connections.try_remove(key) else {
            return;
        };
        debug_assert!(!failure.leaves_connection_usable());
        self.forget(key, &connection);
        let upstream = Arc::clone(&connection.upstream);
        let unanswered = Forwarder::unanswered(&connection, &failure);
        let waiters = std::mem::take(&mut connection.waiters);
        let purpose = connection.purpose;
        self.count_failure(&connection, &failure);
        drop(connection);
        self.shared.ask_for_slots();
        for (waiting, bytes) in unanswered {
            let error = errors::upstream(waiting.shape, &upstream.address, &failure);
            self.answer_failed(&upstream, purpose, &waiting, bytes.as_deref(), &error);
        }
        if let ConnectionPurpose::Dedicated { key: owner, id } = purpose
            && let Some(client) = self.clients.get_mut(owner).filter(|client| client.id == id)
        {
            let dedicated = client
                .dedicated
                .take_if(|dedicated| dedicated.connection == key);
            let mut heard = false;
            if let Some(subscriptions) = &mut client.subscriptions {
                let before = subscriptions.connections.len();
                subscriptions
                    .connections
                    .retain(|(_, connection)| *connection != key);
                heard = subscriptions.connections.len() < before;
            }
            if dedicated.is_some() || heard {
                // The upstream's state for this client, a transaction or a subscription, is lost.
                client.closing = true;
                mark(&mut self.dirty_clients, owner, &mut client.dirty);
            }
        }
        for key in waiters {
            if let Some(client) = self.clients.get_mut(key) {
                queue(&mut self.ready, key, client);
            }
        }
    }

    /// Counts a failure of its upstream, and logs it.
    fn count_failure(&self, connection: &UpstreamConnection, failure: &UpstreamFailure) {
        let upstream = &connection.upstream;
        // A missing database or protocol was the choice of a client, and isn't a fault of the upstream.
        let chosen = matches!(
            failure,
            UpstreamFailure::Login(_) | UpstreamFailure::NotBinary
        ) && match connection.purpose {
            ConnectionPurpose::Shared(state, _) => state != ConnectionState::default(),
            ConnectionPurpose::Dedicated { .. } => true,
            ConnectionPurpose::Probe => false,
        };
        if !connection.is_waiting() {
            log::debug!(
                "upstream {}: an idle connection was closed",
                upstream.address
            );
            return;
        }
        if chosen {
            log::info!("upstream {} {failure}", upstream.address);
            return;
        }
        let limit = self.shared.settings.failures;
        let probing = upstream.health.is_ejected();
        match upstream.health.failed(self.now, limit) {
            HealthChange::Ejected => log::warn!(
                "upstream {} {failure}; ejected after {limit} consecutive errors, probed until it answers",
                upstream.address
            ),
            _ if probing => log::debug!("upstream {} {failure}", upstream.address),
            _ => log::warn!("upstream {} {failure}", upstream.address),
        }
    }

    /// Sends a failed request again if its bytes were kept, or else answers it with the error.
    fn answer_failed(
        &mut self,
        upstream: &Arc<Upstream>,
        purpose: ConnectionPurpose,
        waiting: &PendingRequest,
        bytes: Option<&[u8]>,
        error: &[u8],
    ) {
        let ReplyOwner::Client {
            key,
            id,
            sequence,
            part,
        } = waiting.owner
        else {
            return;
        };
        if let Some(bytes) = bytes
            && self.clients.get(key).is_some_and(|client| client.id == id)
            && self.repeat(upstream, purpose, waiting, bytes)
        {
            return;
        }
        upstream.counters.errors.fetch_add(1, Relaxed);
        if let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id) {
            self.shared.requests.error(ErrorSource::Proxy);
            client.fail(sequence, part, error);
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    /// Ends a connection without pending requests.
    pub(super) fn drop_connection(&mut self, key: usize) {
        if let Some(connection) = self.connections.try_remove(key) {
            self.forget(key, &connection);
        }
    }

    pub(super) fn forget(&mut self, key: usize, connection: &UpstreamConnection) {
        self.commands.push_back(Command::CloseUpstream(key));
        match connection.purpose {
            ConnectionPurpose::Shared(state, number) => {
                let identity = (connection.upstream.id, state, number);
                if self.shared_connections.get(&identity) == Some(&key) {
                    self.shared_connections.remove(&identity);
                }
            }
            ConnectionPurpose::Dedicated { .. } => {
                self.shared.detached.fetch_sub(1, Relaxed);
            }
            ConnectionPurpose::Probe => {}
        }
    }

    /// Gives another turn to clients that a connection had no room for, if it has now.
    pub(super) fn wake_waiters(&mut self, key: usize) {
        let Some(connection) = self
            .connections
            .get_mut(key)
            .filter(|connection| connection.has_room())
        else {
            return;
        };
        for waiter in std::mem::take(&mut connection.waiters) {
            if let Some(client) = self.clients.get_mut(waiter) {
                queue(&mut self.ready, waiter, client);
            }
        }
    }

    /// Adopts a changed list: connections of removed upstreams end when their answers have come, all
    /// others stay.
    pub(super) fn change_pool(&mut self) {
        (self.generation, self.pool) = self.shared.pool();
        let stays = |id| self.pool.upstreams.iter().any(|upstream| upstream.id == id);
        self.shared_connections
            .retain(|identity, _| stays(identity.0));
        let gone: Vec<usize> = self
            .connections
            .iter_mut()
            .filter(|(_, connection)| {
                matches!(connection.purpose, ConnectionPurpose::Shared(..))
                    && !stays(connection.upstream.id)
            })
            .map(|(key, connection)| {
                connection.retired = true;
                key
            })
            .collect();
        for key in gone {
            self.retire(key);
        }
    }

    /// Closes a connection that has been retired and has no pending requests.
    pub(super) fn retire(&mut self, key: usize) {
        if self
            .connections
            .get(key)
            .is_some_and(|connection| connection.retired && !connection.is_waiting())
        {
            self.drop_connection(key);
        }
    }

    /// The connection for this client's requests to an upstream; it is opened if there is none.
    pub(super) fn shared_connection_of(
        &mut self,
        number: usize,
        state: ConnectionState,
        id: u64,
    ) -> usize {
        self.shared_connection(number, state, id as usize % self.width)
    }

    /// The connection at this position among those to an upstream.
    pub(super) fn shared_connection(
        &mut self,
        number: usize,
        state: ConnectionState,
        place: usize,
    ) -> usize {
        let upstream = &self.pool.upstreams[number];
        let identity = (upstream.id, state, place);
        if let Some(&connection) = self.shared_connections.get(&identity) {
            let at = &self.connections[connection];
            // The upstream has closed the connection, so a request on it would be lost.
            if !at.ends || at.is_waiting() {
                return connection;
            }
            self.drop_connection(connection);
        }
        let upstream = &self.pool.upstreams[number];
        let upstream = Arc::clone(upstream);
        let connection =
            self.open_connection(upstream, ConnectionPurpose::Shared(state, place), state);
        self.shared_connections.insert(identity, connection);
        connection
    }

    /// Sends the first requests of a connection: the password, and those that set the connection state of
    /// its clients.
    pub(super) fn greet(&mut self, connection: usize, state: ConnectionState) {
        let settings = &self.shared.settings;
        let greeting = Greeting {
            memcached: settings.protocol == Protocol::Memcached,
            binary: state.binary,
            login: self.shared.login(),
            resp3: state.resp3,
            database: match state.database {
                0 => settings.database,
                database => database,
            },
        };
        let (probe, flush) = match settings.protocol {
            Protocol::Resp => (RESP_PROBE, RESP_FLUSH),
            Protocol::Memcached if state.binary => (BINARY_NOOP, BINARY_FLUSH),
            Protocol::Memcached => (MEMCACHED_PROBE, MEMCACHED_FLUSH),
        };
        let flushes = settings.on_return == OnReturn::Flush;
        let connection = &mut self.connections[connection];
        let purpose = connection.purpose;
        let mut push = |bytes: &[u8], shape| {
            let waiting = PendingRequest::new(ReplyOwner::Proxy, shape, self.micros);
            connection.push(bytes, waiting, self.now);
        };
        for (request, shape) in greeting.requests() {
            push(&request, shape);
        }
        if state.binary {
            push(BINARY_NOOP.0, BINARY_NOOP.1);
        }
        // An error in answer to it keeps the upstream ejected.
        if purpose == ConnectionPurpose::Probe && flushes {
            push(flush.0, flush.1);
        }
        if purpose == ConnectionPurpose::Probe {
            push(probe.0, probe.1);
        }
    }

    /// Probes an ejected upstream. Some memcached servers speak only one of memcached's protocols.
    pub(super) fn probe(&mut self, upstream: Arc<Upstream>) {
        let memcached = self.shared.settings.protocol == Protocol::Memcached;
        let state = ConnectionState {
            binary: memcached && upstream.is_probed_in_binary(),
            ..ConnectionState::default()
        };
        self.open_connection(upstream, ConnectionPurpose::Probe, state);
    }
}

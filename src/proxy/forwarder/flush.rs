//! The writes of a round: one for each connection and one for each client. Closes clients that have ended.

use std::io;

use crate::proxy::forwarder::{Command, Forwarder, mark, queue, scatter};

/// Bytes of output with which a connection is not left to wait for the end of the round: about a hundred requests.
const MUCH: usize = 8 * 1024;

impl Forwarder {
    /// The number of connections with output.
    pub(crate) fn dirty_connections(&self) -> usize {
        self.dirty_connections.len()
    }

    /// Whether the connection that waits longest for its write has enough output to be worth one.
    pub(crate) fn has_much_output(&self) -> bool {
        let first = self.dirty_connections.front();
        let connection = first.and_then(|key| self.connections.get(*key));
        connection.is_some_and(|connection| connection.unsent() >= MUCH)
    }

    /// The next connection with unsent bytes: its key and the bytes. The number of bytes written is passed to
    /// [`connection_sent`](Forwarder::connection_sent).
    pub(crate) fn next_connection_output(&mut self) -> Option<(usize, &[u8])> {
        let key = self.dirty_connections.pop_front()?;
        let connection = self.connections.get_mut(key)?;
        connection.dirty = false;
        connection.is_up().then(|| (key, connection.output()))
    }

    /// The socket of a connection has accepted this many bytes of its output.
    pub(crate) fn connection_sent(&mut self, key: usize, count: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            if count > 0 {
                connection.sent(count);
                connection.since = self.now;
            }
            self.wake_waiters(key);
        }
    }

    /// A connection's socket is writable again.
    pub(crate) fn connection_writable(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key)
            && connection.is_up()
            && connection.unsent() > 0
        {
            mark(&mut self.dirty_connections, key, &mut connection.dirty);
        }
    }

    /// The number of clients with output, or to be closed.
    pub(crate) fn dirty_clients(&self) -> usize {
        self.dirty_clients.len()
    }

    /// The next client with unsent bytes: its key and the bytes, which may be none. The number of bytes written is
    /// passed to [`client_sent`](Forwarder::client_sent).
    pub(crate) fn next_client_output(&mut self) -> Option<(usize, &[u8])> {
        let key = self.dirty_clients.pop_front()?;
        let client = self.clients.get_mut(key)?;
        client.dirty = false;
        Some((key, client.output()))
    }

    /// The socket of a client has accepted this many bytes of its output.
    pub(crate) fn client_sent(&mut self, key: usize, count: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if count > 0 {
            client.sent(count);
            client.since = self.now;
        }
        if let Some(micros) = client.timed_latency(self.micros) {
            self.shared.requests.latency.record(micros);
        }
        if client.lost {
            let error = io::Error::other("its upstream failed in the middle of an answer");
            return self.end(key, Some(&error));
        }
        if client.closing && client.is_done() {
            return self.end(key, None);
        }
        if client.is_dedication_over() && !client.is_waiting() {
            self.drop_dedicated(key);
        }
        let client = &mut self.clients[key];
        if client.unsent() > 0 && !client.slow {
            client.slow = true;
            self.slow.push(key);
        }
        let more = client.has_input || client.readable || self.draining;
        if more && !client.closing && client.has_room() {
            queue(&mut self.ready, key, client);
        }
    }

    /// A client's socket is writable again.
    pub(crate) fn client_writable(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && client.unsent() > 0
        {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    /// Gives another turn to connections whose bytes had to wait for a client.
    pub(crate) fn resume(&mut self) {
        for key in std::mem::take(&mut self.held) {
            if let Some(connection) = self.connections.get_mut(key)
                && !connection.held.is_empty()
                && !self.readable.contains(&key)
            {
                let front = connection.queue.front().map(|waiting| waiting.owner);
                if scatter::takes(&self.clients, connection, front) {
                    self.readable.push_back(key);
                } else {
                    self.held.push(key);
                }
            }
        }
    }

    /// Closes a client and removes it. Its outstanding answers are read and dropped.
    pub(super) fn end(&mut self, key: usize, error: Option<&io::Error>) {
        let Some(client) = self.clients.try_remove(key) else {
            return;
        };
        let connection = &client.connection;
        let (protocol, peer) = (connection.protocol(), connection.peer());
        match error {
            None => log::debug!("{protocol} {peer}: closed"),
            Some(error) => log::debug!("{protocol} {peer}: connection lost: {error}"),
        }
        if let Some(dedicated) = client.dedicated {
            self.drop_connection(dedicated.connection);
        }
        for (_, connection) in client.subscriptions.into_iter().flat_map(|s| s.connections) {
            self.drop_connection(connection);
        }
        self.commands.push_back(Command::CloseClient {
            key,
            gracefully: error.is_none(),
        });
        // The answers that connections hold back for it can be dropped now.
        self.resume();
    }
}

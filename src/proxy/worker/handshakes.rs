//! The deadlines of clients' TLS handshakes, beside those of the forwarder.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::{ClientSocket, Worker};
use crate::server::ticks;

impl Worker {
    /// The longest time to wait for an event.
    pub(super) fn timeout(&mut self) -> Option<Duration> {
        let clients = &self.clients;
        let is_pending = |key, id| is_handshaking(clients, key, id);
        let handshake = self.handshakes.next(ticks(), is_pending);
        let deadline = self.forwarder.deadline().map(Duration::from_millis);
        [handshake, deadline].into_iter().flatten().min()
    }

    /// Begins the time of a client's handshake, if it has one.
    pub(super) fn watch_handshake(&mut self, key: usize) {
        if let Some(Some(socket)) = self.clients.get(key)
            && socket.stream.is_handshaking()
        {
            let connection = &socket.membership.connection;
            self.handshakes.add(key, connection, ticks());
        }
    }

    /// Closes the clients whose handshake has taken too long.
    pub(super) fn close_stalled_handshakes(&mut self) {
        while let Some((key, id)) = self.handshakes.take_due(self.now) {
            if is_handshaking(&self.clients, key, id) {
                let error = io::Error::new(ErrorKind::TimedOut, "its TLS handshake takes too long");
                self.forwarder.client_lost(key, &error);
            }
        }
    }
}

fn is_handshaking(clients: &[Option<ClientSocket>], key: usize, id: u64) -> bool {
    let socket = clients.get(key).and_then(Option::as_ref);
    socket.is_some_and(|socket| {
        socket.membership.connection.id() == id && socket.stream.is_handshaking()
    })
}

//! The movement of bytes between clients, the forwarder and servers.

use std::hash::Hash;

use crate::pool::UpstreamFailure;
use crate::proxy::forwarder::Command;
use crate::proxy::simulation::names::Names;
use crate::proxy::simulation::network::{ConnectionPipes, piece};
use crate::proxy::simulation::proxy::{ServerEnd, Simulation};
use crate::proxy::simulation::server::{Session, UpstreamBehaviour};
use crate::proxy::simulation::{PlantedFault, trace};

impl Simulation {
    /// The number of bytes that are taken of `length` bytes.
    fn piece(&mut self, length: usize) -> usize {
        match self.calm || length == 0 {
            true => length,
            false => piece(&mut self.rng, length),
        }
    }

    /// Clients send the requests of their scripts, and the forwarder is notified.
    pub(super) fn clients_send(&mut self) {
        for number in 0..self.clients.len() {
            let sends = self.calm || self.rng.bool();
            let end = &mut self.clients[number];
            if sends && let Some(bytes) = end.client.next() {
                end.pipes.inward.send(&bytes);
                if end.client.blocked.is_some() && end.client.is_done() {
                    end.pipes.inward.end();
                }
            }
            if let Some(key) = end.key
                && (!end.pipes.inward.is_empty() || end.pipes.inward.has_ended())
            {
                self.forwarder.client_readable(key);
            }
        }
    }

    /// The forwarder reads clients.
    pub(super) fn gather(&mut self) {
        for _ in 0..self.forwarder.ready_clients() {
            let Some(key) = self.forwarder.next_client() else {
                continue;
            };
            let Some(number) = self.clients.iter().position(|end| end.key == Some(key)) else {
                continue;
            };
            if self.clients[number].pipes.inward.is_at_end() {
                self.forwarder.client_ended(key);
            } else if self.clients[number].pipes.inward.is_empty() {
                self.forwarder.client_drained(key);
            } else {
                let rng = if self.calm { None } else { Some(&mut self.rng) };
                let inward = &mut self.clients[number].pipes.inward;
                let bytes = inward.receive(rng);
                let more = !inward.is_empty() || inward.has_ended();
                trace(|| format!("client {number} > {}", bytes.escape_ascii()));
                self.forwarder.client_received(key, &bytes, more);
            }
        }
        self.carry_out();
    }

    pub(super) fn send_to_servers(&mut self) {
        self.carry_out();
        for key in self.connections.keys() {
            self.forwarder.connection_writable(*key);
        }
        for _ in 0..self.forwarder.dirty_connections() {
            let Some((key, output)) = self.forwarder.next_connection_output() else {
                continue;
            };
            let output = output.to_vec();
            let count = self.piece(output.len());
            let Some(connection) = self.connections.get_mut(&key) else {
                continue;
            };
            if connection.pipes.outward.has_ended() {
                self.forwarder
                    .connection_failed(key, UpstreamFailure::Closed);
            } else {
                connection.pipes.outward.send(&output[..count]);
                self.forwarder.connection_sent(key, count);
            }
        }
        self.carry_out();
    }

    /// Servers read, execute and answer.
    pub(super) fn servers_work(&mut self) {
        let keys: Vec<usize> = self.connections.keys().copied().collect();
        for key in keys {
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let Some(connection) = self
                .connections
                .get_mut(&key)
                .filter(|connection| connection.connected)
            else {
                continue;
            };
            let server = &mut self.servers[connection.server];
            server.loses_messages = self.planted == Some(PlantedFault::LostMessage);
            if server.behaviour == UpstreamBehaviour::Sleeps {
                continue;
            }
            let bytes = connection.pipes.outward.receive(rng);
            if !bytes.is_empty() {
                trace(|| format!("connection {key} > {}", bytes.escape_ascii()));
            }
            server.receive(key, &bytes);
        }
        self.note_published();
        for (key, connection) in &mut self.connections {
            let server = &mut self.servers[connection.server];
            if let Some(session) = server.sessions.get_mut(key) {
                connection
                    .pipes
                    .inward
                    .send(&std::mem::take(&mut session.output));
            }
            if !connection.pipes.inward.is_empty() || connection.pipes.inward.has_ended() {
                let ends = connection.pipes.inward.has_ended();
                if connection.connected {
                    self.forwarder.connection_readable(*key, ends);
                }
            }
        }
    }

    /// The forwarder reads servers.
    pub(super) fn scatter(&mut self) {
        for _ in 0..self.forwarder.readable_connections() {
            let Some(key) = self.forwarder.next_readable_connection() else {
                continue;
            };
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let Some(connection) = self.connections.get_mut(&key) else {
                continue;
            };
            let inward = &mut connection.pipes.inward;
            if inward.is_at_end() {
                self.forwarder
                    .connection_failed(key, UpstreamFailure::Closed);
            } else if inward.is_empty() {
                self.forwarder.connection_drained(key);
            } else {
                let bytes = inward.receive(rng);
                let more = !inward.is_empty() || inward.has_ended();
                trace(|| format!("connection {key} < {}", bytes.escape_ascii()));
                self.forwarder.connection_received(key, &bytes, more);
            }
            self.carry_out();
        }
    }

    pub(super) fn send_to_clients(&mut self) {
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
                end.pipes.outward.send(&output[..count]);
                self.forwarder.client_sent(key, count);
            }
        }
        self.carry_out();
    }

    pub(super) fn clients_receive(&mut self) -> Result<(), String> {
        for number in 0..self.clients.len() {
            let rng = if self.calm { None } else { Some(&mut self.rng) };
            let end = &mut self.clients[number];
            let bytes = end.pipes.outward.receive(rng);
            (number, &bytes).hash(&mut self.sent);
            if !bytes.is_empty() {
                trace(|| format!("client {number} < {}", bytes.escape_ascii()));
            }
            let received = end.client.receive(&bytes);
            received.map_err(|fault| format!("client {number}: {fault}"))?;
            if end.pipes.outward.is_at_end() && !end.client.is_done() {
                match end.client.is_fragile() {
                    true => end.client.give_up(),
                    false => return Err(format!("client {number}: its connection was closed")),
                }
            }
        }
        Ok(())
    }

    /// Connections that were begun are made, or refused.
    pub(super) fn connecting(&mut self) {
        self.answer_lookups();
        let keys: Vec<usize> = self.connections.keys().copied().collect();
        for key in keys {
            let now = self.calm || self.rng.bool();
            let Some(connection) = self.connections.get_mut(&key) else {
                continue;
            };
            if connection.connected || !now {
                continue;
            }
            let server = &mut self.servers[connection.server];
            let has_moved = self.names.addresses[connection.server] != connection.address;
            if has_moved || server.behaviour == UpstreamBehaviour::Refuses {
                self.connections.remove(&key);
                let error = std::io::ErrorKind::ConnectionRefused.into();
                self.forwarder.connect_failed(key, error);
            } else {
                connection.connected = true;
                server.sessions.insert(key, Session::default());
                self.forwarder.connected(key);
            }
            self.carry_out();
        }
    }

    /// Carries out the forwarder's commands.
    pub(super) fn carry_out(&mut self) {
        while let Some(command) = self.forwarder.next_command() {
            trace(|| format!("{command:?}"));
            match command {
                Command::Resolve { key, serial, name } => self.names.ask(key, serial, &name),
                Command::Connect { key, address } => {
                    let end = ServerEnd {
                        server: Names::server(address),
                        address,
                        pipes: ConnectionPipes::default(),
                        connected: false,
                    };
                    assert!(
                        self.connections.insert(key, end).is_none(),
                        "key {key} is taken"
                    );
                }
                Command::CloseUpstream(key) => {
                    if let Some(connection) = self.connections.remove(&key) {
                        let sessions = &mut self.servers[connection.server].sessions;
                        let session = sessions.remove(&key);
                        if self.planted == Some(PlantedFault::KeptConnection) {
                            // The proxy gives this number to other connections.
                            let number = usize::MAX - sessions.len();
                            sessions.extend(session.map(|session| (number, session)));
                        }
                    }
                }
                Command::CloseClient { key, .. } => {
                    let mut ends = self.clients.iter_mut();
                    if let Some(end) = ends.find(|end| end.key == Some(key)) {
                        end.key = None;
                        end.pipes.outward.end();
                    }
                }
            }
        }
    }
}

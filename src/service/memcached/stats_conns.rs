//! `stats conns`: the listeners and the connections of memcached's protocols, each under its number.
//!
//! memcached numbers sockets as the system does. Here the listeners have the first numbers, and connections those of their
//! arrival.

use std::fmt::Display;

use crate::protocol::memcached::text::reply;
use crate::server::{Address, Connection};

use super::context::TurnContext;

impl TurnContext<'_> {
    pub(super) fn conns(&mut self) {
        let shared = self.shared;
        let listeners = shared.listeners.get().map_or(&[][..], Vec::as_slice);
        let up = shared.store.now_ms().saturating_sub(shared.started_ms) / 1000;
        for (index, address) in listeners.iter().enumerate() {
            let number = index as u64 + 1;
            self.conn(number, "addr", text(address));
            self.conn(number, "state", "conn_listening");
            self.conn(number, "secs_since_last_cmd", up);
        }
        if let Some(socket) = shared.udp.get() {
            self.udp_socket(listeners.len() as u64 + 1, socket);
        }
        let this = self.connection.id();
        shared.connections.for_each(|connection| {
            if connection.protocol() != "memcached" {
                return;
            }
            let number = connection.id();
            let state = if number == this {
                "conn_parse_cmd"
            } else if connection.awaits_value() {
                "conn_nread"
            } else {
                "conn_read"
            };
            self.conn(number, "addr", text(connection.peer()));
            self.conn(number, "listen_addr", text(&connection.local()));
            self.conn(number, "state", state);
            self.conn(number, "secs_since_last_cmd", connection.idle().as_secs());
        });
    }

    /// The socket for datagrams. Its record is that of all senders, so their addresses are not known.
    fn udp_socket(&mut self, number: u64, socket: &Connection) {
        let is_asking = socket.id() == self.connection.id();
        let state = if is_asking {
            "conn_parse_cmd"
        } else {
            "conn_read"
        };
        self.conn(number, "UDP", "UDP");
        self.conn(number, "addr", text(&socket.local()));
        self.conn(number, "state", state);
        self.conn(number, "secs_since_last_cmd", socket.idle().as_secs());
    }

    fn conn(&mut self, number: u64, name: &str, value: impl Display) {
        reply::stat(self.output.bytes, &format!("{number}:{name}"), value);
    }
}

/// An address with the prefix that memcached writes before it.
fn text(address: &Address) -> String {
    let family = match address {
        Address::Unix(_) => "unix",
        _ if address.udp().is_some() => "udp",
        _ => "tcp",
    };
    format!("{family}:{address}")
}

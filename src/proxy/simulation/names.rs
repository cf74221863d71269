//! The addresses of servers in a simulation, and the lookups of their names.
//!
//! Server N has the address 10.0.M.N, where M counts moves. A connection to an address that a server has left is refused.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::pool::ResolvedName;
use crate::proxy::simulation::proxy::Simulation;
use crate::proxy::simulation::{PlantedFault, trace};

/// The addresses of servers, and the lookups that are under way.
pub(super) struct Names {
    /// The address of each server.
    pub(super) addresses: Vec<SocketAddr>,
    /// The pool lists names, not addresses.
    are_listed: bool,
    moves: u8,
    /// The proxy's connection, its serial, and the server that the name means.
    lookups: VecDeque<(usize, u64, usize)>,
}

impl Names {
    pub(super) fn new(count: usize, are_listed: bool) -> Names {
        Names {
            addresses: (0..count).map(|server| address(0, server)).collect(),
            are_listed,
            moves: 0,
            lookups: VecDeque::new(),
        }
    }

    /// The server that has this address, or had it.
    pub(super) fn server(address: SocketAddr) -> usize {
        match address {
            SocketAddr::V4(address) => usize::from(address.ip().octets()[3]) - 1,
            SocketAddr::V6(_) => panic!("{address} is no server's"),
        }
    }

    /// The proxy asks for the addresses of a name.
    pub(super) fn ask(&mut self, key: usize, serial: u64, name: &str) {
        let number = name
            .strip_prefix("cache-")
            .and_then(|rest| rest.split(':').next());
        let number: Option<usize> = number.and_then(|number| number.parse().ok());
        let server = number.expect("the name of a server") - 1;
        self.lookups.push_back((key, serial, server));
    }
}

fn address(moves: u8, server: usize) -> SocketAddr {
    SocketAddr::from(([10, 0, moves, server as u8 + 1], 7000))
}

impl Simulation {
    /// A server moves to another address, if the pool has its name. Its connections end.
    pub(crate) fn move_server(&mut self, server: usize) {
        if !self.names.are_listed {
            return;
        }
        self.names.moves = self
            .names
            .moves
            .checked_add(1)
            .expect("fewer moves than that");
        self.names.addresses[server] = address(self.names.moves, server);
        trace(|| format!("server {server} moves to {}", self.names.addresses[server]));
        let keys: Vec<usize> = self.connections.keys().copied().collect();
        for key in keys {
            if self.connections[&key].server == server && self.connections[&key].connected {
                self.end_connection(key);
            }
        }
    }

    /// Lookups are answered: with the address, with a former one before it, or now and then with an error.
    pub(super) fn answer_lookups(&mut self) {
        for _ in 0..self.names.lookups.len() {
            let Some(lookup) = self.names.lookups.pop_front() else {
                return;
            };
            let (connection, serial, server) = lookup;
            let now = self.names.addresses[server];
            let found = match self.calm {
                _ if self.planted == Some(PlantedFault::OldAddress) => Ok(vec![address(0, server)]),
                true => Ok(vec![now]),
                false => match self.rng.u8(..16) {
                    ..8 => {
                        self.names.lookups.push_back(lookup);
                        continue;
                    }
                    8 if self.faulty => Err("timed out".to_owned()),
                    9..12 => Ok(vec![address(u8::MAX, server), now]),
                    _ => Ok(vec![now]),
                },
            };
            trace(|| format!("server {server} is at {found:?}"));
            self.forwarder.resolved(ResolvedName {
                connection,
                serial,
                found,
            });
            self.carry_out();
        }
    }
}

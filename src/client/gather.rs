//! A get of many keys from several servers at once.
//!
//! ```text
//!   keys ─▶ a group for each server ─▶ round: send to all servers, then read from all ─▶ next round, if keys are left
//! ```
//!
//! No thread is needed: all servers work while the client waits for the first. The request of a round is bounded, and a server
//! reads all of it before it answers, so client and server never both wait until the other reads.
//!
//! A healthy server doesn't fail because another one stalls: until the first byte of a reply, all servers share one
//! deadline, and from then on the rest of the reply has its own.

use crate::client::connection::{Connection, Deadline};
use crate::client::error::Error;
use crate::client::item::Item;
use crate::client::server::Server;
use crate::client::{reply, request, resp_reply, resp_request};
use crate::pool::Protocol;

/// Bytes of the keys of one request, at most: about 260 of memcached's longest.
const LINE: usize = 64 << 10;

/// The keys of one server.
pub struct Group<'a> {
    server: &'a Server,
    /// The numbers of its keys.
    keys: Vec<usize>,
    /// How many of them have been asked for in the rounds before, and with this round.
    asked: (usize, usize),
    connection: Option<Connection>,
    error: Option<Error>,
}

impl<'a> Group<'a> {
    pub(super) fn new(server: &'a Server) -> Group<'a> {
        Group {
            server,
            keys: Vec::new(),
            asked: (0, 0),
            connection: None,
            error: None,
        }
    }

    /// A group whose server is not asked, because of this error.
    pub(super) fn refused(server: &'a Server, error: Error) -> Group<'a> {
        Group {
            error: Some(error),
            ..Group::new(server)
        }
    }

    pub(super) fn push(&mut self, key: usize) {
        self.keys.push(key);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether its server is not asked.
    pub(super) fn is_refused(&self) -> bool {
        self.error.is_some()
    }

    fn is_done(&self) -> bool {
        self.error.is_some() || self.asked.1 == self.keys.len()
    }

    /// Sends the request of the next round.
    fn send(&mut self, keys: &[&[u8]]) {
        let from = self.asked.1;
        let mut length = 0;
        let fitting = self.keys[from..].iter().take_while(|number| {
            length += keys[**number].len() + 1;
            length <= LINE
        });
        let to = from + fitting.count().max(1);
        self.asked = (from, to);
        let server = self.server;
        let asked = self.keys[from..to].iter().map(|number| keys[*number]);
        let request = match server.settings.protocol {
            Protocol::Memcached => request::get_many(asked),
            Protocol::Resp => resp_request::get_many(asked),
        };
        let sent = server.take().and_then(|mut connection| {
            match connection.send(&request, server.settings.write) {
                Ok(()) => Ok(connection),
                Err(failure) => server.finish(connection, Err(failure)),
            }
        });
        match sent {
            Ok(connection) => self.connection = Some(connection),
            Err(error) => self.error = Some(error),
        }
    }

    /// Reads the reply of the round.
    fn read(&mut self, keys: &[&[u8]], first: Deadline, found: &mut [Option<Item>]) {
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let settings = &self.server.settings;
        let numbers = &self.keys[self.asked.0..self.asked.1];
        let outcome = connection.wait(first).and_then(|()| {
            let until = Deadline::after(settings.read);
            let limit = settings.max_value;
            let mut take = |number: usize, item| found[numbers[number]] = Some(item);
            match settings.protocol {
                Protocol::Memcached => {
                    let asked: Vec<&[u8]> = numbers.iter().map(|number| keys[*number]).collect();
                    reply::values(&mut connection, until, &asked, limit, |it| {
                        take(it.key, it.item);
                    })
                }
                Protocol::Resp => {
                    resp_reply::values(&mut connection, until, numbers.len(), limit, take)
                }
            }
        });
        self.error = self.server.finish(connection, outcome).err();
    }
}

/// Asks each group's server for its keys. The items come in the order of `keys`, and all errors with them.
pub(super) fn get(mut groups: Vec<Group<'_>>, keys: &[&[u8]]) -> (Vec<Option<Item>>, Vec<Error>) {
    let mut found = vec![None; keys.len()];
    while groups.iter().any(|group| !group.is_done()) {
        let mut patience = None;
        for group in groups.iter_mut().filter(|group| !group.is_done()) {
            group.send(keys);
            patience = patience.max(Some(group.server.settings.read));
        }
        let first = Deadline::after(patience.unwrap_or_default());
        for group in &mut groups {
            group.read(keys, first, &mut found);
        }
    }
    let errors = groups.into_iter().filter_map(|group| group.error);
    (found, errors.collect())
}

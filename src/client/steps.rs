//! The steps that the commands of [`Client`] and [`Cluster`](crate::client::Cluster) share: admit, take a connection, send, read,
//! finish. The settings choose the protocol; `resp` has the commands in RESP. An error stays an error here; the commands may turn
//! it into a miss.

use std::time::Duration;

use crate::client::commands::Client;
use crate::client::connection::{Connection, Deadline};
use crate::client::error::{Cause, Error};
use crate::client::gather::Group;
use crate::client::item::{CasOutcome, Item};
use crate::client::{reply, request};
use crate::pool::{Protocol, UpstreamFailure};

/// The work of each command, in the protocol of the settings.
impl Client {
    pub(super) fn read_item(&self, key: &[u8]) -> Result<Option<Item>, Error> {
        match self.protocol() {
            Protocol::Memcached => self.memcached_item(&[b"get", key]),
            Protocol::Resp => self.resp_item(&[b"GET", key]),
        }
    }

    pub(super) fn read_unique(&self, key: &[u8]) -> Result<Option<(Item, u64)>, Error> {
        self.require(Protocol::Memcached, "cas uniques")?;
        let read = self.read_value(&[b"gets", key])?;
        Ok(read.and_then(|received| Some((received.item, received.cas?))))
    }

    pub(super) fn read_touching(
        &self,
        key: &[u8],
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        match self.protocol() {
            Protocol::Memcached => {
                self.memcached_item(&[b"gat", request::exptime(lifetime).as_bytes(), key])
            }
            Protocol::Resp => self.resp_touching(key, lifetime),
        }
    }

    pub(super) fn store(
        &self,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        match self.protocol() {
            Protocol::Memcached => {
                let request = request::store("set", key, item, lifetime, None);
                self.change(key, &request, &[("STORED", ())])
            }
            Protocol::Resp => self.resp_store(key, item, lifetime, None).map(|_| ()),
        }
    }

    pub(super) fn compare_and_store(
        &self,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
        unique: u64,
    ) -> Result<CasOutcome, Error> {
        self.require(Protocol::Memcached, "cas uniques")?;
        let request = request::store("cas", key, item, lifetime, Some(unique));
        let meanings = [
            ("STORED", CasOutcome::Stored),
            ("EXISTS", CasOutcome::Changed),
            ("NOT_FOUND", CasOutcome::NotFound),
        ];
        self.change(key, &request, &meanings)
    }

    /// `add`, `replace`, `append` or `prepend`.
    pub(super) fn store_if(
        &self,
        verb: &'static str,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let condition: Option<&[u8]> = match verb {
            "add" => Some(b"NX"),
            "replace" => Some(b"XX"),
            _ => None,
        };
        match (self.protocol(), condition) {
            (Protocol::Resp, Some(_)) => self.resp_store(key, item, lifetime, condition),
            (Protocol::Resp, None) => Err(self.unsupported(verb)),
            (Protocol::Memcached, _) => {
                let meanings = [("STORED", true), ("NOT_STORED", false)];
                let request = request::store(verb, key, item, lifetime, None);
                self.change(key, &request, &meanings)
            }
        }
    }

    /// Reads an item and stores what `change` makes of it, until no other client has changed it in between.
    pub(super) fn replace_safely(
        &self,
        key: &[u8],
        lifetime: Option<Duration>,
        change: &mut impl FnMut(Option<&Item>) -> Option<Item>,
    ) -> Result<Option<Item>, Error> {
        let tries = self.server.settings.update_tries;
        for _ in 0..tries {
            let old = self.read_unique(key)?;
            let Some(new) = change(old.as_ref().map(|(item, _)| item)) else {
                return Ok(None);
            };
            let stored = match old {
                Some((_, unique)) => {
                    self.compare_and_store(key, &new, lifetime, unique)? == CasOutcome::Stored
                }
                None => self.store_if("add", key, &new, lifetime)?,
            };
            if stored {
                return Ok(Some(new));
            }
        }
        Err(self.server.error(Cause::Contended(tries)))
    }

    pub(super) fn remove(&self, key: &[u8]) -> Result<bool, Error> {
        match self.protocol() {
            Protocol::Memcached => {
                let meanings = [("DELETED", true), ("NOT_FOUND", false)];
                self.change(key, &request::line(&[b"delete", key]), &meanings)
            }
            Protocol::Resp => self.resp_count(&[&[b"DEL", key]]),
        }
    }

    pub(super) fn renew(&self, key: &[u8], lifetime: Option<Duration>) -> Result<bool, Error> {
        match self.protocol() {
            Protocol::Memcached => {
                let meanings = [("TOUCHED", true), ("NOT_FOUND", false)];
                let exptime = request::exptime(lifetime);
                let request = request::line(&[b"touch", key, exptime.as_bytes()]);
                self.change(key, &request, &meanings)
            }
            Protocol::Resp => self.resp_touch(key, lifetime),
        }
    }

    /// `incr` or `decr`.
    pub(super) fn count(
        &self,
        verb: &'static str,
        key: &[u8],
        by: u64,
    ) -> Result<Option<u64>, Error> {
        self.require(Protocol::Memcached, verb)?;
        self.check_key(key)?;
        let request = request::line(&[verb.as_bytes(), key, by.to_string().as_bytes()]);
        self.ask(&request, reply::number)
    }

    pub(super) fn remove_all(&self) -> Result<(), Error> {
        match self.protocol() {
            Protocol::Memcached => self.ask(b"flush_all\r\n", |connection, until| {
                reply::one_of(connection, until, &[("OK", ())])
            }),
            Protocol::Resp => self.resp_flush(),
        }
    }

    pub(super) fn read_stats(&self, group: &str) -> Result<Vec<(String, String)>, Error> {
        match self.protocol() {
            Protocol::Memcached if group.is_empty() => self.ask(b"stats\r\n", reply::stats),
            Protocol::Memcached => {
                for word in group.split(' ') {
                    self.check_key(word.as_bytes())?;
                }
                let request = request::line(&[b"stats", group.as_bytes()]);
                self.ask(&request, reply::stats)
            }
            Protocol::Resp => self.resp_info(group),
        }
    }
}

/// The parts of a request.
impl Client {
    pub(super) fn protocol(&self) -> Protocol {
        self.server.settings.protocol
    }

    fn unsupported(&self, what: &'static str) -> Error {
        self.server.error(Cause::Unsupported(self.protocol(), what))
    }

    /// An error unless the server is asked in this protocol, which is the one that has this.
    pub(super) fn require(&self, protocol: Protocol, what: &'static str) -> Result<(), Error> {
        match self.protocol() == protocol {
            true => Ok(()),
            false => Err(self.unsupported(what)),
        }
    }

    /// In RESP, any bytes are a key.
    pub(super) fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        match self.protocol() {
            Protocol::Memcached => {
                request::refuse_key(key).map_err(|why| self.server.error(Cause::Key(why)))
            }
            Protocol::Resp => Ok(()),
        }
    }

    /// A group without keys for a get of many, if the server takes requests.
    pub(super) fn group(&self) -> Group<'_> {
        match self.server.admit() {
            Ok(()) => Group::new(&self.server),
            Err(error) => Group::refused(&self.server, error),
        }
    }

    fn memcached_item(&self, words: &[&[u8]]) -> Result<Option<Item>, Error> {
        let read = self.read_value(words)?;
        Ok(read.map(|received| received.item))
    }

    /// The value of the key that is the last of these words.
    fn read_value(&self, words: &[&[u8]]) -> Result<Option<reply::Received>, Error> {
        let key = *words.last().unwrap_or(&&b""[..]);
        self.check_key(key)?;
        let limit = self.server.settings.max_value;
        self.ask(&request::line(words), |connection, until| {
            let mut found = None;
            reply::values(connection, until, &[key], limit, |it| found = Some(it))?;
            match &found {
                Some(reply::Received { cas: None, .. }) if words[0] == b"gets" => {
                    let what = b"VALUE without a cas unique";
                    Err(UpstreamFailure::unexpected(what))
                }
                _ => Ok(found),
            }
        })
    }

    /// A request about this key that is answered by one of these lines.
    fn change<T: Copy>(
        &self,
        key: &[u8],
        request: &[u8],
        meanings: &[(&str, T)],
    ) -> Result<T, Error> {
        self.check_key(key)?;
        self.ask(request, |connection, until| {
            reply::one_of(connection, until, meanings)
        })
    }

    /// Sends a request and reads its reply.
    pub(super) fn ask<T>(
        &self,
        request: &[u8],
        read: impl FnOnce(&mut Connection, Deadline) -> Result<T, UpstreamFailure>,
    ) -> Result<T, Error> {
        let (connection, outcome) = self.exchange(request, read)?;
        self.server.finish(connection, outcome)
    }

    /// The same over a connection that no other request uses afterwards.
    pub(super) fn ask_apart<T>(
        &self,
        request: &[u8],
        read: impl FnOnce(&mut Connection, Deadline) -> Result<T, UpstreamFailure>,
    ) -> Result<T, Error> {
        let (_, outcome) = self.exchange(request, read)?;
        self.server.count(outcome)
    }

    fn exchange<T>(
        &self,
        request: &[u8],
        read: impl FnOnce(&mut Connection, Deadline) -> Result<T, UpstreamFailure>,
    ) -> Result<(Connection, Result<T, UpstreamFailure>), Error> {
        self.server.admit()?;
        let mut connection = self.server.take()?;
        let settings = &self.server.settings;
        let outcome = connection
            .send(request, settings.left_of(settings.write))
            .and_then(|()| {
                let limit = settings.left_of(settings.read);
                read(&mut connection, Deadline::after(limit))
            });
        Ok((connection, outcome))
    }
}

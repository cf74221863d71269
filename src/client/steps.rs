//! The steps that the commands of [`Client`] and [`Cluster`](crate::client::Cluster) share: admit, take a connection, send, read,
//! finish. An error stays an error here; the commands may turn it into a miss.

use std::time::Duration;

use crate::client::commands::Client;
use crate::client::connection::{Connection, Deadline};
use crate::client::error::{Cause, Error};
use crate::client::gather::Group;
use crate::client::item::{CasOutcome, Item};
use crate::client::{reply, request};
use crate::pool::UpstreamFailure;

impl Client {
    pub(super) fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        request::refuse_key(key).map_err(|why| self.server.error(Cause::Key(why)))
    }

    /// A group without keys for a get of many, if the server takes requests.
    pub(super) fn group(&self) -> Group<'_> {
        match self.server.admit() {
            Ok(()) => Group::new(&self.server),
            Err(error) => Group::refused(&self.server, error),
        }
    }

    pub(super) fn read_item(&self, words: &[&[u8]]) -> Result<Option<Item>, Error> {
        let read = self.read_value(words)?;
        Ok(read.map(|received| received.item))
    }

    pub(super) fn read_unique(&self, key: &[u8]) -> Result<Option<(Item, u64)>, Error> {
        let read = self.read_value(&[b"gets", key])?;
        Ok(read.and_then(|received| Some((received.item, received.cas?))))
    }

    pub(super) fn read_touching(
        &self,
        key: &[u8],
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        self.read_item(&[b"gat", request::exptime(lifetime).as_bytes(), key])
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

    pub(super) fn store(
        &self,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        let request = request::store("set", key, item, lifetime, None);
        self.change(key, &request, &[("STORED", ())])
    }

    pub(super) fn compare_and_store(
        &self,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
        unique: u64,
    ) -> Result<CasOutcome, Error> {
        let request = request::store("cas", key, item, lifetime, Some(unique));
        let meanings = [
            ("STORED", CasOutcome::Stored),
            ("EXISTS", CasOutcome::Changed),
            ("NOT_FOUND", CasOutcome::NotFound),
        ];
        self.change(key, &request, &meanings)
    }

    pub(super) fn store_if(
        &self,
        verb: &str,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let meanings = [("STORED", true), ("NOT_STORED", false)];
        let request = request::store(verb, key, item, lifetime, None);
        self.change(key, &request, &meanings)
    }

    pub(super) fn count(&self, verb: &str, key: &[u8], by: u64) -> Result<Option<u64>, Error> {
        self.check_key(key)?;
        let request = request::line(&[verb.as_bytes(), key, by.to_string().as_bytes()]);
        self.ask(&request, reply::number)
    }

    /// A request about this key that is answered by one of these lines.
    pub(super) fn change<T: Copy>(
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
        self.server.admit()?;
        let mut connection = self.server.take()?;
        let settings = &self.server.settings;
        let outcome = connection
            .send(request, settings.write)
            .and_then(|()| read(&mut connection, Deadline::after(settings.read)));
        self.server.finish(connection, outcome)
    }

    pub(super) fn or_miss<T>(&self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        self.server.settings.or_miss(read)
    }
}

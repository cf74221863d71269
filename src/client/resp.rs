//! The commands of a client in RESP: what is sent, and the meaning of the replies.
//!
//! They are the commands that mean the same as memcached's. memcached's commands without such a counterpart, `cas` or `incr` of a
//! key that must exist, are errors in RESP; [`Client::command`] sends any command of RESP.

use std::time::Duration;

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::client::item::Item;
use crate::client::resp_reply::{self, RespReply};
use crate::client::resp_request::{Expiry, milliseconds};
use crate::pool::Protocol;
use crate::protocol::resp;

/// Commands of RESP.
impl Client {
    /// Sends any command of RESP. It has a connection of its own, which is closed afterwards, because commands such as `MULTI`
    /// change the state of their connection.
    ///
    /// ```
    /// use larder::client::{Client, Protocol, RespReply, Settings};
    ///
    /// let server = larder::Server::start()?;
    /// let settings = Settings::default().protocol(Protocol::Resp);
    /// let client = Client::with_settings(&server.resp_addr().to_string(), settings);
    /// assert_eq!(client.command(&["INCRBY", "visits", "2"])?, RespReply::Integer(2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Client`]. A reply that is an error is [`ErrorKind::Refused`](crate::client::ErrorKind::Refused).
    pub fn command<W: AsRef<[u8]>>(&self, words: &[W]) -> Result<RespReply, Error> {
        self.require(Protocol::Resp, "commands of RESP")?;
        let words: Vec<&[u8]> = words.iter().map(AsRef::as_ref).collect();
        let limit = self.server.settings.max_value;
        self.ask_apart(&resp::request(&words), |connection, until| {
            resp_reply::success(connection, until, limit)
        })
    }

    /// A read of one value.
    pub(super) fn resp_item(&self, words: &[&[u8]]) -> Result<Option<Item>, Error> {
        self.resp(words, |reply| match reply {
            RespReply::Bulk(value) => Ok(Some(value.into())),
            RespReply::Null => Ok(None),
            other => Err(other),
        })
    }

    /// `GETEX`.
    pub(super) fn resp_touching(
        &self,
        key: &[u8],
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        let expiry = Expiry::of(lifetime);
        let mut words = vec![b"GETEX", key];
        match &expiry {
            None => words.push(b"PERSIST"),
            Some(expiry) => words.extend(expiry.words()),
        }
        self.resp_item(&words)
    }

    /// `SET`, with this condition if there is one. Returns whether it held.
    pub(super) fn resp_store(
        &self,
        key: &[u8],
        item: &Item,
        lifetime: Option<Duration>,
        condition: Option<&[u8]>,
    ) -> Result<bool, Error> {
        if item.flags != 0 {
            self.require(Protocol::Memcached, "flags of items")?;
        }
        let expiry = Expiry::of(lifetime);
        let mut words = vec![b"SET", key, &item.value[..]];
        words.extend(expiry.iter().flat_map(Expiry::words));
        words.extend(condition);
        self.resp(&words, |reply| match reply {
            RespReply::Status(text) if text == "OK" => Ok(true),
            RespReply::Null if condition.is_some() => Ok(false),
            other => Err(other),
        })
    }

    /// A new lifetime for a key. Returns whether it exists.
    pub(super) fn resp_touch(&self, key: &[u8], lifetime: Option<Duration>) -> Result<bool, Error> {
        match lifetime {
            Some(lifetime) => {
                let milliseconds = milliseconds(lifetime).to_string();
                self.resp_count(&[&[b"PEXPIRE", key, milliseconds.as_bytes()]])
            }
            // The reply to PERSIST is 0 also if the key exists and doesn't expire.
            None => self.resp_count(&[&[b"PERSIST", key], &[b"EXISTS", key]]),
        }
    }

    /// Commands whose replies are numbers, sent at once. Returns whether the last number isn't 0.
    pub(super) fn resp_count(&self, commands: &[&[&[u8]]]) -> Result<bool, Error> {
        let request: Vec<u8> = commands
            .iter()
            .flat_map(|words| resp::request(words))
            .collect();
        let limit = self.server.settings.max_value;
        self.ask(&request, |connection, until| {
            let mut last = 0;
            for _ in commands {
                match resp_reply::success(connection, until, limit)? {
                    RespReply::Integer(number) => last = number,
                    other => return Err(other.unexpected()),
                }
            }
            Ok(last != 0)
        })
    }

    /// `FLUSHALL`.
    pub(super) fn resp_flush(&self) -> Result<(), Error> {
        self.resp(&[b"FLUSHALL"], |reply| match reply {
            RespReply::Status(_) => Ok(()),
            other => Err(other),
        })
    }

    /// The names and values of `INFO`, of a section or of all.
    pub(super) fn resp_info(&self, section: &str) -> Result<Vec<(String, String)>, Error> {
        let mut words = vec![&b"INFO"[..]];
        words.extend((!section.is_empty()).then_some(section.as_bytes()));
        self.resp(&words, |reply| match reply {
            RespReply::Bulk(text) => Ok(facts(&String::from_utf8_lossy(&text))),
            other => Err(other),
        })
    }

    pub(super) fn resp_version(&self) -> Result<String, Error> {
        self.resp(&[b"INFO", b"server"], |reply| {
            let RespReply::Bulk(text) = &reply else {
                return Err(reply);
            };
            let facts = facts(&String::from_utf8_lossy(text)).into_iter();
            let mut versions = facts.filter(|(name, _)| name == "redis_version");
            versions.next().map(|(_, version)| version).ok_or(reply)
        })
    }

    /// A command, and the meaning of its reply; a reply that has none is an error.
    pub(super) fn resp<T>(
        &self,
        words: &[&[u8]],
        meaning: impl FnOnce(RespReply) -> Result<T, RespReply>,
    ) -> Result<T, Error> {
        let limit = self.server.settings.max_value;
        self.ask(&resp::request(words), |connection, until| {
            let reply = resp_reply::success(connection, until, limit)?;
            meaning(reply).map_err(|reply| reply.unexpected())
        })
    }
}

/// The lines `name:value` of a text.
fn facts(text: &str) -> Vec<(String, String)> {
    let pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

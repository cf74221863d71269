//! The client of one server: a method for each command.

use std::sync::Arc;
use std::time::Duration;

use crate::client::error::{Cause, Error};
use crate::client::gather;
use crate::client::item::{CasOutcome, Item};
use crate::client::server::Server;
use crate::client::settings::Settings;
use crate::client::{reply, request};
use crate::pool::Upstream;

/// A client of one memcached server. Threads share it; each request uses a connection of its own.
///
/// ```
/// use std::time::Duration;
/// use larder::client::Client;
///
/// let server = larder::Server::start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// client.set("greeting", "hello", Some(Duration::from_secs(60)))?;
/// let item = client.get("greeting")?.expect("it was stored");
/// assert_eq!(item.value, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A key has 1 to 250 bytes without spaces and control characters. A lifetime is rounded up to seconds; `None` is forever.
/// All methods fail with an [`Error`] that names the server if there is no connection, no answer in time, or an answer that
/// doesn't fit.
#[derive(Debug)]
pub struct Client {
    pub(super) server: Server,
}

impl Client {
    /// A client of the server at this `host:port`, or at this path of a Unix socket, which has a slash. It connects with its first
    /// request.
    pub fn new(address: &str) -> Client {
        Client::with_settings(address, Settings::default())
    }

    /// A client with settings of your own.
    pub fn with_settings(address: &str, settings: Settings) -> Client {
        Client::of(Arc::new(Upstream::new(address, 0)), Arc::new(settings))
    }

    pub(super) fn of(upstream: Arc<Upstream>, settings: Arc<Settings>) -> Client {
        Client {
            server: Server::new(upstream, settings),
        }
    }

    /// The server's address, as it was given.
    pub fn address(&self) -> &str {
        self.server.address()
    }

    /// Whether the server is ejected after errors in a row: see [`Settings::failures_until_ejected`].
    pub fn is_ejected(&self) -> bool {
        self.server.is_ejected()
    }

    /// The item of a key; `None` for a miss.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Item>, Error> {
        self.or_miss(self.read_item(&[b"get", key.as_ref()]))
    }

    /// The item of a key with its cas unique, for [`Client::cas`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<(Item, u64)>, Error> {
        self.or_miss(self.read_unique(key.as_ref()))
    }

    /// The item of a key, which gets a new lifetime: `gat`.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn get_and_touch(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        self.or_miss(self.read_touching(key.as_ref(), lifetime))
    }

    /// The items of several keys, in their order, with one round trip: `None` for each that doesn't exist. More than 64 KiB
    /// of keys take several.
    ///
    /// ```
    /// # let server = larder::Server::start()?;
    /// # let client = larder::client::Client::new(&server.memcached_addr().to_string());
    /// client.set("b", "2", None)?;
    /// let items = client.get_many(&["a", "b"])?;
    /// assert_eq!(items, [None, Some("2".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Client`].
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Item>>, Error> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        for key in &keys {
            self.check_key(key)?;
        }
        let mut group = self.group();
        (0..keys.len()).for_each(|number| group.push(number));
        let (found, errors) = gather::get(vec![group], &keys);
        self.server.settings.items_or_error(found, errors)
    }

    /// Stores an item.
    ///
    /// # Errors
    /// See [`Client`]. An item that is too large for the server is [`ErrorKind::Refused`](crate::client::ErrorKind::Refused).
    pub fn set(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        self.store(key.as_ref(), &item.into(), lifetime)
    }

    /// Stores an item if its key doesn't exist. Returns whether it was stored.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn add(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        self.store_if("add", key.as_ref(), &item.into(), lifetime)
    }

    /// Stores an item if its key exists. Returns whether it was stored.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn replace(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        self.store_if("replace", key.as_ref(), &item.into(), lifetime)
    }

    /// Adds bytes behind a value. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.store_if("append", key.as_ref(), &value.as_ref().into(), None)
    }

    /// Adds bytes before a value. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn prepend(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        self.store_if("prepend", key.as_ref(), &value.as_ref().into(), None)
    }

    /// Replaces an item if it still has the cas unique with which [`Client::gets`] returned it. [`Client::update`] does both.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn cas(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
        unique: u64,
    ) -> Result<CasOutcome, Error> {
        self.compare_and_store(key.as_ref(), &item.into(), lifetime, unique)
    }

    /// Deletes an item. Returns whether the key existed.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let meanings = [("DELETED", true), ("NOT_FOUND", false)];
        let request = request::line(&[b"delete", key.as_ref()]);
        self.change(key.as_ref(), &request, &meanings)
    }

    /// Gives an item a new lifetime. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn touch(&self, key: impl AsRef<[u8]>, lifetime: Option<Duration>) -> Result<bool, Error> {
        let meanings = [("TOUCHED", true), ("NOT_FOUND", false)];
        let exptime = request::exptime(lifetime);
        let request = request::line(&[b"touch", key.as_ref(), exptime.as_bytes()]);
        self.change(key.as_ref(), &request, &meanings)
    }

    /// Adds to a value that is a number in digits, modulo 2⁶⁴. Returns the sum; `None` if the key doesn't exist.
    ///
    /// # Errors
    /// See [`Client`]. A value that is no number is [`ErrorKind::Refused`](crate::client::ErrorKind::Refused).
    pub fn incr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        self.count("incr", key.as_ref(), by)
    }

    /// Subtracts from a value that is a number in digits, down to 0. Returns the difference; `None` if the key doesn't exist.
    ///
    /// # Errors
    /// As for [`Client::incr`].
    pub fn decr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        self.count("decr", key.as_ref(), by)
    }

    /// Deletes all items.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn flush(&self) -> Result<(), Error> {
        self.ask(b"flush_all\r\n", |connection, until| {
            reply::one_of(connection, until, &[("OK", ())])
        })
    }

    /// The server's version.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn version(&self) -> Result<String, Error> {
        self.ask(b"version\r\n", reply::version)
    }

    /// The server's statistics, as names and values: the general ones for `""`, otherwise those of a group such as `items`.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn stats(&self, group: &str) -> Result<Vec<(String, String)>, Error> {
        if group.is_empty() {
            return self.ask(b"stats\r\n", reply::stats);
        }
        for word in group.split(' ') {
            self.check_key(word.as_bytes())?;
        }
        let request = request::line(&[b"stats", group.as_bytes()]);
        self.ask(&request, reply::stats)
    }

    /// Changes an item safely while other clients change it, too: reads it, stores the result of `change` if the item is
    /// still the same, and begins again if it isn't. `change` gets `None` if the key doesn't exist, and returns `None` to
    /// leave everything as it is. Returns the item that was stored.
    ///
    /// ```
    /// # let server = larder::Server::start()?;
    /// # let client = larder::client::Client::new(&server.memcached_addr().to_string());
    /// let visit = |old: Option<&larder::client::Item>| {
    ///     let mut list = old.cloned().unwrap_or_default();
    ///     list.value.extend_from_slice(b"x");
    ///     Some(list)
    /// };
    /// client.update("visits", None, visit)?;
    /// let item = client.update("visits", None, visit)?.expect("stored");
    /// assert_eq!(item.value, b"xx");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`Client`], and [`ErrorKind::Contended`](crate::client::ErrorKind::Contended) after
    /// [`Settings::update_tries`]. After an error the item may have been stored.
    pub fn update(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
        mut change: impl FnMut(Option<&Item>) -> Option<Item>,
    ) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
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
}

//! The commands about keys, of a [`Client`](crate::client::Client) and of a [`Cluster`](crate::client::Cluster): a method for each.

use std::time::Duration;

use crate::client::error::Error;
use crate::client::gather;
use crate::client::item::{CasOutcome, Item};
use crate::client::route::Route;

/// The commands about keys: a [`Client`](crate::client::Client) sends them to its server, and a [`Cluster`](crate::client::Cluster) to the server of
/// the key.
///
/// ```
/// use larder::client::{Cache, Client, Error};
///
/// /// Counts a visit in one cache or in a pool of them.
/// fn count(cache: &impl Cache) -> Result<u64, Error> {
///     cache.add("visits", "0", None)?;
///     Ok(cache.incr("visits", 1)?.unwrap_or_default())
/// }
///
/// let server = larder::Server::start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// assert_eq!(count(&client)?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait Cache: Route {
    /// The item of a key; `None` for a miss.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_item(key));
        self.settings().or_miss(read)
    }

    /// The item of a key with its cas unique, for [`Cache::cas`].
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<(Item, u64)>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_unique(key));
        self.settings().or_miss(read)
    }

    /// The item of a key, which gets a new lifetime: `gat`.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn get_and_touch(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_touching(key, lifetime));
        self.settings().or_miss(read)
    }

    /// The items of several keys, in their order: `None` for each that doesn't exist. All servers are asked at once, each with one
    /// round trip; more than 64 KiB of keys for one server take several.
    ///
    /// ```
    /// # use larder::client::Cache;
    /// # let server = larder::Server::start()?;
    /// # let client = larder::client::Client::new(&server.memcached_addr().to_string());
    /// client.set("b", "2", None)?;
    /// let items = client.get_many(&["a", "b"])?;
    /// assert_eq!(items, [None, Some("2".into())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first error if any server failed, unless [`Settings::miss_when_unavailable`](crate::client::Settings::miss_when_unavailable) makes its keys misses. A server that
    /// stalls delays the others by one read deadline at most, and is counted as failed.
    fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Item>>, Error> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        let (found, errors) = gather::get(self.groups(&keys)?, &keys);
        self.settings().items_or_error(found, errors)
    }

    /// Stores an item.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client). An item that is too large for the server is [`ErrorKind::Refused`](crate::client::ErrorKind::Refused).
    fn set(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| client.store(key, &item, lifetime))
    }

    /// Stores an item if its key doesn't exist. Returns whether it was stored.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn add(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| client.store_if("add", key, &item, lifetime))
    }

    /// Stores an item if its key exists. Returns whether it was stored.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn replace(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| {
            client.store_if("replace", key, &item, lifetime)
        })
    }

    /// Adds bytes behind a value. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (key, item) = (key.as_ref(), Item::from(value.as_ref()));
        self.at(key, |client| client.store_if("append", key, &item, None))
    }

    /// Adds bytes before a value. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn prepend(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let (key, item) = (key.as_ref(), Item::from(value.as_ref()));
        self.at(key, |client| client.store_if("prepend", key, &item, None))
    }

    /// Replaces an item if it still has the cas unique with which [`Cache::gets`] returned it. [`Cache::update`] does both.
    /// A unique of one server never fits on another except by chance, so with [`Settings::failover`](crate::client::Settings::failover) use [`Cache::update`].
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn cas(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
        unique: u64,
    ) -> Result<CasOutcome, Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| {
            client.compare_and_store(key, &item, lifetime, unique)
        })
    }

    /// Deletes an item. Returns whether the key existed.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.remove(key))
    }

    /// Gives an item a new lifetime. Returns whether the key exists.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client).
    fn touch(&self, key: impl AsRef<[u8]>, lifetime: Option<Duration>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.renew(key, lifetime))
    }

    /// Adds to a value that is a number in digits, modulo 2⁶⁴. Returns the sum; `None` if the key doesn't exist.
    ///
    /// # Errors
    /// See [`Client`](crate::client::Client). A value that is no number is [`ErrorKind::Refused`](crate::client::ErrorKind::Refused).
    fn incr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.count("incr", key, by))
    }

    /// Subtracts from a value that is a number in digits, down to 0. Returns the difference; `None` if the key doesn't exist.
    ///
    /// # Errors
    /// As for [`Cache::incr`].
    fn decr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.count("decr", key, by))
    }

    /// Changes an item safely while other clients change it, too: reads it, stores the result of `change` if the item is
    /// still the same, and begins again if it isn't. `change` gets `None` if the key doesn't exist, and returns `None` to
    /// leave everything as it is. Returns the item that was stored.
    ///
    /// ```
    /// # use larder::client::Cache;
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
    /// See [`Client`](crate::client::Client), and [`ErrorKind::Contended`](crate::client::ErrorKind::Contended) after
    /// [`Settings::update_tries`](crate::client::Settings::update_tries). After an error the item may have been stored.
    fn update(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
        mut change: impl FnMut(Option<&Item>) -> Option<Item>,
    ) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        self.at(key, |client| {
            client.replace_safely(key, lifetime, &mut change)
        })
    }
}

impl<T: Route> Cache for T {}

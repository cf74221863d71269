//! The client of a pool of servers: each key belongs to one of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::client::gather::{self, Group};
use crate::client::item::{CasOutcome, Item};
use crate::client::meta::MetaReply;
use crate::client::settings::Settings;
use crate::pool::{Placement, Pool, ServerList};

/// A client of the servers of a pool, with the ring that `larder proxy` and other ketama clients have.
///
/// ```
/// use larder::{Server, ServerList};
/// use larder::client::Cluster;
///
/// let servers = [Server::start()?, Server::start()?];
/// let list: String = servers
///     .iter()
///     .map(|server| format!("{} 1\n", server.memcached_addr()))
///     .collect();
/// let cluster = Cluster::new(&list.parse::<ServerList>()?);
/// cluster.set("key", "value", None)?;
/// assert_eq!(cluster.get("key")?, Some("value".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Each command is that of [`Client`], sent to the server of its key. A server that fails several times in a row is ejected:
/// requests for its keys fail at once, or go to the next server of the ring with [`Settings::failover`], until it answers again.
/// Statistics, versions and flushing are commands of one server: see [`Cluster::clients`].
pub struct Cluster {
    pool: Pool,
    /// In the order of the pool's servers.
    clients: Vec<Client>,
    settings: Arc<Settings>,
}

impl Cluster {
    /// A client of these servers, whose keys are placed as libketama places them.
    pub fn new(servers: &ServerList) -> Cluster {
        Cluster::with_settings(servers, Placement::Ketama, Settings::default())
    }

    /// A client with another placement and settings of your own.
    pub fn with_settings(
        servers: &ServerList,
        placement: Placement,
        settings: Settings,
    ) -> Cluster {
        let pool = Pool::new(servers, placement, false, None);
        let settings = Arc::new(settings);
        let upstreams = pool.upstreams.iter().map(Arc::clone);
        let clients = upstreams.map(|upstream| Client::of(upstream, Arc::clone(&settings)));
        Cluster {
            clients: clients.collect(),
            pool,
            settings,
        }
    }

    /// The clients of the servers, in the order of the list.
    ///
    /// ```no_run
    /// # fn flush(cluster: &larder::client::Cluster) -> Result<(), larder::client::Error> {
    /// for client in cluster.clients() {
    ///     client.flush()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn clients(&self) -> &[Client] {
        &self.clients
    }

    /// The client of the server that a key belongs to while no server is ejected.
    pub fn client_of(&self, key: impl AsRef<[u8]>) -> &Client {
        &self.clients[self.pool.locate(key.as_ref(), false)]
    }

    /// See [`Client::get`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_item(&[b"get", key]));
        self.settings.or_miss(read)
    }

    /// See [`Client::gets`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn gets(&self, key: impl AsRef<[u8]>) -> Result<Option<(Item, u64)>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_unique(key));
        self.settings.or_miss(read)
    }

    /// See [`Client::get_and_touch`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn get_and_touch(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
    ) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.read_touching(key, lifetime));
        self.settings.or_miss(read)
    }

    /// The items of several keys, in their order: `None` for each that doesn't exist. All servers are asked at once, each with
    /// one round trip; more than 64 KiB of keys for one server take several.
    ///
    /// # Errors
    /// The first error if any server failed, unless [`Settings::miss_when_unavailable`] makes its keys misses. A server that
    /// stalls delays the others by one read deadline at most, and is counted as failed.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Item>>, Error> {
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        // Each server is asked once whether it takes requests, so that a probe of it gets all of its keys.
        let mut groups: Vec<Option<Group<'_>>> = self.clients.iter().map(|_| None).collect();
        for (number, key) in keys.iter().enumerate() {
            let home = self.pool.locate(key, false);
            self.clients[home].check_key(key)?;
            let mut server = home;
            let group = groups[home].get_or_insert_with(|| self.clients[home].group());
            if group.is_refused() && self.settings.failover {
                server = self.pool.locate(key, true);
            }
            let client = &self.clients[server];
            groups[server]
                .get_or_insert_with(|| client.group())
                .push(number);
        }
        let asked = groups
            .into_iter()
            .flatten()
            .filter(|group| !group.is_empty());
        let (found, errors) = gather::get(asked.collect(), &keys);
        self.settings.items_or_error(found, errors)
    }

    /// See [`Client::set`].
    ///
    /// # Errors
    /// See [`Client::set`].
    pub fn set(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| client.store(key, &item, lifetime))
    }

    /// See [`Client::add`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn add(
        &self,
        key: impl AsRef<[u8]>,
        item: impl Into<Item>,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| client.store_if("add", key, &item, lifetime))
    }

    /// See [`Client::replace`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn replace(
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

    /// See [`Client::append`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn append(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.append(key, &value))
    }

    /// See [`Client::prepend`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn prepend(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.prepend(key, &value))
    }

    /// See [`Client::cas`]. A unique of one server never fits on another except by chance, so with
    /// [`Settings::failover`] use [`Cluster::update`].
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
        let (key, item) = (key.as_ref(), item.into());
        self.at(key, |client| {
            client.compare_and_store(key, &item, lifetime, unique)
        })
    }

    /// See [`Client::delete`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.delete(key))
    }

    /// See [`Client::touch`].
    ///
    /// # Errors
    /// See [`Client`].
    pub fn touch(&self, key: impl AsRef<[u8]>, lifetime: Option<Duration>) -> Result<bool, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.touch(key, lifetime))
    }

    /// See [`Client::incr`].
    ///
    /// # Errors
    /// See [`Client::incr`].
    pub fn incr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.incr(key, by))
    }

    /// See [`Client::decr`].
    ///
    /// # Errors
    /// See [`Client::incr`].
    pub fn decr(&self, key: impl AsRef<[u8]>, by: u64) -> Result<Option<u64>, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.decr(key, by))
    }

    /// See [`Client::update`].
    ///
    /// # Errors
    /// See [`Client::update`].
    pub fn update(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
        mut change: impl FnMut(Option<&Item>) -> Option<Item>,
    ) -> Result<Option<Item>, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.update(key, lifetime, &mut change))
    }

    /// See [`Client::meta_get`].
    ///
    /// # Errors
    /// See [`Client::meta_get`].
    pub fn meta_get(
        &self,
        key: impl AsRef<[u8]>,
        flags: &[&str],
    ) -> Result<Option<MetaReply>, Error> {
        let key = key.as_ref();
        let read = self.at(key, |client| client.meta("mg", key, flags, None));
        self.settings.or_miss(read)
    }

    /// See [`Client::meta_set`].
    ///
    /// # Errors
    /// See [`Client::meta_get`].
    pub fn meta_set(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        flags: &[&str],
    ) -> Result<MetaReply, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.meta_set(key, &value, flags))
    }

    /// See [`Client::meta_delete`].
    ///
    /// # Errors
    /// See [`Client::meta_get`].
    pub fn meta_delete(&self, key: impl AsRef<[u8]>, flags: &[&str]) -> Result<MetaReply, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.meta_delete(key, flags))
    }

    /// See [`Client::meta_arithmetic`].
    ///
    /// # Errors
    /// See [`Client::meta_get`].
    pub fn meta_arithmetic(
        &self,
        key: impl AsRef<[u8]>,
        flags: &[&str],
    ) -> Result<MetaReply, Error> {
        let key = key.as_ref();
        self.at(key, |client| client.meta_arithmetic(key, flags))
    }

    /// Sends a request to the server of the key. With failover, the next server of the ring gets it if that is ejected, in
    /// which case nothing was sent.
    fn at<T>(
        &self,
        key: &[u8],
        mut request: impl FnMut(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        match request(self.client_of(key)) {
            Err(error) if error.is_ejection() && self.settings.failover => {
                request(&self.clients[self.pool.locate(key, true)])
            }
            outcome => outcome,
        }
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.clients.iter().map(Client::address);
        f.debug_tuple("Cluster")
            .field(&addresses.collect::<Vec<_>>())
            .finish()
    }
}

//! The client of a pool of servers: each key belongs to one of them.

use std::fmt;
use std::sync::Arc;

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::client::gather::Group;
use crate::client::route::Route;
use crate::client::settings::Settings;
use crate::pool::{Placement, Pool, ServerList};

/// A client of the servers of a pool, with the ring that `larder proxy` and other ketama clients have.
///
/// ```
/// use larder::{Server, ServerList};
/// use larder::client::{Cache, Cluster};
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
/// [`Cache`](crate::client::Cache) has the commands about keys. A server that fails several times in a row is ejected: requests
/// for its keys fail at once, or go to the next server of the ring with [`Settings::failover`], until it answers again.
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
}

impl Route for Cluster {
    fn settings(&self) -> &Settings {
        &self.settings
    }

    /// With failover, the next server of the ring gets the request if that of the key is ejected, in which case nothing was
    /// sent.
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

    /// Each server is asked once whether it takes requests, so that a probe of it gets all of its keys.
    fn groups(&self, keys: &[&[u8]]) -> Result<Vec<Group<'_>>, Error> {
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
        let groups = groups.into_iter().flatten();
        Ok(groups.filter(|group| !group.is_empty()).collect())
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

//! The client of one server.

use std::sync::Arc;
use std::time::Instant;

use crate::client::error::Error;
use crate::client::gather::Group;
use crate::client::reply;
use crate::client::resp_reply::RespReply;
use crate::client::route::Route;
use crate::client::server::Server;
use crate::client::settings::Settings;
use crate::pool::{Protocol, Upstream};

/// A client of one server of memcached, or with [`Settings::protocol`] of Redis. Threads share it; each request uses a connection
/// of its own.
///
/// ```
/// use std::time::Duration;
/// use larder::client::{Cache, Client};
///
/// let server = larder::Server::start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// client.set("greeting", "hello", Some(Duration::from_secs(60)))?;
/// let item = client.get("greeting")?.expect("it was stored");
/// assert_eq!(item.value, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`Cache`](crate::client::Cache) has the commands about keys. A key of memcached has 1 to 250 bytes without spaces and control characters. A lifetime is rounded up to seconds, in RESP to
/// milliseconds; `None` is forever.
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

    pub(crate) fn of(upstream: Arc<Upstream>, settings: Arc<Settings>) -> Client {
        Client {
            server: Server::new(upstream, settings),
        }
    }

    /// This client for one request that has to end by a deadline, connecting included, and whose value may have so many bytes.
    /// Health and connections are shared.
    pub(crate) fn for_one_request(&self, deadline: Instant, max_value: usize) -> Client {
        let settings = self.server.settings.for_one_request(deadline, max_value);
        Client {
            server: self.server.with_settings(settings),
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

    /// Deletes all items.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn flush(&self) -> Result<(), Error> {
        self.remove_all()
    }

    /// The server's version.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn version(&self) -> Result<String, Error> {
        match self.protocol() {
            Protocol::Memcached => self.ask(b"version\r\n", reply::version),
            Protocol::Resp => self.resp_version(),
        }
    }

    /// A request that every server answers at once, to measure the time of its reply.
    pub(crate) fn ping(&self) -> Result<(), Error> {
        match self.protocol() {
            Protocol::Memcached => self.version().map(drop),
            Protocol::Resp => self.resp(&[b"PING"], |reply| match reply {
                RespReply::Status(_) => Ok(()),
                other => Err(other),
            }),
        }
    }

    /// The server's statistics, as names and values: the general ones for `""`, otherwise those of a group such as `items`. In
    /// RESP they are those of `INFO`, of all sections or of one.
    ///
    /// # Errors
    /// See [`Client`].
    pub fn stats(&self, group: &str) -> Result<Vec<(String, String)>, Error> {
        self.read_stats(group)
    }
}

impl Route for Client {
    fn settings(&self) -> &Settings {
        &self.server.settings
    }

    fn at<T>(
        &self,
        _: &[u8],
        mut request: impl FnMut(&Client) -> Result<T, Error>,
    ) -> Result<T, Error> {
        request(self)
    }

    fn groups(&self, keys: &[&[u8]]) -> Result<Vec<Group<'_>>, Error> {
        for key in keys {
            self.check_key(key)?;
        }
        let mut group = self.group();
        (0..keys.len()).for_each(|number| group.push(number));
        Ok(vec![group])
    }
}

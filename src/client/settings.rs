//! The settings of a client: deadlines, bounds and what happens while a server is unavailable.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::client::error::Error;
use crate::client::item::Item;
use crate::pool::Protocol;
use crate::server::ClientTls;
use crate::upstream::{Greeting, Login};

/// The settings of a [`Client`](crate::client::Client) or a [`Cluster`](crate::client::Cluster).
///
/// ```
/// use std::time::Duration;
/// use larder::client::{Client, Settings};
///
/// let settings = Settings::default()
///     .connect_deadline(Duration::from_millis(200))
///     .miss_when_unavailable(true);
/// let client = Client::with_settings("127.0.0.1:11211", settings);
/// ```
#[derive(Debug, Clone)]
pub struct Settings {
    pub(super) protocol: Protocol,
    user: Option<User>,
    database: u32,
    pub(super) tls: Option<Arc<ClientTls>>,
    pub(super) connect: Duration,
    pub(super) read: Duration,
    pub(super) write: Duration,
    pub(super) max_idle: usize,
    pub(super) max_value: usize,
    pub(super) failures: u32,
    pub(super) failover: bool,
    pub(super) miss_when_unavailable: bool,
    pub(super) update_tries: u32,
    /// The end of everything, for a client of one request.
    end: Option<Instant>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            protocol: Protocol::Memcached,
            user: None,
            database: 0,
            tls: None,
            connect: Duration::from_secs(1),
            read: Duration::from_secs(1),
            write: Duration::from_secs(1),
            max_idle: 8,
            max_value: 64 << 20,
            failures: 3,
            failover: false,
            miss_when_unavailable: false,
            update_tries: 16,
            end: None,
        }
    }
}

impl Settings {
    /// The protocol; memcached's text protocol by default. In RESP the commands that mean the same in both are those of Redis or
    /// of larder's RESP listener: `get`, `get_many`, `get_and_touch`, `set`, `add`, `replace`, `delete`, `touch`, `flush`, `keys`,
    /// `version` and `stats`. The others, and items with flags, are
    /// [`ErrorKind::Unsupported`](crate::client::ErrorKind::Unsupported).
    ///
    /// ```
    /// use larder::client::{Cache, Client, Protocol, Settings};
    ///
    /// let server = larder::Server::start()?;
    /// let settings = Settings::default().protocol(Protocol::Resp);
    /// let client = Client::with_settings(&server.resp_addr().to_string(), settings);
    /// client.set("key", "value", None)?;
    /// assert_eq!(client.get("key")?, Some("value".into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn protocol(mut self, protocol: Protocol) -> Settings {
        self.protocol = protocol;
        self
    }

    /// Redis's database of this number; 0 by default. memcached has one without a number.
    pub fn database(mut self, number: u32) -> Settings {
        self.database = number;
        self
    }

    /// Logs in on each connection. In RESP, `default` is Redis's user without a name. memcached has users with `-Y`; without it,
    /// it takes the login for an ordinary `set`, and stores user and password as the value of the key `auth`.
    ///
    /// ```
    /// # use larder::client::{Client, Settings};
    /// # let password = "from a file or the environment";
    /// let settings = Settings::default().login("app", password);
    /// let client = Client::with_settings("127.0.0.1:11211", settings);
    /// ```
    pub fn login(mut self, user: impl Into<String>, password: impl Into<String>) -> Settings {
        self.user = Some(User {
            name: user.into(),
            password: password.into(),
        });
        self
    }

    /// TLS on all connections; `None` for none.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Option<Arc<ClientTls>>) -> Settings {
        self.tls = tls;
        self
    }

    /// The time to connect; 1 s by default. The lookup of the server's name, the connect to each of its addresses, the TLS
    /// handshake and the login have this time each. A lookup that takes longer goes on by itself, on a thread of its own, until the
    /// system ends it, and later connections to this name wait for the same lookup.
    pub fn connect_deadline(mut self, limit: Duration) -> Settings {
        self.connect = limit;
        self
    }

    /// The time from the end of a request to the end of its reply; 1 s by default.
    pub fn read_deadline(mut self, limit: Duration) -> Settings {
        self.read = limit;
        self
    }

    /// The time to send a request; 1 s by default.
    pub fn write_deadline(mut self, limit: Duration) -> Settings {
        self.write = limit;
        self
    }

    /// Connections to each server that stay open while they are not in use; 8 by default. Connections in use are as many
    /// as threads that use the client at once.
    pub fn max_idle_connections(mut self, connections: usize) -> Settings {
        self.max_idle = connections;
        self
    }

    /// Bytes that a received value may have; 64 MiB by default. A longer one is an error as soon as its length is
    /// announced.
    pub fn max_value_size(mut self, bytes: usize) -> Settings {
        self.max_value = bytes;
        self
    }

    /// Errors in a row after which a server is ejected; 3 by default, 1 at least. Requests to an ejected server fail at
    /// once, except for one now and then that probes it: after 250 ms, then after longer pauses of 4 s, give or take a quarter. Its first
    /// answer ends the ejection.
    pub fn failures_until_ejected(mut self, failures: u32) -> Settings {
        self.failures = failures.max(1);
        self
    }

    /// Whether the next server of the ring takes over the keys of an ejected one; not by default. After the return of the
    /// server its items are as old as its ejection, so this suits only items that can be stale or whose lifetimes are short.
    pub fn failover(mut self, on: bool) -> Settings {
        self.failover = on;
        self
    }

    /// Whether a read from an unavailable server is a miss instead of an error; not by default. It applies to `get`, `gets`,
    /// `get_many` and `get_and_touch`. Changes still fail, because after a lost change the cache may hold an old value.
    pub fn miss_when_unavailable(mut self, on: bool) -> Settings {
        self.miss_when_unavailable = on;
        self
    }

    /// How often `update` tries to store before it fails because other clients change the item; 16 by default.
    pub fn update_tries(mut self, tries: u32) -> Settings {
        self.update_tries = tries;
        self
    }
}

/// A user of a server. Its text for debugging has no password.
#[derive(Clone)]
struct User {
    name: String,
    password: String,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// The first requests on each connection.
    pub(super) fn greeting(&self) -> Greeting<'_> {
        let memcached = self.protocol == Protocol::Memcached;
        Greeting {
            memcached,
            binary: false,
            login: self.user.as_ref().map(|user| Login {
                // Redis 5 and older have only this user, whose login doesn't name it.
                user: Some(&*user.name).filter(|name| memcached || *name != "default"),
                password: &user.password,
            }),
            resp3: false,
            database: if memcached { 0 } else { self.database },
        }
    }
}

/// One request with a deadline and a limit of its own.
impl Settings {
    /// These settings for a request that has to end then, and whose value may have so many bytes.
    pub(super) fn for_one_request(&self, end: Instant, max_value: usize) -> Settings {
        Settings {
            end: Some(end),
            max_value,
            ..self.clone()
        }
    }

    /// The time that a step with this limit has now. It isn't zero, which no socket takes for a limit.
    pub(super) fn left_of(&self, limit: Duration) -> Duration {
        match self.end {
            None => limit,
            Some(end) => {
                let left = end.saturating_duration_since(Instant::now());
                limit.min(left).max(Duration::from_millis(1))
            }
        }
    }
}

/// The choice between an error and a miss.
impl Settings {
    /// The result of a read.
    pub(super) fn or_miss<T>(&self, read: Result<Option<T>, Error>) -> Result<Option<T>, Error> {
        match read {
            Err(error) if self.miss_when_unavailable && error.is_unavailability() => Ok(None),
            read => read,
        }
    }

    /// The result of a read of many keys, some of which may have failed.
    pub(super) fn items_or_error(
        &self,
        found: Vec<Option<Item>>,
        errors: Vec<Error>,
    ) -> Result<Vec<Option<Item>>, Error> {
        for error in errors {
            self.or_miss::<()>(Err(error))?;
        }
        Ok(found)
    }
}

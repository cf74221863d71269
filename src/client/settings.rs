//! The settings of a client: deadlines, bounds and what happens while a server is unavailable.

use std::time::Duration;

use crate::client::error::Error;
use crate::client::item::Item;

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
    pub(super) connect: Duration,
    pub(super) read: Duration,
    pub(super) write: Duration,
    pub(super) max_idle: usize,
    pub(super) max_value: usize,
    pub(super) failures: u32,
    pub(super) failover: bool,
    pub(super) miss_when_unavailable: bool,
    pub(super) update_tries: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            connect: Duration::from_secs(1),
            read: Duration::from_secs(1),
            write: Duration::from_secs(1),
            max_idle: 8,
            max_value: 64 << 20,
            failures: 3,
            failover: false,
            miss_when_unavailable: false,
            update_tries: 16,
        }
    }
}

impl Settings {
    /// The time to connect, for each address of the server's name; 1 s by default. The system's lookup of a name has no
    /// deadline.
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

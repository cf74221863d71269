//! The common part of the origins `memcached` and `redis`: a client of the cache behind this one, and its errors as those of a
//! fetch.
//!
//! The fetch threads share the client, so there are at most as many connections as fetches at a time, and idle ones are used
//! again. A server that fails several times in a row is ejected: fetches fail at once, except for one now and then that probes it.
//!
//! A fetch ends by its deadline, or a tenth of its time later at most. Only a name with several addresses, none of which accepts
//! a connection, takes this time for each of them.

use std::time::Duration;

use crate::client::{Client, Error, ErrorKind, Settings};
use crate::pool::Protocol;

use super::source::{FetchError, FetchRequest};

/// A cache that values are fetched from.
#[derive(Debug)]
pub(super) struct CacheServer(Client);

impl CacheServer {
    pub(super) fn new(address: &str, settings: Settings, protocol: Protocol) -> CacheServer {
        let settings = settings
            .protocol(protocol)
            // An unavailable server would be remembered as one that doesn't have the key.
            .miss_when_unavailable(false);
        CacheServer(Client::with_settings(address, settings))
    }

    pub(super) fn address(&self) -> &str {
        self.0.address()
    }

    /// Reads with a client that keeps to the deadline and the limit of this request.
    pub(super) fn read<T>(
        &self,
        request: &FetchRequest<'_>,
        read: impl FnOnce(&Client) -> Result<Option<T>, Error>,
    ) -> Result<Option<T>, FetchError> {
        request.time_left()?;
        let client = self.0.for_one_request(request.deadline, request.max_value);
        read(&client).map_err(|error| fetch_error(&error, request))
    }
}

/// Settings without deadlines of their own, for as many connections as there are fetches at a time.
pub(crate) fn default_settings() -> Settings {
    let unlimited = Duration::MAX;
    Settings::default()
        .connect_deadline(unlimited)
        .read_deadline(unlimited)
        .write_deadline(unlimited)
        .max_idle_connections(usize::MAX)
}

fn fetch_error(error: &Error, request: &FetchRequest<'_>) -> FetchError {
    match error.kind() {
        ErrorKind::Deadline => FetchError::TimedOut,
        // No connection until the deadline.
        ErrorKind::Unavailable if request.time_left().is_err() => FetchError::TimedOut,
        ErrorKind::Unavailable | ErrorKind::Lost => FetchError::Unavailable(error.to_string()),
        ErrorKind::TooLong => FetchError::TooLarge(request.max_value),
        _ => FetchError::Error(error.to_string()),
    }
}

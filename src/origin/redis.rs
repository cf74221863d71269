//! The origin `redis`: a Redis, or another larder's RESP, behind this one.
//!
//! The value is the string that `GET` answers. A key of another type is an error. Any bytes are a key.
//!
//! Cost: a round trip for each fetch, on a connection that is used again.

use crate::client::{Cache, Settings};
use crate::pool::Protocol;

use super::cache_server::{CacheServer, default_settings};
use super::source::{FetchError, FetchRequest, Fetched, Origin};

/// A Redis that is asked for each value.
#[derive(Debug)]
pub struct RedisOrigin(CacheServer);

impl RedisOrigin {
    /// The server at this `host:port`, or at this path of a Unix socket, which has a slash.
    pub fn new(address: &str) -> RedisOrigin {
        RedisOrigin::with_settings(address, default_settings())
    }

    /// The same, asked by a client with these settings, for a login, a database, TLS, or deadlines shorter than those of a fetch.
    /// The protocol, the limit of a value and `miss_when_unavailable` are not taken from them.
    pub fn with_settings(address: &str, settings: Settings) -> RedisOrigin {
        RedisOrigin(CacheServer::new(address, settings, Protocol::Resp))
    }
}

impl Origin for RedisOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let read = self.0.read(request, |client| client.get(request.key));
        Ok(read?.map(|item| item.value.into()))
    }

    fn describe(&self) -> String {
        format!("redis {}", self.0.address())
    }
}

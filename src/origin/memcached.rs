//! The origin `memcached`: a memcached, or another larder, behind this one.
//!
//! A value comes with its flags. A key with a space or a control character, which `get` can't have, is asked for by `mg` in
//! base64; memcached has these keys since 1.6. A key of more than 250 bytes, or whose base64 has more, is an error without a
//! request.
//!
//! Cost: a round trip for each fetch, on a connection that is used again.

use crate::client::{Cache, Client, Error, ErrorKind, Item, MetaCommands, MetaReply, Settings};
use crate::pool::Protocol;

use super::cache_server::{CacheServer, default_settings};
use super::source::{FetchError, FetchRequest, Fetched, Origin};

/// A memcached that is asked for each value.
///
/// ```
/// use std::sync::Arc;
/// use larder::client::{Cache, Client};
/// use larder::origin::{MemcachedOrigin, Settings};
///
/// let behind = larder::Server::start()?;
/// let address = behind.memcached_addr().to_string();
/// Client::new(&address).set("key", "value", None)?;
///
/// let origin = MemcachedOrigin::new(&address);
/// let server = larder::Server::builder().origin(Some(Arc::new(origin)), Settings::default());
/// let server = server.start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// assert_eq!(client.get("key")?, Some("value".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct MemcachedOrigin(CacheServer);

impl MemcachedOrigin {
    /// The server at this `host:port`, or at this path of a Unix socket, which has a slash.
    pub fn new(address: &str) -> MemcachedOrigin {
        MemcachedOrigin::with_settings(address, default_settings())
    }

    /// The same, asked by a client with these settings, for a login, TLS, or deadlines shorter than those of a fetch. The protocol,
    /// the limit of a value and `miss_when_unavailable` are not taken from them.
    pub fn with_settings(address: &str, settings: Settings) -> MemcachedOrigin {
        MemcachedOrigin(CacheServer::new(address, settings, Protocol::Memcached))
    }
}

impl Origin for MemcachedOrigin {
    fn fetch(&self, request: &FetchRequest<'_>) -> Result<Option<Fetched>, FetchError> {
        let read = self
            .0
            .read(request, |client| match client.get(request.key) {
                Err(error) if error.kind() == ErrorKind::InvalidKey => {
                    item_by_encoded_key(client, request.key)
                }
                read => read,
            });
        Ok(read?.map(|Item { value, flags }| Fetched {
            value,
            flags,
            ..Fetched::default()
        }))
    }

    fn describe(&self) -> String {
        format!("memcached {}", self.0.address())
    }
}

fn item_by_encoded_key(client: &Client, key: &[u8]) -> Result<Option<Item>, Error> {
    let reply = client.meta_get(key, &["v", "f"])?;
    Ok(reply.map(|reply| Item {
        flags: flags(&reply),
        value: reply.value.unwrap_or_default(),
    }))
}

fn flags(reply: &MetaReply) -> u32 {
    let flags = reply.flag('f').and_then(|flags| flags.parse().ok());
    flags.unwrap_or_default()
}

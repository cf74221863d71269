//! Values of Rust types, by serde, in JSON.
//!
//! Cost: what serde_json takes; the bytes are those of the item, so that programs in other languages and people can read them.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::client::cache::Cache;
use crate::client::commands::Client;
use crate::client::error::{Cause, Error};
use crate::client::item::Item;

/// Values of types that serde encodes, stored in JSON by a [`Client`] or a [`Cluster`](crate::client::Cluster).
///
/// ```
/// use larder::client::{Client, JsonValues};
/// # use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, PartialEq, Debug)]
/// struct Product {
///     name: String,
///     price: u32,
/// }
///
/// let server = larder::Server::start()?;
/// let client = Client::new(&server.memcached_addr().to_string());
/// let lamp = Product { name: "lamp".into(), price: 1900 };
/// client.set_json("product:7", &lamp, None)?;
/// assert_eq!(client.get_json("product:7")?, Some(lamp));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A value that is no JSON of the type, perhaps of an older version of the program, is
/// [`ErrorKind::InvalidValue`](crate::client::ErrorKind::InvalidValue).
pub trait JsonValues: Cache {
    /// The value of a key; `None` for a miss.
    ///
    /// # Errors
    /// See [`JsonValues`] and [`Client`].
    fn get_json<T: DeserializeOwned>(&self, key: impl AsRef<[u8]>) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        let item = self.get(key)?;
        item.map(|item| decode(self, key, &item)).transpose()
    }

    /// Stores a value.
    ///
    /// # Errors
    /// See [`JsonValues`] and [`Client`].
    fn set_json(
        &self,
        key: impl AsRef<[u8]>,
        value: &impl Serialize,
        lifetime: Option<Duration>,
    ) -> Result<(), Error> {
        let key = key.as_ref();
        self.set(key, encode(self, key, value)?, lifetime)
    }

    /// Stores a value if its key doesn't exist. Returns whether it was stored.
    ///
    /// # Errors
    /// See [`JsonValues`] and [`Client`].
    fn add_json(
        &self,
        key: impl AsRef<[u8]>,
        value: &impl Serialize,
        lifetime: Option<Duration>,
    ) -> Result<bool, Error> {
        let key = key.as_ref();
        self.add(key, encode(self, key, value)?, lifetime)
    }

    /// Changes a value safely while other clients change it, too, as [`Cache::update`] does. Returns the value that was stored.
    ///
    /// # Errors
    /// See [`JsonValues`] and [`Cache::update`].
    fn update_json<T: Serialize + DeserializeOwned>(
        &self,
        key: impl AsRef<[u8]>,
        lifetime: Option<Duration>,
        mut change: impl FnMut(Option<T>) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let key = key.as_ref();
        let mut outcome = Ok(None);
        self.update(key, lifetime, |old| {
            let mut step = || {
                let old = old.map(|item| decode(self, key, item)).transpose()?;
                let Some(new) = change(old) else {
                    return Ok(None);
                };
                let item = encode(self, key, &new)?;
                Ok(Some((new, item)))
            };
            match step() {
                Ok(Some((new, item))) => {
                    outcome = Ok(Some(new));
                    Some(item)
                }
                Ok(None) => {
                    outcome = Ok(None);
                    None
                }
                Err(error) => {
                    outcome = Err(error);
                    None
                }
            }
        })?;
        outcome
    }
}

impl<C: Cache> JsonValues for C {}

fn encode(
    cache: &(impl Cache + ?Sized),
    key: &[u8],
    value: &impl Serialize,
) -> Result<Item, Error> {
    let encoded = serde_json::to_vec(value);
    encoded
        .map(Item::from)
        .map_err(|why| invalid(cache, key, &why))
}

fn decode<T: DeserializeOwned>(
    cache: &(impl Cache + ?Sized),
    key: &[u8],
    item: &Item,
) -> Result<T, Error> {
    serde_json::from_slice(&item.value).map_err(|why| invalid(cache, key, &why))
}

/// An error that names the server of the key.
fn invalid(cache: &(impl Cache + ?Sized), key: &[u8], why: &serde_json::Error) -> Error {
    let named = |client: &Client| Err(client.server.error(Cause::Value(why.to_string())));
    match cache.at(key, named) {
        Ok(never) => never,
        Err(error) => error,
    }
}

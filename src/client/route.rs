//! The way of a request to the server of its key: all that a [`Client`] and a [`Cluster`](crate::client::Cluster) don't have in
//! common.

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::client::gather::Group;
use crate::client::settings::Settings;

/// The servers of keys. The module is private, so only this crate's types have it.
pub trait Route {
    /// The settings of all requests.
    fn settings(&self) -> &Settings;

    /// Sends a request to the server of the key.
    ///
    /// # Errors
    /// Those of the request.
    fn at<T>(
        &self,
        key: &[u8],
        request: impl FnMut(&Client) -> Result<T, Error>,
    ) -> Result<T, Error>;

    /// The servers of several keys.
    ///
    /// # Errors
    /// When a key can't be sent.
    fn groups(&self, keys: &[&[u8]]) -> Result<Vec<Group<'_>>, Error>;
}

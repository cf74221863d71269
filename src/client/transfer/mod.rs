//! Items with their flags and remaining lifetimes, read from one server and stored on another, many at once.
//!
//! ```text
//!   keys ─▶ entries: requests sent together, replies in their order ─▶ Entry ─▶ store_entries: likewise ─▶ StoreOutcome
//! ```
//!
//! memcached is asked by meta commands, Redis by those of the item's type or, between two Redises, by `DUMP` and `RESTORE`.
//!
//! Cost: one or two round trips for [`TOGETHER`] reads, and one for a call of [`Client::store_entries`]. The requests of a round trip
//! of reads fit into the socket of a server that doesn't read while it answers, so client and server never both wait until the
//! other reads.

mod entry;
mod memcached;
mod redis;

use crate::client::commands::Client;
use crate::client::error::Error;
use crate::pool::Protocol;

pub(crate) use entry::{Entry, Form, StoreOutcome};

/// Reads that are sent together.
const TOGETHER: usize = 50;

impl Client {
    /// The items of these keys: `None` for each that doesn't exist.
    ///
    /// # Errors
    /// See [`Client`]. The server has the read deadline for each reply.
    pub(crate) fn entries(
        &self,
        keys: &[Vec<u8>],
        form: Form,
    ) -> Result<Vec<Option<Entry>>, Error> {
        let mut entries = Vec::with_capacity(keys.len());
        for keys in keys.chunks(TOGETHER) {
            entries.extend(match (self.protocol(), form) {
                (Protocol::Memcached, _) => memcached::read(self, keys)?,
                (Protocol::Resp, Form::Values) => redis::read(self, keys)?,
                (Protocol::Resp, Form::Dumps) => redis::dump(self, keys)?,
            });
        }
        Ok(entries)
    }

    /// Stores entries, only those whose keys don't exist if `add` is set. One outcome for each.
    ///
    /// # Errors
    /// See [`Client`]. After an error any of them may have been stored.
    pub(crate) fn store_entries(
        &self,
        entries: &[&Entry],
        add: bool,
    ) -> Result<Vec<StoreOutcome>, Error> {
        match self.protocol() {
            Protocol::Memcached => memcached::store(self, entries, add),
            Protocol::Resp => redis::store(self, entries, add),
        }
    }

    /// Whether the server has Redis's `DUMP` and `RESTORE`.
    ///
    /// # Errors
    /// See [`Client`].
    pub(crate) fn has_dumps(&self) -> Result<bool, Error> {
        match self.protocol() {
            Protocol::Memcached => Ok(false),
            Protocol::Resp => redis::has_dumps(self),
        }
    }

    /// The number of the server's items, in Redis of database 0; 0 if it doesn't report it.
    ///
    /// # Errors
    /// See [`Client`].
    pub(crate) fn item_count(&self) -> Result<u64, Error> {
        let (name, start) = match self.protocol() {
            Protocol::Memcached => ("curr_items", ""),
            // keys=5,expires=0,avg_ttl=0
            Protocol::Resp => ("db0", "keys="),
        };
        let stats = self.stats("")?.into_iter();
        let mut items = stats.filter(|stat| stat.0 == name);
        let items = items.next().unwrap_or_default().1;
        let items = items.strip_prefix(start).unwrap_or_default();
        let items = items.split(',').next().unwrap_or_default();
        Ok(items.parse().unwrap_or_default())
    }
}

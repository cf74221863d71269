//! The application: prices from a slow database, with a cache beside it. A client sends lines.
//!
//! ```text
//!   aside KEY         the price, by cache-aside
//!   price KEY         the price, by cache-aside with a lease
//!   row KEY           the price in the database
//!   write KEY PRICE   changes the price
//!   reads             the number of the database's queries
//!   hold, release     the database holds its answers back, or no longer
//!   running N         waits until N queries run
//! ```

use super::client::{Client, Error};
use super::database::Database;

/// Seconds after which a copy expires.
const LIFETIME: u32 = 60;

/// Seconds for a fill.
const LEASE: u32 = 30;

/// The flags of an item that is a lease and no price.
const IS_LEASE: u32 = 1;

/// The application itself.
pub(crate) struct Shop {
    cache: Client,
    database: Database,
}

impl Shop {
    pub(crate) fn new(cache: Client) -> Shop {
        Shop {
            cache,
            database: Database::default(),
        }
    }

    /// The answer to a line of these words.
    pub(crate) fn answer(&self, words: &[&str]) -> String {
        let found = |price: Option<String>| price.unwrap_or_else(|| "none".to_owned());
        match *words {
            ["aside", key] => return found(self.aside(key)),
            ["price", key] => return found(self.price(key)),
            ["row", key] => return found(self.database.read(key)),
            ["write", key, price] => self.write(key, price),
            ["reads"] => return self.database.reads().to_string(),
            ["hold"] => self.database.hold(true),
            ["release"] => self.database.hold(false),
            ["running", queries] => match queries.parse() {
                Ok(queries) => self.database.await_running(queries),
                Err(_) => return "not a number".to_owned(),
            },
            _ => return "not a command".to_owned(),
        }
        "ok".to_owned()
    }

    /// The price by cache-aside: from the cache, or else from the database and into the cache.
    fn aside(&self, key: &str) -> Option<String> {
        if let Ok(Some(item)) = self.cache.get(key) {
            return String::from_utf8(item.value).ok();
        }
        let row = self.database.read(key)?;
        report(self.cache.set(key, row.as_bytes(), LIFETIME));
        Some(row)
    }

    /// The same, but the fill needs a lease.
    fn price(&self, key: &str) -> Option<String> {
        let lease = match self.cache.get(key) {
            Ok(Some(item)) if item.flags != IS_LEASE => {
                return String::from_utf8(item.value).ok();
            }
            Ok(None) => self.lease(key),
            Ok(Some(_)) | Err(_) => None,
        };
        let row = self.database.read(key)?;
        if let Some(unique) = lease {
            report(self.cache.cas(key, row.as_bytes(), LIFETIME, unique));
        }
        Some(row)
    }

    /// Takes the lease of a key: its cas unique, if no other client was first.
    fn lease(&self, key: &str) -> Option<u64> {
        let added = self.cache.add(key, b"", IS_LEASE, LEASE);
        if !matches!(added, Ok(true)) {
            return None;
        }
        let item = self.cache.get(key).ok()??;
        (item.flags == IS_LEASE).then_some(item.unique)
    }

    /// Changes the row, and then deletes the copy.
    fn write(&self, key: &str, price: &str) {
        self.database.write(key, price);
        report(self.cache.delete(key));
    }
}

/// Prints an error of the cache. The shop works without it.
fn report<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        eprintln!("the cache: {error}");
    }
}

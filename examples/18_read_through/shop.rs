//! The application: prices from caches in front of a slow database. A client sends lines.
//!
//! ```text
//!   price KEY [NODE]  the price, from the first cache or from this one
//!   row KEY           the price in the database
//!   write KEY PRICE   changes the price, and deletes it from the caches
//!   change KEY PRICE  changes the price only
//!   reads             the number of the database's queries
//!   hold, release     the database holds its answers back, or no longer
//!   running N         waits until N queries run
//! ```

use std::sync::Arc;

use super::client::Client;
use super::database::Database;

/// The application itself.
pub(crate) struct Shop {
    nodes: Vec<Client>,
    database: Arc<Database>,
}

impl Shop {
    pub(crate) fn new(nodes: Vec<Client>, database: Arc<Database>) -> Shop {
        Shop { nodes, database }
    }

    /// The answer to a line of these words.
    pub(crate) fn answer(&self, words: &[&str]) -> String {
        let found = |price: Option<String>| price.unwrap_or_else(|| "none".to_owned());
        match *words {
            ["price", key] => return found(self.price(key, "1")),
            ["price", key, node] => return found(self.price(key, node)),
            ["row", key] => return found(self.database.read(key)),
            ["write", key, price] => self.write(key, price),
            ["change", key, price] => self.database.write(key, price),
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

    /// The price from a cache. The database is only asked if the cache fails.
    fn price(&self, key: &str, node: &str) -> Option<String> {
        let number: usize = node.parse().ok()?;
        match self.nodes.get(number.checked_sub(1)?)?.get(key) {
            Ok(item) => String::from_utf8(item?.value).ok(),
            Err(error) => {
                eprintln!("node {node}: {error}");
                self.database.read(key)
            }
        }
    }

    /// Changes the row, and then deletes the copies.
    fn write(&self, key: &str, price: &str) {
        self.database.write(key, price);
        if let Err(error) = self.nodes[0].delete(key) {
            eprintln!("the caches: {error}");
        }
    }
}

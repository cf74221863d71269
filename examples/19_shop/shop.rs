//! The shop: reads of products through the cache or from the database, and changes that reach both.
//!
//! The cache is never written by the shop. A read asks it for a key, and `larder serve` reads the database if it has to. A
//! change goes to the database; the reporter has `larder invalidate` delete the key. So there is one place that fills the
//! cache, under a lease: a value that was read before a delete is never stored after it.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use larder::client::{Cache, Client, Settings};
use serde_json::{Value, json};

use crate::database::{self, Change, Database};
use crate::live::{Live, Read, Source};
use crate::report::Reporter;

/// The longest wait for the cache: more than its origin's timeout, so that an answer is not missed.
const READ_DEADLINE: Duration = Duration::from_secs(25);

/// Whether reads ask the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

/// The shop. Threads share it.
pub(crate) struct Shop {
    database: Arc<Database>,
    cache: Client,
    reporter: Reporter,
    cache_is_on: AtomicBool,
    live: Live,
}

/// A product that was read.
pub(crate) struct Found {
    pub(crate) product: Value,
    pub(crate) read: Read,
    /// The time since the value was read from the database.
    pub(crate) age: Duration,
}

type Outcome<T> = Result<T, Box<dyn Error>>;

impl Shop {
    /// A shop with this database, and the cache at this address.
    pub(crate) fn new(
        database: Arc<Database>,
        cache: &str,
        reporter: Reporter,
        switch: Switch,
    ) -> Shop {
        let settings = Settings::default().read_deadline(READ_DEADLINE);
        Shop {
            database,
            cache: Client::with_settings(cache, settings),
            reporter,
            cache_is_on: (switch == Switch::On).into(),
            live: Live::default(),
        }
    }

    // ANCHOR: read
    /// A product, from the cache if it is switched on. `None` if there is none with this number.
    pub(crate) fn product(&self, id: u32) -> Outcome<Option<Found>> {
        let (began, began_at) = (Instant::now(), unix_millis());
        let key = database::key(id);
        let cached = match self.cache_is_on.load(Relaxed) {
            // An error is as a miss: the shop stays open without its cache.
            true => self.cache.get(&key).ok().flatten(),
            false => None,
        };
        let (text, source) = match cached {
            Some(item) => (item.value, None),
            None => match self.database.product(&key)? {
                Some(text) => (text.into_bytes(), Some(Source::Database)),
                None => return Ok(None),
            },
        };
        let product: Value = serde_json::from_slice(&text)?;
        let read_at = product["read_at"].as_u64().unwrap_or_default();
        let source = source.unwrap_or(match read_at > began_at {
            true => Source::ReadThrough,
            false => Source::Cache,
        });
        let took = began.elapsed();
        let read = Read {
            product: id,
            source,
            took,
        };
        self.live.count(read);
        let age = Duration::from_millis(unix_millis().saturating_sub(read_at));
        Ok(Some(Found { product, read, age }))
    }
    // ANCHOR_END: read

    /// Changes a product. `None` if there is none with this number, otherwise whether its invalidation is recorded.
    pub(crate) fn change(&self, id: u32, change: &Change) -> Outcome<Option<bool>> {
        let Some(report) = self.database.change(id, change)? else {
            return Ok(None);
        };
        self.live.count_change();
        Ok(Some(self.reporter.wait_for(&report)))
    }

    /// Switches reads from the cache on or off.
    pub(crate) fn switch(&self, switch: Switch) {
        self.cache_is_on.store(switch == Switch::On, Relaxed);
    }

    /// The numbers and names of all products, from the database.
    pub(crate) fn names(&self) -> Outcome<Vec<(u32, String)>> {
        Ok(self.database.names()?)
    }

    /// The figures of the shop and of its cache, with the reads that came after the first `after`.
    pub(crate) fn figures(&self, after: u64) -> Outcome<Value> {
        let mut figures = self.live.json(after);
        figures["cache_is_on"] = self.cache_is_on.load(Relaxed).into();
        figures["outbox"] = self.database.waiting_reports()?.into();
        // `null` while the cache is unavailable.
        figures["larder"] = self.cache.stats("").ok().map_or(Value::Null, |stats| {
            let figure = |name: &str| {
                let found = stats.iter().find(|(stat, _)| stat == name);
                found.and_then(|(_, value)| value.parse::<u64>().ok())
            };
            json!({
                "items": figure("curr_items"),
                "hits": figure("get_hits"),
                "misses": figure("get_misses"),
                "fetches": figure("origin_found"),
            })
        });
        Ok(figures)
    }
}

/// The system's time, which is also SQLite's.
fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

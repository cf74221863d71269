//! The shop's own figures: reads by source, and the last requests with their times, for the page.
//!
//! Cost: a lock and a few words for each read. The list has a bound, so that the shop's memory doesn't grow.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// Requests that are listed.
const LISTED: usize = 400;

/// The source of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The cache had it.
    Cache,
    /// The cache read it from the database meanwhile, for this request or for another.
    ReadThrough,
    /// The shop read it from the database: the cache is switched off, or unavailable.
    Database,
}

impl Source {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Source::Cache => "cache",
            Source::ReadThrough => "read-through",
            Source::Database => "database",
        }
    }
}

/// A read of a product.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) product: u32,
    pub(crate) source: Source,
    pub(crate) took: Duration,
}

/// The figures.
#[derive(Default)]
pub(crate) struct Live {
    figures: Mutex<Figures>,
}

#[derive(Default)]
struct Figures {
    cache: u64,
    read_through: u64,
    database: u64,
    changes: u64,
    last: VecDeque<Read>,
}

impl Figures {
    fn reads(&self) -> u64 {
        self.cache + self.read_through + self.database
    }
}

impl Live {
    /// Counts a read.
    pub(crate) fn count(&self, read: Read) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        match read.source {
            Source::Cache => figures.cache += 1,
            Source::ReadThrough => figures.read_through += 1,
            Source::Database => figures.database += 1,
        }
        figures.last.push_back(read);
        if figures.last.len() > LISTED {
            figures.last.pop_front();
        }
    }

    /// Counts a change.
    pub(crate) fn count_change(&self) {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.changes += 1;
    }

    /// The figures as JSON, with those of the last reads that came after the first `after` reads.
    pub(crate) fn json(&self, after: u64) -> Value {
        let figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let reads = figures.reads();
        let wanted = usize::try_from(reads.saturating_sub(after)).unwrap_or(usize::MAX);
        let skipped = figures.last.len().saturating_sub(wanted);
        let last: Vec<Value> = figures
            .last
            .iter()
            .skip(skipped)
            .map(|read| {
                json!([
                    read.product,
                    read.source.name(),
                    read.took.as_micros() as u64
                ])
            })
            .collect();
        json!({
            "reads": reads,
            "cache": figures.cache,
            "read_through": figures.read_through,
            "database": figures.database,
            "changes": figures.changes,
            "last": last,
        })
    }
}

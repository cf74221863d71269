//! The counts of an origin, under the names of `stats` and INFO.

use super::fetch::FetchOutcome;
use super::source::FetchError;

/// A struct of counts, each with its name in `stats` and INFO.
macro_rules! counts {
    ($of:ident: $($name:ident: $line:literal, $what:literal;)*) => {
        /// The counts since the start.
        #[derive(Debug, Default)]
        pub(super) struct $of {
            $(#[doc = $what] pub(super) $name: std::sync::atomic::AtomicU64,)*
        }

        impl $of {
            /// All of them, each under its name.
            pub(super) fn lines(&self) -> Vec<(&'static str, u64)> {
                vec![$(($line, self.$name.load(std::sync::atomic::Ordering::Relaxed)),)*]
            }

            /// Adds one.
            pub(super) fn add(count: &std::sync::atomic::AtomicU64) {
                count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }
    };
}

pub(crate) use counts;

counts! {
    OriginStatistics:
    fetches: "origin_fetches", "Requests to the origin.";
    found: "origin_found", "Fetches that stored a value.";
    missing: "origin_missing", "Fetches of what the origin doesn't have.";
    overtaken: "origin_overtaken", "Fetches whose answer was dropped, because a client had changed the path.";
    timeouts: "origin_timeouts", "Fetches that did not end in time.";
    unavailable: "origin_unavailable", "Fetches without a connection or a program.";
    errors: "origin_errors", "Fetches that the origin answered with an error.";
    too_large: "origin_too_large", "Fetches of values over the limit of an item.";
    queue_full: "origin_queue_full", "Paths that were not fetched, because too many were queued.";
    refreshes: "origin_refreshes", "Fetches that refresh a stale item.";
    waits: "origin_waits", "Waits of commands for their fetches.";
}

impl OriginStatistics {
    /// Counts a fetch that did not fail.
    pub(super) fn count(&self, outcome: FetchOutcome) {
        match outcome {
            FetchOutcome::Stored => Self::add(&self.found),
            FetchOutcome::Missing => Self::add(&self.missing),
            FetchOutcome::Overtaken => Self::add(&self.overtaken),
            FetchOutcome::Failed => {}
        }
    }

    /// Counts a fetch that failed.
    pub(super) fn count_failure(&self, error: &FetchError) {
        Self::add(match error {
            FetchError::Moved => &self.overtaken,
            FetchError::TimedOut => &self.timeouts,
            FetchError::Unavailable(_) => &self.unavailable,
            FetchError::Error(_) => &self.errors,
            FetchError::TooLarge(_) => &self.too_large,
        });
    }
}

//! The settings of read-through.

use std::time::Duration;

/// How values are fetched and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The time for which a fetched item is fresh; zero for ever.
    pub fresh: Duration,
    /// The time after that in which it is answered at once and refreshed.
    pub stale: Duration,
    /// The time for which a path that the origin doesn't have is remembered as missing; zero for not at all.
    pub negative_ttl: Duration,
    /// The time after a failed fetch in which its path is not fetched again.
    pub retry: Duration,
    /// The time in which a fetch has to end, counted from the request for it.
    pub timeout: Duration,
    /// Fetches at a time.
    pub threads: usize,
    /// Fetches that may wait for a thread.
    pub queue: usize,
    /// The effect of a failed refresh on the stale item.
    pub on_failure: OnFailure,
}

/// The effect of a failed refresh on the stale item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// It stays, and is answered until it expires.
    Stale,
    /// It is removed, so that reads miss.
    Miss,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            fresh: Duration::from_secs(60),
            stale: Duration::ZERO,
            negative_ttl: Duration::from_secs(1),
            retry: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            threads: 16,
            queue: 1024,
            on_failure: OnFailure::Stale,
        }
    }
}

impl Settings {
    /// The time at which an item that is fetched now expires; `None` for never.
    pub(super) fn expires_ms(&self, now_ms: u64) -> Option<u64> {
        let lasts = self.fresh + self.stale;
        (!self.fresh.is_zero()).then(|| now_ms.saturating_add(millis(lasts)))
    }

    /// Whether a fetched item that expires then is stale.
    pub(super) fn is_stale(&self, expires_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_add(millis(self.stale)) >= expires_ms
    }
}

/// A time in milliseconds.
pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_fresh_then_stale_then_expired() {
        let settings = Settings {
            fresh: Duration::from_secs(10),
            stale: Duration::from_secs(5),
            ..Settings::default()
        };
        let expires = settings.expires_ms(1_000).unwrap();
        assert_eq!(expires, 16_000);
        assert!(!settings.is_stale(expires, 10_999));
        assert!(settings.is_stale(expires, 11_000));
        let for_ever = Settings {
            fresh: Duration::ZERO,
            ..settings
        };
        assert_eq!(for_ever.expires_ms(1_000), None);
    }
}

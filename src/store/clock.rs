//! The clock: the system's, or one that a test advances by hand.
//!
//! The system's clock is read once, when the store starts; from then on, the machine's monotonic
//! clock measures the time. So a wall clock that is stepped, by hand or by NTP, neither expires
//! items nor keeps them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of Unix time in milliseconds. Clones tell the same time.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The time of the machine, monotonic from the moment this was made.
    System(ClockStart),
    /// Stands still until it is advanced.
    Manual(Arc<AtomicU64>),
}

/// The moment at which a system clock was made, by both clocks of the machine.
#[derive(Debug, Clone, Copy)]
pub struct ClockStart {
    /// The beginning of that moment's millisecond.
    instant: Instant,
    /// Whole milliseconds from 1970 to that moment.
    unix_ms: u64,
}

impl Clock {
    /// The time of the machine.
    pub fn system() -> Clock {
        // Read first, so that the time between the two readings puts this clock ahead of the
        // machine's, not behind it.
        let instant = Instant::now();
        let since_epoch = since_epoch();
        let unix_ms = milliseconds(since_epoch);
        let rest = since_epoch.saturating_sub(Duration::from_millis(unix_ms));
        Clock::System(ClockStart {
            instant: instant.checked_sub(rest).unwrap_or(instant),
            unix_ms,
        })
    }

    /// A clock that stands at `unix_ms` until [`advance`](Clock::advance) moves it.
    pub fn manual(unix_ms: u64) -> Clock {
        Clock::Manual(Arc::new(AtomicU64::new(unix_ms)))
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub fn now_ms(&self) -> u64 {
        match self {
            Clock::System(start) => {
                let elapsed = start.instant.elapsed();
                start.unix_ms + elapsed.as_secs() * 1000 + u64::from(elapsed.subsec_millis())
            }
            Clock::Manual(now) => now.load(Ordering::Acquire),
        }
    }

    /// The wall clock's time now, in Unix milliseconds. It differs from this clock if it was stepped since the start.
    pub(crate) fn wall_ms(&self) -> u64 {
        match self {
            Clock::System(_) => milliseconds(since_epoch()),
            Clock::Manual(_) => self.now_ms(),
        }
    }

    /// Moves a manual clock, and all its clones, forward by whole milliseconds. The system's clock
    /// can't be moved: then nothing happens and the answer is `false`.
    pub fn advance(&self, by: Duration) -> bool {
        match self {
            Clock::System(_) => false,
            Clock::Manual(now) => {
                now.fetch_add(milliseconds(by), Ordering::AcqRel);
                true
            }
        }
    }
}

/// The wall clock.
fn since_epoch() -> Duration {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
    since_epoch.unwrap_or_default()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_with_all_its_clones_and_only_by_hand() {
        let clock = Clock::manual(1_000);
        let clone = clock.clone();
        assert_eq!(clone.now_ms(), 1_000);
        assert!(clock.advance(Duration::from_millis(250)));
        assert_eq!(clone.now_ms(), 1_250);
    }

    /// It was up to a millisecond late: a key stored until a time 10,000 ms ahead had 10,001 ms left.
    #[test]
    fn the_system_clock_is_not_behind_the_machine_s() {
        let clock = Clock::system();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(20) {
            let unix = SystemTime::now().duration_since(UNIX_EPOCH);
            assert!(clock.now_ms() >= milliseconds(unix.unwrap_or_default()));
        }
    }

    #[test]
    fn the_system_clock_tells_unix_time_and_cannot_be_moved() {
        let clock = Clock::system();
        let before = clock.now_ms();
        assert!(!clock.advance(Duration::from_secs(3600)));
        let after = clock.now_ms();
        assert!(before <= after && after < before + 3_600_000);
        assert!(before > 1_700_000_000_000, "later than 2023");
    }
}

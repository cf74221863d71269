//! Log lines about an origin or a peer that fails: at most one in [`EVERY`], with the number of those that were left out.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines. A failing origin may fail thousands of times a second.
const EVERY: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(crate) struct FailureLog {
    /// The first word of each line.
    about: &'static str,
    last: Mutex<LastLine>,
}

#[derive(Debug, Default)]
struct LastLine {
    at: Option<Instant>,
    left_out: u64,
}

impl FailureLog {
    /// A log whose lines begin with this word.
    pub(crate) fn new(about: &'static str) -> FailureLog {
        FailureLog {
            about,
            last: Mutex::default(),
        }
    }

    /// Logs a failure, or leaves it out.
    pub(crate) fn note(&self, now: Instant, line: impl FnOnce() -> String) {
        if let Some(left_out) = self.begin_line(now) {
            let (about, line) = (self.about, line());
            match left_out {
                0 => log::warn!("{about} {line}"),
                _ => log::warn!("{about} {line} ({left_out} more failures since the last line)"),
            }
        }
    }

    /// The number of lines that were left out if it is time for one.
    fn begin_line(&self, now: Instant) -> Option<u64> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.at.is_some_and(|at| now < at + EVERY) {
            last.left_out += 1;
            return None;
        }
        last.at = Some(now);
        Some(std::mem::take(&mut last.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_line_for_all_failures_of_ten_seconds() {
        let log = FailureLog::new("origin");
        let start = Instant::now();
        assert_eq!(log.begin_line(start), Some(0));
        for second in 1..10 {
            assert_eq!(log.begin_line(start + Duration::from_secs(second)), None);
        }
        assert_eq!(log.begin_line(start + EVERY), Some(9));
        assert_eq!(log.begin_line(start + 3 * EVERY), Some(0));
    }
}

//! The calls that a turn counts: those of one command in a row are added to the statistics together, with one look at the clock.

use std::time::Instant;

use super::statistics::Statistics;

/// Calls of one command in a row, which are not in the statistics yet.
pub(super) struct CountedCalls {
    pub(super) command: u16,
    pub(super) count: u64,
    pub(super) since: Instant,
}

impl CountedCalls {
    /// Adds the calls that were counted, and the time since the last that were added.
    pub(super) fn add_to(&mut self, statistics: &Statistics) {
        if self.count > 0 {
            let now = Instant::now();
            statistics.add_calls(self.command, self.count, now.duration_since(self.since));
            (self.count, self.since) = (0, now);
        }
    }
}

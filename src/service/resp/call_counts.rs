//! The calls that a turn counts, and the time that they took.
//!
//! A look at the clock ends the time of one call and begins that of the next, so the time of a call includes the reading of its
//! request. The first command of a turn and each command that may be long have a look of their own. Quick commands behind them
//! in a pipeline share one: up to [`TOGETHER`] calls of the same command count with the mean of their times. So a quick command
//! costs an eighth of a look in a pipeline, and one look outside of it.

use std::time::{Duration, Instant};

use super::statistics::Statistics;
use super::table::{CommandSpec, FAST};

/// Calls of a quick command that share a look at the clock.
const TOGETHER: u64 = 8;

/// Calls of one command in a row, which are not in the statistics yet.
pub(super) struct CountedCalls {
    command: u16,
    count: u64,
    /// Calls that are added together.
    most: u64,
    since: Instant,
}

/// Calls that were added to the statistics, and their time.
pub(super) struct AddedCalls {
    pub(super) command: u16,
    pub(super) count: u64,
    pub(super) time: Duration,
}

impl CountedCalls {
    /// The counts of a turn that begins now.
    pub(super) fn begin() -> CountedCalls {
        CountedCalls {
            command: 0,
            count: 0,
            most: 1,
            since: Instant::now(),
        }
    }

    /// Counts a call that begins. Returns the calls of another command that were added.
    #[inline]
    pub(super) fn begin_call(
        &mut self,
        command: u16,
        statistics: &Statistics,
    ) -> Option<AddedCalls> {
        let mut added = None;
        if self.command != command {
            added = self.add_to(statistics);
            self.command = command;
        }
        self.count += 1;
        added
    }

    /// Forgets the present call, which has no reply yet and begins again later.
    pub(super) fn forget_call(&mut self) {
        self.count -= 1;
    }

    /// Adds the time of the pieces of the present call that earlier turns have done.
    pub(super) fn add_earlier(&mut self, time: Duration) {
        self.since = self.since.checked_sub(time).unwrap_or(self.since);
    }

    /// Notes that the call of this command has ended. Returns the calls that were added to the statistics. `exact` says whether each call
    /// is timed by itself.
    #[inline]
    pub(super) fn end_call(
        &mut self,
        command: &CommandSpec,
        statistics: &Statistics,
        exact: impl FnOnce() -> bool,
    ) -> Option<AddedCalls> {
        if self.count < self.most && command.is(FAST) {
            return None;
        }
        self.most = if exact() { 1 } else { TOGETHER };
        self.add_to(statistics)
    }

    /// Adds the calls that were counted, and the time since the last that were added.
    pub(super) fn add_to(&mut self, statistics: &Statistics) -> Option<AddedCalls> {
        if self.count == 0 {
            return None;
        }
        let now = Instant::now();
        let added = AddedCalls {
            command: self.command,
            count: self.count,
            time: now.duration_since(self.since),
        };
        statistics.add_calls(added.command, added.count, added.time);
        (self.count, self.since) = (0, now);
        Some(added)
    }
}

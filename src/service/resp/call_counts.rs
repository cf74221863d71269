//! The calls that a turn counts, and the time that they took.
//!
//! A look at the clock ends the time of one call and begins that of the next, so it counts the reading of the request, too.
//! The first command of a turn and each command that may be long have a look of their own. Quick commands
//! behind them in a pipeline share one: up to [`TOGETHER`] calls of the same command are counted with the mean of their
//! times. So a command costs 2 nanoseconds in a pipeline and one look outside of it.

use std::time::Instant;

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

    /// Counts a call that begins.
    #[inline]
    pub(super) fn begin_call(&mut self, command: u16, statistics: &Statistics) {
        if self.command != command {
            self.add_to(statistics);
            self.command = command;
        }
        self.count += 1;
    }

    /// Forgets the call that has begun: it did nothing, and begins again later.
    pub(super) fn forget_call(&mut self) {
        self.count -= 1;
    }

    /// Notes that the call of this command has ended.
    #[inline]
    pub(super) fn end_call(&mut self, command: &CommandSpec, statistics: &Statistics) {
        if self.count >= self.most || !command.is(FAST) {
            self.add_to(statistics);
            self.most = TOGETHER;
        }
    }

    /// Adds the calls that were counted, and the time since the last that were added.
    pub(super) fn add_to(&mut self, statistics: &Statistics) {
        if self.count > 0 {
            let now = Instant::now();
            statistics.add_calls(self.command, self.count, now.duration_since(self.since));
            (self.count, self.since) = (0, now);
        }
    }
}

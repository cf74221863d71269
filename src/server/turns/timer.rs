//! The time that a connection waits for, under turns: the end of the delay after a wrong password, or a turn without input.
//!
//! It is a value. `reply_waits` looks when it has come.

use std::ops::Range;

use super::client::{Client, WaitFor, WorkerBuffers};
use crate::server::connections::ticks;
use crate::server::limits::{FAILED_LOGIN_DELAY, LATER};

/// The time that a connection waits for, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    None,
    /// Its password was wrong: its output and its input wait until then.
    Delay(u64),
    /// The session has a turn then, even if nothing arrives.
    Turn(u64),
}

impl Timer {
    /// The time, if there is one.
    pub(super) fn due(self) -> Option<u64> {
        match self {
            Timer::None => None,
            Timer::Delay(due) | Timer::Turn(due) => Some(due),
        }
    }

    /// The timer of a session that answered [`Next::Later`](crate::server::Next::Later) now.
    pub(super) fn of_next_turn() -> Timer {
        Timer::Turn(ticks() + LATER.as_millis() as u64)
    }
}

impl Client {
    /// Keeps a reply until the delay of a wrong password is over.
    pub(super) fn delay(&mut self, buffers: &WorkerBuffers, reply: Range<usize>) -> WaitFor {
        self.settle(buffers, reply.len());
        (self.output, self.written) = (buffers.output[reply].to_vec(), 0);
        self.timer = Timer::Delay(ticks() + FAILED_LOGIN_DELAY.as_millis() as u64);
        self.again = !self.input.is_empty();
        WaitFor::Time
    }

    /// Ends the timer if its time has come. Whether the delay of a wrong password is not over.
    pub(super) fn delays(&mut self, buffers: &WorkerBuffers) -> bool {
        match self.timer {
            Timer::None => false,
            timer if self.waits_for_time(buffers) => matches!(timer, Timer::Delay(_)),
            timer => {
                self.again |= matches!(timer, Timer::Turn(_));
                self.timer = Timer::None;
                false
            }
        }
    }

    /// Whether the time of its timer has not come.
    pub(super) fn waits_for_time(&self, buffers: &WorkerBuffers) -> bool {
        self.timer.due().is_some_and(|due| buffers.now < due)
    }
}

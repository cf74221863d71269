//! The time that a connection waits for, under turns: the end of the delay after a wrong password, or a turn without input.
//!
//! It is a value. `reply_waits` looks whether it has come.

use crate::server::connections::ticks;
use crate::server::limits::{FAILED_LOGIN_DELAY, LATER};

/// The time that a connection waits for, in milliseconds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    #[default]
    None,
    /// Its password was wrong: its output and its input wait until then.
    Delay(u64),
    /// The session has a turn then, even if nothing arrives.
    Turn(u64),
}

impl Timer {
    /// The delay that begins now.
    pub(super) fn of_delay() -> Timer {
        Timer::Delay(ticks() + FAILED_LOGIN_DELAY.as_millis() as u64)
    }

    /// The turn of a session that goes on in the next millisecond.
    pub(super) fn of_rest(now: u64) -> Timer {
        Timer::Turn(now + 1)
    }

    /// The turn of a session that answered [`Next::Later`](crate::server::Next::Later) now.
    pub(super) fn of_next_turn() -> Timer {
        Timer::Turn(ticks() + LATER.as_millis() as u64)
    }

    /// The time, if there is one.
    pub(super) fn due(self) -> Option<u64> {
        match self {
            Timer::None => None,
            Timer::Delay(due) | Timer::Turn(due) => Some(due),
        }
    }

    /// Whether there is a time that has not come.
    pub(super) fn waits(self, now: u64) -> bool {
        self.due().is_some_and(|due| now < due)
    }
}

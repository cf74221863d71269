//! The result of a step of a turn.

use super::watch::Watching;

/// The next step of the turn.
pub(super) enum Step {
    /// This many bytes were consumed; there may be more.
    Continue(usize),
    /// Nothing can be done until more has arrived.
    Wait {
        /// The bytes that the input must have; 0 for any more.
        needed: usize,
    },
    /// This many bytes were consumed; the output is full.
    Full(usize),
    /// This much was consumed; the output has a large value, which is written before others.
    Send(usize),
    /// This much was consumed; there is no memory for the next reply.
    NoMemory(usize),
    /// This much was consumed; the password was wrong, so the reply waits.
    Delay(usize),
    /// The connection watches from now on. The rest of its input is dropped.
    Watch(Watching),
    /// The end of the connection, which the client asked for.
    Quit,
    /// The end of the connection, because of what the client has sent.
    Close,
}

impl Step {
    /// Whether the command of this step is not to be done again from its start.
    pub(super) fn has_begun(&self) -> bool {
        !matches!(self, Step::Wait { .. } | Step::NoMemory(0))
    }
}

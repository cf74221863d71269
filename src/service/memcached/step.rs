//! The result of a step of a turn.

use super::operations::GetOutcome;
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
    /// This much was consumed; the next reply waits for the origin.
    Fetch(usize),
    /// Nothing was consumed, because the command is done in pieces and is not finished.
    Unfinished,
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
        !matches!(
            self,
            Step::Wait { .. } | Step::NoMemory(0) | Step::Fetch(0) | Step::Unfinished
        )
    }
}

/// Whether a read was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadProgress {
    Done,
    /// There is no memory for the reply. Nothing was done.
    NoMemory,
    /// The origin was asked. Nothing was done.
    Fetching,
    /// A piece of the command is done, and the command is not finished.
    Unfinished,
}

impl ReadProgress {
    /// The step of a read that was not answered, behind so many bytes of the input.
    pub(super) fn step(self, consumed: usize) -> Option<Step> {
        match self {
            ReadProgress::Done => None,
            ReadProgress::NoMemory => Some(Step::NoMemory(consumed)),
            ReadProgress::Fetching => Some(Step::Fetch(consumed)),
            ReadProgress::Unfinished => Some(Step::Unfinished),
        }
    }
}

impl<R> From<&GetOutcome<R>> for ReadProgress {
    fn from(outcome: &GetOutcome<R>) -> ReadProgress {
        match outcome {
            GetOutcome::Hit(_) | GetOutcome::Miss => ReadProgress::Done,
            GetOutcome::NoMemory => ReadProgress::NoMemory,
            GetOutcome::Fetching => ReadProgress::Fetching,
        }
    }
}

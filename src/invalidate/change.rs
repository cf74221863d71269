//! What clients report, on its way from their worker to the recorder, and the answer on its way back.

use std::borrow::Cow;
use std::sync::Arc;

use crossbeam_channel::Sender;
use mio::Waker;

/// A value that a target is to have instead of the old one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value {
    /// memcached's flags; 0 from a client that speaks RESP.
    pub(crate) flags: u32,
    /// When it expires, in Unix milliseconds; 0 never, below 0 at once.
    pub(crate) expires: i64,
    pub(crate) bytes: Box<[u8]>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// This key, to this value if that is known and some target wants it.
    Key(Box<[u8]>, Option<Value>),
    /// Everything.
    All,
}

impl Change {
    /// About how many bytes it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            Change::Key(key, value) => {
                64 + key.len() + value.as_ref().map_or(0, |value| value.bytes.len())
            }
            Change::All => 64,
        }
    }
}

/// Who is to be answered when a change is recorded.
#[derive(Debug)]
pub(crate) struct Ticket {
    /// The worker's number for the client, and the client's own.
    pub(crate) client: (usize, u64),
    /// Which of its requests.
    pub(crate) sequence: u64,
    pub(crate) reply: Cow<'static, [u8]>,
}

/// What a worker hands over at once. All of it is recorded in the same transaction.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) changes: Vec<Change>,
    pub(crate) tickets: Vec<Ticket>,
    /// Changes whose clients want no answer.
    pub(crate) quiet: usize,
    pub(crate) bytes: usize,
    pub(crate) door: Door,
}

/// Answers to the requests of a worker's clients.
#[derive(Debug)]
pub(crate) struct Answers {
    pub(crate) tickets: Vec<Ticket>,
    /// Why nothing was recorded.
    pub(crate) failure: Option<Arc<str>>,
}

/// How a worker is answered.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    pub(crate) answers: Sender<Answers>,
    pub(crate) waker: Arc<Waker>,
}

impl Door {
    /// Has the worker answer its clients.
    pub(crate) fn answer(&self, tickets: Vec<Ticket>, failure: Option<Arc<str>>) {
        if tickets.is_empty() {
            return;
        }
        // A worker that has ended has no clients.
        if self.answers.send(Answers { tickets, failure }).is_ok()
            && let Err(error) = self.waker.wake()
        {
            log::error!(
                "could not wake a worker: {error}; it answers when one of its clients sends"
            );
        }
    }
}

//! A client's reported change, on its way from the worker to the recorder, and the answer on its way back.

use std::borrow::Cow;

use crate::proxy::{AnswerSender, LaterAnswer, Protocol};

/// A value that replaces the old one at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewValue {
    /// memcached's flags; 0 from a client that speaks RESP.
    pub(crate) flags: u32,
    /// The time at which it expires, in Unix milliseconds; 0 for never, below 0 for at once.
    pub(crate) expires: i64,
    pub(crate) bytes: Box<[u8]>,
}

/// A reported change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReportedChange {
    /// This key, to this value if that is known and a target needs it.
    Key(Box<[u8]>, Option<NewValue>),
    /// All keys.
    All,
}

impl ReportedChange {
    /// The approximate number of bytes that it takes.
    pub(crate) fn size(&self) -> usize {
        match self {
            ReportedChange::Key(key, value) => {
                64 + key.len() + value.as_ref().map_or(0, |value| value.bytes.len())
            }
            ReportedChange::All => 64,
        }
    }
}

/// The changes that a worker hands over together. They are recorded in the same transaction.
pub(crate) struct ChangeBatch {
    pub(crate) changes: Vec<ReportedChange>,
    /// The answers of clients when the changes are recorded.
    pub(crate) answers: Vec<LaterAnswer>,
    /// Changes whose clients expect no answer.
    pub(crate) quiet: usize,
    pub(crate) bytes: usize,
    /// The protocol of the clients.
    pub(crate) protocol: Protocol,
    pub(crate) sender: AnswerSender,
}

impl ChangeBatch {
    pub(crate) fn new(protocol: Protocol, sender: AnswerSender) -> ChangeBatch {
        ChangeBatch {
            changes: Vec::new(),
            answers: Vec::new(),
            quiet: 0,
            bytes: 0,
            protocol,
            sender,
        }
    }

    /// Has the clients answered: their changes are recorded, or none is, for this reason.
    pub(crate) fn answer(mut self, failure: Option<&str>) {
        if let Some(text) = failure {
            let error = match self.protocol {
                Protocol::Memcached => format!("SERVER_ERROR {text}\r\n"),
                Protocol::Resp => format!("-ERR {text}\r\n"),
            };
            for answer in &mut self.answers {
                answer.bytes = Cow::Owned(error.clone().into_bytes());
            }
        }
        self.sender.send(self.answers);
    }
}

//! The state of a command that is done in pieces, or the rest of its reply: `large_replies` has the commands.

use std::time::Duration;

use super::key_walk::KeyWalk;
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::store::{ChildrenRead, Item};

/// A reply that is larger than what one turn does.
pub(crate) enum LargeReply {
    /// The command runs again, and goes on.
    Reading(LargeRead),
    /// The same.
    Walking(KeyWalk),
    /// The command is done.
    Sending(KeptReply),
}

impl LargeReply {
    /// Whether the command has to run again.
    pub(super) fn is_unfinished(&self) -> bool {
        !matches!(self, LargeReply::Sending(_))
    }

    /// Bytes that the session keeps.
    pub(super) fn bytes(&self) -> usize {
        match self {
            LargeReply::Reading(large) => large.read.bytes(),
            LargeReply::Walking(walk) => walk.bytes(),
            LargeReply::Sending(reply) => reply.left(),
        }
    }
}

/// The state of a command between two pieces.
pub(crate) struct LargeRead {
    pub(super) read: ChildrenRead,
    pub(super) progress: Progress,
}

/// What a command has done so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// Reads that were begun.
    pub(super) reads: u8,
    /// The time that its pieces took.
    pub(super) time: Duration,
}

/// The parts of a reply that has all fields.
#[derive(Clone, Copy)]
pub(super) struct FieldsReply {
    /// Begins the reply, with the number of fields.
    pub(super) head: fn(&mut Reply<'_>, usize),
    /// Appends a field.
    pub(super) field: fn(&mut Reply<'_>, &Item<'_>),
}

//! The state of a `getch` that is done in pieces, or the rest of its reply: `children` has the command.

use std::time::Duration;

use crate::service::kept_reply::KeptReply;
use crate::store::ChildrenRead;

/// A list of children that is larger than what one turn does.
pub(super) enum LargeListing {
    /// The command runs again, and goes on.
    Reading(ListingRead),
    /// The command is done.
    Sending(KeptReply),
}

/// A list that is being made.
pub(super) struct ListingRead {
    pub(super) read: ChildrenRead,
    pub(super) progress: Progress,
}

/// What the command has done so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// Reads that were begun.
    pub(super) reads: u8,
    /// The time that its pieces took.
    pub(super) time: Duration,
}

impl LargeListing {
    /// Bytes that the session keeps.
    pub(super) fn bytes(&self) -> usize {
        match self {
            LargeListing::Reading(listing) => listing.read.bytes(),
            LargeListing::Sending(reply) => reply.left(),
        }
    }
}

//! The state of a `getch` of an item with many children, which its session keeps between two turns. The command is in `children`.

use crate::service::kept_reply::KeptReply;
use crate::service::large_read::LargeRead;

/// A list of children that one turn neither reads nor sends whole.
pub(super) enum LargeListing {
    /// The children are read in pieces: the command runs again.
    Reading(LargeRead),
    /// The command has run, and its reply is sent in parts.
    Sending(KeptReply),
}

impl LargeListing {
    /// Bytes that the session keeps.
    pub(super) fn bytes(&self) -> usize {
        match self {
            LargeListing::Reading(large) => large.children.bytes(),
            LargeListing::Sending(reply) => reply.bytes(),
        }
    }
}

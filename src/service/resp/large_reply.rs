//! The state of a command with a large reply, which its session keeps between two turns.
//!
//! The commands are in `fields_in_pieces` and `keys_in_pieces`.

use super::key_walk::KeyWalk;
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::service::large_read::LargeRead;
use crate::store::Item;

/// A reply that one turn neither makes nor sends whole.
pub(crate) enum LargeReply {
    /// The fields of a hash are read in pieces: the command runs again.
    Reading(LargeRead),
    /// Many keys are looked at in pieces: the command runs again.
    Walking(KeyWalk),
    /// The command has run, and its reply is sent in parts.
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
            LargeReply::Reading(large) => large.children.bytes(),
            LargeReply::Walking(walk) => walk.bytes(),
            LargeReply::Sending(reply) => reply.left(),
        }
    }
}

/// The form of a reply that has all fields of a hash.
#[derive(Clone, Copy)]
pub(super) struct FieldsReply {
    /// Begins the reply, with the number of fields.
    pub(super) head: fn(&mut Reply<'_>, usize),
    /// Appends a field.
    pub(super) field: fn(&mut Reply<'_>, &Item<'_>),
}

//! The state of a command that is done in pieces, or the rest of its reply, which its session keeps between two turns.
//!
//! The commands are in `fields_in_pieces`, `keys_in_pieces`, `hash_random`, `moving` and `transactions`.

use std::sync::Arc;
use std::time::Duration;

use super::drawn_fields::DrawnFields;
use super::key_walk::KeyWalk;
use crate::protocol::resp::Reply;
use crate::service::kept_reply::KeptReply;
use crate::service::large_read::LargeRead;
use crate::store::{Item, Store, TreeCopy, WatchLook};

/// A command that one turn doesn't finish, or a reply that it doesn't send whole.
pub(crate) enum LargeReply {
    /// The fields of a hash are read in pieces: the command runs again.
    Reading(LargeRead),
    /// Many keys are looked at in pieces: the command runs again.
    Walking(KeyWalk),
    /// Random fields are drawn in pieces: the command runs again.
    Drawing(DrawnFields),
    /// A large tree is copied in pieces: the command runs again.
    Copying(Copying),
    /// EXEC looks at watched keys in pieces: it runs again.
    Watching(WatchedLook),
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
            LargeReply::Drawing(drawn) => drawn.bytes(),
            LargeReply::Copying(copying) => copying.copy.bytes(),
            LargeReply::Watching(_) => 0,
            LargeReply::Sending(reply) => reply.bytes(),
        }
    }
}

/// A copy between two pieces.
pub(crate) struct Copying {
    pub(super) copy: TreeCopy,
    /// The time that its pieces took.
    pub(super) time: Duration,
}

impl Copying {
    pub(super) fn new(store: &Arc<Store>) -> Copying {
        Copying {
            copy: TreeCopy::new(store),
            time: Duration::ZERO,
        }
    }
}

/// The look at watched keys between two pieces.
#[derive(Default)]
pub(crate) struct WatchedLook {
    pub(super) look: WatchLook,
    /// The time that its pieces took.
    pub(super) time: Duration,
}

/// The form of a reply that has all fields of a hash.
#[derive(Clone, Copy)]
pub(super) struct FieldsReply {
    /// Begins the reply, with the number of fields.
    pub(super) head: fn(&mut Reply<'_>, usize),
    /// Appends a field.
    pub(super) field: fn(&mut Reply<'_>, &Item<'_>),
}

//! An item with all that a copy of it needs, and the fate of a copy.

use std::time::Duration;

use crate::client::item::Item;

/// An item as one server gives it to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: Vec<u8>,
    pub(crate) content: Content,
    /// The time until it expires; `None` if it never does.
    pub(crate) lifetime: Option<Duration>,
}

/// The contents of an item of any type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    Item(Item),
    /// A hash: fields and values, one after the other.
    Hash(Vec<Vec<u8>>),
    /// Redis's own form, for `RESTORE`.
    Dump(Vec<u8>),
    /// Another type, of this name, that only `DUMP` reads.
    Other(String),
}

/// The form in which a Redis gives its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Strings and hashes by their own commands.
    Values,
    /// All types, in a form that only a Redis can read.
    Dumps,
}

/// The fate of an entry that was sent to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    Stored,
    /// The key exists, and only new ones were to be stored.
    Exists,
    /// The server refused it in these words, or can't have it for this reason.
    Refused(String),
}

impl Content {
    /// Bytes of the value.
    pub(crate) fn size(&self) -> usize {
        match self {
            Content::Item(item) => item.value.len(),
            Content::Hash(parts) => parts.iter().map(Vec::len).sum(),
            Content::Dump(bytes) => bytes.len(),
            Content::Other(_) => 0,
        }
    }
}

//! An item outside of the store, with all that a snapshot keeps of it.

use super::entry::{Entry, Marks};
use super::slot::FETCHED;

/// An item as a [walk](super::Walk) shows it, and as a [`Restorer`](super::Restorer) takes it back.
///
/// Its last access and its place in the order of eviction are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SavedItem<'a> {
    /// 0 for a top-level item, and one more for each item above it.
    pub(crate) depth: usize,
    /// The database, before any exchange of two databases: see [`StoreState::databases`](super::StoreState).
    pub(crate) db: u8,
    /// The last key of the item's path.
    pub(crate) key: &'a [u8],
    /// The value; `None` for an item that only has children.
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) flags: u32,
    /// Unix time in milliseconds.
    pub(crate) expires_ms: Option<u64>,
    pub(crate) cas: u64,
    pub(crate) marks: Marks,
    /// Whether the item was read since its value was stored.
    pub(crate) is_fetched: bool,
}

impl SavedItem<'_> {
    /// The item as an entry to store; `parts` are the parts of its value.
    pub(super) fn entry<'p>(&self, parts: &'p [&'p [u8]]) -> Entry<'p> {
        Entry {
            value: self.value.is_some().then_some(parts),
            flags: self.flags,
            expires_ms: self.expires_ms,
        }
    }

    /// The time of an access with the marks of the item.
    pub(super) fn access(&self, access: u32) -> u32 {
        let access = self.marks.in_access(access) & !FETCHED;
        match self.is_fetched {
            true => access | FETCHED,
            false => access,
        }
    }
}

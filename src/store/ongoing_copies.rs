//! The copies of trees that are being made, as the shards know them, and what has changed of each tree meanwhile.
//!
//! `tree/copying` copies a tree in pieces. The shard of the tree notes here each item that is changed, added, removed or moved to
//! another position meanwhile. The shard of the copy notes that no path leads to it before it is whole. [`ItemChanges`] is shared by
//! the two and by the copy's owner. The locks of both shards are held whenever the owner uses it, so its own lock never waits.
//!
//! Cost: nothing but a comparison for each change while no copy is being made.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The names on the way from the top of a tree to an item, without that of the top.
pub(super) type NamesBelow = Vec<Box<[u8]>>;

/// The copies in which a shard takes part.
#[derive(Debug, Default)]
pub(super) struct OngoingCopies {
    /// The trees of the shard that are being copied.
    sources: Vec<CopySide>,
    /// The copies in the shard that are not whole.
    unfinished: Vec<CopySide>,
}

/// The tree or the copy.
#[derive(Debug)]
struct CopySide {
    top: u32,
    changes: ItemChanges,
}

/// What has changed of a tree and not yet of its copy.
#[derive(Debug, Default)]
pub(super) struct ChangedItems {
    /// Whether all that was below an item is gone. A parent comes before its children.
    pub(super) items: BTreeMap<NamesBelow, bool>,
    /// The tree was removed or replaced.
    pub(super) is_gone: bool,
}

/// The changes that are noted for one copy.
#[derive(Debug, Clone, Default)]
pub(super) struct ItemChanges(Arc<Mutex<ChangedItems>>);

impl ItemChanges {
    pub(super) fn lock(&self) -> MutexGuard<'_, ChangedItems> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is(&self, other: &ItemChanges) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl OngoingCopies {
    /// Whether the shard takes part in no copy.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.unfinished.is_empty()
    }

    /// Notes that a tree is being copied from now on.
    pub(super) fn add_source(&mut self, top: u32, changes: ItemChanges) {
        self.sources.push(CopySide { top, changes });
    }

    /// Notes that no path leads to an item at the top until its copy is whole.
    pub(super) fn add_unfinished(&mut self, top: u32, changes: ItemChanges) {
        self.unfinished.push(CopySide { top, changes });
    }

    /// Forgets the tree of a copy.
    pub(super) fn remove_source(&mut self, changes: &ItemChanges) {
        self.sources.retain(|side| !side.changes.is(changes));
    }

    /// Forgets an unfinished copy.
    pub(super) fn remove_unfinished(&mut self, top: u32) {
        self.unfinished.retain(|side| side.top != top);
    }

    /// Whether all changes of a copy's tree have been noted since it began.
    pub(super) fn knows_source(&self, changes: &ItemChanges) -> bool {
        self.sources.iter().any(|side| side.changes.is(changes))
    }

    /// The top of an unfinished copy that is still stored.
    pub(super) fn unfinished_of(&self, changes: &ItemChanges) -> Option<u32> {
        let mut sides = self.unfinished.iter();
        let side = sides.find(|side| side.changes.is(changes));
        side.map(|side| side.top)
    }

    /// Whether an item at the top is an unfinished copy.
    #[inline]
    pub(super) fn is_unfinished(&self, top: u32) -> bool {
        self.unfinished.iter().any(|side| side.top == top)
    }

    /// Whether the tree below an item at the top is being copied.
    pub(super) fn is_source(&self, top: u32) -> bool {
        self.sources.iter().any(|side| side.top == top)
    }

    /// Notes a change of an item below the top of a tree, or of the top itself.
    pub(super) fn note_change(&mut self, top: u32, names: &NamesBelow, is_emptied: bool) {
        for side in self.sources.iter().filter(|side| side.top == top) {
            let mut changes = side.changes.lock();
            changes.is_gone |= names.is_empty() && is_emptied;
            *changes.items.entry(names.clone()).or_default() |= is_emptied;
        }
    }
}

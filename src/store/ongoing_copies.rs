//! The copies of trees that are being made, as the shards know them, and what has changed of each tree meanwhile.
//!
//! `tree/copying` copies a tree in pieces. The shard of the tree notes here each item that is changed, added, removed or moved to
//! another position meanwhile. The shard of the copy notes that no path leads to it before it is whole. [`ItemChanges`] is shared by
//! the two and by the copy's owner. The owner uses it while it holds the locks of both shards, except to ask for its size, so its own
//! lock hardly ever waits.
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

/// Bytes that a noted change takes beside its names, and that each of its names takes beside its letters, about.
const CHANGE_BYTES: usize = 64;
const NAME_BYTES: usize = 32;

/// What has changed of a tree and not yet of its copy.
#[derive(Debug, Default)]
pub(super) struct ChangedItems {
    /// Whether all that was below an item is gone. A parent comes before its children.
    items: BTreeMap<NamesBelow, bool>,
    bytes: usize,
    /// The tree was removed or replaced. Then nothing more is noted.
    pub(super) is_gone: bool,
}

impl ChangedItems {
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes that they take, about.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Notes a change of an item. `is_emptied` is whether all that was below it is gone.
    fn note(&mut self, names: &NamesBelow, is_emptied: bool) {
        if self.is_gone {
            return;
        }
        if names.is_empty() && is_emptied {
            *self = ChangedItems {
                is_gone: true,
                ..ChangedItems::default()
            };
            return;
        }
        match self.items.get_mut(names) {
            Some(noted) => *noted |= is_emptied,
            None => {
                self.bytes += bytes_of(names);
                self.items.insert(names.clone(), is_emptied);
            }
        }
    }

    /// Takes the first change.
    pub(super) fn take_first(&mut self) -> Option<(NamesBelow, bool)> {
        let first = self.items.pop_first();
        self.bytes -= first.as_ref().map_or(0, |(names, _)| bytes_of(names));
        first
    }
}

fn bytes_of(names: &NamesBelow) -> usize {
    let names = names.iter().map(|name| NAME_BYTES + name.len());
    CHANGE_BYTES + names.sum::<usize>()
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

    /// The tops of all unfinished copies.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = u32> {
        self.unfinished.iter().map(|side| side.top)
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
            side.changes.lock().note(names, is_emptied);
        }
    }
}

//! The reads of children that run in a shard, and for each the pages that have changed since they were read.
//!
//! `tree/children_read` reads all children of an item in pieces. The slab notes here, in the page of its position, each child
//! that is changed, added or removed meanwhile. [`ChangedPages`] is shared by the two, and the lock of the shard is held
//! whenever it is used, so its own lock never waits.
//!
//! Cost: a comparison for each change while no read runs. A read that was dropped is forgotten at the next change.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The reads that run in one shard.
#[derive(Debug, Default)]
pub(super) struct OngoingReads(Vec<OngoingRead>);

/// A read of the children of one item.
#[derive(Debug)]
struct OngoingRead {
    parent: u32,
    changed: Weak<Mutex<ChangedPages>>,
}

/// The pages that have changed since they were read.
#[derive(Debug)]
pub(super) struct ChangedPages {
    /// The numbers of the pages that have changed, of those that have been read.
    pub(super) numbers: BTreeSet<usize>,
    /// The number of pages that have been read.
    pub(super) read: usize,
    /// Children of a page.
    page: usize,
    /// The parent was removed.
    is_gone: bool,
}

/// The changed pages of a read, as the read sees them.
#[derive(Debug)]
pub(super) struct ReadChanges(Arc<Mutex<ChangedPages>>);

impl ReadChanges {
    pub(super) fn lock(&self) -> MutexGuard<'_, ChangedPages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OngoingReads {
    /// Whether no read runs. Reads that were dropped since the last change still count.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins a read of an item's children, in pages of so many.
    pub(super) fn begin(&mut self, parent: u32, page: usize) -> ReadChanges {
        let changed = Arc::new(Mutex::new(ChangedPages {
            numbers: BTreeSet::new(),
            read: 0,
            page,
            is_gone: false,
        }));
        self.0.retain(|read| read.changed.strong_count() > 0);
        self.0.push(OngoingRead {
            parent,
            changed: Arc::downgrade(&changed),
        });
        ReadChanges(changed)
    }

    /// Whether all changes since the read began have been noted, and its item is still stored.
    pub(super) fn knows(&self, changes: &ReadChanges) -> bool {
        let pointer = Arc::as_ptr(&changes.0);
        let mut reads = self.0.iter();
        reads.any(|read| std::ptr::eq(read.changed.as_ptr(), pointer)) && !changes.lock().is_gone
    }

    /// Notes that other children than before are at these positions, or that they have changed.
    #[cold]
    pub(super) fn note_changes(&mut self, parent: u32, positions: &[u32]) {
        self.for_each_of(parent, |changed| {
            for &position in positions {
                let number = position as usize / changed.page;
                if number < changed.read {
                    changed.numbers.insert(number);
                }
            }
        });
    }

    /// Notes that an item is removed.
    #[cold]
    pub(super) fn note_removal(&mut self, item: u32) {
        self.for_each_of(item, |changed| changed.is_gone = true);
    }

    /// Calls `each` for every read of an item's children. Reads that were dropped are forgotten on the way.
    fn for_each_of(&mut self, parent: u32, mut each: impl FnMut(&mut ChangedPages)) {
        self.0.retain(|read| {
            let Some(changed) = read.changed.upgrade() else {
                return false;
            };
            if read.parent == parent {
                each(&mut ReadChanges(changed).lock());
            }
            true
        });
    }
}

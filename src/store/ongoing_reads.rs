//! The reads of children that run in a shard, and for each the children that have changed before it came to them.
//!
//! ```text
//!   positions in the list of children   0 …… 255 │ 256 …… 511 │ 512 …… 767 │ 768 …… 801 │ 802
//!   of a read that has begun            read     │ read       │ to be read │ to be read │ added since
//!                                        ▲                          ▲
//!                          a change here: nothing        a change here: the child is copied first
//! ```
//!
//! `tree/children_read` reads all children of an item in pieces, and gives their state in the moment at which it began. Before
//! the slab changes or removes a child, it keeps a copy here for each read that has not come to it. [`FormerChildren`] is
//! shared by the two, and the lock of the shard is held whenever it is used, so its own lock never waits.
//!
//! Cost: a comparison for each change while no read runs. While one runs, the first change of a child before it is read takes a
//! copy of its record: all copies together are at most as long as what is left to read. A read that was dropped is forgotten
//! at the next change.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::slot::ItemSlot;
use super::stored_item::StoredItem;

/// The reads that run in one shard.
#[derive(Debug, Default)]
pub(super) struct OngoingReads(Vec<OngoingRead>);

/// A read of the children of one item.
#[derive(Debug)]
struct OngoingRead {
    parent: u32,
    former: Weak<Mutex<FormerChildren>>,
}

/// Children that a read has not come to, as they were when it began.
#[derive(Debug)]
pub(super) struct FormerChildren {
    /// Those that have changed, in pages of so many positions.
    pages: BTreeMap<u32, FormerPage>,
    page: u32,
    /// The positions that are still to be read.
    left: Range<u32>,
    /// Bytes of the copies.
    bytes: usize,
    /// A child was changed, added or removed since the read began.
    is_changed: bool,
    /// The parent was removed.
    is_gone: bool,
}

/// Copies of some children of a page. They lie in one buffer, so that a million of them are freed in some thousands of steps.
#[derive(Debug, Default)]
pub(super) struct FormerPage {
    children: Vec<FormerChild>,
    records: Vec<u8>,
}

#[derive(Debug)]
struct FormerChild {
    position: u32,
    slot: ItemSlot,
    record: Range<usize>,
}

impl FormerPage {
    /// The child that was at this position, if it has changed since.
    pub(super) fn get(&self, position: u32) -> Option<StoredItem<'_>> {
        let mut children = self.children.iter();
        let child = children.find(|child| child.position == position)?;
        Some(StoredItem {
            slot: &child.slot,
            record: &self.records[child.record.clone()],
        })
    }
}

impl FormerChildren {
    /// Keeps the child at a position, which is about to change, unless it was read or kept before.
    fn keep(&mut self, position: u32, child: StoredItem<'_>) {
        self.is_changed = true;
        if !self.left.contains(&position) {
            return;
        }
        let page = self.pages.entry(position / self.page).or_default();
        if page.get(position).is_some() {
            return;
        }
        let start = page.records.len();
        page.records.extend_from_slice(child.record);
        page.children.push(FormerChild {
            position,
            slot: *child.slot,
            record: start..page.records.len(),
        });
        self.bytes += child.record.len() + size_of::<FormerChild>();
    }

    /// Ends the next page: its positions, and those of its children that have changed.
    pub(super) fn next_page(&mut self) -> (Range<u32>, FormerPage) {
        let first = self.left.start;
        self.left.start = self.left.end.min(first + self.page);
        let page = self.pages.remove(&(first / self.page)).unwrap_or_default();
        self.bytes -= page.records.len() + page.children.len() * size_of::<FormerChild>();
        (first..self.left.start, page)
    }

    /// Whether all children have been read.
    pub(super) fn is_whole(&self) -> bool {
        self.left.is_empty()
    }

    /// Whether a child was changed, added or removed since the read began.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }
}

/// The former children of a read, as the read sees them.
#[derive(Debug)]
pub(super) struct ReadChanges(Arc<Mutex<FormerChildren>>);

impl ReadChanges {
    pub(super) fn lock(&self) -> MutexGuard<'_, FormerChildren> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of the copies that are kept now.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl OngoingReads {
    /// Whether no read runs. Reads that were dropped since the last change still count.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins a read of so many children of an item, in pages.
    pub(super) fn begin(&mut self, parent: u32, children: usize, page: usize) -> ReadChanges {
        let former = Arc::new(Mutex::new(FormerChildren {
            pages: BTreeMap::new(),
            page: page as u32,
            left: 0..children as u32,
            bytes: 0,
            is_changed: false,
            is_gone: false,
        }));
        self.0.retain(|read| read.former.strong_count() > 0);
        self.0.push(OngoingRead {
            parent,
            former: Arc::downgrade(&former),
        });
        ReadChanges(former)
    }

    /// Whether all changes since the read began have been noted, and its item is still stored.
    pub(super) fn knows(&self, changes: &ReadChanges) -> bool {
        let pointer = Arc::as_ptr(&changes.0);
        let mut reads = self.0.iter();
        reads.any(|read| std::ptr::eq(read.former.as_ptr(), pointer)) && !changes.lock().is_gone
    }

    /// Keeps a child of this parent that is about to change, or to leave its position.
    #[cold]
    pub(super) fn keep(&mut self, parent: u32, position: u32, child: StoredItem<'_>) {
        self.for_each_of(parent, |former| former.keep(position, child));
    }

    /// Notes that an item gets another child.
    #[cold]
    pub(super) fn note_addition(&mut self, parent: u32) {
        self.for_each_of(parent, |former| former.is_changed = true);
    }

    /// Notes that an item is removed, or all of its children.
    #[cold]
    pub(super) fn note_removal(&mut self, item: u32) {
        self.for_each_of(item, |former| former.is_gone = true);
    }

    /// Calls `each` for every read of an item's children. Reads that were dropped are forgotten on the way.
    fn for_each_of(&mut self, parent: u32, mut each: impl FnMut(&mut FormerChildren)) {
        self.0.retain(|read| {
            let Some(former) = read.former.upgrade() else {
                return false;
            };
            if read.parent == parent {
                each(&mut ReadChanges(former).lock());
            }
            true
        });
    }
}

//! A read of all children of a node, in pieces: no lock is held between two of them, and what is read is the state of one
//! moment, that of the last piece.
//!
//! ```text
//!   positions in the list of children   0 …… 255 │ 256 …… 511 │ 512 …… 767 │ 768 …… 801
//!   pages of the read                   collected│ collected  │ the next   │
//!                                                  ▲ a child here has changed: it is collected again
//! ```
//!
//! A piece collects a page: the bytes that the caller makes of each child. The slab [notes](crate::store::ongoing_reads) each child that
//! is changed, added or removed meanwhile, in the page of its position. When all pages are collected, those that have changed
//! are collected again. The last piece does that with the last few of them under one lock, so that each page is then as it is in
//! that moment. A page of which a child has expired since has changed, too.
//!
//! Bounds: a read of a tree that changes faster than it is read would have no end. After [`MOST_PIECES`] times as many pieces as
//! there are pages, all changed pages are collected under one lock.
//!
//! Cost: a look-up of the path and an allocation for each page, beside the children.

use super::*;
use crate::store::ongoing_reads::ReadChanges;

/// Children of a page: a lock is held for some tens of microseconds.
const PAGE: usize = 256;
/// Bytes of records that a page has on average, at most.
const PAGE_BYTES: usize = 32 << 10;
/// Children whose records give that average.
const SAMPLES: usize = 16;
/// Changed pages that the last piece may collect again.
const LAST_PAGES: usize = 2;
/// Pieces for each page, at most, before the last one.
const MOST_PIECES: usize = 4;

/// A read of all children of a node.
#[derive(Debug)]
pub(crate) struct ChildrenRead {
    node: u32,
    /// Children of a page.
    page: usize,
    pages: Vec<Page>,
    /// The bytes of each page. The list has its whole length from the beginning: so it lies below the bytes in memory, and
    /// their memory can go back to the system before that of the list.
    bytes_of: Vec<Vec<u8>>,
    changes: ReadChanges,
    pieces: usize,
    bytes: usize,
}

/// The result of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadState {
    /// There are more pieces.
    Partial,
    /// All is read, as it is now.
    Whole,
    /// The node is no longer at its path, or has no children left. If there is another, a new read has to begin.
    Gone,
}

/// Some children, one after the other.
#[derive(Debug, Default)]
struct Page {
    children: usize,
    /// The time at which the first of them expires, in Unix milliseconds.
    expires_ms: Option<u64>,
}

impl Page {
    fn has_expired(&self, now_ms: u64) -> bool {
        self.expires_ms
            .is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

impl ChildrenRead {
    /// Bytes that have been collected.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The number of children that have been collected.
    pub(crate) fn children(&self) -> usize {
        self.pages.iter().map(|page| page.children).sum()
    }

    /// The collected bytes, in the order of the children.
    pub(crate) fn into_pages(self) -> Vec<Vec<u8>> {
        self.bytes_of
    }

    /// Drops the pages behind so many.
    fn truncate(&mut self, pages: usize) {
        if pages < self.pages.len() {
            self.pages.truncate(pages);
            let dropped = self.bytes_of.drain(pages..);
            self.bytes -= dropped.map(|bytes| bytes.len()).sum::<usize>();
            let mut changed = self.changes.lock();
            changed.read = pages;
            changed.numbers.split_off(&pages);
        }
    }

    /// The number of pages that have changed, or of which a child has expired.
    fn count_changed(&self, now_ms: u64) -> usize {
        let mut changed = self.changes.lock();
        let pages = self.pages.iter().enumerate();
        let expired = pages.filter(|(_, page)| page.has_expired(now_ms));
        changed.numbers.extend(expired.map(|(number, _)| number));
        changed.numbers.len()
    }

    fn take_changed(&self) -> Option<usize> {
        self.changes.lock().numbers.pop_first()
    }
}

impl Tree<'_> {
    /// The number of a node's children, expired ones included.
    pub(crate) fn listed_children(&self, node: Node) -> usize {
        self.shard.slab.children(node.0).len()
    }

    /// Whether a node has children that haven't expired.
    pub(crate) fn has_live_child(&mut self, node: Node) -> bool {
        let slab = &mut self.shard.slab;
        !slab.children(node.0).is_empty() && slab.has_live_child(node.0, self.now_ms)
    }

    /// Whether some of a node's children may have expired, so that their number is known only after a look at all of them.
    pub(crate) fn has_to_count(&self, node: Node) -> bool {
        self.shard.slab.child_expiries(node.0).earliest_ms <= self.now_ms
    }

    /// Whether an item has expired.
    pub(crate) fn is_expired(&self, node: Node) -> bool {
        self.shard.slab.item(node.0).is_expired(self.now_ms)
    }

    /// Begins a read of a node's children.
    pub(crate) fn begin_children_read(&mut self, node: Node) -> ChildrenRead {
        let page = self.children_of_page(node);
        ChildrenRead {
            node: node.0,
            page,
            pages: Vec::new(),
            bytes_of: Vec::with_capacity(self.listed_children(node).div_ceil(page)),
            changes: self.shard.slab.reads.begin(node.0, page),
            pieces: 0,
            bytes: 0,
        }
    }

    /// The number of children whose records have about [`PAGE_BYTES`].
    fn children_of_page(&self, node: Node) -> usize {
        let children = self.shard.slab.children(node.0);
        let samples = children
            .iter()
            .step_by(children.len().div_ceil(SAMPLES).max(1));
        let (mut count, mut bytes) = (0, 0);
        for &child in samples {
            count += 1;
            bytes += self.shard.slab.item(child).record.len();
        }
        let page = (PAGE_BYTES * count).checked_div(bytes);
        page.unwrap_or(PAGE).clamp(1, PAGE)
    }

    /// Reads the next piece: `form` appends the bytes of each child. The path is that of the node with which the read began.
    pub(crate) fn read_children(
        &mut self,
        read: &mut ChildrenRead,
        path: &[&[u8]],
        mut form: impl FnMut(&mut Vec<u8>, &Item<'_>),
    ) -> ReadState {
        let is_known = self.shard.slab.reads.knows(&read.changes);
        if !is_known || self.locate(path) != Some(read.node) {
            return ReadState::Gone;
        }
        let children = self.shard.slab.children(read.node).len();
        let pages = children.div_ceil(read.page);
        read.truncate(pages);
        read.pieces += 1;
        if read.pages.len() < pages {
            read.pages.push(Page::default());
            read.bytes_of.push(Vec::new());
            self.collect(read, read.pages.len() - 1, &mut form);
            read.changes.lock().read = read.pages.len();
            if read.pages.len() < pages {
                return ReadState::Partial;
            }
        }
        let is_last = read.count_changed(self.now_ms) <= LAST_PAGES
            || read.pieces > MOST_PIECES * pages + LAST_PAGES;
        while let Some(number) = read.take_changed() {
            self.collect(read, number, &mut form);
            if !is_last {
                return ReadState::Partial;
            }
        }
        self.note_expiries(read);
        match read.children() {
            0 => ReadState::Gone,
            _ => ReadState::Whole,
        }
    }

    /// Notes the time at which the first child expires, as the last piece of a read has found it. If a child that has expired is
    /// still stored, that has to be looked for again.
    fn note_expiries(&mut self, read: &ChildrenRead) {
        let slab = &mut self.shard.slab;
        if read.children() == slab.children(read.node).len() {
            let times = read.pages.iter().filter_map(|page| page.expires_ms);
            slab.set_earliest_expiry(read.node, times.min().unwrap_or(u64::MAX));
        }
    }

    /// The item at a path; `None` if it, or one above it, has expired. Nothing is removed.
    fn locate(&self, path: &[&[u8]]) -> Option<u32> {
        let HashedKey { hash, db } = self.trim.key;
        let mut parent = NONE;
        for name in path {
            let hash = match parent {
                NONE => hash,
                parent => self.shard.hash_child(parent, name),
            };
            parent = self.shard.lookup(parent, db, name, hash)?;
            if self.shard.slab.item(parent).is_expired(self.now_ms) {
                return None;
            }
        }
        Some(parent)
    }

    /// Collects a page, or collects it again.
    fn collect(
        &self,
        read: &mut ChildrenRead,
        number: usize,
        form: &mut impl FnMut(&mut Vec<u8>, &Item<'_>),
    ) {
        let children = self.shard.slab.children(read.node);
        let first = number * read.page;
        let end = children.len().min(first + read.page);
        let mean = read.bytes / read.pages.len();
        let (page, bytes) = (&mut read.pages[number], &mut read.bytes_of[number]);
        read.bytes -= bytes.len();
        bytes.clear();
        bytes.reserve(mean + mean / 16);
        (page.children, page.expires_ms) = (0, None);
        for &child in &children[first..end] {
            let item = self.item(Node(child));
            if item.stored.is_expired(self.now_ms) {
                continue;
            }
            let expiries = [page.expires_ms, item.expires_ms()];
            page.expires_ms = expiries.into_iter().flatten().min();
            page.children += 1;
            form(bytes, &item);
        }
        read.bytes += bytes.len();
    }
}

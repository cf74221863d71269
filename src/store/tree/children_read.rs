//! A read of all children of a node, in pieces: no lock is held between two of them, and what is read is the state of one
//! moment, that of the beginning.
//!
//! A piece collects a page: the bytes that the caller makes of each child. A child that is changed or removed before its page is
//! collected was [kept](crate::store::ongoing_reads) as it had been, and is collected from there. So a read has one piece for each
//! page, however much others write. A child that expires meanwhile is read, too.
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

/// A read of all children of a node.
#[derive(Debug)]
pub(crate) struct ChildrenRead {
    node: u32,
    /// The time of the beginning, in Unix milliseconds.
    began_ms: u64,
    changes: ReadChanges,
    /// The bytes of each page. The list has its whole length from the beginning: so it lies below the bytes in memory, and
    /// their memory can go back to the system before that of the list.
    pages: Vec<Vec<u8>>,
    bytes: usize,
    /// Children that have been collected.
    children: usize,
    /// The time at which the first of them expires, in Unix milliseconds.
    earliest_ms: u64,
    /// One that had expired was left out.
    has_left_out: bool,
}

/// The result of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadState {
    /// There are more pieces.
    Partial,
    /// All is read, as it was in the beginning.
    Whole,
    /// The node is no longer at its path, or had no children left. If there is another, a new read has to begin.
    Gone,
}

impl ChildrenRead {
    /// Bytes that it keeps: those that have been collected, and copies of children that have changed.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.changes.bytes()
    }

    /// Bytes that have been collected.
    pub(crate) fn collected_bytes(&self) -> usize {
        self.bytes
    }

    /// The number of children that have been collected.
    pub(crate) fn children(&self) -> usize {
        self.children
    }

    /// The collected bytes, in the order of the children.
    pub(crate) fn into_pages(self) -> Vec<Vec<u8>> {
        self.pages
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
        let (children, page) = (self.listed_children(node), self.children_of_page(node));
        ChildrenRead {
            node: node.0,
            began_ms: self.now_ms,
            changes: self.shard.slab.reads.begin(node.0, children, page),
            pages: Vec::with_capacity(children.div_ceil(page)),
            bytes: 0,
            children: 0,
            earliest_ms: u64::MAX,
            has_left_out: false,
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
        self.collect(read, &mut form);
        let changes = read.changes.lock();
        if !changes.is_whole() {
            return ReadState::Partial;
        }
        // If a child that has expired is still stored, it has to be looked for again.
        if !changes.is_changed() && !read.has_left_out {
            let slab = &mut self.shard.slab;
            slab.set_earliest_expiry(read.node, read.earliest_ms);
        }
        match read.children {
            0 => ReadState::Gone,
            _ => ReadState::Whole,
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

    /// Collects the next page.
    fn collect(&self, read: &mut ChildrenRead, form: &mut impl FnMut(&mut Vec<u8>, &Item<'_>)) {
        let (positions, former) = read.changes.lock().next_page();
        let mean = read.bytes.checked_div(read.pages.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(mean + mean / 16);
        let children = self.shard.slab.children(read.node);
        for position in positions {
            let now = || {
                children
                    .get(position as usize)
                    .map(|child| self.shard.slab.item(*child))
            };
            let Some(stored) = former.get(position).or_else(now) else {
                continue;
            };
            if stored.is_expired(read.began_ms) {
                read.has_left_out = true;
                continue;
            }
            let expires_ms = stored.expires_ms().unwrap_or(u64::MAX);
            read.earliest_ms = read.earliest_ms.min(expires_ms);
            read.children += 1;
            let started_ms = self.trim.store.started_ms();
            form(&mut bytes, &Item { stored, started_ms });
        }
        read.bytes += bytes.len();
        read.pages.push(bytes);
    }
}

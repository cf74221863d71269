//! Invalidations that leave the item: one that is stale, or empty.

use crate::service::memcached::watch::{DeleteVerb, EventKinds};
use crate::store::{Entry, Marks};

use super::{
    DATABASE, DeleteOutcome, Operations, StoreMode, StoreOutcome, StoreRequest, expires_ms,
};

/// A change that makes an item useless without removing it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Invalidation {
    /// The cas unique that the item must have.
    pub(crate) expected: Option<u64>,
    /// Marks the item as stale, so that the next reader wins it, and gives it a new cas unique.
    pub(crate) stale: bool,
    /// Replaces the value by an empty one.
    pub(crate) empty: bool,
    /// The flags of an empty item.
    pub(crate) flags: u32,
    /// The new exptime. An empty item without one never expires; a stale one keeps its own.
    pub(crate) exptime: Option<i64>,
    /// The cas unique that the item gets.
    pub(crate) new_cas: Option<u64>,
}

impl Operations<'_> {
    /// Invalidates an item.
    pub(crate) fn invalidate(&mut self, path: &[&[u8]], request: &Invalidation) -> DeleteOutcome {
        self.note_change(path[0]);
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let Some(node) = self.look_up(&mut tree, path) else {
            tree.note_removal(path);
            self.counts.delete_misses += 1;
            return DeleteOutcome::NotFound;
        };
        let cas = tree.item(node).cas();
        if request.expected.is_some_and(|expected| expected != cas) {
            self.counts.delete_misses += 1;
            return DeleteOutcome::Exists;
        }
        if request.empty {
            let entry = Entry {
                value: Some(&[]),
                flags: request.flags,
                expires_ms: expires_ms(request.exptime.unwrap_or(0), tree.now_ms()),
            };
            if tree.put(path, entry).is_err() {
                return DeleteOutcome::NoMemory;
            }
            let cas = request.new_cas.unwrap_or(cas);
            tree.set_cas(node, cas);
            let set = StoreRequest::new(StoreMode::Set, request.flags, 0);
            let stored = StoreOutcome::Stored { cas, length: 0 };
            self.report_store(&mut tree, path, &set, stored, 0);
        }
        if !request.stale {
            // As in memcached, which logs it as deleted.
            if self.shared.log.wants(EventKinds::DELETIONS) {
                self.shared.log.deleted(path, DeleteVerb::MetaDelete, 0);
            }
            self.counts.delete_hits += 1;
            return DeleteOutcome::Deleted;
        }
        if let Some(exptime) = request.exptime {
            let expires_ms = expires_ms(exptime, tree.now_ms());
            tree.set_expiry(node, expires_ms);
        }
        let marks = Marks {
            stale: true,
            won: false,
            ..tree.item(node).marks()
        };
        tree.set_marks(node, marks);
        // The items above have changed as well.
        tree.bump(node);
        if let Some(cas) = request.new_cas {
            tree.set_cas(node, cas);
        }
        DeleteOutcome::Deleted
    }
}

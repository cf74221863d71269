//! Changes of a shard's items, for the clients that watch keys, for leases on paths, and for copies that are being made.

use super::*;

/// The database and the path of an item.
pub(in crate::store) fn path_of(slab: &ItemSlab, index: u32) -> (u8, Vec<&[u8]>) {
    let mut item = slab.item(index);
    let mut path = vec![item.key()];
    while item.parent() != NONE {
        item = slab.item(item.parent());
        path.push(item.key());
    }
    path.reverse();
    (item.db(), path)
}

impl Shard {
    /// Notes a change of an item for the clients that watch its top-level key, for leases on its path, and for copies of its tree.
    #[inline]
    pub(in crate::store) fn note_change(&mut self, index: u32) {
        self.note_path_change(index, PathChange::Subtree, None);
    }

    /// `expired_ms` is the time at which the item expired, if it is removed for that.
    #[inline]
    pub(in crate::store) fn note_path_change(
        &mut self,
        index: u32,
        change: PathChange,
        expired_ms: Option<u64>,
    ) {
        if !self.copies.is_empty() {
            let is_emptied = !self.slab.slot(index).has_children();
            if self.note_for_copies(index, is_emptied) {
                return;
            }
        }
        if !self.watched.is_empty() {
            let (db, path) = path_of(&self.slab, index);
            self.watched.note_change(db, &path, change, expired_ms);
        }
    }

    /// Whether a top-level key exists.
    fn has_top(&self, db: u8, key: &[u8]) -> bool {
        let hash = hash_top(&self.hasher, key);
        self.lookup(NONE, db, key, hash).is_some()
    }

    /// Sets the flags of the clients that watch keys of a database, which is about to be emptied.
    pub(in crate::store) fn note_flush(&mut self, db: u8) {
        let mut watched = std::mem::take(&mut self.watched);
        watched.note_flush(db, |key| self.has_top(db, key));
        self.watched = watched;
    }

    /// Sets the flags of the clients that watch keys of two databases, which are exchanged.
    pub(in crate::store) fn note_swap(&mut self, a: u8, b: u8) {
        let mut watched = std::mem::take(&mut self.watched);
        watched.note_swap(a, b, |key| self.has_top(a, key) || self.has_top(b, key));
        self.watched = watched;
    }
}

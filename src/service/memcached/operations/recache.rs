//! Reads that choose one client to store an item anew: memcached's remedy against dog piles.
//!
//! An item that is missing, about to expire or stale has one winner: the first client that reads it. The item is
//! marked, so that others see that it is being stored anew, and use the old value or wait. A new value clears the marks.

use crate::store::{Entry, ItemUsage, Marks, Node, Tree};

use crate::service::memcached::prefixes::KeyUse;

use super::read::{FoundItem, GetOutcome};
use super::{DATABASE, Operations, expires_ms, seconds_left};

/// A read, and what it changes: nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct MetaGet {
    /// The item's new exptime. The read then counts as a touch.
    pub(crate) exptime: Option<i64>,
    /// The exptime of an empty item that is made if there is none. The reader has won it.
    pub(crate) vivify: Option<i64>,
    /// Whether such an item keeps that exptime in spite of `exptime`.
    pub(crate) vivify_exptime_stays: bool,
    /// The cas unique of such an item.
    pub(crate) new_cas: Option<u64>,
    /// The seconds to live below which the reader wins.
    pub(crate) recache: Option<i64>,
    /// Whether `exptime` is set before it is compared with `recache`.
    pub(crate) recache_sees_exptime: bool,
    /// Whether the read leaves no trace: neither for eviction nor in the item.
    pub(crate) unseen: bool,
    /// Whether the key was sent in base64, for an item that is made.
    pub(crate) base64_key: bool,
    /// Whether the read is for the copy of a peer, which wins nothing.
    pub(crate) for_copy: bool,
}

/// The item as the read found it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadState {
    /// There was none, and an empty one was made.
    pub(crate) created: bool,
    /// The reader is to store the item anew.
    pub(crate) won: bool,
    /// The marks before this read.
    pub(crate) marks: Marks,
    /// Whether the item was read before, since its value was stored.
    pub(crate) was_fetched: bool,
    /// The time of the last read or write, in Unix milliseconds.
    last_access_ms: u64,
    /// The time at which the item expires before a new exptime is set, and after that, in Unix milliseconds; `None` for
    /// never.
    pub(crate) expires_ms: (Option<u64>, Option<u64>),
    /// The time of this read.
    pub(crate) now_ms: u64,
}

impl ReadState {
    /// Seconds since the last read or write.
    pub(crate) fn idle_seconds(&self) -> u64 {
        self.now_ms.saturating_sub(self.last_access_ms) / 1000
    }
}

impl Operations<'_> {
    /// Reads an item as [`get`](Operations::get) does, and chooses a winner. `write` gets the item before the read
    /// changes it.
    pub(crate) fn meta_get<R>(
        &mut self,
        path: &[&[u8]],
        request: &MetaGet,
        write: impl FnOnce(&mut FoundItem<'_, '_>, &ReadState) -> Option<R>,
    ) -> GetOutcome<R> {
        if request.exptime.is_some() || request.vivify.is_some() {
            self.note_change(path[0]);
        }
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let before = self.before_look_up(&tree);
        let found = tree.find_unmarked(path);
        if request.vivify.is_none() && self.must_wait_for(&mut tree, path, found) {
            return GetOutcome::Fetching;
        }
        let there = found.filter(|node| tree.has_value(*node));
        let created = match there {
            // A node that only has children stays.
            None if found.is_none() => create(&mut tree, path, request),
            _ => None,
        };
        let Some(node) = there.or(created) else {
            self.report_look_up(before, &tree, path, None);
            drop(tree);
            self.count_get(false);
            let missed = KeyUse::Get { hit: false };
            self.shared.prefixes.count(path[0], missed);
            return GetOutcome::Miss;
        };
        let state = state(&tree.usage(node), tree.now_ms(), request, created.is_some());
        let mut found = FoundItem::new(&mut tree, node);
        let Some(written) = write(&mut found, &state) else {
            return GetOutcome::NoMemory;
        };
        self.report_look_up(before, &tree, path, there);
        let stays = state.created && request.vivify_exptime_stays;
        if let Some(exptime) = request.exptime.filter(|_| !stays) {
            let expires_ms = expires_ms(exptime, tree.now_ms());
            tree.set_expiry(node, expires_ms);
        }
        if state.won {
            let marks = Marks {
                won: true,
                ..state.marks
            };
            tree.set_marks(node, marks);
        }
        if !request.unseen {
            tree.visit(node);
        }
        drop(tree);
        let hit = KeyUse::Get { hit: true };
        self.shared.prefixes.count(path[0], hit);
        match request.exptime {
            Some(_) => self.count_touch(true),
            None => self.count_get(true),
        }
        GetOutcome::Hit(written)
    }
}

/// Makes the empty item of [`MetaGet::vivify`]; `None` if it is not wanted, or can't be stored.
fn create(tree: &mut Tree<'_>, path: &[&[u8]], request: &MetaGet) -> Option<Node> {
    let entry = Entry {
        value: Some(&[]),
        flags: 0,
        expires_ms: expires_ms(request.vivify?, tree.now_ms()),
    };
    let node = tree.put(path, entry).ok()?;
    if let Some(cas) = request.new_cas {
        tree.set_cas(node, cas);
    }
    let marks = Marks {
        base64_key: request.base64_key,
        ..Marks::default()
    };
    tree.set_marks(node, marks);
    Some(node)
}

#[inline]
fn state(usage: &ItemUsage, now_ms: u64, request: &MetaGet, created: bool) -> ReadState {
    let marks = usage.marks;
    let before = usage.expires_ms;
    let after = match request.exptime {
        Some(exptime) => expires_ms(exptime, now_ms),
        None => before,
    };
    let is_due = |recache| {
        let compared = if request.recache_sees_exptime {
            after
        } else {
            before
        };
        let left = seconds_left(compared, now_ms);
        let limit = seconds_left(expires_ms(recache, now_ms), now_ms);
        left.is_some_and(|left| limit.is_some_and(|limit| left < limit))
    };
    ReadState {
        created,
        won: !request.for_copy
            && (created || !marks.won && (marks.stale || request.recache.is_some_and(is_due))),
        marks,
        was_fetched: usage.is_fetched,
        last_access_ms: usage.last_access_ms,
        expires_ms: (before, after),
        now_ms,
    }
}

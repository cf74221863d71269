//! The guard of one shard: every read and write of an item goes through here.
//!
//! [`Store::lock`] hashes the top-level key once, locks the shard that the hash names, or another one if the key
//! is [placed](super::placements) there, and reads the clock. A path in the key's database is
//! then walked from the top; an expired node on the way is removed with its subtree and the path
//! ends there. A finished write adds its memory to the store's total. If that exceeds the limit, the
//! shard evicts its own items at once, or other shards evict when the guard is dropped; see
//! [`make_room`](super::make_room).
//!
//! Cost of a hit at the top: one hash, one lock, one look at the clock, one bucket, one slot and
//! its record. No allocation, and the only writes are the mark for eviction and the access time,
//! where they change. A write over a value of the same length allocates nothing either.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, MutexGuard};

use super::entry::{self, Entry, Item, Node, Refused};
use super::eviction::Spared;
use super::make_room::JustStored;
use super::placements::HashedKey;
use super::reservation::Reservation;
use super::shard::{ExpiryWalk, ItemPlace, Shard};
use super::shards::{Store, locked};
use super::shared_value::SharedValue;
use super::slot::{FETCHED, KEY_LIMIT, NONE};
use super::subtree::Subtree;

mod begun_copy;
mod children_read;
mod copied_item;
mod copy_piece;
mod copying;
mod lease;
mod marks;
mod rename;
mod restore;
mod subtrees;
mod writes;

pub(crate) use begun_copy::CopyOrder;
pub(crate) use children_read::{ChildrenRead, ReadState};
pub(crate) use copying::{CopyState, TreeCopy};
pub(crate) use lease::{Lease, LeaseRefusal};

/// The lock on the shard of one top-level key. Hold one at a time, and briefly. Only a rename holds two.
#[derive(Debug)]
pub struct Tree<'a> {
    // Fields are dropped in this order: the lock must be released before room is made in other
    // shards.
    shard: MutexGuard<'a, Shard>,
    trim: TrimOnDrop<'a>,
    now_ms: u64,
    access: u32,
    /// Whether the hash of the key names another shard than this one.
    is_placed: bool,
}

/// Brings the store below its limit when the guard is gone, and removes a placement that is no longer needed.
#[derive(Debug)]
struct TrimOnDrop<'a> {
    store: &'a Store,
    /// The key that the lock was taken for.
    key: HashedKey,
    due: bool,
    /// The slot of the item that was stored last, [`NONE`] for none.
    just_stored: u32,
    /// Whether the key has a placement and nothing is stored under it.
    vacated: bool,
}

impl Drop for TrimOnDrop<'_> {
    fn drop(&mut self) {
        if self.due {
            let shard = self.store.shard_of(self.key);
            let index = self.just_stored;
            self.store.trim(Some(JustStored { shard, index }));
        }
        if self.vacated {
            self.store.send_home(self.key);
        }
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        self.settle();
        if self.is_placed {
            self.trim.vacated = self.shard.top_of(self.trim.key).is_none();
        }
    }
}

impl Store {
    /// Locks the shard of a top-level key of a database.
    ///
    /// A thread holds one such lock at a time, or it may wait for itself.
    pub fn lock(&self, db: u8, key: &[u8]) -> Tree<'_> {
        let now_ms = self.now();
        self.lock_hashed(self.hashed(db, key), now_ms)
    }

    /// Locks the shard of a top-level key.
    #[inline]
    pub(super) fn lock_hashed(&self, key: HashedKey, now_ms: u64) -> Tree<'_> {
        let shard = locked(&self.shards[self.home_of(key.hash)]);
        if self.placements.may_have(key.hash) {
            return self.lock_placed(shard, key, now_ms);
        }
        Tree::new(self, shard, key, now_ms)
    }

    /// Locks the shard in which a key lives, which may change until it is locked. `shard` is its home.
    #[cold]
    fn lock_placed<'a>(
        &'a self,
        mut shard: MutexGuard<'a, Shard>,
        key: HashedKey,
        now_ms: u64,
    ) -> Tree<'a> {
        let home = self.home_of(key.hash);
        let mut number = home;
        loop {
            let placed = self.shard_of(key);
            if placed == number {
                let mut tree = Tree::new(self, shard, key, now_ms);
                tree.is_placed = number != home;
                return tree;
            }
            drop(shard);
            number = placed;
            shard = locked(&self.shards[number]);
        }
    }
}

impl<'a> Tree<'a> {
    fn new(
        store: &'a Store,
        shard: MutexGuard<'a, Shard>,
        key: HashedKey,
        now_ms: u64,
    ) -> Tree<'a> {
        let access = store.access(now_ms);
        Tree {
            shard,
            trim: TrimOnDrop {
                store,
                key,
                due: false,
                just_stored: NONE,
                vacated: false,
            },
            now_ms,
            access,
            is_placed: false,
        }
    }

    /// The time of this guard: it stands still while the lock is held.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// Items of this shard that have expired so far. If a look-up adds to it, the item that it looked for has expired.
    pub(crate) fn expired(&self) -> u64 {
        self.shard.counters.expired
    }

    /// Looks a path up for a reader: counts a hit or a miss, marks the nodes of the path as used, and the last one as read.
    ///
    /// `path[0]` is the key that the lock was taken for, in its database, here and everywhere below.
    pub fn find(&mut self, path: &[&[u8]]) -> Option<Node> {
        let node = self.walk(path, true, true);
        self.shard.counters.count_read(node.is_some());
        node
    }

    /// Looks a path up without a count or a mark; expired nodes are removed.
    pub fn peek(&mut self, path: &[&[u8]]) -> Option<Node> {
        self.walk(path, false, false)
    }

    /// `counted` is a reader's look-up.
    fn walk(&mut self, path: &[&[u8]], visit: bool, counted: bool) -> Option<Node> {
        let (top, below) = path.split_first()?;
        let mut index = self.shard.lookup_place(self.top_place(top))?;
        let mut alive = self.pass(index, visit, below.is_empty());
        for (at, key) in below.iter().enumerate() {
            if !alive {
                break;
            }
            let hash = self.shard.hash_child(index, key);
            index = self.shard.lookup(index, 0, key, hash)?;
            alive = self.pass(index, visit, at + 1 == below.len());
        }
        if !alive {
            self.shard.counters.get_expired += u64::from(counted);
            return None;
        }
        Some(Node(index))
    }

    /// Removes a top-level key, or some of its children, if they have expired. The key takes a step, too. If there are no more
    /// children to look at, returns a time before which nothing else expires.
    pub(super) fn remove_expired(
        &mut self,
        key: &[u8],
        walk: &mut ExpiryWalk,
        steps: &mut usize,
    ) -> Option<u64> {
        *steps = steps.checked_sub(1)?;
        let Some(node) = self.peek(&[key]) else {
            return Some(u64::MAX);
        };
        let (shard, now_ms) = (&mut self.shard, self.now_ms);
        let may_have_expired = shard.slab.child_expiries(node.0).earliest_ms <= now_ms;
        if may_have_expired && shard.expire_children(node.0, walk, now_ms, steps) {
            return None;
        }
        let item = shard.slab.get(node.0 as usize);
        let expires_ms = item.and_then(|item| item.expires_ms()).unwrap_or(u64::MAX);
        Some(expires_ms.min(shard.slab.child_expiries(node.0).earliest_ms))
    }

    pub(super) fn add_watch(&mut self, key: &[u8], changed: &Arc<AtomicBool>) {
        let (db, now_ms) = (self.trim.key.db, self.now_ms);
        self.shard.watched.add(db, key, changed, now_ms);
    }

    pub(super) fn remove_watch(&mut self, key: &[u8], changed: &Arc<AtomicBool>) {
        self.shard.watched.remove(key, changed);
    }

    #[inline]
    fn pass(&mut self, index: u32, visit: bool, reads: bool) -> bool {
        let alive = self.shard.is_alive(index, self.now_ms);
        if alive && visit {
            let mark = if reads { FETCHED } else { 0 };
            self.shard.visit(index, self.access | mark);
        }
        alive
    }

    /// The item of a node.
    pub fn item(&self, node: Node) -> Item<'_> {
        Item {
            stored: self.shard.slab.item(node.0),
            started_ms: self.trim.store.started_ms(),
        }
    }

    /// The value of a node if it is large; `None` if it is to be copied.
    pub(crate) fn share_value(&mut self, node: Node) -> Option<SharedValue> {
        self.shard.share_value(node.0)
    }

    /// Sets a node's flags. Its CAS number stays.
    pub fn set_flags(&mut self, node: Node, flags: u32) {
        let mut head = self.shard.slab.item(node.0).head();
        head.flags = flags;
        self.shard.slab.rewrite_header(node.0, &head);
        self.shard.note_change(node.0);
    }

    /// Sets a node's expiry, in Unix milliseconds; `None` for never. Its CAS number stays.
    pub fn set_expiry(&mut self, node: Node, expires_ms: Option<u64>) {
        self.shard.set_expiry(node.0, expires_ms);
    }

    /// Gives a node, and all above it, a new CAS number.
    pub fn bump(&mut self, node: Node) {
        self.shard.touch(node.0);
    }

    /// Notes that a node was used, as [`find`](Tree::find) does, but counts nothing.
    pub fn visit(&mut self, node: Node) {
        self.shard.visit(node.0, self.access | FETCHED);
    }

    /// Removes a node with its subtree; then its ancestors, as far as they have neither value nor
    /// children left.
    pub fn remove(&mut self, node: Node) {
        self.shard.remove(node.0);
    }

    /// The child of that name. It is marked as used; hits and misses are not counted.
    pub fn child(&mut self, node: Node, name: &[u8]) -> Option<Node> {
        let hash = self.shard.hash_child(node.0, name);
        let index = self.shard.lookup(node.0, 0, name, hash)?;
        self.pass(index, true, true).then_some(Node(index))
    }

    /// The number of a node's children; expired ones are removed first.
    ///
    /// A node without a value that has no children left is removed too. A node that was found by a
    /// path has at least one live child, or a value.
    pub fn child_count(&mut self, node: Node) -> usize {
        if self.shard.remove_expired_children(node.0, self.now_ms) {
            self.shard.slab.children(node.0).len()
        } else {
            0
        }
    }

    /// A node's live children, in no order.
    pub fn children(&mut self, node: Node) -> Vec<Node> {
        match self.child_count(node) {
            0 => Vec::new(),
            _ => self
                .shard
                .slab
                .children(node.0)
                .iter()
                .copied()
                .map(Node)
                .collect(),
        }
    }

    /// The child at a position below [`child_count`](Tree::child_count), which must have been
    /// called before.
    ///
    /// A new child is added at the end; when one is removed, the last one moves to its position. So
    /// a walk from the end to the front, over several locks, misses no child that stays throughout.
    pub fn child_at(&self, node: Node, position: usize) -> Option<Node> {
        self.shard
            .slab
            .children(node.0)
            .get(position)
            .copied()
            .map(Node)
    }
}

//! Another name or another database for a top-level key, with all below it: RENAME and MOVE.
//!
//! ```text
//!   large tree, or both names in one shard     the top gets its new key; all below it stays where it is
//!   small tree, two shards                     copied out of one shard and into the other
//! ```
//!
//! A node below another is found by the slot of its parent, so within its shard a tree of any size is renamed in one step. The new
//! name then has a [placement](crate::store::placements) if its hash names another shard. That is for trees of more than
//! [`NODES`] nodes or [`BYTES`] bytes, so that nearly all keys live where their hashes say, and shards stay about equally full.
//!
//! All items whose keys have one hash live in one shard. So if an item in another database has the new name, and lives in
//! another shard, a large tree is copied too.
//!
//! Cost: that of a write, two locks, and a count of at most [`NODES`] nodes; a copy costs a microsecond or two for each node. A
//! value of the top is copied if the key has another length. If keys are watched in the shard of the new name, they are all looked at.

use crate::store::entry::Refused;
use crate::store::shard::{ItemPlace, Shard, hash_top};
use crate::store::shards::Store;
use crate::store::slot::NONE;

use super::{Node, Tree};

/// Nodes of the largest tree that is copied to the shard of its new name.
const NODES: usize = 256;
/// Bytes of the largest.
const BYTES: usize = 1 << 20;
/// Placements that are looked at for each renamed key, so that those under which nothing lives go away.
const LOOKS: usize = 8;

/// A top-level key with its database.
pub(crate) type TopKey<'a> = (u8, &'a [u8]);

/// The result of renaming a tree within its shard.
enum InPlace {
    Missing,
    Done(Result<(), Refused>),
    /// It has to be copied.
    NotPossible,
}

impl Store {
    /// Gives a key another name or database, in place of an item that is there; `None` if there is no such key. If that is
    /// refused, the key stays as it was. The caller holds the store [exclusively](Store::exclusive), because a copy is on its way
    /// for a moment.
    pub(crate) fn rename(&self, from: TopKey<'_>, to: TopKey<'_>) -> Option<Result<(), Refused>> {
        if from == to {
            let (db, key) = from;
            return self.lock(key).peek(db, &[key]).map(|_| Ok(()));
        }
        for hash in self.placements.next(LOOKS) {
            self.send_home(hash);
        }
        match self.rename_in_place(from, to) {
            InPlace::Missing => None,
            InPlace::Done(result) => Some(result),
            InPlace::NotPossible => self.rename_by_copy(from, to),
        }
    }

    fn rename_in_place(&self, (from_db, from): TopKey<'_>, (to_db, to): TopKey<'_>) -> InPlace {
        let now_ms = self.now();
        let hash = hash_top(&self.hasher, from);
        let place = ItemPlace {
            parent: NONE,
            db: self.inner_db(to_db),
            key: to,
            hash: hash_top(&self.hasher, to),
        };
        let pair = self.lock_pair([hash, place.hash]);
        let mut tree = Tree::new(self, pair.first, hash, now_ms);
        tree.is_placed = pair.numbers[0] != self.home_of(hash);
        let Some(node) = tree.peek(from_db, &[from]) else {
            return InPlace::Missing;
        };
        let length = tree.item(node).value().map_or(0, <[u8]>::len);
        if let Err(why) = tree.check(to.len(), length) {
            return InPlace::Done(Err(why));
        }
        if let Some(mut other) = pair.second {
            if !tree.may_be_placed(node, pair.numbers[0], place, &other) {
                return InPlace::NotPossible;
            }
            if let Some(old) = other.lookup_place(place) {
                other.remove(old);
            }
            self.settle(&mut other);
            self.place(place.hash, &mut other, &mut tree.shard, pair.numbers[0]);
        }
        tree.rename(node, place);
        InPlace::Done(Ok(()))
    }

    fn rename_by_copy(
        &self,
        (from_db, from): TopKey<'_>,
        (to_db, to): TopKey<'_>,
    ) -> Option<Result<(), Refused>> {
        let mut tree = self.lock(from);
        let node = tree.peek(from_db, &[from])?;
        let subtree = tree.take(node);
        drop(tree);
        let graft = |db, key| {
            let mut tree = self.lock(key);
            tree.graft(db, key, &subtree)
        };
        let result = graft(to_db, to);
        if result.is_err() {
            // It was stored a moment ago and no other command runs, so there is room for it.
            return Some(graft(from_db, from).and(result));
        }
        Some(result)
    }
}

impl Tree<'_> {
    /// Whether keys with the hash of a new name may live in this shard, which has this number, from now on, and whether the tree below
    /// a node is large enough for that. `other` is the shard where they live.
    fn may_be_placed(
        &self,
        node: Node,
        number: usize,
        place: ItemPlace<'_>,
        other: &Shard,
    ) -> bool {
        let store = self.trim.store;
        let old = other.lookup_place(place).unwrap_or(NONE);
        let has_room = || store.placements.has_room(store.memory());
        self.shard.is_larger(node.0, NODES, BYTES)
            && !other.has_other_tops(place.hash, old)
            && (number == store.home_of(place.hash) || has_room())
    }

    /// Gives a node at the top the key and database of a place in this shard, in place of an item that is there.
    fn rename(&mut self, node: Node, place: ItemPlace<'_>) {
        if let Some(old) = self.shard.lookup_place(place) {
            self.shard.remove(old);
        }
        self.shard.rename(node.0, place, self.access);
        self.make_room(node.0);
    }
}

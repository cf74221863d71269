//! Another name or another database for a top-level key, with all below it: RENAME and MOVE.
//!
//! ```text
//!   large tree, or both names in one shard     the top gets its new key; all below it stays where it is
//!   small tree, two shards                     copied out of one shard and into the other
//! ```
//!
//! A node below another is found by the slot of its parent, so within its shard a tree of any size is renamed in one step. The new
//! name in its database then has a [placement](crate::store::placements) if its hash names another shard. That is for trees of more than
//! [`NODES`] nodes or [`BYTES`] bytes, so that nearly all keys live where their hashes say, and shards stay about equally full.
//!
//! There is a most number of placements. At that number, trees that have become small since go back to the shards that their
//! hashes name, as if they were renamed to the names that they have. So a large tree is copied only if there are two names with the same
//! hash of 64 bits, which a client can't choose.
//!
//! Cost: that of a write, two locks, and a count of at most [`NODES`] nodes; a copy costs a microsecond or two for each node. A
//! value of the top is copied if the key has another length. If keys are watched in the shard of the new name, they are all looked at.

use crate::store::entry::Refused;
use crate::store::placements::HashedKey;
use crate::store::shard::ItemPlace;
use crate::store::shard_choice::ShardPair;
use crate::store::shards::Store;
use crate::store::slot::NONE;

use super::{Node, Tree};

/// Nodes of the largest tree that is copied to the shard of its new name.
const NODES: usize = 256;
/// Bytes of the largest.
const BYTES: usize = 1 << 20;
/// Placements that are looked at for each renamed key, so that those under which nothing is stored go away.
const LOOKS: usize = 8;
/// The most that are looked at for a small tree. At most half of the trees are large, see [`placements`](crate::store::placements).
const MOST_LOOKS: usize = 64;

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
            return self.lock(db, key).peek(&[key]).map(|_| Ok(()));
        }
        for key in self.placements.next(LOOKS) {
            self.send_home(key);
        }
        let has_room = self.placements.has_room(self.memory()) || self.send_small_tree_home();
        let keys = [from, to].map(|(db, key)| self.hashed(db, key));
        let [from, to] = [(keys[0], from.1), (keys[1], to.1)];
        match self.rename_in_place(from, to, has_room) {
            InPlace::Missing => None,
            InPlace::Done(result) => Some(result),
            InPlace::NotPossible => self.rename_by_copy(from, to),
        }
    }

    /// `has_room` is whether there may be one more placement.
    fn rename_in_place(
        &self,
        (from, name): (HashedKey, &[u8]),
        (to, new_name): (HashedKey, &[u8]),
        has_room: bool,
    ) -> InPlace {
        let now_ms = self.now();
        let ShardPair {
            numbers: [number, _],
            first,
            second,
        } = self.lock_pair([from, to]);
        let mut tree = Tree::new(self, first, from, now_ms);
        // Released before the tree's guard, which may lock other shards when it goes.
        let second = second;
        tree.is_placed = number != self.home_of(from.hash);
        let Some(node) = tree.peek(&[name]) else {
            return InPlace::Missing;
        };
        let length = tree.item(node).value().map_or(0, <[u8]>::len);
        if let Err(why) = tree.check(new_name.len(), length) {
            return InPlace::Done(Err(why));
        }
        let place = ItemPlace {
            parent: NONE,
            db: to.db,
            key: new_name,
            hash: to.hash,
        };
        if let Some(mut other) = second {
            let old = other.lookup_place(place);
            let may_be_placed = (has_room || number == self.home_of(to.hash))
                && tree.shard.is_larger(node.0, NODES, BYTES)
                && other.other_top_of(to, old.unwrap_or(NONE)).is_none();
            if !may_be_placed {
                return InPlace::NotPossible;
            }
            if let Some(old) = old {
                other.remove(old);
            }
            self.settle(&mut other);
            self.place(to, &mut other, &mut tree.shard, number);
        }
        tree.rename(node, place);
        InPlace::Done(Ok(()))
    }

    fn rename_by_copy(
        &self,
        (from, name): (HashedKey, &[u8]),
        (to, new_name): (HashedKey, &[u8]),
    ) -> Option<Result<(), Refused>> {
        let mut tree = self.lock_hashed(from, self.now());
        let node = tree.peek(&[name])?;
        let subtree = tree.take(node);
        drop(tree);
        let graft = |key, name| {
            let mut tree = self.lock_hashed(key, self.now());
            tree.graft(name, &subtree)
        };
        let result = graft(to, new_name);
        if result.is_err() {
            // It was stored a moment ago and no other command runs, so there is room for it.
            return Some(graft(from, name).and(result));
        }
        Some(result)
    }

    /// Looks for a placement that has nothing or a small tree, and moves the tree to the shard that the hash of its key names. To
    /// those that watch it, that is a change. Returns whether there was one.
    fn send_small_tree_home(&self) -> bool {
        let placements = self.placements.len();
        for _ in 0..MOST_LOOKS {
            for key in self.placements.next(1) {
                self.send_home(key);
                if let Some(name) = self.small_tree_of(key) {
                    self.rename_by_copy((key, &name), (key, &name));
                }
            }
            if self.placements.len() < placements {
                return true;
            }
        }
        false
    }

    /// The name of a key that has a placement and a small tree.
    fn small_tree_of(&self, key: HashedKey) -> Option<Vec<u8>> {
        let tree = self.lock_hashed(key, self.now());
        let top = tree.shard.top_of(key).filter(|_| tree.is_placed)?;
        let is_small = !tree.shard.is_larger(top, NODES, BYTES);
        is_small.then(|| tree.shard.slab.item(top).key().to_vec())
    }
}

impl Tree<'_> {
    /// Gives a node at the top the key and database of a place in this shard, in place of an item that is there.
    fn rename(&mut self, node: Node, place: ItemPlace<'_>) {
        if let Some(old) = self.shard.lookup_place(place) {
            self.shard.remove(old);
        }
        self.shard.rename(node.0, place, self.access);
        self.make_room(node.0);
    }
}

//! A piece of a copy in pieces: `copying` has the idea. It begins with the noted changes, goes on with the walk, and attaches the
//! copy if nothing is left.
//!
//! An item that comes into the copy, by the walk or by a noted change, is opened if it has children: they are copied next. So the
//! walk passes over a child that is in the copy already, with all below it.

use crate::store::entry::Refused;
use crate::store::ongoing_copies::{ItemChanges, NamesBelow};
use crate::store::pending_removals::PIECE;
use crate::store::placements::HashedKey;
use crate::store::shard::Shard;
use crate::store::shard_choice::ShardPair;
use crate::store::shards::Store;
use crate::store::slot::{FETCHED, NONE};

use super::begun_copy::{BegunCopy, CopyOrder, NodePair, OpenNode, Stopped};
use super::copied_item::CopiedItem;
use super::{MutexGuard, Tree};

/// Bytes of an item that count as one more item.
const ITEM_BYTES: usize = 1 << 10;

/// The two shards of a copy while they are locked.
pub(super) struct CopyPiece<'a> {
    // Fields are dropped in this order: the tree's lock is released before the copy's guard makes room in other shards.
    /// The shard of the tree; `None` if it is that of the copy.
    source: Option<MutexGuard<'a, Shard>>,
    target: Tree<'a>,
    order: &'a CopyOrder<'a>,
    shards: [usize; 2],
    from: HashedKey,
    item: CopiedItem,
}

fn child_of(shard: &Shard, parent: u32, name: &[u8]) -> Option<u32> {
    shard.lookup(parent, 0, name, shard.hash_child(parent, name))
}

impl<'a> CopyPiece<'a> {
    /// Locks the shards of both keys.
    pub(super) fn lock(store: &'a Store, order: &'a CopyOrder<'a>) -> CopyPiece<'a> {
        let now_ms = store.now();
        let keys = [order.from, order.to].map(|(db, key)| store.hashed(db, key));
        let ShardPair {
            numbers,
            first,
            second,
        } = store.lock_pair(keys);
        let (source, target) = match second {
            Some(second) => (Some(first), second),
            None => (None, first),
        };
        let mut target = Tree::new(store, target, keys[1], now_ms);
        target.is_placed = numbers[1] != store.home_of(keys[1].hash);
        CopyPiece {
            source,
            target,
            order,
            shards: numbers,
            from: keys[0],
            item: CopiedItem::default(),
        }
    }

    fn source(&self) -> &Shard {
        self.source.as_ref().unwrap_or(&self.target.shard)
    }

    fn source_mut(&mut self) -> &mut Shard {
        self.source.as_mut().unwrap_or(&mut self.target.shard)
    }

    /// The top of the tree, alive or expired.
    fn find_source(&self) -> Option<u32> {
        let HashedKey { hash, db } = self.from;
        self.source().lookup(NONE, db, self.order.from.1, hash)
    }

    /// A child in the tree that hasn't expired.
    fn live_child(&self, parent: u32, name: &[u8]) -> Option<u32> {
        child_of(self.source(), parent, name).filter(|child| !self.is_expired(*child))
    }

    fn is_expired(&self, source: u32) -> bool {
        let item = self.source().slab.item(source);
        item.is_expired(self.target.now_ms)
    }

    /// Whether an item with the copy's key is there and may not be replaced.
    fn is_taken(&mut self) -> bool {
        let (_, key) = self.order.to;
        !self.order.replaces && self.target.peek(&[key]).is_some()
    }

    /// Stores a copy of the top alone. `Err` with the result of the command if that is known already. `counts` is whether this is
    /// a hit or a miss.
    pub(super) fn begin(&mut self, counts: bool) -> Result<BegunCopy, Result<bool, Refused>> {
        let (now_ms, access) = (self.target.now_ms, self.target.access);
        let mut found = self.find_source();
        found = found.filter(|source| self.source_mut().is_alive(*source, now_ms));
        if counts {
            self.source_mut().counters.count_read(found.is_some());
        }
        if let Some(shard) = &mut self.source {
            // An expired tree was removed.
            self.target.trim.store.settle(shard);
        }
        let source = found.filter(|_| !self.is_taken()).ok_or(Ok(false))?;
        self.source_mut().visit(source, access | FETCHED);
        let changes = ItemChanges::default();
        self.read(source);
        let target = self
            .item
            .put_top(&mut self.target, self.order.to.1, &changes);
        let target = target.map_err(Err)?;
        self.source_mut().copies.add_source(source, changes.clone());
        let top = NodePair { source, target };
        Ok(BegunCopy {
            changes,
            shards: self.shards,
            top,
            open: vec![OpenNode {
                names: NamesBelow::new(),
                nodes: top,
                next: 0,
            }],
            last_pieces: 0,
        })
    }

    /// Does so many steps. Returns whether the tree was copied, or `None` if there is more to do.
    pub(super) fn go_on(
        &mut self,
        copy: &mut BegunCopy,
        steps: usize,
    ) -> Result<Option<bool>, Stopped> {
        self.check(copy)?;
        loop {
            self.copy_changes(copy, steps)?;
            let is_walked = self.walk(copy, steps)?;
            // An eviction may have removed something.
            self.check(copy)?;
            if is_walked && copy.changes.lock().is_empty() {
                return Ok(Some(self.attach(copy)));
            }
            if steps < usize::MAX {
                copy.last_pieces += usize::from(is_walked);
                return Ok(None);
            }
        }
    }

    /// Checks that the tree is still the one under its key, and that the copy is there.
    fn check(&self, copy: &BegunCopy) -> Result<(), Stopped> {
        let is_known = self.shards == copy.shards
            && !copy.changes.lock().is_gone
            && self.source().copies.knows_source(&copy.changes)
            && self.find_source() == Some(copy.top.source)
            && !self.is_expired(copy.top.source);
        let copies = &self.target.shard.copies;
        match is_known && copies.unfinished_of(&copy.changes) == Some(copy.top.target) {
            true => Ok(()),
            false => Err(Stopped::Gone),
        }
    }

    /// Makes some of the noted changes to the copy.
    fn copy_changes(&mut self, copy: &mut BegunCopy, steps: usize) -> Result<(), Stopped> {
        let mut left = steps;
        while left > 0 {
            let change = copy.changes.lock().take_first();
            let Some((names, is_emptied)) = change else {
                break;
            };
            let removed = self.removed();
            self.item.clear();
            self.copy_change(copy, names, is_emptied)?;
            left = left.saturating_sub(1 + self.item.bytes() / ITEM_BYTES);
            if self.removed() != removed {
                self.check(copy)?;
            }
        }
        Ok(())
    }

    /// Brings the copy of a changed item up to date.
    fn copy_change(
        &mut self,
        copy: &mut BegunCopy,
        names: NamesBelow,
        is_emptied: bool,
    ) -> Result<(), Refused> {
        let Some((name, above)) = names.split_last() else {
            self.read(copy.top.source);
            return self.item.update(&mut self.target, copy.top.target);
        };
        let (source, target) = self.find_below(copy.top, above);
        // If the item above it is not in the copy, the walk will come to both.
        let Some(parent) = target else {
            return Ok(());
        };
        let source = source.and_then(|above| self.live_child(above, name));
        match (source, child_of(&self.target.shard, parent, name)) {
            (Some(source), Some(old)) if !is_emptied => {
                self.read(source);
                self.item.update(&mut self.target, old)?;
            }
            (Some(source), _) => self.put_open(copy, source, parent, names)?,
            (None, Some(old)) => self.target.shard.remove_copied(old),
            (None, None) => {}
        }
        Ok(())
    }

    /// Finds an item of the tree, if it is alive, and its copy.
    fn find_below(&self, top: NodePair, names: &[Box<[u8]>]) -> (Option<u32>, Option<u32>) {
        let (mut source, mut target) = (Some(top.source), Some(top.target));
        for name in names {
            source = source.and_then(|above| self.live_child(above, name));
            target = target.and_then(|above| child_of(&self.target.shard, above, name));
        }
        (source, target)
    }

    /// Copies the next items of the walk. Returns whether it is at its end.
    fn walk(&mut self, copy: &mut BegunCopy, steps: usize) -> Result<bool, Stopped> {
        let mut removed = self.removed();
        self.reopen(copy);
        let mut left = steps;
        while let Some(node) = copy.open.last_mut() {
            let slab = &self.source().slab;
            let Some(&child) = slab.children(node.nodes.source).get(node.next) else {
                copy.open.pop();
                continue;
            };
            if left == 0 {
                return Ok(false);
            }
            node.next += 1;
            let item = slab.item(child);
            left = left.saturating_sub(1 + item.record.len() / ITEM_BYTES);
            let (parent, name) = (node.nodes.target, item.key());
            let is_there = child_of(&self.target.shard, parent, name).is_some();
            if is_there || self.is_expired(child) {
                continue;
            }
            let mut names = NamesBelow::new();
            if item.has_children() {
                names.clone_from(&node.names);
                names.push(name.into());
            }
            self.put_open(copy, child, parent, names)?;
            if self.removed() != removed {
                removed = self.removed();
                self.check(copy)?;
                self.reopen(copy);
            }
        }
        Ok(true)
    }

    /// The number of items that were removed to make room, which may be some of the tree or of the copy.
    fn removed(&self) -> u64 {
        let counters = &self.target.shard.counters;
        counters.evictions + counters.reclaimed
    }

    /// Finds the open nodes again. Those that are gone from the tree, or were evicted from the copy, are closed.
    fn reopen(&self, copy: &mut BegunCopy) {
        let top = copy.top;
        copy.open.retain_mut(|node| {
            let (Some(source), Some(target)) = self.find_below(top, &node.names) else {
                return false;
            };
            node.nodes = NodePair { source, target };
            true
        });
    }

    /// Stores a copy of an item alone, in place of one that is there with all below it. If it has children, they come next.
    fn put_open(
        &mut self,
        copy: &mut BegunCopy,
        source: u32,
        parent: u32,
        names: NamesBelow,
    ) -> Result<(), Refused> {
        let has_children = self.source().slab.slot(source).has_children();
        self.read(source);
        let target = self.item.put(&mut self.target, parent)?;
        self.free_beside_source();
        if has_children {
            copy.open.push(OpenNode {
                names,
                nodes: NodePair { source, target },
                next: 0,
            });
        }
        Ok(())
    }

    /// Frees some of what has been removed in the shard of the tree, if the store has too much. This piece has locked that shard,
    /// so no other thread can, and nothing is evicted while such items are stored.
    fn free_beside_source(&mut self) {
        let is_due = self.target.trim.due;
        if let Some(source) = self.source.as_mut().filter(|_| is_due)
            && source.free_detached(PIECE)
        {
            self.target.trim.store.settle(source);
        }
    }

    fn read(&mut self, source: u32) {
        let shard = self.source.as_ref().unwrap_or(&self.target.shard);
        self.item.read(shard.slab.item(source));
    }

    /// Attaches the copy, in place of an item with its key. Returns whether it may be replaced.
    fn attach(&mut self, copy: &BegunCopy) -> bool {
        if self.is_taken() {
            return false;
        }
        let expires_ms = self.source().slab.item(copy.top.source).expires_ms();
        let place = self.target.top_place(self.order.to.1);
        let (shard, top) = (&mut self.target.shard, copy.top.target);
        if let Some(old) = shard.lookup_place(place) {
            shard.remove(old);
        }
        let slot = shard.slab.slot(top);
        // All that was copied may have been evicted.
        if !slot.is_valueless() || slot.has_children() {
            shard.attach(top, place.db, expires_ms);
            self.target.make_room(top);
        }
        true
    }
}

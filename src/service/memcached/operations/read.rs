//! Reads of an item, and its expiration time.

use crate::origin::{Look, PeerRequest, PeerStatus};
use crate::store::{Item, Node, SharedValue, Tree};

use crate::service::memcached::prefixes::KeyUse;

use super::elsewhere::drop_copy;
use super::{DATABASE, Operations, Place, expires_ms};

/// The outcome of a read.
pub(crate) enum GetOutcome<R> {
    /// The item was found, and the protocol has written it.
    Hit(R),
    /// No item has this key, or it has no value.
    Miss,
    /// There is no memory for the reply. Nothing was done or counted; the command is to be repeated.
    NoMemory,
    /// The origin is asked for the item. Nothing was done or counted; the command is to be repeated when it has answered.
    Fetching,
}

/// An item with a value, under the lock of its key.
pub(crate) struct FoundItem<'t, 's> {
    tree: &'t mut Tree<'s>,
    node: Node,
}

impl<'t, 's> FoundItem<'t, 's> {
    pub(super) fn new(tree: &'t mut Tree<'s>, node: Node) -> FoundItem<'t, 's> {
        FoundItem { tree, node }
    }

    /// The item.
    pub(crate) fn item(&self) -> Item<'_> {
        self.tree.item(self.node)
    }

    /// Its value.
    pub(crate) fn value(&self) -> &[u8] {
        self.item().value().unwrap_or_default()
    }

    /// Its value to be written from the record; `None` if it is to be copied.
    pub(crate) fn share_value(&mut self) -> Option<SharedValue> {
        self.tree.share_value(self.node)
    }
}

/// The facts of an item with a new exptime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TouchedItem {
    pub(crate) flags: u32,
    pub(crate) cas: u64,
}

/// Where a read sets an exptime.
enum Touch {
    Here,
    /// On the peer that owns the key.
    Done,
    /// There is no item.
    Missing,
    /// The peer has not answered.
    Waits,
}

impl Operations<'_> {
    /// Reads the item at a path: `write` appends it to the output, or returns `None` if there is no memory for that.
    /// With an exptime the item gets it, and the command counts as a touch.
    pub(crate) fn get<R>(
        &mut self,
        path: &[&[u8]],
        exptime: Option<i64>,
        write: impl FnOnce(&mut FoundItem<'_, '_>) -> Option<R>,
    ) -> GetOutcome<R> {
        let tree = self.shared.store.lock(DATABASE, path[0]);
        self.get_locked(tree, path, exptime, write)
    }

    /// [`get`](Operations::get) under the lock of the path's first key.
    #[inline]
    pub(crate) fn get_locked<R>(
        &mut self,
        mut tree: Tree<'_>,
        path: &[&[u8]],
        exptime: Option<i64>,
        write: impl FnOnce(&mut FoundItem<'_, '_>) -> Option<R>,
    ) -> GetOutcome<R> {
        let new_exptime = match exptime.map(|it| self.touch_elsewhere(&mut tree, path, it)) {
            None => None,
            Some(Touch::Here) => exptime,
            Some(Touch::Done) => None,
            Some(Touch::Missing) => {
                self.count_touch(false);
                return GetOutcome::Miss;
            }
            Some(Touch::Waits) => return GetOutcome::Fetching,
        };
        let before = self.before_look_up(&tree);
        let found = tree.find(path);
        if self.must_wait_for(&mut tree, path, found) {
            return GetOutcome::Fetching;
        }
        let mut outcome = GetOutcome::Miss;
        if let Some(node) = found.filter(|node| tree.has_value(*node)) {
            let Some(written) = write(&mut FoundItem::new(&mut tree, node)) else {
                return GetOutcome::NoMemory;
            };
            if let Some(exptime) = new_exptime {
                let expires_ms = expires_ms(exptime, tree.now_ms());
                tree.set_expiry(node, expires_ms);
            }
            outcome = GetOutcome::Hit(written);
        }
        self.report_look_up(before, &tree, path, found);
        let hit = matches!(outcome, GetOutcome::Hit(_));
        self.shared.prefixes.count(path[0], KeyUse::Get { hit });
        match exptime {
            Some(_) => self.count_touch(hit),
            None => self.count_get(hit),
        }
        outcome
    }

    /// Sets the exptime of an item, with or without a value. `None` if there is no item.
    pub(crate) fn touch(&mut self, path: &[&[u8]], exptime: i64) -> Option<TouchedItem> {
        match self.place(path, || touching(path, exptime)) {
            Place::Here => {}
            Place::Elsewhere => return None,
            Place::Done(reply) => {
                let found = reply.status == PeerStatus::Done;
                self.count_touch(found);
                return found.then(|| TouchedItem {
                    flags: u32::try_from(reply.number('f')).unwrap_or_default(),
                    cas: reply.number('c'),
                });
            }
        }
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let node = self.look_up(&mut tree, path);
        self.count_touch(node.is_some());
        let node = node?;
        let expires_ms = expires_ms(exptime, tree.now_ms());
        tree.visit(node);
        tree.set_expiry(node, expires_ms);
        let item = tree.item(node);
        Some(TouchedItem {
            flags: item.flags(),
            cas: item.cas(),
        })
    }

    /// Shows an item without a trace of that. Whether there is one.
    pub(crate) fn inspect(&mut self, path: &[&[u8]], write: impl FnOnce(Item<'_>, u64)) -> bool {
        self.counts.cmd_meta += 1;
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let node = self.look_up(&mut tree, path);
        let Some(node) = node.filter(|node| tree.item(*node).value().is_some()) else {
            return false;
        };
        write(tree.item(node), tree.now_ms());
        true
    }

    /// Notes the look-up of a reader for the origin, if there is one. Whether the command has to wait for a fetch.
    #[inline]
    pub(super) fn must_wait_for(
        &mut self,
        tree: &mut Tree<'_>,
        path: &[&[u8]],
        found: Option<Node>,
    ) -> bool {
        let origin = self.shared.origin.get();
        if let Some(node) = found {
            if let Some(origin) = origin {
                origin.note_hit(DATABASE, path, tree.item(node), tree.now_ms());
            }
            return false;
        }
        if !self.may_wait || origin.is_none() && self.shared.peers.get().is_none() {
            return false;
        }
        let mut fetches = std::mem::take(&mut self.fetches);
        let source = self.source(path[0]);
        let waits = source.is_some_and(|it| fetches.look(it, DATABASE, path) == Look::Wait);
        self.fetches = fetches;
        if waits {
            tree.forget_miss();
        }
        waits
    }

    /// Notes that the command waits for its fetches.
    pub(crate) fn note_wait(&self) {
        if let Some(origin) = self.shared.origin.get() {
            origin.note_wait();
        }
    }

    /// Asks the origin for a key that the command will read when it has waited for another.
    pub(crate) fn ask_ahead(&mut self, key: &[u8]) {
        let mut fetches = std::mem::take(&mut self.fetches);
        if let Some(source) = self.source(key)
            && self.shared.store.lock(DATABASE, key).peek(&[key]).is_none()
        {
            fetches.look(source, DATABASE, &[key]);
        }
        self.fetches = fetches;
    }

    /// Sets the exptime of an item for a read of it, if a peer owns its key. The read then finds a copy.
    fn touch_elsewhere(&mut self, tree: &mut Tree<'_>, path: &[&[u8]], exptime: i64) -> Touch {
        if self.shared.peers.get().is_none() {
            return Touch::Here;
        }
        match self.find_place(path, || touching(path, exptime)) {
            Place::Here => {
                self.note_change(path[0]);
                Touch::Here
            }
            Place::Done(reply) if reply.status == PeerStatus::Done => Touch::Done,
            Place::Done(_) => {
                drop_copy(tree, path[0]);
                Touch::Missing
            }
            // A read that can't be answered misses.
            Place::Elsewhere => match std::mem::take(&mut self.peers.waits) {
                true => Touch::Waits,
                false => {
                    self.peers.failure = None;
                    Touch::Missing
                }
            },
        }
    }

    pub(super) fn count_get(&mut self, hit: bool) {
        self.counts.cmd_get += 1;
        if hit {
            self.counts.get_hits += 1;
        } else {
            self.counts.get_misses += 1;
        }
    }

    pub(super) fn count_touch(&mut self, hit: bool) {
        self.counts.cmd_touch += 1;
        if hit {
            self.counts.touch_hits += 1;
        } else {
            self.counts.touch_misses += 1;
        }
    }
}

/// A new exptime, for the owner of the key.
fn touching(path: &[&[u8]], exptime: i64) -> PeerRequest {
    let flags = [format!("T{exptime}"), "f".into(), "c".into()];
    PeerRequest::new("mg", path, flags.into())
}

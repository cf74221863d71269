//! Storing a value: set, add, replace, append and prepend, with or without a cas unique.

use crate::store::{Entry, Node, Refused, Reservation, Tree};

use super::{DATABASE, Operations, expires_ms};

/// A storage command without its key and value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoreRequest {
    pub(crate) mode: StoreMode,
    /// The client's flags; an append or prepend leaves those of the item.
    pub(crate) flags: u32,
    /// The same holds for the exptime.
    pub(crate) exptime: i64,
    /// The cas unique that the item must have. A set or replace with one is a cas, for which a missing item is
    /// [`NotFound`](StoreOutcome::NotFound). An add ignores it.
    pub(crate) expected: Option<u64>,
}

/// The condition under which a value is stored, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreMode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

/// The value of a storage command.
pub(crate) enum NewValue<'a> {
    /// In the connection's input.
    Bytes(&'a [u8]),
    /// In memory of the store. Not for append and prepend.
    Received(Reservation),
}

impl NewValue<'_> {
    fn as_bytes(&self) -> &[u8] {
        match self {
            NewValue::Bytes(bytes) => bytes,
            NewValue::Received(_) => b"",
        }
    }
}

/// The outcome of a storage command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreOutcome {
    /// The value was stored.
    Stored {
        /// The item's new cas unique.
        cas: u64,
        /// Bytes of the whole value.
        length: usize,
    },
    /// The condition of an add or replace does not hold, an append or prepend has no item or makes it too large, or a
    /// parent is missing.
    NotStored,
    /// The item has another cas unique than the expected one.
    Exists,
    /// There is no item with the expected cas unique.
    NotFound,
    /// Key and value are over the limit of an item.
    TooLarge,
    /// There is no room.
    NoMemory,
}

impl Operations<'_> {
    /// Whether an item with such a key and value may be stored, as far as its size goes. If not, the protocol discards
    /// the value and calls [`refuse`](Operations::refuse).
    pub(crate) fn fits(&self, path: &[&[u8]], value: usize) -> bool {
        let key = path.last().map_or(0, |name| name.len());
        key.saturating_add(value) <= self.shared.max_item_size()
    }

    /// Counts a storage command whose value is not taken in. With `removes` the stored item is removed, so that no
    /// client reads a value that a writer meant to replace; memcached does so for a set.
    pub(crate) fn refuse(
        &mut self,
        path: &[&[u8]],
        removes: bool,
        why: StoreOutcome,
    ) -> StoreOutcome {
        match why {
            StoreOutcome::TooLarge => self.counts.store_too_large += 1,
            _ => self.counts.store_no_memory += 1,
        }
        if removes {
            let mut tree = self.shared.store.lock(path[0]);
            if let Some(node) = tree.peek(DATABASE, path) {
                tree.remove(node);
            }
        }
        why
    }

    /// Stores a value.
    pub(crate) fn store(
        &mut self,
        path: &[&[u8]],
        request: &StoreRequest,
        value: NewValue<'_>,
    ) -> StoreOutcome {
        self.counts.cmd_set += 1;
        let mut tree = self.shared.store.lock(path[0]);
        // A plain set has no condition, so it costs no look-up but the store's own.
        let is_plain = request.mode == StoreMode::Set && request.expected.is_none();
        if !is_plain {
            let there = tree.peek(DATABASE, path);
            if let Some(outcome) = self.condition(&mut tree, there, request, &value) {
                return outcome;
            }
        }
        let entry = Entry {
            value: None,
            flags: request.flags,
            expires_ms: expires_ms(request.exptime, tree.now_ms()),
        };
        let stored = match value {
            NewValue::Bytes(bytes) => {
                let value: Option<&[&[u8]]> = Some(&[bytes]);
                tree.put(DATABASE, path, Entry { value, ..entry })
            }
            NewValue::Received(received) => tree.put_received(DATABASE, path[0], entry, received),
        };
        match stored {
            Ok(node) => stored_item(&tree, node),
            Err(Refused::NoParent) => StoreOutcome::NotStored,
            Err(refused) => {
                drop(tree);
                let why = match refused {
                    Refused::TooLarge => StoreOutcome::TooLarge,
                    _ => StoreOutcome::NoMemory,
                };
                self.refuse(path, is_plain, why)
            }
        }
    }

    /// The outcome of a command that puts no new item in place; `None` if the value is to be stored.
    fn condition(
        &mut self,
        tree: &mut Tree<'_>,
        there: Option<Node>,
        request: &StoreRequest,
        value: &NewValue<'_>,
    ) -> Option<StoreOutcome> {
        // An item without data, such as a Redis hash, exists for `add` and is missing for the
        // others.
        let with_value = there.filter(|node| tree.item(*node).value().is_some());
        let differs = |node: Node| {
            let cas = tree.item(node).cas();
            request.expected.is_some_and(|expected| expected != cas)
        };
        match (request.mode, with_value) {
            (StoreMode::Add, _) if there.is_none() => None,
            (StoreMode::Set | StoreMode::Replace, Some(node)) if differs(node) => {
                self.counts.cas_badval += 1;
                Some(StoreOutcome::Exists)
            }
            (StoreMode::Set | StoreMode::Replace, Some(_)) => {
                self.counts.cas_hits += u64::from(request.expected.is_some());
                None
            }
            (StoreMode::Set | StoreMode::Replace, None) if request.expected.is_some() => {
                self.counts.cas_misses += 1;
                Some(StoreOutcome::NotFound)
            }
            (StoreMode::Append | StoreMode::Prepend, Some(node)) if differs(node) => {
                Some(StoreOutcome::Exists)
            }
            (StoreMode::Append, Some(node)) => Some(self.extend(tree, node, b"", value.as_bytes())),
            (StoreMode::Prepend, Some(node)) => {
                Some(self.extend(tree, node, value.as_bytes(), b""))
            }
            _ => Some(StoreOutcome::NotStored),
        }
    }

    /// `append` and `prepend`. An item that would grow too large stays as it is; memcached answers the same.
    fn extend(&self, tree: &mut Tree<'_>, node: Node, before: &[u8], after: &[u8]) -> StoreOutcome {
        let item = tree.item(node);
        let old = item.key().len() + item.value().unwrap_or_default().len();
        if old + before.len() + after.len() > self.shared.max_item_size() {
            return StoreOutcome::NotStored;
        }
        match tree.extend_value(node, before, after) {
            Ok(()) => stored_item(tree, node),
            Err(_) => StoreOutcome::NotStored,
        }
    }
}

fn stored_item(tree: &Tree<'_>, node: Node) -> StoreOutcome {
    let item = tree.item(node);
    StoreOutcome::Stored {
        cas: item.cas(),
        length: item.value().map_or(0, <[u8]>::len),
    }
}

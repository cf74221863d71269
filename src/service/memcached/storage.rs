//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use crate::protocol::memcached::text::{StorageCommand, StoreVerb, reply};
use crate::store::{Entry, Node, Refused, Reservation, Tree};

use super::context::{DATABASE, TurnContext, expires_ms, with_path};
use super::receiving::{Receiving, StorageLine};

/// The value of a storage command.
enum NewValue<'a> {
    /// In the connection's input.
    Bytes(&'a [u8]),
    /// In memory of the store.
    Received(Reservation),
}

impl NewValue<'_> {
    /// The value of a command that is never received into memory of the store.
    fn as_bytes(&self) -> &[u8] {
        match self {
            NewValue::Bytes(bytes) => bytes,
            NewValue::Received(_) => b"",
        }
    }
}

impl TurnContext<'_> {
    /// Whether an item is too large, before any of its value is taken in. A refused `set` removes
    /// the stored item, so that no client reads a value that a writer meant to replace, as in
    /// memcached; the other commands leave it.
    pub(super) fn refuses(&mut self, store: &StorageCommand<'_>) -> bool {
        let name = store.path.last().unwrap_or_default();
        if name.len().saturating_add(store.length) <= self.shared.max_item_size() {
            return false;
        }
        self.counts.store_too_large += 1;
        with_path(store.path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            drop_stale(&mut tree, names, store.verb);
        });
        true
    }

    /// A storage command with its value.
    pub(super) fn store(&mut self, store: &StorageCommand<'_>, value: &[u8]) {
        self.counts.cmd_set += 1;
        let value = NewValue::Bytes(value);
        let reply = with_path(store.path, |names| self.write(store, names, value));
        self.reply(store.noreply, reply);
    }

    /// A storage command whose value was received into memory of the store.
    pub(super) fn store_received(&mut self, receiving: Receiving) {
        self.counts.cmd_set += 1;
        let Receiving { reservation, line } = receiving;
        let store = line.command();
        let reply = if reservation.line_end() == b"\r\n" {
            self.write(&store, &[&line.key], NewValue::Received(reservation))
        } else {
            reply::BAD_DATA_CHUNK
        };
        self.reply(store.noreply, reply);
    }

    /// A storage command for whose value there is no memory, because other values on their way take too much. The reply
    /// comes when the rest of the value is discarded.
    pub(super) fn refuse_received(&mut self, line: &StorageLine) -> &'static [u8] {
        self.counts.cmd_set += 1;
        self.counts.store_no_memory += 1;
        let store = line.command();
        let mut tree = self.shared.store.lock(&line.key);
        drop_stale(&mut tree, &[&line.key], store.verb);
        if store.noreply {
            b""
        } else {
            reply::OUT_OF_MEMORY_STORING
        }
    }

    fn write(
        &mut self,
        store: &StorageCommand<'_>,
        names: &[&[u8]],
        value: NewValue<'_>,
    ) -> &'static [u8] {
        let mut tree = self.shared.store.lock(names[0]);
        // `set` has no condition, so it costs no look-up but the store's own.
        let there = match store.verb {
            StoreVerb::Set => None,
            _ => tree.peek(DATABASE, names),
        };
        // An item without data, such as a Redis hash, exists for `add` and is missing for the
        // others.
        let with_value = there.filter(|node| tree.item(*node).value().is_some());
        match (store.verb, with_value) {
            (StoreVerb::Set, _) => {}
            (StoreVerb::Add, _) if there.is_none() => {}
            (StoreVerb::Replace, Some(_)) => {}
            (StoreVerb::Append, Some(node)) => {
                return self.extend(&mut tree, node, b"", value.as_bytes());
            }
            (StoreVerb::Prepend, Some(node)) => {
                return self.extend(&mut tree, node, value.as_bytes(), b"");
            }
            (StoreVerb::Cas, Some(node)) if tree.item(node).cas() != store.unique => {
                self.counts.cas_badval += 1;
                return reply::EXISTS;
            }
            (StoreVerb::Cas, Some(_)) => self.counts.cas_hits += 1,
            (StoreVerb::Cas, None) => {
                self.counts.cas_misses += 1;
                return reply::NOT_FOUND;
            }
            _ => return reply::NOT_STORED,
        }
        let entry = Entry {
            value: None,
            flags: store.flags,
            expires_ms: expires_ms(store.exptime, tree.now_ms()),
        };
        let stored = match value {
            NewValue::Bytes(bytes) => {
                let value: Option<&[&[u8]]> = Some(&[bytes]);
                tree.put(DATABASE, names, Entry { value, ..entry })
            }
            NewValue::Received(received) => tree.put_received(DATABASE, names[0], entry, received),
        };
        match stored {
            Ok(_) => reply::STORED,
            Err(Refused::NoParent) => reply::NOT_STORED,
            Err(refused) => {
                drop_stale(&mut tree, names, store.verb);
                drop(tree);
                self.no_room(refused)
            }
        }
    }

    /// Counts a value for which there is no room, and returns the answer.
    fn no_room(&mut self, refused: Refused) -> &'static [u8] {
        if refused == Refused::TooLarge {
            self.counts.store_too_large += 1;
            reply::TOO_LARGE
        } else {
            self.counts.store_no_memory += 1;
            reply::OUT_OF_MEMORY_STORING
        }
    }

    /// `append` and `prepend`. An item that would grow too large stays as it is; memcached answers the same.
    fn extend(
        &self,
        tree: &mut Tree<'_>,
        node: Node,
        before: &[u8],
        after: &[u8],
    ) -> &'static [u8] {
        let item = tree.item(node);
        let old = item.key().len() + item.value().unwrap_or_default().len();
        if old + before.len() + after.len() > self.shared.max_item_size() {
            return reply::NOT_STORED;
        }
        match tree.extend_value(node, before, after) {
            Ok(()) => reply::STORED,
            Err(_) => reply::NOT_STORED,
        }
    }
}

/// Removes the item that a refused `set` was to replace.
fn drop_stale(tree: &mut Tree<'_>, names: &[&[u8]], verb: StoreVerb) {
    if verb != StoreVerb::Set {
        return;
    }
    if let Some(node) = tree.peek(DATABASE, names) {
        tree.remove(node);
    }
}

//! `set`, `add`, `replace`, `append`, `prepend` and `cas`.

use crate::protocol::memcached::text::{Store, StoreVerb, reply};
use crate::store::{Entry, Node, Refused, Tree};

use super::context::{DATABASE, TurnContext, expires_ms, with_path};

impl TurnContext<'_> {
    /// Whether an item is too large, before any of its value is taken in. A refused `set` drops
    /// what was stored, so that no client reads a value that a writer meant to replace, as in
    /// memcached; the others leave it.
    pub(super) fn refuses(&mut self, store: &Store<'_>) -> bool {
        let name = store.path.last().unwrap_or_default();
        if name.len().saturating_add(store.length) <= self.shared.store.max_item_size() {
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
    pub(super) fn store(&mut self, store: &Store<'_>, value: &[u8]) {
        self.counts.cmd_set += 1;
        let reply = with_path(store.path, |names| self.write(store, names, value));
        self.reply(store.noreply, reply);
    }

    fn write(&mut self, store: &Store<'_>, names: &[&[u8]], value: &[u8]) -> &'static [u8] {
        let mut tree = self.shared.store.lock(names[0]);
        // `set` asks for nothing, so it costs no look-up but the store's own.
        let there = match store.verb {
            StoreVerb::Set => None,
            _ => tree.peek(DATABASE, names),
        };
        // An item without data, as a Redis hash, is there for `add` and not there for the others.
        let with_value = there.filter(|node| tree.item(*node).value().is_some());
        match (store.verb, with_value) {
            (StoreVerb::Set, _) => {}
            (StoreVerb::Add, _) if there.is_none() => {}
            (StoreVerb::Replace, Some(_)) => {}
            (StoreVerb::Append, Some(node)) => return extend(&mut tree, node, b"", value),
            (StoreVerb::Prepend, Some(node)) => return extend(&mut tree, node, value, b""),
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
            value: Some(&[value]),
            flags: store.flags,
            expires_ms: expires_ms(store.exptime, tree.now_ms()),
        };
        match tree.put(DATABASE, names, entry) {
            Ok(_) => reply::STORED,
            Err(Refused::NoParent) => reply::NOT_STORED,
            Err(refused) => {
                drop_stale(&mut tree, names, store.verb);
                if refused == Refused::TooLarge {
                    self.counts.store_too_large += 1;
                    reply::TOO_LARGE
                } else {
                    self.counts.store_no_memory += 1;
                    reply::OUT_OF_MEMORY_STORING
                }
            }
        }
    }
}

/// `append` and `prepend`. An item that would grow too large stays as it is; memcached gives no other reply
/// to that either.
fn extend(tree: &mut Tree<'_>, node: Node, before: &[u8], after: &[u8]) -> &'static [u8] {
    match tree.extend_value(node, before, after) {
        Ok(()) => reply::STORED,
        Err(_) => reply::NOT_STORED,
    }
}

/// Removes what a refused `set` was to replace.
fn drop_stale(tree: &mut Tree<'_>, names: &[&[u8]], verb: StoreVerb) {
    if verb != StoreVerb::Set {
        return;
    }
    if let Some(node) = tree.peek(DATABASE, names) {
        tree.remove(node);
    }
}

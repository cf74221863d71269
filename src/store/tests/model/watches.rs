//! Watches of clients beside the model, which shows whether a watched key has changed.

use super::*;

/// A key as a client of Redis sees it: its own value, flags and expiry, and those of its fields by name.
type SeenKey = Option<BTreeMap<Key, (Option<Vec<u8>>, u32, Option<u64>)>>;

/// A watch of a key, and the key when the watch began.
pub(super) struct ModelWatch {
    watcher: Watcher,
    db: u8,
    key: Key,
    seen: SeenKey,
}

fn seen(model: &mut Model, db: u8, key: &Key) -> SeenKey {
    model.purge();
    let node = model.node(db, std::slice::from_ref(key))?;
    let of = |node: &ModelNode| (node.value.clone(), node.flags, node.expires_ms);
    let fields = node
        .children
        .iter()
        .filter(|(_, field)| field.value.is_some());
    let mut seen: BTreeMap<_, _> = fields
        .map(|(name, field)| (name.clone(), of(field)))
        .collect();
    seen.insert(Key::new(), of(node));
    Some(seen)
}

impl ModelWatch {
    pub(super) fn begin(store: &Store, model: &mut Model, db: u8, key: Key) -> ModelWatch {
        let mut watcher = Watcher::default();
        store.watch(&mut watcher, db, &key);
        let seen = seen(model, db, &key);
        ModelWatch {
            watcher,
            db,
            key,
            seen,
        }
    }

    /// Ends the watch. It must have noticed a change if the key is not what it was, unless the store has evicted items that the model
    /// has.
    pub(super) fn end(mut self, store: &Store, model: &mut Model, bounded: bool) {
        let has_changed = store.has_changed(&self.watcher);
        let is_same = seen(model, self.db, &self.key) == self.seen;
        assert!(has_changed || is_same || bounded, "an unnoticed change");
        store.unwatch(&mut self.watcher);
    }
}

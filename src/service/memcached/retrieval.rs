//! `get`, `gets`, `gat`, `gats`, `getn` and `getns`.

use crate::protocol::memcached::text::{PathRead, ReadPath, Words, reply};

use super::context::{DATABASE, TurnContext, expires_ms, with_path};

impl TurnContext<'_> {
    /// One key of a `get`, `gets`, `gat` or `gats`: its value if it has one, nothing otherwise.
    pub(super) fn retrieve(&mut self, key: &[u8], exptime: Option<i32>, cas: bool) {
        let mut tree = self.shared.store.lock(key);
        let found = tree.find(DATABASE, &[key]).and_then(|node| {
            let item = tree.item(node);
            let value = item.value()?;
            let unique = cas.then(|| item.cas());
            reply::value(self.out, Words::new(key), item.flags(), value, unique);
            Some(node)
        });
        if let Some(exptime) = exptime {
            self.counts.cmd_touch += 1;
            match found {
                Some(node) => {
                    let expires_ms = expires_ms(exptime, tree.now_ms());
                    tree.set_expiry(node, expires_ms);
                    self.counts.touch_hits += 1;
                }
                None => self.counts.touch_misses += 1,
            }
        } else {
            self.counts.cmd_get += 1;
            match found {
                Some(_) => self.counts.get_hits += 1,
                None => self.counts.get_misses += 1,
            }
        }
    }

    /// The reads of nested keys.
    pub(super) fn read_path(&mut self, command: ReadPath<'_>) {
        match command.read {
            PathRead::Item { cas } => self.retrieve_path(command.path, cas),
            PathRead::Children => self.children(command.path),
        }
    }

    /// `getn` and `getns`: the item at a path.
    fn retrieve_path(&mut self, path: Words<'_>, cas: bool) {
        self.counts.cmd_get += 1;
        let hit = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let Some(node) = tree.find(DATABASE, names) else {
                return false;
            };
            let item = tree.item(node);
            let Some(value) = item.value() else {
                return false;
            };
            let unique = cas.then(|| item.cas());
            reply::value(self.out, path, item.flags(), value, unique);
            true
        });
        if hit {
            self.counts.get_hits += 1;
        } else {
            self.counts.get_misses += 1;
        }
        self.out.extend_from_slice(reply::END);
    }
}

//! `get`, `gets`, `gat`, `gats`, `touch`, `delete`, `getn` and `getns`.

use crate::protocol::memcached::text::{Words, reply};

use super::{DATABASE, Work, expires_ms, with_path};

impl Work<'_> {
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
            self.tally.cmd_touch += 1;
            match found {
                Some(node) => {
                    let expires_ms = expires_ms(exptime, tree.now_ms());
                    tree.set_expiry(node, expires_ms);
                    self.tally.touch_hits += 1;
                }
                None => self.tally.touch_misses += 1,
            }
        } else {
            self.tally.cmd_get += 1;
            match found {
                Some(_) => self.tally.get_hits += 1,
                None => self.tally.get_misses += 1,
            }
        }
    }

    /// `getn` and `getns`: the item at a path.
    pub(super) fn retrieve_path(&mut self, path: Words<'_>, cas: bool) {
        self.tally.cmd_get += 1;
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
            self.tally.get_hits += 1;
        } else {
            self.tally.get_misses += 1;
        }
        self.out.extend_from_slice(reply::END);
    }

    pub(super) fn touch(&mut self, path: Words<'_>, exptime: i32, noreply: bool) {
        self.tally.cmd_touch += 1;
        let hit = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let Some(node) = tree.peek(DATABASE, names) else {
                return false;
            };
            let expires_ms = expires_ms(exptime, tree.now_ms());
            tree.visit(node);
            tree.set_expiry(node, expires_ms);
            true
        });
        if hit {
            self.tally.touch_hits += 1;
            self.reply(noreply, reply::TOUCHED);
        } else {
            self.tally.touch_misses += 1;
            self.reply(noreply, reply::NOT_FOUND);
        }
    }

    /// `delete` and `deln`: the item and all that is below it.
    pub(super) fn delete(&mut self, path: Words<'_>, noreply: bool) {
        let hit = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let node = tree.peek(DATABASE, names);
            if let Some(node) = node {
                tree.remove(node);
            }
            node.is_some()
        });
        if hit {
            self.tally.delete_hits += 1;
            self.reply(noreply, reply::DELETED);
        } else {
            self.tally.delete_misses += 1;
            self.reply(noreply, reply::NOT_FOUND);
        }
    }
}

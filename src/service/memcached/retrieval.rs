//! `get`, `gets`, `gat`, `gats`, `getn` and `getns`.

use crate::protocol::memcached::text::{PathRead, ReadPath, Words, reply};

use crate::server::Insertion;
use crate::store::{Node, SharedValue, Tree};

use super::context::{DATABASE, TurnContext, expires_ms, with_path};

impl TurnContext<'_> {
    /// One key of a `get`, `gets`, `gat` or `gats`: its value if it has one, nothing otherwise. `false` if there is no
    /// memory for the value; then nothing is done.
    pub(super) fn retrieve(&mut self, key: &[u8], exptime: Option<i32>, cas: bool) -> bool {
        let mut tree = self.shared.store.lock(key);
        let mut found = None;
        if let Some(node) = tree.find(DATABASE, &[key]) {
            let item = tree.item(node);
            if let Some(value) = item.value() {
                if !self.has_memory(value.len()) {
                    return false;
                }
                let unique = cas.then(|| item.cas());
                let words = Words::new(key);
                if value.len() < SharedValue::LEAST {
                    reply::value(self.out, words, item.flags(), value, unique);
                } else {
                    self.large_item(&mut tree, node, words, unique);
                }
                found = Some(node);
            }
        }
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
        true
    }

    /// Appends an item whose value is not copied, if the connection writes such values.
    fn large_item(
        &mut self,
        tree: &mut Tree<'_>,
        node: Node,
        words: Words<'_>,
        unique: Option<u64>,
    ) {
        let shared = self.may_insert.then(|| tree.share_value(node)).flatten();
        let item = tree.item(node);
        let value = item.value().unwrap_or_default();
        let Some(shared) = shared else {
            return reply::value(self.out, words, item.flags(), value, unique);
        };
        reply::value_line(self.out, words, item.flags(), value.len(), unique);
        self.insertions.push(Insertion {
            at: self.out.len(),
            bytes: Box::new(shared),
        });
        self.out.extend_from_slice(b"\r\n");
    }

    /// The reads of nested keys. `false` if there is no memory for the reply; then nothing is done.
    pub(super) fn read_path(&mut self, command: ReadPath<'_>) -> bool {
        match command.read {
            PathRead::Item { cas } => self.retrieve_path(command.path, cas),
            PathRead::Children => self.children(command.path),
        }
    }

    /// `getn` and `getns`: the item at a path.
    fn retrieve_path(&mut self, path: Words<'_>, cas: bool) -> bool {
        let hit = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let Some(node) = tree.find(DATABASE, names) else {
                return Some(false);
            };
            let item = tree.item(node);
            let Some(value) = item.value() else {
                return Some(false);
            };
            if !self.has_memory(value.len()) {
                return None;
            }
            let unique = cas.then(|| item.cas());
            reply::value(self.out, path, item.flags(), value, unique);
            Some(true)
        });
        match hit {
            None => return false,
            Some(true) => self.counts.get_hits += 1,
            Some(false) => self.counts.get_misses += 1,
        }
        self.counts.cmd_get += 1;
        self.out.extend_from_slice(reply::END);
        true
    }
}

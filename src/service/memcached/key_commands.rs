//! `touch`, `delete`, `deln`, and the calls of `incr` and `decr`.

use crate::protocol::memcached::text::{KeyAction, KeyCommand, Words, reply};

use super::context::{DATABASE, TurnContext, expires_ms, with_path};

impl TurnContext<'_> {
    pub(super) fn key_command(&mut self, command: KeyCommand<'_>) {
        let KeyCommand {
            path,
            action,
            noreply,
        } = command;
        match action {
            KeyAction::Increment(delta) => self.count(path, delta, false, noreply),
            KeyAction::Decrement(delta) => self.count(path, delta, true, noreply),
            KeyAction::Touch(exptime) => self.touch(path, exptime, noreply),
            KeyAction::Delete => self.delete(path, noreply),
        }
    }

    fn touch(&mut self, path: Words<'_>, exptime: i32, noreply: bool) {
        self.counts.cmd_touch += 1;
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
            self.counts.touch_hits += 1;
            self.reply(noreply, reply::TOUCHED);
        } else {
            self.counts.touch_misses += 1;
            self.reply(noreply, reply::NOT_FOUND);
        }
    }

    /// `delete` and `deln`: the item and all that is below it.
    fn delete(&mut self, path: Words<'_>, noreply: bool) {
        let hit = with_path(path, |names| {
            let mut tree = self.shared.store.lock(names[0]);
            let node = tree.peek(DATABASE, names);
            if let Some(node) = node {
                tree.remove(node);
            }
            node.is_some()
        });
        if hit {
            self.counts.delete_hits += 1;
            self.reply(noreply, reply::DELETED);
        } else {
            self.counts.delete_misses += 1;
            self.reply(noreply, reply::NOT_FOUND);
        }
    }
}

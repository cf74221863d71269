//! Removals: of one item, and of all.

use crate::origin::{PeerReply, PeerRequest, PeerStatus};
use crate::service::memcached::prefixes::KeyUse;
use crate::service::memcached::watch::{DeleteVerb, EventKinds};

use super::{DATABASE, Operations, Place, expires_ms};

/// The outcome of a deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeleteOutcome {
    /// The item and all below it are removed.
    Deleted,
    /// There was none.
    NotFound,
    /// The item has another cas unique than the expected one, and stays.
    Exists,
    /// There is no room for what an [`Invalidation`](super::Invalidation) leaves.
    NoMemory,
}

impl Operations<'_> {
    /// Removes an item and all that is below it.
    pub(crate) fn delete(
        &mut self,
        path: &[&[u8]],
        expected: Option<u64>,
        verb: DeleteVerb,
    ) -> DeleteOutcome {
        match self.place(path, || deleting(path, expected)) {
            Place::Here => {}
            Place::Elsewhere => return DeleteOutcome::NoMemory,
            Place::Done(reply) => return deleted(&reply),
        }
        self.shared.prefixes.count(path[0], KeyUse::Delete);
        let mut tree = self.shared.store.lock(DATABASE, path[0]);
        let outcome = match self.look_up(&mut tree, path) {
            None => {
                tree.note_removal(path);
                DeleteOutcome::NotFound
            }
            Some(node) if expected.is_some_and(|cas| cas != tree.item(node).cas()) => {
                DeleteOutcome::Exists
            }
            Some(node) => {
                if self.shared.log.wants(EventKinds::DELETIONS) {
                    let length = tree.item(node).value().map_or(0, <[u8]>::len);
                    self.shared.log.deleted(path, verb, length);
                }
                tree.remove(node);
                DeleteOutcome::Deleted
            }
        };
        match (outcome, verb) {
            (DeleteOutcome::Deleted, _) => self.counts.delete_hits += 1,
            // As in memcached, which counts this only for md.
            (DeleteOutcome::Exists, DeleteVerb::Delete) => {}
            _ => self.counts.delete_misses += 1,
        }
        outcome
    }

    /// Removes all items: now, or when the time has come.
    pub(crate) fn flush(&mut self, delay: i64) {
        if self.must_wait_for_flush() {
            return;
        }
        self.counts.cmd_flush += 1;
        let store = &self.shared.store;
        let now_ms = store.now_ms();
        match expires_ms(delay, now_ms) {
            Some(when_ms) if when_ms > now_ms => store.flush_at(DATABASE, when_ms),
            // A date in the past flushes the items stored before then: none, because larder started
            // later. It still replaces an earlier order, as in memcached.
            Some(_) if delay > 0 => store.flush_at(DATABASE, u64::MAX),
            _ => store.flush(DATABASE),
        }
    }
}

/// A deletion, for the owner of the key.
fn deleting(path: &[&[u8]], expected: Option<u64>) -> PeerRequest {
    let flags = expected.map(|cas| format!("C{cas}"));
    PeerRequest::new("md", path, flags.into_iter().collect())
}

fn deleted(reply: &PeerReply) -> DeleteOutcome {
    match reply.status {
        PeerStatus::Done => DeleteOutcome::Deleted,
        PeerStatus::Exists => DeleteOutcome::Exists,
        _ => DeleteOutcome::NotFound,
    }
}

//! Reports of operations to connections that watch them.

use crate::service::memcached::watch::{EventKinds, LookUp, StoreEvent};
use crate::store::{Node, Tree};

use super::{Operations, StoreMode, StoreOutcome, StoreRequest, expires_ms, seconds_left};

impl Operations<'_> {
    /// Looks an item up for a change, and reports that.
    pub(super) fn look_up(&self, tree: &mut Tree<'_>, path: &[&[u8]]) -> Option<Node> {
        let before = self.before_look_up(tree);
        let node = tree.peek(path);
        self.report_look_up(before, tree, path, node);
        node
    }

    /// The number of expired items before the look-up, which a report needs; `None` if nobody watches.
    #[inline]
    pub(super) fn before_look_up(&self, tree: &Tree<'_>) -> Option<u64> {
        let is_watched = self.shared.log.wants(EventKinds::FETCHERS);
        is_watched.then(|| tree.expired())
    }

    #[inline]
    pub(super) fn report_look_up(
        &self,
        before: Option<u64>,
        tree: &Tree<'_>,
        path: &[&[u8]],
        node: Option<Node>,
    ) {
        if let Some(expired) = before {
            let look_up = LookUp {
                found: node.and_then(|node| tree.item(node).value().map(<[u8]>::len)),
                expired: tree.expired() > expired,
            };
            self.shared.log.looked_up(path, look_up, self.connection);
        }
    }

    /// Reports the outcome of a storage command, whose value has so many bytes.
    #[inline]
    pub(super) fn report_store(
        &self,
        tree: &mut Tree<'_>,
        path: &[&[u8]],
        request: &StoreRequest,
        outcome: StoreOutcome,
        length: usize,
    ) {
        if self.shared.log.wants(EventKinds::MUTATIONS) {
            let event = store_event(tree, path, request, outcome, length);
            self.shared.log.stored(path, event, self.connection);
        }
    }
}

/// The report shows a stored item as it is then: an append leaves its exptime, for example.
fn store_event(
    tree: &mut Tree<'_>,
    path: &[&[u8]],
    request: &StoreRequest,
    outcome: StoreOutcome,
    length: usize,
) -> StoreEvent {
    let now_ms = tree.now_ms();
    let stored = match outcome {
        StoreOutcome::Stored { .. } => tree.peek(path),
        _ => None,
    };
    let (expires_ms, length) = match stored.map(|node| tree.item(node)) {
        Some(item) => (item.expires_ms(), item.value().map_or(0, <[u8]>::len)),
        None => (expires_ms(request.exptime, now_ms), length),
    };
    StoreEvent {
        status: status(outcome),
        command: command(request),
        left: seconds_left(expires_ms, now_ms).unwrap_or(0),
        length,
    }
}

/// The name of an outcome in memcached's log.
fn status(outcome: StoreOutcome) -> &'static str {
    match outcome {
        StoreOutcome::Stored { .. } => "stored",
        StoreOutcome::NotStored => "not_stored",
        StoreOutcome::Exists => "exists",
        StoreOutcome::NotFound => "not_found",
        StoreOutcome::TooLarge => "too_large",
        StoreOutcome::NoMemory => "no_memory",
    }
}

/// The name of a command in memcached's log.
fn command(request: &StoreRequest) -> &'static str {
    match request.mode {
        StoreMode::Set if request.expected.is_some() => "cas",
        StoreMode::Set => "set",
        StoreMode::Add => "add",
        StoreMode::Replace => "replace",
        StoreMode::Append => "append",
        StoreMode::Prepend => "prepend",
    }
}

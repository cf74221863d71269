//! The state that a command uses while it runs.

use super::client_state::{CLOSE, ClientState};
use super::large_reply::LargeReply;
use super::service_state::ServiceState;
use std::time::Duration;

use crate::origin::{CommandFetches, Look};
use crate::protocol::resp::{CommandArgs, Reply};
use crate::server::Insertion;
use crate::service::kept_insertions::KeptInsertions;
use crate::store::{Node, Reservation, SharedValue, Store, Tree};

/// The database that reads through to the origin: that of memcached's clients. The others have only what clients store.
pub(super) const ORIGIN_DATABASE: u8 = 0;

/// The state that a command uses.
pub(crate) struct Context<'a> {
    pub store: &'a Store,
    pub service: &'a ServiceState,
    pub client: &'a mut ClientState,
    pub reply: Reply<'a>,
    /// The command's name first.
    pub args: CommandArgs<'a>,
    /// A large value that stands for the empty word of its command.
    pub received: Option<Reservation>,
    /// Large values that belong into the reply. `None` if it has to have them itself.
    pub insertions: Option<&'a mut KeptInsertions>,
    /// The fetches of the command; `None` if it can't wait, as in a transaction.
    pub fetches: Option<&'a mut CommandFetches>,
    /// The command waits for its fetches: its reply is dropped, and it runs again.
    pub is_fetching: bool,
    /// The command may be done in pieces, and keeps a large reply here. `None` if it can't, as in a transaction.
    pub large: Option<&'a mut Option<Box<LargeReply>>>,
    /// The time of the pieces of the command that earlier turns have done.
    pub earlier: Duration,
    /// The full name of the command that runs: `get`, or `client|id` for a subcommand.
    pub name: &'static str,
}

impl<'a> Context<'a> {
    /// Locks the shard of a key in the selected database.
    #[inline]
    pub(crate) fn lock(&self, key: &[u8]) -> Tree<'a> {
        self.store.lock(self.client.db(), key)
    }
}

impl Context<'_> {
    /// The selected database.
    #[inline]
    pub(crate) fn db(&self) -> u8 {
        self.client.db()
    }

    /// Answers the value of a node, which is not copied if it is large; `false` if it has none.
    #[inline]
    pub(crate) fn bulk_of(&mut self, tree: &mut Tree<'_>, node: Node) -> bool {
        match tree.item(node).value() {
            None => return false,
            Some(value) if value.len() < SharedValue::LEAST || self.insertions.is_none() => {
                self.reply.bulk(value);
            }
            Some(_) => self.large_bulk_of(tree, node),
        }
        true
    }

    fn large_bulk_of(&mut self, tree: &mut Tree<'_>, node: Node) {
        let shared = tree.share_value(node);
        let (Some(shared), Some(insertions)) = (shared, &mut self.insertions) else {
            return self.reply.bulk(tree.item(node).value().unwrap_or_default());
        };
        if let Some(at) = self.reply.bulk_elsewhere(shared.as_ref().len()) {
            insertions.push(Insertion {
                at,
                bytes: Box::new(shared),
            });
        }
    }

    /// Notes that a reader has found a node, or nothing, at a path. Whether the command has to wait for the origin: then it need not
    /// answer.
    #[inline]
    pub(crate) fn must_wait_for(
        &mut self,
        tree: &mut Tree<'_>,
        path: &[&[u8]],
        found: Option<Node>,
    ) -> bool {
        let (origin, peers) = (self.service.origin.get(), self.service.peers.get());
        if origin.is_none() && peers.is_none() || self.client.db() != ORIGIN_DATABASE {
            return false;
        }
        if let Some(node) = found {
            if let Some(origin) = origin {
                origin.note_hit(ORIGIN_DATABASE, path, tree.item(node), tree.now_ms());
            }
            return false;
        }
        let owned = peers.filter(|peers| peers.owns(path[0]));
        let source = owned.map_or(origin, |peers| Some(peers.reads()));
        let (Some(source), Some(fetches)) = (source, &mut self.fetches) else {
            return false;
        };
        let waits = fetches.look(source, ORIGIN_DATABASE, path) == Look::Wait;
        self.is_fetching |= waits;
        waits
    }

    /// Whether the command is done in pieces, and there are more.
    pub(super) fn has_to_run_again(&self) -> bool {
        let large = self.large.as_ref().and_then(|large| large.as_deref());
        large.is_some_and(LargeReply::is_unfinished)
    }

    /// Closes the connection without an answer, and logs the reason.
    pub(crate) fn close(&mut self, why: &str) {
        let info = &self.client.info;
        log::warn!(
            "closing client {} ({}): {why}",
            info.id,
            info.connection.peer_addr()
        );
        self.client.set(CLOSE, true);
    }
}

//! The state that a command uses while it runs.

use super::client_state::{CLOSE, ClientState};
use super::service_state::ServiceState;
use crate::protocol::resp::{CommandArgs, Reply};
use crate::server::Insertion;
use crate::service::kept_insertions::KeptInsertions;
use crate::store::{Node, Reservation, SharedValue, Store, Tree};

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
    /// The full name of the command that runs: `get`, or `client|id` for a subcommand.
    pub name: &'static str,
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

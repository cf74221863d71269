//! The state that a command uses while it runs.

use super::client_state::{CLOSE, ClientState};
use super::service_state::ServiceState;
use crate::protocol::resp::{CommandArgs, Reply};
use crate::store::{Reservation, Store};

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
    /// The full name of the command that runs: `get`, or `client|id` for a subcommand.
    pub name: &'static str,
}

impl Context<'_> {
    /// The selected database.
    #[inline]
    pub(crate) fn db(&self) -> u8 {
        self.client.db()
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

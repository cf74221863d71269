//! The memory for the replies of one turn.
//!
//! A turn may take [`OUTPUT_SOFT_LIMIT`] without asking. A command whose reply is larger asks the
//! [`Connections`](crate::server::Connections) for more while the reply grows. A command that only reads is refused where
//! others have to be written first; it runs again later. One that changes something has its effect once, so its reply is
//! counted and never refused.

use std::cell::Cell;

use super::service_state::ServiceState;
use crate::protocol::resp::ReplyBudget;
use crate::server::Connection;
use crate::server::limits::OUTPUT_SOFT_LIMIT;

/// Bytes that a reply asks for at a time.
const STEP: usize = 256 << 10;

/// The budget of one command's reply.
pub(super) struct CommandBudget<'a> {
    pub(super) shared: &'a ServiceState,
    pub(super) connection: &'a Connection,
    /// Bytes of the turn's replies in front of this one.
    pub(super) before: usize,
    /// The command can run again.
    pub(super) may_wait: bool,
    pub(super) waits: Cell<bool>,
}

impl CommandBudget<'_> {
    /// Bytes that the reply may take without asking.
    pub(super) fn granted(&self) -> usize {
        let rest = OUTPUT_SOFT_LIMIT.saturating_sub(self.before);
        rest.min(self.shared.max_reply())
    }
}

impl ReplyBudget for CommandBudget<'_> {
    fn grant(&self, bytes: usize) -> Option<usize> {
        let most = self.shared.max_reply();
        if bytes > most {
            return None;
        }
        let granted = bytes.next_multiple_of(STEP).min(most);
        let connections = &self.shared.connections;
        if !self.may_wait {
            connections.count_reply(self.connection, self.before + granted);
        } else if !connections.reserve_reply(self.connection, self.before + granted) {
            self.waits.set(true);
            return None;
        }
        Some(granted)
    }
}

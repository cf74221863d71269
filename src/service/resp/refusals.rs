//! Requests that are answered with an error and not run: names of no command, wrong numbers of arguments, commands
//! without the password.

use std::sync::atomic::Ordering::Relaxed;

use super::acl::{Denied, note_denial};
use super::client_info::NO_COMMAND;
use super::client_state::{CLOSE, MULTI};
use super::errors;
use super::session::CommandRunner;
use super::table::{CommandEntry, DENYOOM, WRITE};
use crate::protocol::resp::{CommandArgs, Reply};

impl CommandRunner<'_> {
    /// Answers a name that no command has.
    #[cold]
    pub(super) fn unknown(&mut self, args: CommandArgs<'_>) {
        let is = |name: &str| args[0].eq_ignore_ascii_case(name.as_bytes());
        if is("post") || is("host:") {
            // A web page may make its reader's browser send a request here; no command behind it
            // may run.
            self.closing("it sent an HTTP request, which may be an attack through a browser");
            return self.client.set(CLOSE, true);
        }
        self.client.info.command.store(NO_COMMAND, Relaxed);
        self.refuse(None, &errors::unknown_command(args));
    }

    /// Answers the error for an unknown subcommand.
    #[cold]
    pub(super) fn unknown_subcommand(&mut self, entry: &CommandEntry, args: CommandArgs<'_>) {
        self.client.info.command.store(NO_COMMAND, Relaxed);
        self.refuse(None, &errors::unknown_subcommand(&entry.name, args));
    }

    /// Answers a command that the user may not run.
    #[cold]
    pub(super) fn deny(
        &mut self,
        entry: &'static CommandEntry,
        args: CommandArgs<'_>,
        denied: Denied,
    ) {
        let in_transaction = self.client.is(MULTI);
        note_denial(
            self.shared,
            self.client,
            entry,
            args,
            denied,
            in_transaction,
        );
        let error = match denied {
            Denied::Command => errors::no_command(&entry.name),
            Denied::Key(_) => errors::NO_KEY.to_owned(),
        };
        self.refuse(Some(entry), error.as_bytes());
    }

    /// Whether there is no memory for a command, in a store that is full and doesn't evict. As in Redis, a command may need memory
    /// that is marked so, a transaction if one of its commands may, and any command that would be queued.
    #[cold]
    pub(super) fn lacks_memory(
        &mut self,
        entry: &'static CommandEntry,
        args: CommandArgs<'_>,
    ) -> bool {
        let may_grow = entry.command.is(DENYOOM)
            || self.client.is(MULTI)
                && match &entry.name[..] {
                    "discard" | "quit" | "reset" => false,
                    "exec" => self.queue_may_grow(),
                    _ => true,
                };
        let bytes = args.from(1).iter().map(<[u8]>::len).sum();
        may_grow && !self.shared.store.has_room_for(args.len(), bytes)
    }

    fn queue_may_grow(&mut self) -> bool {
        self.queue_has(DENYOOM)
    }

    /// Whether one of the queued commands may write.
    pub(super) fn queue_writes(&mut self) -> bool {
        self.queue_has(WRITE)
    }

    fn queue_has(&mut self, flags: u32) -> bool {
        let queue = &self.client.transaction().queue;
        let mut entries = queue
            .iter()
            .filter_map(|(number, _)| self.table.entry(number));
        entries.any(|entry| entry.command.is(flags))
    }

    /// Answers an error without running anything, which spoils the transaction that the client may
    /// be in.
    #[cold]
    pub(super) fn refuse(&mut self, entry: Option<&'static CommandEntry>, error: &[u8]) {
        if let Some(entry) = entry {
            self.shared.statistics.add_rejected(entry.number);
        }
        let start = self.out.len();
        let mut reply = Reply::new(self.out, self.client.resp3(), usize::MAX);
        if entry.is_some_and(|entry| entry.name == "exec") {
            let why = error.strip_prefix(b"ERR ").unwrap_or(error);
            reply.error([b"EXECABORT Transaction discarded because of: ", why].concat());
            self.shared.statistics.add_error(&self.out[start + 1..]);
            self.client.end_transaction(&self.shared.store);
            return;
        }
        reply.error(error);
        self.shared.statistics.add_error(&self.out[start + 1..]);
        if self.client.is(MULTI) {
            self.client.transaction().queue.spoiled = true;
        }
    }

    /// Logs why a client is about to be closed.
    #[cold]
    pub(super) fn closing(&self, why: &str) {
        let info = &self.client.info;
        log::warn!(
            "closing client {} ({}): {why}",
            info.id,
            info.connection.peer_addr()
        );
    }
}

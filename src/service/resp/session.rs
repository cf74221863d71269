//! One client's session: reads commands, finds them in the table, checks arity and password, runs them.
//!
//! ```text
//!   input ─▶ Reader ─▶ CommandTable::find ─▶ arity ─▶ password? ─▶ in MULTI? ─▶ run ─▶ output
//!                         │             │          │            └▶ queue, +QUEUED
//!                         └─────────────┴──────────┴▶ error (and a transaction is spoiled)
//! ```
//!
//! The store's gate is held shared for the whole turn, so a command costs no lock for it; a command
//! that must not run beside any other ([`EXCLUSIVE`]) swaps it for the exclusive one while it runs.
//!
//! Bounds: a turn ends between two commands when its output has reached [`OUTPUT_SOFT_LIMIT`]; one
//! command's reply, or EXEC's, is bounded by [`Settings::max_reply`](super::Settings::max_reply),
//! past which the connection is closed, as Redis does at its `client-output-buffer-limit`.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::acl::check;
use super::call_counts::CountedCalls;
use super::client_state::{
    ClientState, MONITORS, MULTI, RESTRICTED, UNAUTHENTICATED, WRONG_PASSWORD,
};
use super::errors;
use super::large_reply::LargeReply;
use super::received_command::ReceivedCommand;
use super::service_state::ServiceState;
use super::table::{
    CommandLookup, CommandTable, EXCLUSIVE, IMMEDIATE, NO_AUTH, READONLY, WRITE, table,
};
use crate::origin::CommandFetches;
use crate::protocol::resp::{CommandArgs, CommandWords, Limits, ReadOutcome, Reader};
use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{Connection, Insertion, Next, Session, Turn, Waiter};
use crate::service::kept_insertions::KeptInsertions;
use crate::store::{self, Reservation};

thread_local! {
    /// The words of the current command; one set for all sessions of a worker.
    static WORDS: RefCell<CommandWords> = RefCell::default();
}

/// A client's side of the protocol.
pub(crate) struct RespSession {
    shared: Arc<ServiceState>,
    reader: Reader,
    client: ClientState,
    connection: Arc<Connection>,
    /// A SET whose large value is on its way.
    receiving: Option<Box<ReceivedCommand>>,
    /// Large values of the last turn's output.
    insertions: KeptInsertions,
    may_insert: bool,
    /// The fetches that the current command waits for.
    fetches: CommandFetches,
    /// The state of a command that is done in pieces, or the rest of its reply.
    large: Option<Box<LargeReply>>,
}

impl RespSession {
    pub(crate) fn new(shared: Arc<ServiceState>, client: ClientState) -> RespSession {
        RespSession {
            shared,
            reader: Reader::default(),
            connection: Arc::clone(&client.info.connection),
            client,
            receiving: None,
            insertions: KeptInsertions::default(),
            may_insert: false,
            fetches: CommandFetches::default(),
            large: None,
        }
    }

    /// The state that runs a turn's commands, and the reader.
    fn runner<'a>(&'a mut self, output: &'a mut Vec<u8>) -> (CommandRunner<'a>, &'a mut Reader) {
        let runner = CommandRunner {
            start: output.len(),
            connection: &self.connection,
            awaits_memory: false,
            awaits_fetches: false,
            is_paused: false,
            fetches: &mut self.fetches,
            large: &mut self.large,
            is_unfinished: false,
            shared: &self.shared,
            gate: Some(self.shared.store.share()),
            table: table(),
            client: &mut self.client,
            receiving: &mut self.receiving,
            insertions: &mut self.insertions,
            may_insert: self.may_insert,
            value: None,
            calls: CountedCalls::begin(),
            out: output,
        };
        (runner, &mut self.reader)
    }
}

impl Session for RespSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        WORDS.with_borrow_mut(|words| {
            let (mut run, reader) = self.runner(output);
            let turn = run.turn(reader, input, words);
            let large = run.large.as_ref();
            let kept = large.map_or(0, |large| large.bytes());
            run.shared.connections.keep_reply(run.connection, kept);
            turn
        })
    }

    fn allow_insertions(&mut self) {
        self.may_insert = true;
    }

    fn insertions(&mut self) -> Vec<Insertion> {
        self.insertions.take()
    }

    fn waiter(&mut self) -> Option<Arc<Waiter>> {
        self.fetches.waiter()
    }

    fn space(&mut self) -> Option<&mut [u8]> {
        self.receiving.as_mut()?.space()
    }

    fn arrived(&mut self, bytes: usize, output: &mut Vec<u8>) -> Next {
        let (mut run, reader) = self.runner(output);
        run.client.refresh_user(&run.shared.users);
        let before = run.out.len();
        run.received(bytes, reader);
        run.end_calls();
        if run.client.mode != 0 && run.after_command(before) {
            return Next::Close;
        }
        // A command that is dropped ends with a turn, which answers the error.
        match run.waits_for() {
            Next::Read if reader.is_dropping() => Next::Again,
            next => next,
        }
    }
}

impl Drop for RespSession {
    fn drop(&mut self) {
        if self.client.info.watching.load(Relaxed) {
            let _gate = self.shared.store.share();
            self.client.unwatch(&self.shared.store);
        }
        if self.client.is(MONITORS) {
            self.shared.monitors.remove(self.client.info.id);
        }
        self.shared.clients.unregister(self.client.info.id);
    }
}

/// The next step of a turn. The number is the bytes of the input that are consumed.
enum Step {
    Continue(usize),
    End(usize, Next),
}

/// The state of one turn.
pub(super) struct CommandRunner<'a> {
    pub(super) shared: &'a ServiceState,
    /// Empty only while an exclusive command runs.
    gate: Option<store::SharedAccess<'a>>,
    pub(super) table: &'static CommandTable,
    pub(super) client: &'a mut ClientState,
    pub(super) connection: &'a Connection,
    pub(super) receiving: &'a mut Option<Box<ReceivedCommand>>,
    pub(super) insertions: &'a mut KeptInsertions,
    pub(super) may_insert: bool,
    /// The value that was received for the command that runs.
    pub(super) value: Option<Reservation>,
    pub(super) calls: CountedCalls,
    pub(super) out: &'a mut Vec<u8>,
    /// The length of `out` before the turn.
    pub(super) start: usize,
    /// The last command has no reply, because memory for it was refused. It has to run again.
    pub(super) awaits_memory: bool,
    /// The last command has no reply, because it waits for its fetches. It has to run again.
    pub(super) awaits_fetches: bool,
    /// The last command has no reply, because clients are paused. It has to run again.
    is_paused: bool,
    /// The last command has no reply, because it is done in pieces. It has to run again.
    pub(super) is_unfinished: bool,
    pub(super) large: &'a mut Option<Box<LargeReply>>,
    pub(super) fetches: &'a mut CommandFetches,
}

impl CommandRunner<'_> {
    fn turn(&mut self, reader: &mut Reader, input: &[u8], words: &mut CommandWords) -> Turn {
        let mut limits = Limits {
            bulk: self.shared.max_bulk(),
            request: self.shared.max_request(),
            unauthenticated: false,
        };
        let mut consumed = 0;
        self.client.refresh_user(&self.shared.users);
        self.client.begin_turn(self.start, input.len());
        if self.client.info.killed.load(Relaxed) {
            return Turn {
                consumed: input.len(),
                next: Next::Close,
            };
        }
        let next = loop {
            if self.sends_large_reply() {
                break Next::Continue;
            }
            if self.out.len() - self.start >= OUTPUT_SOFT_LIMIT {
                break Next::Again;
            }
            limits.unauthenticated = self.client.is(UNAUTHENTICATED);
            let before = self.out.len();
            match self.step(reader, &input[consumed..], &limits, words) {
                Step::Continue(length) => consumed += length,
                Step::End(length, next) => {
                    consumed += length;
                    break next;
                }
            }
            if self.client.mode != 0 {
                if self.after_command(before) {
                    break Next::Close;
                }
                if self.client.is(WRONG_PASSWORD) {
                    self.client.set(WRONG_PASSWORD, false);
                    break Next::Delay;
                }
            }
        };
        self.end_calls();
        self.client.end_turn(next);
        let next = match next {
            Next::Read if self.client.is(MONITORS) => self.monitor_turn(),
            next => next,
        };
        Turn { consumed, next }
    }

    /// Runs the first step of the input.
    #[inline]
    fn step(
        &mut self,
        reader: &mut Reader,
        input: &[u8],
        limits: &Limits,
        words: &mut CommandWords,
    ) -> Step {
        if self.receiving.is_some() && self.waits_for() == Next::Receive {
            return match input {
                [] => Step::End(0, Next::Receive),
                input => Step::Continue(self.take_from(input, reader)),
            };
        }
        match reader.read(input, limits, words) {
            ReadOutcome::Command(length) => {
                let args = words.args(input);
                if self.receiving.is_some() {
                    self.run_received(Some(args));
                } else if !args.is_empty() {
                    self.command(args);
                }
                if self.awaits_memory {
                    return Step::End(0, Next::AwaitMemory);
                }
                if self.awaits_fetches {
                    return Step::End(0, Next::Wait);
                }
                if self.is_paused {
                    return Step::End(0, Next::Later);
                }
                if self.is_unfinished {
                    return Step::End(0, Next::Continue);
                }
                if !self.insertions.is_empty() {
                    return Step::End(length, Next::Send);
                }
                Step::Continue(length)
            }
            ReadOutcome::TooLarge(length) => {
                let error = self.dropped();
                self.refuse(None, error.as_bytes());
                Step::Continue(length)
            }
            ReadOutcome::Incomplete(_) if self.begin_to_receive(reader, input) => {
                Step::Continue(input.len())
            }
            ReadOutcome::Incomplete(length) => Step::End(length, Next::Read),
            ReadOutcome::Bad(error) => {
                let before = self.out.len();
                self.refuse(None, &[b"ERR Protocol error: ", &error.text()[..]].concat());
                self.after_command(before);
                Step::End(input.len(), Next::Close)
            }
            ReadOutcome::Overflow => {
                self.closing("its request exceeds the limit");
                Step::End(input.len(), Next::Close)
            }
        }
    }

    /// Runs one command, or queues or refuses it.
    #[inline]
    pub(super) fn command(&mut self, args: CommandArgs<'_>) {
        // A command in pieces that may no longer run drops the pieces that it has read.
        let begun = self.large.take();
        let entry = match self.table.find(args) {
            CommandLookup::Command(entry) => entry,
            CommandLookup::Unknown => return self.unknown(args),
            CommandLookup::UnknownSubcommand(entry) => return self.unknown_subcommand(entry, args),
        };
        self.client.info.command.store(entry.number, Relaxed);
        if !entry.command.takes(args.len()) {
            let error = format!("ERR wrong number of arguments for '{}' command", entry.name);
            return self.refuse(Some(entry), error.as_bytes());
        }
        if self.client.mode != 0 {
            if self.client.is(UNAUTHENTICATED) && !entry.command.is(NO_AUTH) {
                return self.refuse(Some(entry), errors::NOAUTH.as_bytes());
            }
            if self.client.is(RESTRICTED)
                && let Err(denied) = check(self.client.user(), entry, args)
            {
                return self.deny(entry, args, denied);
            }
        }
        if self.client.is(MONITORS) && entry.command.is(READONLY | WRITE) {
            return self.refuse_keys_to_monitor(entry);
        }
        if self.shared.store.refuses() && self.lacks_memory(entry, args) {
            return self.refuse(Some(entry), errors::OUT_OF_MEMORY.as_bytes());
        }
        let has_begun = self.value.is_some() || begun.is_some() && !entry.command.is(WRITE);
        if !has_begun && self.is_paused(entry) {
            self.is_paused = true;
            return;
        }
        if self.client.is(MULTI) && !entry.command.is(IMMEDIATE) {
            return self.queue(entry, args);
        }
        let statistics = &self.shared.statistics;
        if let Some(others) = self.calls.begin_call(entry.number, statistics) {
            self.note_time(&others, None);
        }
        *self.large = begun;
        if entry.command.is(EXCLUSIVE) {
            self.gate = None;
            let exclusive = self.shared.store.exclusive();
            self.run(entry, args);
            drop(exclusive);
            self.gate = Some(self.shared.store.share());
        } else {
            self.run(entry, args);
        }
        let exact = || self.shared.slow_log().is_exact();
        let added = (self.calls).end_call(entry.command, &self.shared.statistics, exact);
        if let Some(calls) = added {
            self.note_time(&calls, Some(args));
        }
        if self.shared.monitors.are_any() && !self.has_to_run_again() {
            self.show_to_monitors(entry, args);
        }
    }
}

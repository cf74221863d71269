//! A client's session: the connection state that its commands have set.
//!
//! ```text
//!   SELECT 2 ──▶ sent: unconfirmed [7: Select(2)] ──▶ server
//!                                                        │
//!   database 2 ◀── confirmed(7, the reply is no error) ◀─┘
//! ```
//!
//! It changes when the server's reply confirms a change, never when the request is seen: a command may be refused, may
//! only be queued in a transaction, and the transaction may be aborted. The proxy's own answers confirm as well.
//!
//! | command, and no error | outside of a transaction | in one |
//! |---|---|---|
//! | `SELECT`, `HELLO`, `CLIENT SETNAME` | changes the session | is queued, and changes it if its element of `EXEC`'s reply is no error |
//! | `MULTI` | opens a transaction | |
//! | `WATCH` | keys are watched | |
//! | `UNWATCH` | none is | is queued |
//! | `EXEC`, also with an error or null | | closes it, none is watched |
//! | `DISCARD` | | closes it, none is watched |
//!
//! Invariant: the session is the state that the server has for the dedicated connection, as of the last
//! reply.

use std::collections::VecDeque;

use crate::protocol::memcached::binary::sasl::PlainExchange;
use crate::protocol::resp::{CommandArgs, parse_integer};
use crate::upstream::{ConnectionState, DATABASES};

/// The state of a client's connection.
#[derive(Debug)]
pub(super) struct Session {
    /// The database and the version of the protocol.
    pub(super) state: ConnectionState,
    /// The name that `CLIENT SETNAME` gave.
    pub(super) name: Box<[u8]>,
    /// The client has authenticated, or need not.
    pub(super) admitted: bool,
    /// Its authentication in memcached's binary protocol.
    pub(super) sasl: PlainExchange,
    pub(super) transaction: Transaction,
    /// Keys are watched.
    pub(super) watching: bool,
    /// The commands that a server has not answered yet, over the dedicated connection.
    unconfirmed: VecDeque<(u64, Option<Change>)>,
}

/// Between `MULTI` and its end.
#[derive(Debug, Default)]
pub(super) enum Transaction {
    #[default]
    None,
    /// It has begun, but no command has determined its upstream yet.
    Queued(Box<QueuedTransaction>),
    /// The server has begun it.
    Open(OpenTransaction),
}

/// A transaction whose commands the proxy holds.
#[derive(Debug, Default)]
pub(super) struct QueuedTransaction {
    /// Commands without keys, one after the other.
    pub(super) commands: Vec<u8>,
    /// The positions of those that would change the session.
    pub(super) open: OpenTransaction,
}

/// A transaction as far as the server has it.
#[derive(Debug, Default)]
pub(super) struct OpenTransaction {
    /// The number of queued commands.
    pub(super) queued: usize,
    /// Those of them that change the session, by their number.
    changes: Vec<(usize, Change)>,
    /// The proxy has refused a command, so `EXEC` has to be refused.
    pub(super) refused: bool,
}

/// The change that a command makes if it is executed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    Select(u32),
    Hello(Option<bool>, Option<Box<[u8]>>),
    Name(Box<[u8]>),
    Multi,
    Watch,
    Unwatch,
    Exec,
    Discard,
}

/// The part of a server's reply that matters here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Confirmation<'a> {
    pub(super) is_error: bool,
    /// The types of the elements, if it is an array.
    pub(super) elements: &'a [u8],
}

impl Session {
    pub(super) fn new(admitted: bool) -> Session {
        Session {
            state: ConnectionState::default(),
            name: Box::default(),
            admitted,
            sasl: PlainExchange::default(),
            transaction: Transaction::None,
            watching: false,
            unconfirmed: VecDeque::new(),
        }
    }

    /// Resets it, as `RESET` does.
    pub(super) fn reset(&mut self, admitted: bool) {
        *self = Session::new(admitted);
    }

    /// Whether it needs its dedicated connection, because the server still has state for it.
    pub(super) fn is_held(&self) -> bool {
        let mut unconfirmed = self.unconfirmed.iter();
        self.watching || self.open().is_some() || unconfirmed.any(|(_, change)| change.is_some())
    }

    /// The transaction that a server has begun.
    pub(super) fn open(&self) -> Option<&OpenTransaction> {
        match &self.transaction {
            Transaction::Open(open) => Some(open),
            _ => None,
        }
    }

    /// Whether one of the commands under way ends the transaction, so that a command behind it has to wait for the
    /// reply.
    pub(super) fn is_ending(&self) -> bool {
        let mut changes = self
            .unconfirmed
            .iter()
            .filter_map(|(_, change)| change.as_ref());
        changes.any(|change| matches!(change, Change::Exec | Change::Discard | Change::Unwatch))
    }

    /// Whether a `MULTI` is under way.
    pub(super) fn is_beginning(&self) -> bool {
        let mut changes = self.unconfirmed.iter();
        changes.any(|(_, change)| *change == Some(Change::Multi))
    }

    /// The proxy has refused a command; a transaction that it was part of can't be executed.
    pub(super) fn refuse(&mut self) {
        match &mut self.transaction {
            Transaction::None => {}
            Transaction::Queued(queued) => queued.open.refused = true,
            Transaction::Open(open) => open.refused = true,
        }
    }

    /// A command has been sent to a server, over the dedicated connection. The words of one that is too long to be held
    /// are not known; it changes nothing.
    pub(super) fn sent(&mut self, sequence: u64, args: Option<CommandArgs<'_>>) {
        self.unconfirmed
            .push_back((sequence, args.and_then(Change::of)));
    }

    /// Whether [`Confirmation::elements`] matter for this reply.
    pub(super) fn wants_elements(&self, sequence: u64) -> bool {
        let front = self.unconfirmed.front();
        front.is_some_and(|(at, change)| *at == sequence && *change == Some(Change::Exec))
            && self.open().is_some_and(|open| !open.changes.is_empty())
    }

    /// The server has answered the command of this number.
    pub(super) fn confirmed(&mut self, sequence: u64, reply: Confirmation<'_>) {
        if self
            .unconfirmed
            .front()
            .is_none_or(|(at, _)| *at != sequence)
        {
            return;
        }
        let change = self.unconfirmed.pop_front().and_then(|(_, change)| change);
        if change == Some(Change::Exec) {
            return self.executed(reply);
        }
        if reply.is_error {
            return;
        }
        match (&mut self.transaction, change) {
            (Transaction::Open(_), Some(Change::Discard)) => self.close(),
            (Transaction::Open(open), change) => open.queue(change),
            (_, Some(change)) => self.apply(change),
            (_, None) => {}
        }
    }

    /// `EXEC` is answered: with any reply, the transaction is closed.
    fn executed(&mut self, reply: Confirmation<'_>) {
        let transaction = std::mem::take(&mut self.transaction);
        self.close();
        if let Transaction::Open(open) = transaction {
            for (number, change) in open.changes {
                // Null and an error have no elements: nothing was executed.
                let kind = reply.elements.get(number);
                if kind.is_some_and(|kind| !matches!(kind, b'-' | b'!')) {
                    self.apply(change);
                }
            }
        }
    }

    /// The transaction has ended.
    pub(super) fn close(&mut self) {
        self.transaction = Transaction::None;
        self.watching = false;
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Select(database) => self.state.database = database,
            Change::Hello(resp3, name) => {
                self.state.resp3 = resp3.unwrap_or(self.state.resp3);
                self.name = name.unwrap_or_else(|| std::mem::take(&mut self.name));
            }
            Change::Name(name) => self.name = name,
            Change::Multi => self.transaction = Transaction::Open(OpenTransaction::default()),
            Change::Watch => self.watching = true,
            Change::Unwatch => self.watching = false,
            Change::Exec | Change::Discard => {}
        }
    }
}

impl OpenTransaction {
    /// Another command is queued.
    fn queue(&mut self, change: Option<Change>) {
        if let Some(change) = change {
            self.changes.push((self.queued, change));
        }
        self.queued += 1;
    }

    /// Another command is queued, at the proxy.
    pub(super) fn hold(&mut self, args: CommandArgs<'_>) {
        self.queue(Change::of(args));
    }
}

impl Change {
    fn of(args: CommandArgs<'_>) -> Option<Change> {
        let is = |at: usize, word: &[u8]| at < args.len() && args[at].eq_ignore_ascii_case(word);
        match &args[0].to_ascii_uppercase()[..] {
            b"SELECT" if args.len() == 2 => match parse_integer(args.get(1)) {
                Some(number @ 0..DATABASES) => Some(Change::Select(number as u32)),
                _ => None,
            },
            b"HELLO" => {
                let version = (args.len() > 1).then(|| &args[1] == b"3");
                let named = (2..args.len()).find(|at| is(*at, b"SETNAME"));
                let name = named.filter(|at| at + 1 < args.len());
                Some(Change::Hello(
                    version,
                    name.map(|at| args.get(at + 1).into()),
                ))
            }
            b"CLIENT" if args.len() == 3 && is(1, b"SETNAME") => {
                Some(Change::Name(args.get(2).into()))
            }
            b"MULTI" => Some(Change::Multi),
            b"WATCH" => Some(Change::Watch),
            b"UNWATCH" => Some(Change::Unwatch),
            b"EXEC" => Some(Change::Exec),
            b"DISCARD" => Some(Change::Discard),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;

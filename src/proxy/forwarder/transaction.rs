//! Transactions: all commands between `MULTI` and `EXEC` belong to one upstream, and go over a
//! connection that their client has for itself.
//!
//! ```text
//!   client            proxy                                       upstream of {t}a
//!   MULTI        ◀── +OK       the upstream isn't known yet
//!   ECHO x       ◀── +QUEUED   held back: it has no key
//!   SET {t}a 1   ──────▶ opens the client's connection: MULTI, ECHO x, SET {t}a 1 ──▶
//!                ◀────── +QUEUED, the third answer; the first two are dropped
//!   SET b 2      ◀── -CROSSSLOT: b belongs to another upstream
//!   EXEC         ◀── -EXECABORT, as Redis answers after an error; closing the connection discards
//! ```
//!
//! If there is one upstream, no command is held back: the first command opens the connection. A
//! transaction whose connection can't be made is aborted, so that its commands are never executed
//! one by one.
//!
//! `WATCH` opens the connection at once, to the upstream of its keys. Until `MULTI`, commands about
//! keys of other upstreams go over the shared connections as ever.

use crate::pool::slots::slot;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{DedicatedReason, Request, Route};
use crate::protocol::resp;
use crate::proxy::errors;
use crate::proxy::forwarder::Forwarder;
use crate::proxy::forwarder::dedicated::is;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::session::{QueuedTransaction, Transaction};
use crate::upstream::{PendingRequest, ReplyOwner};

/// Most bytes of commands that one transaction holds back.
const HELD_LIMIT: usize = 64 * 1024;

const QUEUED: &[u8] = b"+QUEUED\r\n";

/// The upstream at which a command of a transaction has to be executed.
enum TransactionTarget {
    /// At this upstream.
    At(usize),
    /// At the upstream of the other commands.
    Anywhere,
    /// It can't be part of a transaction: the error for the client.
    Nowhere(Vec<u8>),
}

/// Whether no transaction can have such a command.
fn is_refused(request: &Request<'_>) -> bool {
    matches!(
        request.route,
        Route::Refused | Route::Dedicated(DedicatedReason::Subscribe, _)
    )
}

impl Forwarder {
    /// `MULTI` outside of a transaction.
    pub(super) fn begin(&mut self, key: usize) -> RequestOutcome {
        let queued = Box::<QueuedTransaction>::default();
        self.clients[key].session.transaction = Transaction::Queued(queued);
        self.answer(key, "+OK\r\n")
    }

    /// A command of a transaction that has no upstream yet.
    pub(super) fn queued(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        if let Some(fate) = self.end_queued(key, request) {
            return fate;
        }
        let session = &self.clients[key].session;
        let Transaction::Queued(queued) = &session.transaction else {
            return RequestOutcome::Stalled;
        };
        let refused = queued.open.refused;
        let place = match self.transaction_target(request) {
            _ if is(request, b"EXEC") => TransactionTarget::At(self.pool.any()),
            _ if self.pool.is_single() && !is_refused(request) => TransactionTarget::At(0),
            place => place,
        };
        match place {
            TransactionTarget::Nowhere(error) => {
                self.clients[key].session.refuse();
                self.answer(key, error)
            }
            _ if refused => self.answer(key, QUEUED),
            TransactionTarget::At(number) => match self.open_transaction(key, number) {
                Ok(()) => self.pass_on_first(key, request),
                Err(fate) => {
                    // `EXEC` ends the transaction, with any answer.
                    if is(request, b"EXEC") && !matches!(fate, RequestOutcome::Stalled) {
                        self.clients[key].session.close();
                    }
                    fate
                }
            },
            TransactionTarget::Anywhere => self.hold_back(key, request),
        }
    }

    /// Handles a command that ends a transaction before it has an upstream, or that can't be part of one. `None` for
    /// other commands.
    fn end_queued(&mut self, key: usize, request: &Request<'_>) -> Option<RequestOutcome> {
        let args = request.args()?;
        let session = &mut self.clients[key].session;
        let Transaction::Queued(queued) = &session.transaction else {
            return None;
        };
        let reply: &[u8] = match &args[0].to_ascii_uppercase()[..] {
            b"EXEC" if args.len() > 1 => errors::EXEC_WORDS,
            b"EXEC" if queued.open.refused => errors::EXECABORT,
            b"EXEC" if queued.open.queued == 0 => b"*0\r\n",
            b"DISCARD" if args.len() == 1 => b"+OK\r\n",
            b"MULTI" => return Some(self.answer(key, errors::NESTED)),
            b"WATCH" => return Some(self.answer(key, errors::WATCH_INSIDE)),
            _ => return None,
        };
        session.close();
        Some(self.answer(key, reply))
    }

    /// Holds a command without keys until another one determines the upstream.
    fn hold_back(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let session = &mut self.clients[key].session;
        let (Transaction::Queued(queued), Some(args)) = (&mut session.transaction, request.args())
        else {
            return RequestOutcome::Stalled;
        };
        if queued.commands.len() + request.bytes.len() > HELD_LIMIT {
            queued.open.refused = true;
            return self.answer(key, errors::HELD);
        }
        queued.commands.extend_from_slice(request.bytes);
        queued.open.hold(args);
        self.answer(key, QUEUED)
    }

    /// Opens the connection of a transaction, and sends the held commands.
    pub(super) fn open_transaction(
        &mut self,
        key: usize,
        number: usize,
    ) -> Result<(), RequestOutcome> {
        match self.dedicate(key, number, ReplyShape::Resp) {
            Ok(()) => {}
            Err(RequestOutcome::Stalled) => return Err(RequestOutcome::Stalled),
            Err(fate) => {
                // Later commands must not be executed outside of the transaction.
                self.clients[key].session.refuse();
                return Err(fate);
            }
        }
        let client = &mut self.clients[key];
        let transaction = std::mem::take(&mut client.session.transaction);
        let (Transaction::Queued(queued), Some(dedicated)) = (transaction, &client.dedicated)
        else {
            return Err(RequestOutcome::Stalled);
        };
        let connection = dedicated.connection;
        let since = self.micros;
        let mut push = |owner: ReplyOwner, bytes: &[u8]| {
            let waiting = PendingRequest::new(owner, ReplyShape::Resp, since);
            self.connections[connection].push(bytes, waiting, self.now);
        };
        // After an error, the following commands would be executed at once, so the connection can't be
        // used.
        push(ReplyOwner::Proxy, &resp::request(&[b"MULTI"]));
        for number in 0..queued.open.queued {
            let bytes = if number == 0 {
                &queued.commands[..]
            } else {
                b""
            };
            push(ReplyOwner::Discarded, bytes);
        }
        client.session.transaction = Transaction::Open(queued.open);
        Ok(())
    }

    /// Checks a command of a client that has a dedicated connection for a transaction, in a pool.
    /// `Some` if it doesn't go over that connection.
    pub(super) fn elsewhere(
        &mut self,
        key: usize,
        request: &Request<'_>,
    ) -> Option<RequestOutcome> {
        let client = &self.clients[key];
        let dedicated = client.dedicated.as_ref()?;
        let home = self.connections.get(dedicated.connection)?.upstream.id;
        let is_only = self.pool.is_single() && self.pool.upstreams[0].id == home;
        if dedicated.raw || is_only {
            return None;
        }
        let open = client.session.open().is_some();
        let waiting = client.is_waiting();
        // The watched keys have moved to another server, with their slot.
        let has_moved = dedicated.slot.is_some() && dedicated.slot == self.slot_of(request);
        let refusal = match self.transaction_target(request) {
            TransactionTarget::Anywhere => return None,
            TransactionTarget::At(number) if self.pool.upstreams[number].id == home => return None,
            // The server answers with a redirection, and aborts the transaction.
            TransactionTarget::At(_) if open && has_moved => return None,
            _ if !open && waiting => return Some(RequestOutcome::Stalled),
            TransactionTarget::At(number) if !open && has_moved && is(request, b"WATCH") => {
                return Some(self.watch_again(key, number, request));
            }
            // Before MULTI a command may concern another upstream.
            _ if !open && !matches!(request.route, Route::Dedicated(..)) => {
                if let Some(dedicated) = &mut self.clients[key].dedicated {
                    dedicated.shared_requests_sent = true;
                }
                return Some(self.route(key, request));
            }
            TransactionTarget::At(_) => self.cross_slot().to_vec(),
            TransactionTarget::Nowhere(error) => error,
        };
        self.clients[key].session.refuse();
        Some(self.answer(key, refusal))
    }

    /// Watches keys at the server that has their slot now. Those that are watched at the other count as changed.
    fn watch_again(&mut self, key: usize, number: usize, request: &Request<'_>) -> RequestOutcome {
        let slot = self.clients[key].dedicated.as_ref().and_then(|d| d.slot);
        self.drop_dedicated(key);
        if let Err(fate) = self.dedicate(key, number, request.shape) {
            self.clients[key].session.close();
            return fate;
        }
        if let Some(dedicated) = &mut self.clients[key].dedicated {
            (dedicated.slot, dedicated.lost_watched_keys) = (slot, true);
        }
        self.pass_on(key, request)
    }

    /// The slot of a request's first key, in a cluster.
    pub(super) fn slot_of(&self, request: &Request<'_>) -> Option<u16> {
        let key = match request.route {
            Route::Key(key) => Some(key),
            Route::Together(keys) | Route::Split(_, keys) | Route::Dedicated(_, keys) => {
                keys.iter().next()
            }
            _ => None,
        };
        key.filter(|_| self.pool.is_cluster()).map(slot)
    }

    fn transaction_target(&self, request: &Request<'_>) -> TransactionTarget {
        let of = |common: Option<usize>| match common {
            Some(number) => TransactionTarget::At(number),
            None => TransactionTarget::Nowhere(self.cross_slot().to_vec()),
        };
        match request.route {
            _ if is_refused(request) => TransactionTarget::Nowhere(errors::refused(request.shape)),
            Route::Key(wanted) => TransactionTarget::At(self.locate(wanted)),
            Route::Together(keys) | Route::Split(_, keys) => of(self.common(keys)),
            Route::Dedicated(DedicatedReason::Transaction | DedicatedReason::Blocking, keys) => {
                match keys.iter().next() {
                    Some(_) => of(self.common(keys)),
                    None => TransactionTarget::Anywhere,
                }
            }
            Route::Refused | Route::Dedicated(..) | Route::Every(_) | Route::Scan | Route::Only => {
                TransactionTarget::Nowhere(errors::only(request))
            }
            Route::Any | Route::Local(_) => TransactionTarget::Anywhere,
        }
    }
}

//! Clients with an upstream connection of their own, for commands that a shared one can't carry.
//!
//! ```text
//!   MULTI, WATCH      until EXEC or DISCARD, or UNWATCH     see `transaction`
//!   BLPOP, BRPOP, …   until the answer                      framed and in order, as on a shared connection
//!   over 1 MiB        until the answer; the request streams
//!   MONITOR, TRACKING until RESET or the end                the upstream's bytes pass unparsed
//! ```
//!
//! The connection is opened when all earlier requests of the client are answered. When its purpose
//! has ended, it is closed and not used again, so no state of one client can reach another. Their
//! number is bounded over all workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{
    ConnectionCommand, DedicatedReason, LocalCommand, Request, RequestKeys, Route,
};
use crate::proxy::client::DedicatedConnection;
use crate::proxy::errors;
use crate::proxy::forwarder::Forwarder;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::upstream::{ConnectionPurpose, ConnectionState, PendingRequest, RESP_PROBE, ReplyOwner};

/// Whether a request is this command, whose name is given in capital letters.
pub(super) fn is(request: &Request<'_>, name: &[u8]) -> bool {
    request
        .args()
        .is_some_and(|args| args[0].eq_ignore_ascii_case(name))
}

impl Forwarder {
    /// Gives a client an upstream connection of its own, to which the request goes.
    pub(super) fn route_dedicated(
        &mut self,
        key: usize,
        request: &Request<'_>,
        why: DedicatedReason,
        keys: RequestKeys<'_>,
    ) -> RequestOutcome {
        let number = match keys.iter().next() {
            Some(_) => match self.common(keys) {
                Some(number) => number,
                None => return self.answer(key, self.cross_slot()),
            },
            None if why == DedicatedReason::Transaction && is(request, b"MULTI") => {
                return match request.args() {
                    Some(args) if args.len() > 1 => self.answer(key, errors::MULTI_WORDS),
                    _ => self.begin(key),
                };
            }
            None if self.pool.is_single() => 0,
            None if why == DedicatedReason::Transaction => {
                return self.to(key, self.pool.any(), request);
            }
            None => return self.answer(key, errors::only(request)),
        };
        if let Err(fate) = self.dedicate(key, number, request.shape) {
            return fate;
        }
        self.pass_on_first(key, request)
    }

    /// Sends the request for which a dedicated connection was opened.
    pub(super) fn pass_on_first(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let slot = self.slot_of(request);
        if let Some(dedicated) = &mut self.clients[key].dedicated {
            dedicated.slot = slot;
        }
        self.pass_on(key, request)
    }

    /// Closes a client's dedicated connection if its purpose has ended, once the last answer has come.
    pub(super) fn leave_dedicated(&mut self, key: usize) -> Option<RequestOutcome> {
        let client = &self.clients[key];
        if !client.is_dedication_over() {
            return None;
        }
        if client.is_waiting() {
            // The next requests use the shared connections again.
            return Some(RequestOutcome::Stalled);
        }
        self.drop_dedicated(key);
        None
    }

    /// Closes a client's dedicated connection.
    pub(super) fn drop_dedicated(&mut self, key: usize) {
        if let Some(dedicated) = self.clients[key].dedicated.take() {
            self.drop_connection(dedicated.connection);
        }
    }

    /// Opens a connection for this client alone, for a request whose reply has this shape.
    pub(super) fn dedicate(
        &mut self,
        key: usize,
        number: usize,
        shape: ReplyShape,
    ) -> Result<(), RequestOutcome> {
        let client = &self.clients[key];
        if client.is_waiting() {
            // Earlier requests are answered first, because two connections keep no order.
            return Err(RequestOutcome::Stalled);
        }
        let state = client.session.state;
        let connection = self.open_for_client(key, number, state, shape)?;
        self.clients[key].dedicated = Some(DedicatedConnection {
            connection,
            ..DedicatedConnection::default()
        });
        Ok(())
    }

    /// Opens a connection to an upstream for one client alone, if the upstream is up and there are not too many such
    /// connections.
    pub(super) fn open_for_client(
        &mut self,
        key: usize,
        number: usize,
        state: ConnectionState,
        shape: ReplyShape,
    ) -> Result<usize, RequestOutcome> {
        let upstream = Arc::clone(&self.pool.upstreams[number]);
        if upstream.health.is_ejected() {
            return Err(self.unavailable(key, &upstream, shape, None));
        }
        let limit = self.shared.settings.detached;
        if self.shared.detached.fetch_add(1, Relaxed) >= limit {
            self.shared.detached.fetch_sub(1, Relaxed);
            upstream.counters.errors.fetch_add(1, Relaxed);
            let failure = UpstreamFailure::Full(limit);
            let error = errors::upstream(shape, &upstream.address, &failure);
            return Err(self.answer(key, error));
        }
        let id = self.clients[key].id;
        let purpose = ConnectionPurpose::Dedicated { key, id };
        Ok(self.open_connection(upstream, purpose, state))
    }

    /// Sends a request over the connection that its client has for itself.
    pub(super) fn pass_on(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let client = &mut self.clients[key];
        let waiting = client.is_waiting();
        let Some(dedicated) = &mut client.dedicated else {
            return RequestOutcome::Stalled;
        };
        if waiting && dedicated.shared_requests_sent {
            return RequestOutcome::Stalled;
        }
        dedicated.shared_requests_sent = false;
        let connection = dedicated.connection;
        if let Some(fate) = self.answer_dedicated(key, request) {
            return fate;
        }
        if !self.has_room(connection, key) {
            return RequestOutcome::Stalled;
        }
        match request.route {
            Route::Dedicated(DedicatedReason::Blocking, _) => {
                self.connections[connection].has_no_deadline = true;
                if is(request, b"WAIT") {
                    self.precede_wait(key, connection);
                }
            }
            Route::Dedicated(DedicatedReason::Monitor | DedicatedReason::Tracking, _) => {
                if waiting {
                    return RequestOutcome::Stalled;
                }
                if let Some(dedicated) = &mut self.clients[key].dedicated {
                    dedicated.raw = true;
                }
                let connection = &mut self.connections[connection];
                (connection.raw, connection.has_no_deadline) = (true, true);
                connection.stream();
            }
            _ => {}
        }
        if self.connections[connection].raw {
            self.push(connection, key, 0, 0, request.bytes, ReplyShape::Nothing);
        } else {
            let client = &mut self.clients[key];
            let sequence = client.open(1, None);
            client.session.sent(sequence, request.args());
            self.push(connection, key, sequence, 0, request.bytes, request.shape);
        }
        RequestOutcome::Taken
    }

    /// Sends a PING before a WAIT: Redis waits for the writes before the connection's last command, and the
    /// client's writes went over other connections.
    fn precede_wait(&mut self, key: usize, connection: usize) {
        let session = &self.clients[key].session;
        if session.open().is_none() && !session.is_beginning() {
            let waiting = PendingRequest::new(ReplyOwner::Discarded, RESP_PROBE.1, self.micros);
            self.connections[connection].push(RESP_PROBE.0, waiting, self.now);
        }
    }

    /// Answers a command on a dedicated connection that is not for the upstream. `None` for other commands.
    fn answer_dedicated(&mut self, key: usize, request: &Request<'_>) -> Option<RequestOutcome> {
        let client = &mut self.clients[key];
        let Some(open) = client.session.open() else {
            // A MULTI under way may have begun a transaction.
            let connection = is(request, b"CLIENT") || is(request, b"AUTH");
            return match (&request.route, client.session.is_beginning()) {
                (Route::Refused, true) => Some(RequestOutcome::Stalled),
                (Route::Local(_), true) if connection => Some(RequestOutcome::Stalled),
                (Route::Refused, false) => Some(self.refuse(key, request.shape)),
                (Route::Local(local), false) if connection => {
                    Some(self.local(key, request, *local))
                }
                _ => None,
            };
        };
        let lost = client
            .dedicated
            .as_ref()
            .is_some_and(|d| d.lost_watched_keys);
        if is(request, b"EXEC") && (open.refused || lost) {
            if client.is_waiting() {
                return Some(RequestOutcome::Stalled);
            }
            let reply = match (open.refused, client.session.state.resp3) {
                (true, _) => errors::EXECABORT,
                (false, true) => b"_\r\n",
                (false, false) => b"*-1\r\n",
            };
            // Closing the connection discards the transaction.
            client.session.close();
            return Some(self.answer(key, reply));
        }
        let possible = match request.route {
            Route::Refused => false,
            Route::Local(LocalCommand::Resp(ConnectionCommand::Client, args)) => {
                args.len() > 1
                    && ["SETNAME", "GETNAME", "SETINFO", "ID", "INFO"]
                        .iter()
                        .any(|sub| args[1].eq_ignore_ascii_case(sub.as_bytes()))
            }
            Route::Dedicated(
                DedicatedReason::Subscribe | DedicatedReason::Monitor | DedicatedReason::Tracking,
                _,
            ) => false,
            _ => true,
        };
        if possible {
            return None;
        }
        client.session.refuse();
        Some(self.refuse(key, request.shape))
    }
}

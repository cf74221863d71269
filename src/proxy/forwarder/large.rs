//! Requests that are too long to be held as a whole: they are streamed over a connection of their client's own, or their
//! bytes are dropped up to the end.

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{LargeRequest, MetaForm, Remainder, Route};
use crate::protocol::memcached::text::reply;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::meta::FENCE;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::intercept::Intercepted;
use crate::proxy::merge::ReplyMerge;
use crate::proxy::session::Transaction;

impl Forwarder {
    /// Handles the start of a request that is too long to be held as a whole.
    pub(super) fn large(&mut self, key: usize, large: LargeRequest<'_>) -> RequestOutcome {
        match self.offer_large(key, &large) {
            Intercepted::Forward => {}
            Intercepted::Full => return self.intercepted(key, Intercepted::Full),
            taken => {
                self.clients[key].skip = Some(large.rest);
                return self.intercepted(key, taken);
            }
        }
        let client = &mut self.clients[key];
        if !client.session.admitted {
            // An unauthenticated client could send without end.
            client.closing = true;
            return self.answer(key, errors::NOAUTH);
        }
        if client.session.is_ending() {
            return RequestOutcome::Stalled;
        }
        let number = match large.route {
            Route::Key(wanted) => self.locate(wanted),
            Route::Only if self.pool.is_single() => 0,
            _ => return self.hold_large(key, large),
        };
        if let Some(fate) = self.leave_dedicated(key) {
            return fate;
        }
        match self.takes_block(key, number, &large) {
            None => return RequestOutcome::Stalled,
            Some(false) => return self.pass_over(key, large.rest, reply::ERROR),
            Some(true) => {}
        }
        match self.connect_large(key, number, large.shape) {
            Ok(true) => self.begin_upload(key, large),
            Ok(false) => self.pass_over(key, large.rest, self.cross_slot()),
            Err(RequestOutcome::Stalled) => RequestOutcome::Stalled,
            Err(RequestOutcome::Taken) => {
                // It is answered, with an error.
                self.clients[key].skip = Some(large.rest);
                RequestOutcome::Taken
            }
        }
    }

    /// A request whose keys belong to several upstreams, or are not known yet: it is divided when all of it has
    /// arrived.
    fn hold_large(&mut self, key: usize, large: LargeRequest<'_>) -> RequestOutcome {
        let client = &mut self.clients[key];
        if matches!(large.route, Route::Only) && client.framer.hold_whole() {
            return RequestOutcome::Taken;
        }
        let error = errors::too_large(&large.route);
        self.pass_over(key, large.rest, error)
    }

    /// Whether an upstream can be sent the block of a meta command, if the request is one; `None` if that isn't known
    /// yet.
    fn takes_block(&mut self, key: usize, number: usize, large: &LargeRequest<'_>) -> Option<bool> {
        let ejected = self.pool.upstreams[number].health.is_ejected();
        if !matches!(large.meta, MetaForm::Block { .. }) || ejected {
            return Some(true);
        }
        let client = &self.clients[key];
        let connection = self.shared_connection_of(number, client.session.state, client.id);
        self.meta_support(connection, key)
    }

    /// Gives a client a dedicated connection to an upstream, or finds that it has one; false if it has one to another.
    fn connect_large(
        &mut self,
        key: usize,
        number: usize,
        shape: ReplyShape,
    ) -> Result<bool, RequestOutcome> {
        let client = &self.clients[key];
        match &client.dedicated {
            Some(dedicated) => {
                let home = self.connections[dedicated.connection].upstream.id;
                Ok(home == self.pool.upstreams[number].id)
            }
            None if matches!(client.session.transaction, Transaction::Queued(_)) => {
                self.open_transaction(key, number).map(|()| true)
            }
            None => self.dedicate(key, number, shape).map(|()| true),
        }
    }

    /// Begins to stream a request: its remaining bytes are passed on as they arrive.
    fn begin_upload(&mut self, key: usize, large: LargeRequest<'_>) -> RequestOutcome {
        let client = &mut self.clients[key];
        let Some(dedicated) = &mut client.dedicated else {
            return RequestOutcome::Stalled;
        };
        let quiet = large.meta.is_quiet();
        (dedicated.upload, dedicated.fence) = (Some(large.rest), quiet);
        let connection = dedicated.connection;
        let sequence = match large.shape {
            ReplyShape::Nothing => 0,
            _ => client.open(1, quiet.then(ReplyMerge::fenced)),
        };
        if large.shape == ReplyShape::Resp {
            client.session.sent(sequence, None);
        }
        let at = &mut self.connections[connection];
        at.has_no_deadline = true;
        at.stream();
        self.push(connection, key, sequence, 0, large.head, large.shape);
        RequestOutcome::Taken
    }

    /// Answers a request that is too long to be held, and drops the rest of it. A transaction that
    /// it was part of is aborted.
    pub(super) fn pass_over(
        &mut self,
        key: usize,
        rest: Remainder,
        error: &[u8],
    ) -> RequestOutcome {
        let client = &mut self.clients[key];
        client.skip = Some(rest);
        client.session.refuse();
        self.answer(key, error)
    }

    /// Passes bytes of an upload to a client's dedicated connection unchanged. Returns the number
    /// that it took.
    pub(super) fn upload(&mut self, key: usize, bytes: &[u8]) -> usize {
        let Some(connection) = self.clients[key].dedicated.as_ref().map(|d| d.connection) else {
            return 0;
        };
        if !self.has_room(connection, key) {
            self.clients[key].has_input = true;
            return 0;
        }
        let client = &mut self.clients[key];
        let Some(dedicated) = &mut client.dedicated else {
            return 0;
        };
        let Some(rest) = &mut dedicated.upload else {
            return 0;
        };
        let Some((used, done)) = rest.feed(bytes) else {
            (client.closing, client.lost) = (true, true);
            mark(&mut self.dirty_clients, key, &mut client.dirty);
            return bytes.len();
        };
        let at = &mut self.connections[connection];
        at.out.extend_from_slice(&bytes[..used]);
        if done {
            dedicated.upload = None;
            at.has_no_deadline = false;
            if std::mem::take(&mut dedicated.fence) {
                at.out.extend_from_slice(FENCE);
            }
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
        at.since = self.now;
        if at.is_up() {
            mark(&mut self.dirty_connections, connection, &mut at.dirty);
        }
        used
    }
}

//! Carries out the route of a request: over a connection, or by an answer of the proxy.

use crate::pool::slots::slot;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{
    ConnectionCommand, DedicatedReason, LocalCommand, Request, RequestKeys, Route,
};
use crate::protocol::memcached::binary;
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::local::{self, LocalAnswer};
use crate::proxy::session::Transaction;
use crate::proxy::settings::OnFailure;

impl Forwarder {
    pub(super) fn request(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let client = &mut self.clients[key];
        if !client.session.admitted && !matches!(request.route, Route::Local(_)) {
            return self.answer(key, errors::NOAUTH);
        }
        if !client.may_follow(self.generation) {
            return RequestOutcome::Stalled;
        }
        if let Some(fate) = self.subscriber(key, request) {
            return fate;
        }
        let client = &self.clients[key];
        let in_transaction = !matches!(client.session.transaction, Transaction::None);
        if let Route::Dedicated(DedicatedReason::Subscribe, _) = request.route
            && !in_transaction
            && self.interception.is_none()
        {
            return self.subscribe(key, request);
        }
        if let Route::Local(LocalCommand::Resp(command, _)) = request.route
            && let ConnectionCommand::Reset | ConnectionCommand::Quit = command
        {
            return self.leave(key, request);
        }
        if matches!(client.session.transaction, Transaction::Queued(_)) {
            return self.queued(key, request);
        }
        if client.dedicated.is_some() && !client.is_dedication_over() {
            if client.session.is_ending() {
                return RequestOutcome::Stalled;
            }
            return match self.elsewhere(key, request) {
                Some(fate) => fate,
                None => self.pass_on(key, request),
            };
        }
        if let Some(fate) = self.leave_dedicated(key) {
            return fate;
        }
        self.route(key, request)
    }

    /// `RESET` and `QUIT` end the client's transaction, watches and subscriptions, as soon as its earlier
    /// requests are answered.
    fn leave(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let client = &self.clients[key];
        if client.dedicated.is_some() {
            if client.is_waiting() {
                return RequestOutcome::Stalled;
            }
            self.drop_dedicated(key);
        }
        self.unsubscribe_all(key);
        self.route(key, request)
    }

    /// Sends a request to its upstream.
    pub(super) fn route(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        if let Some(fate) = self.intercept(key, request) {
            return fate;
        }
        match request.route {
            Route::Key(wanted) => {
                let number = self.locate(wanted);
                self.to(key, number, request)
            }
            Route::Together(keys) => match self.common(keys) {
                Some(number) => self.to(key, number, request),
                None => self.answer(key, self.cross_slot()),
            },
            Route::Split(join, keys) => self.divide(key, request, join, keys),
            Route::Any => self.to(key, self.pool.any(), request),
            Route::Only if self.pool.is_single() => self.to(key, 0, request),
            Route::Only => self.answer(key, errors::only(request)),
            Route::Every(_) | Route::Scan if self.pool.is_single() => self.to(key, 0, request),
            Route::Every(rule) => self.every(key, request, rule, request.shape),
            Route::Scan => self.scan(key, request),
            Route::Local(local) => self.local(key, request, local),
            Route::Dedicated(why, keys) => self.route_dedicated(key, request, why, keys),
            Route::Refused => self.refuse(key, request.shape),
        }
    }

    /// The upstream of a key, by the setting for the keys of an ejected one.
    pub(super) fn locate(&self, key: &[u8]) -> usize {
        let next = self.shared.settings.on_failure == OnFailure::Next;
        self.pool.locate(key, next)
    }

    /// The error for keys that belong to several upstreams.
    pub(super) fn cross_slot(&self) -> &'static [u8] {
        errors::cross_slot(self.pool.is_cluster())
    }

    /// The upstream that all these keys belong to, if there is one; in a cluster they have to be in
    /// one slot.
    pub(super) fn common(&self, keys: RequestKeys<'_>) -> Option<usize> {
        if self.pool.is_cluster() {
            let mut slots = keys.iter().map(slot);
            let Some(first) = slots.next() else {
                return Some(self.pool.any());
            };
            let together = slots.all(|slot| slot == first);
            return together.then(|| self.pool.serves(first));
        }
        let mut numbers = keys.iter().map(|key| self.locate(key));
        let first = numbers.next().unwrap_or_else(|| self.pool.any());
        numbers.all(|number| number == first).then_some(first)
    }

    /// Answers commands about the connection between the client and the proxy.
    pub(super) fn local(
        &mut self,
        key: usize,
        request: &Request<'_>,
        local: LocalCommand<'_>,
    ) -> RequestOutcome {
        let client = &mut self.clients[key];
        let mut out = Vec::new();
        let said = match local {
            LocalCommand::Resp(command, args) => {
                let connection = &client.connection;
                let session = &mut client.session;
                local::resp(
                    command,
                    args,
                    session,
                    connection,
                    &self.shared,
                    &self.pool,
                    &mut out,
                )
            }
            LocalCommand::Memcached(command) => local::memcached(command, &self.pool, &mut out),
            LocalCommand::Binary(binary::Request {
                to,
                command: binary::Command::Sasl(sasl),
                ..
            }) => {
                let data = &request.bytes[request.bytes.len() - sasl.length..];
                local::sasl(to, &sasl, data, &mut client.session, &self.shared, &mut out)
            }
            LocalCommand::Binary(request) => local::binary(request, &self.pool, &mut out),
        };
        match said {
            LocalAnswer::Answer => self.answer(key, &out),
            LocalAnswer::Delay => self.delay(key, out),
            LocalAnswer::Close => {
                self.clients[key].closing = true;
                self.answer(key, &out)
            }
            LocalAnswer::Forward(_) | LocalAnswer::Every(..) if self.pool.upstreams.is_empty() => {
                self.refuse(key, request.shape)
            }
            LocalAnswer::Every(rule, shape) => self.every(key, request, rule, shape),
            LocalAnswer::Forward(shape) => {
                let number = self.pool.any();
                self.forward_as(key, number, request, shape, None)
            }
        }
    }

    /// Answers a command that is not possible here.
    pub(super) fn refuse(&mut self, key: usize, shape: ReplyShape) -> RequestOutcome {
        self.answer(key, errors::refused(shape))
    }

    pub(super) fn answer(&mut self, key: usize, bytes: impl AsRef<[u8]>) -> RequestOutcome {
        let (client, bytes) = (&mut self.clients[key], bytes.as_ref());
        if errors::is_error(bytes) {
            self.shared.requests.error(ErrorSource::Proxy);
        }
        client.answer(bytes);
        mark(&mut self.dirty_clients, key, &mut client.dirty);
        RequestOutcome::Taken
    }
}

//! Redirections of a cluster: MOVED and ASK are followed here, and clients don't see them.
//!
//! ```text
//!   SET k ──▶ a:1 ──▶ -MOVED 12182 b:1     the map is corrected, the kept request goes on
//!             b:1 ◀── SET k                by the detour of b:1; its answer takes the place that
//!                      │                   the request has among its client's
//!                      └──▶ +OK ──▶ client
//!   GET k ──▶ a:1 ──▶ -ASK 12182 b:1       the map stays
//!             b:1 ◀── ASKING, GET k
//! ```
//!
//! A redirected request was not executed, so every kind may be sent again. After [`HOPS`] times its
//! client gets an error. TRYAGAIN and CLUSTERDOWN go to the client unchanged: if the request were
//! held back here until the cluster has settled, the client's next ones would overtake it.
//!
//! Order: after a request was redirected, or the map has changed, a client's further requests wait
//! until all earlier ones are answered ([`Client::may_follow`]). So none overtakes another while a
//! slot moves once. If it moves twice while requests of one client are under way, the first may
//! follow the first move when the others find the second, and be executed behind them.
//!
//! [`Client::may_follow`]: crate::proxy::client::Client::may_follow

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::slots::{Redirect, SlotMap};
use crate::pool::{HealthChange, Upstream, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::resp;
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::session::Confirmation;
use crate::upstream::{ConnectionPurpose, PendingRequest, REDIRECTED, ReplyOwner};

/// The number of times that a request is redirected before its client gets an error. Redis's own
/// clients take between 5 and 16 times.
const HOPS: u8 = 8;

/// The most servers that redirections may add to the cluster's own list.
const SERVERS: usize = 4096;

impl Forwarder {
    /// Sends the request at the front of a connection to the server that `line`, its answer, names.
    pub(super) fn redirect(&mut self, key: usize, line: &[u8]) {
        let connection = &mut self.connections[key];
        let request = connection.front_request().map(<[u8]>::to_vec);
        let (Some(redirect), Some(waiting)) = (Redirect::read(line), connection.pop()) else {
            return;
        };
        let upstream = Arc::clone(&connection.upstream);
        let from = (key, connection.serial, connection.purpose);
        upstream.counters.redirects.fetch_add(1, Relaxed);
        if upstream.health.succeeded() == HealthChange::Back {
            log::info!("upstream {}: back", upstream.address);
        }
        let target = redirect.target(&upstream.address);
        let slot = redirect.slot();
        log::debug!("upstream {}: slot {slot} is at {target}", upstream.address);
        if request.is_some() && !connection.waiters.is_empty() {
            self.wake_waiters(key);
        }
        if waiting.hops >= HOPS {
            return self.fail_request(&waiting, &upstream, &UpstreamFailure::Redirected(HOPS));
        }
        let asks = matches!(redirect, Redirect::Ask(..));
        let Some(number) = self.learn(redirect, &target) else {
            let failure = UpstreamFailure::Redirected(waiting.hops);
            return self.fail_request(&waiting, &upstream, &failure);
        };
        match request {
            Some(request) => self.follow(from, &waiting, &request, number, asks),
            // It was streamed.
            None => self.answer_error(&waiting, errors::TRYAGAIN),
        }
    }

    /// Sends a request that a connection has been redirected with to the upstream of this number, behind ASKING if it
    /// `asks`.
    fn follow(
        &mut self,
        (from, serial, purpose): (usize, u64, ConnectionPurpose),
        waiting: &PendingRequest,
        request: &[u8],
        number: usize,
        asks: bool,
    ) {
        let to = Arc::clone(&self.pool.upstreams[number]);
        if to.health.is_ejected() {
            return self.fail_request(waiting, &to, &UpstreamFailure::Ejected);
        }
        let connection = match purpose {
            ConnectionPurpose::Probe => return,
            ConnectionPurpose::Shared(state, _) => {
                self.shared_connection(number, state, REDIRECTED)
            }
            ConnectionPurpose::Dedicated { .. } => match self.move_own((from, serial), waiting, to)
            {
                Some(connection) => connection,
                None => return self.answer_error(waiting, errors::TRYAGAIN),
            },
        };
        if let ReplyOwner::Client { key, id, .. } = waiting.owner
            && let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id)
        {
            client.redirected();
        }
        if asks {
            let asking = PendingRequest::new(ReplyOwner::Proxy, ReplyShape::Resp, self.micros);
            self.append(connection, &resp::request(&[b"ASKING"]), asking);
        }
        let waiting = PendingRequest {
            hops: waiting.hops + 1,
            is_repeatable: false,
            since: self.micros,
            ..*waiting
        };
        self.append(connection, request, waiting);
    }

    /// Puts a redirection into the map of all workers. Returns the number of its upstream, or
    /// `None` if the map is full of servers that have never been reached.
    pub(super) fn learn(&mut self, redirect: Redirect<'_>, target: &str) -> Option<usize> {
        let known = |map: &SlotMap| match redirect {
            Redirect::Moved(slot, _) => map.number(target).filter(|n| map.server(slot) == Some(*n)),
            Redirect::Ask(..) => map.number(target),
        };
        let number = |worker: &Forwarder| worker.pool.slots().and_then(known);
        if let Some(number) = number(self) {
            return Some(number);
        }
        self.shared.replace(|pool| {
            pool.corrected(|map| {
                let room = map.number(target).is_some() || map.servers().len() < SERVERS;
                let news = room && known(map).is_none();
                if news && let Redirect::Moved(slot, _) = redirect {
                    map.assign(slot, slot, target);
                } else if news {
                    map.add(target);
                }
                news
            })
        });
        self.change_pool();
        if !matches!(redirect, Redirect::Ask(..)) {
            // If one slot has moved, others may have moved, too.
            self.shared.ask_for_slots();
        }
        number(self)
    }

    /// Replaces a client's dedicated connection by one to another upstream, if the first upstream
    /// has got only this one request from the client.
    fn move_own(
        &mut self,
        (from, serial): (usize, u64),
        waiting: &PendingRequest,
        to: Arc<Upstream>,
    ) -> Option<usize> {
        let ReplyOwner::Client { key, id, .. } = waiting.owner else {
            return None;
        };
        let old = self
            .connections
            .get_mut(from)
            .filter(|connection| connection.serial == serial)?;
        let client = self.clients.get_mut(key).filter(|client| client.id == id)?;
        client
            .dedicated
            .as_ref()
            .filter(|dedicated| dedicated.connection == from)?;
        if client.session.open().is_some() || old.used || !old.queue.is_empty() {
            return None;
        }
        let (state, has_no_deadline) = (client.session.state, old.has_no_deadline);
        // It ends as soon as its received bytes are handled.
        old.retired = true;
        self.shared.detached.fetch_add(1, Relaxed);
        let connection = self.open_connection(to, ConnectionPurpose::Dedicated { key, id }, state);
        self.connections[connection].has_no_deadline = has_no_deadline;
        if let Some(dedicated) = self.clients[key].dedicated.as_mut() {
            dedicated.connection = connection;
        }
        Some(connection)
    }

    fn fail_request(
        &mut self,
        waiting: &PendingRequest,
        upstream: &Upstream,
        failure: &UpstreamFailure,
    ) {
        upstream.counters.errors.fetch_add(1, Relaxed);
        let error = errors::upstream(waiting.shape, &upstream.address, failure);
        self.answer_error(waiting, &error);
    }

    /// Answers a request with an error.
    fn answer_error(&mut self, waiting: &PendingRequest, error: &[u8]) {
        if let ReplyOwner::Client {
            key,
            id,
            sequence,
            part,
        } = waiting.owner
            && let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id)
        {
            self.shared.requests.error(ErrorSource::Proxy);
            client.fail(sequence, part, error);
            let is_error = Confirmation {
                is_error: true,
                ..Confirmation::default()
            };
            client.session.confirmed(sequence, is_error);
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }
}

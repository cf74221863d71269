//! Appending requests to connections: whole, or in parts, or not at all when an upstream is ejected.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::slots::slot;
use crate::pool::{Upstream, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{MergeRule, MetaForm, Request, RequestKeys};
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::merge::ReplyMerge;
use crate::proxy::scan::{self, ScanStep};
use crate::proxy::settings::OnFailure;
use crate::proxy::split::{Division, divide, divide_by_slot};
use crate::proxy::stats;
use crate::upstream::{PendingRequest, ReplyOwner};

impl Forwarder {
    /// Sends a whole request to an upstream.
    pub(super) fn to(
        &mut self,
        key: usize,
        number: usize,
        request: &Request<'_>,
    ) -> RequestOutcome {
        if request.meta != MetaForm::No {
            return self.meta(key, number, request);
        }
        let miss = self.miss(request);
        self.forward_as(key, number, request, request.shape, miss)
    }

    /// The reply in place of an ejected upstream's, if the settings ask for one.
    pub(super) fn miss(&self, request: &Request<'_>) -> Option<Cow<'static, [u8]>> {
        match self.shared.settings.on_failure {
            OnFailure::Miss => errors::miss(request),
            _ => None,
        }
    }

    pub(super) fn forward_as(
        &mut self,
        key: usize,
        number: usize,
        request: &Request<'_>,
        shape: ReplyShape,
        miss: Option<Cow<'static, [u8]>>,
    ) -> RequestOutcome {
        let (state, id) = (self.clients[key].session.state, self.clients[key].id);
        let upstream = &self.pool.upstreams[number];
        if upstream.health.is_ejected() {
            let upstream = Arc::clone(upstream);
            return self.unavailable(key, &upstream, shape, miss);
        }
        let connection = self.shared_connection_of(number, state, id);
        if !self.has_room(connection, key) {
            return RequestOutcome::Stalled;
        }
        let sequence = match shape {
            ReplyShape::Nothing => 0,
            _ => self.clients[key].open(1, None),
        };
        self.push(connection, key, sequence, 0, request.bytes, shape);
        self.keep_request(connection, shape, request.repeat_safe);
        RequestOutcome::Taken
    }

    /// Sends a request whose keys may belong to several upstreams.
    pub(super) fn divide(
        &mut self,
        key: usize,
        request: &Request<'_>,
        join: MergeRule,
        keys: RequestKeys<'_>,
    ) -> RequestOutcome {
        let cluster = self.pool.is_cluster();
        let division = match cluster {
            true => divide_by_slot(request, join, keys, slot),
            false => divide(request, join, keys, |key| self.locate(key)),
        };
        let upstream = |place: usize| match cluster {
            true => self.pool.serves(place as u16),
            false => place,
        };
        match division {
            Division::Whole(place) => self.to(key, upstream(place), request),
            Division::Parts(parts, merge) => {
                let parts: Vec<(usize, &[u8])> = parts
                    .iter()
                    .map(|part| (upstream(part.place), &part.bytes[..]))
                    .collect();
                let safe = request.repeat_safe;
                let miss = safe && self.shared.settings.on_failure == OnFailure::Miss;
                self.parts(key, &parts, request.shape, merge, safe, miss)
            }
        }
    }

    /// Sends a request to all upstreams.
    pub(super) fn every(
        &mut self,
        key: usize,
        request: &Request<'_>,
        rule: MergeRule,
        shape: ReplyShape,
    ) -> RequestOutcome {
        let count = self.pool.upstreams.len();
        let parts: Vec<(usize, &[u8])> = (0..count).map(|n| (n, request.bytes)).collect();
        let merge = ReplyMerge::every(rule, shape, count);
        // The merge withholds a reply when it has all of them.
        let shape = shape.without_withholding();
        let merge = match stats::tail(rule, request, &self.pool) {
            Some(tail) => merge.with_tail(tail),
            None => merge,
        };
        let safe = request.repeat_safe;
        self.parts(
            key,
            &parts,
            shape,
            merge,
            safe,
            safe && self.skips_ejected(),
        )
    }

    /// Sends a SCAN to the upstream of its cursor.
    pub(super) fn scan(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let Some(args) = request.args() else {
            return self.refuse(key, request.shape);
        };
        let skips = self.skips_ejected();
        let usable = |number: usize| !skips || !self.pool.upstreams[number].health.is_ejected();
        match scan::step(&self.pool, args, usable) {
            ScanStep::Ask(number, bytes, position) => {
                let merge = ReplyMerge::scan(position);
                self.parts(key, &[(number, &bytes)], request.shape, merge, true, false)
            }
            ScanStep::Invalid => self.to(key, self.pool.any(), request),
            ScanStep::End => self.answer(key, scan::END),
        }
    }

    /// Whether a read about all keys leaves out those of ejected upstreams.
    fn skips_ejected(&self) -> bool {
        let upstreams = &self.pool.upstreams;
        match self.shared.settings.on_failure {
            OnFailure::Error => false,
            OnFailure::Next => upstreams.iter().any(|one| !one.health.is_ejected()),
            OnFailure::Miss => true,
        }
    }

    /// Sends the parts of a request, or none if a connection is full: the answers to two divided requests
    /// can't wait for each other as long as all parts of the one are ahead of those of the other.
    fn parts(
        &mut self,
        key: usize,
        parts: &[(usize, &[u8])],
        shape: ReplyShape,
        merge: ReplyMerge,
        safe: bool,
        miss: bool,
    ) -> RequestOutcome {
        let (state, id) = (self.clients[key].session.state, self.clients[key].id);
        let mut connections = Vec::with_capacity(parts.len());
        for (number, _) in parts {
            if self.pool.upstreams[*number].health.is_ejected() {
                connections.push(None);
                continue;
            }
            let connection = self.shared_connection_of(*number, state, id);
            if !self.has_room(connection, key) {
                return RequestOutcome::Stalled;
            }
            connections.push(Some(connection));
        }
        let quiet = shape == ReplyShape::Nothing;
        let sequence = match quiet {
            true => 0,
            false => self.clients[key].open(parts.len(), Some(merge)),
        };
        for (part, ((number, bytes), connection)) in parts.iter().zip(&connections).enumerate() {
            let Some(connection) = connection else {
                let upstream = Arc::clone(&self.pool.upstreams[*number]);
                upstream.counters.requests.fetch_add(1, Relaxed);
                upstream.counters.errors.fetch_add(1, Relaxed);
                if quiet {
                    continue;
                }
                let error = errors::upstream(shape, &upstream.address, &UpstreamFailure::Ejected);
                let client = &mut self.clients[key];
                if miss {
                    client.miss(sequence, part);
                } else {
                    self.shared.requests.error(ErrorSource::Proxy);
                    client.fail(sequence, part, &error);
                }
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                continue;
            };
            self.push(*connection, key, sequence, part, bytes, shape);
            self.keep_request(*connection, shape, safe);
        }
        RequestOutcome::Taken
    }

    /// Answers in place of an ejected upstream.
    pub(super) fn unavailable(
        &mut self,
        key: usize,
        upstream: &Upstream,
        shape: ReplyShape,
        miss: Option<Cow<'static, [u8]>>,
    ) -> RequestOutcome {
        upstream.counters.requests.fetch_add(1, Relaxed);
        upstream.counters.errors.fetch_add(1, Relaxed);
        if shape == ReplyShape::Nothing {
            return RequestOutcome::Taken;
        }
        match miss {
            Some(miss) => self.answer(key, miss),
            None => {
                let error = errors::upstream(shape, &upstream.address, &UpstreamFailure::Ejected);
                self.answer(key, error)
            }
        }
    }

    /// Whether a connection has room for another request. If not, the client is resumed when it has.
    pub(super) fn has_room(&mut self, connection: usize, key: usize) -> bool {
        let connection = &mut self.connections[connection];
        let room = connection.has_room();
        if !room && !connection.waiters.contains(&key) {
            connection.waiters.push(key);
        }
        room
    }

    /// Appends a part of a client's request to a connection.
    pub(super) fn push(
        &mut self,
        connection: usize,
        key: usize,
        sequence: u64,
        part: usize,
        bytes: &[u8],
        shape: ReplyShape,
    ) {
        let owner = ReplyOwner::Client {
            key,
            id: self.clients[key].id,
            sequence,
            part,
        };
        self.append(
            connection,
            bytes,
            PendingRequest::new(owner, shape, self.micros),
        );
    }

    /// Appends a request to a connection.
    pub(super) fn append(&mut self, connection: usize, bytes: &[u8], waiting: PendingRequest) {
        let at = &mut self.connections[connection];
        at.upstream.counters.requests.fetch_add(1, Relaxed);
        at.push(bytes, waiting, self.now);
        if at.is_up() {
            mark(&mut self.dirty_connections, connection, &mut at.dirty);
        }
    }
}

//! memcached's meta commands: quiet ones, and blocks for upstreams that may not support them.
//!
//! A quiet request may get no reply. A `mn` is sent behind it. If its reply comes first, there is
//! none for the request. The client doesn't get the reply to the `mn`.
//!
//! An upstream without meta commands would read the block behind `ms` as commands, and the next
//! clients in the queue would get its answers. So the first `ms` on a connection waits until a `mg` has
//! shown that the upstream supports them.

use std::sync::Arc;

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{MetaForm, Request};
use crate::protocol::memcached::text::reply;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark, queue};
use crate::proxy::merge::ReplyMerge;
use crate::upstream::{MetaSupport, PendingRequest, ReplyOwner};

/// The request whose reply marks the end of a quiet request's reply.
pub(super) const FENCE: &[u8] = b"mn\r\n";

/// A request that only a server with meta commands answers without an error. The key need not exist.
const META_PROBE: &[u8] = b"mg larder-proxy\r\n";

impl Forwarder {
    /// Sends a meta command to an upstream.
    pub(super) fn meta(
        &mut self,
        key: usize,
        number: usize,
        request: &Request<'_>,
    ) -> RequestOutcome {
        let upstream = Arc::clone(&self.pool.upstreams[number]);
        if upstream.health.is_ejected() {
            let miss = self.miss(request);
            return self.unavailable(key, &upstream, request.shape, miss);
        }
        let client = &self.clients[key];
        let connection = self.shared_connection_of(number, client.session.state, client.id);
        if !self.has_room(connection, key) {
            return RequestOutcome::Stalled;
        }
        if let MetaForm::Block { .. } = request.meta {
            match self.meta_support(connection, key) {
                None => return RequestOutcome::Stalled,
                Some(false) => return self.answer(key, reply::ERROR),
                Some(true) => {}
            }
        }
        let quiet = request.meta.is_quiet();
        let sequence = self.clients[key].open(1, quiet.then(ReplyMerge::fenced));
        self.push(connection, key, sequence, 0, request.bytes, request.shape);
        self.keep_request(connection, request.shape, request.repeat_safe);
        if quiet {
            self.connections[connection].extend(FENCE);
        }
        RequestOutcome::Taken
    }

    /// Whether blocks can be sent over a connection; `None` if that isn't known yet.
    pub(super) fn meta_support(&mut self, connection: usize, key: usize) -> Option<bool> {
        let since = self.micros;
        let at = &mut self.connections[connection];
        match at.meta_support {
            MetaSupport::Yes => return Some(true),
            MetaSupport::No => return Some(false),
            MetaSupport::Asked => {}
            MetaSupport::Unasked => {
                at.meta_support = MetaSupport::Asked;
                let waiting = PendingRequest::new(ReplyOwner::MetaProbe, ReplyShape::Meta, since);
                at.push(META_PROBE, waiting, self.now);
                if at.is_up() {
                    mark(&mut self.dirty_connections, connection, &mut at.dirty);
                }
            }
        }
        let at = &mut self.connections[connection];
        if !at.waiters.contains(&key) {
            at.waiters.push(key);
        }
        None
    }

    /// The answer to the `mg` has come.
    pub(super) fn meta_answered(&mut self, connection: usize, knows: bool) {
        let at = &mut self.connections[connection];
        at.meta_support = if knows {
            MetaSupport::Yes
        } else {
            MetaSupport::No
        };
        for waiter in std::mem::take(&mut at.waiters) {
            if let Some(client) = self.clients.get_mut(waiter) {
                queue(&mut self.ready, waiter, client);
            }
        }
    }
}

//! Retries: a request that changes nothing is sent again if its connection broke before a byte of
//! its answer had come.
//!
//! ```text
//!   a connection ──▶ [GET a, SET b, GET c, GET d]      closed by the upstream; SET b and GET c are one client's
//!                │      │      │      └──▶ again, over a new connection, behind GET a and GET c
//!                │      │      └──▶ again
//!                │      └──▶ an error: it may have been executed
//!                └──▶ again, if it is another client's than SET b
//! ```
//!
//! A read in front of a request of its own client that may have changed something gets the error, too: sent again it
//! would come behind that request, and show the client its own later write in an earlier reply.
//!
//! They go to the same upstream, in their order and before anything that their clients send next, so
//! that none overtakes another. If this failure ejects the upstream, they go to the next one with
//! `--on-failure next`, and else get the error. They are retried once only.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::{Protocol, Upstream, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer, Route};
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::settings::OnFailure;
use crate::upstream::{ConnectionPurpose, PendingRequest, ReplyOwner, UpstreamConnection};

impl Forwarder {
    /// The requests that a connection has under way, each with its bytes if it is to be sent again.
    pub(super) fn unanswered(
        connection: &UpstreamConnection,
        failure: &UpstreamFailure,
    ) -> Vec<(PendingRequest, Option<Vec<u8>>)> {
        let ended = matches!(
            failure,
            UpstreamFailure::Closed | UpstreamFailure::Lost(_) | UpstreamFailure::Abandoned
        );
        let broken = connection.is_up()
            && ended
            && matches!(connection.purpose, ConnectionPurpose::Shared(..));
        let begun = connection.framer.is_some()
            || connection.framed.is_some()
            || !connection.held.is_empty();
        let mut unanswered = connection.unanswered();
        for (index, (_, bytes)) in unanswered.iter_mut().enumerate() {
            bytes.take_if(|_| !broken || begun && index == 0);
        }
        unanswered
    }

    /// Sends a request again that a connection to `from` had under way. False if there is no upstream to
    /// send it to.
    pub(super) fn repeat(
        &mut self,
        from: &Arc<Upstream>,
        purpose: ConnectionPurpose,
        waiting: &PendingRequest,
        bytes: &[u8],
    ) -> bool {
        let (ConnectionPurpose::Shared(state, _), ReplyOwner::Client { id, .. }) =
            (purpose, waiting.owner)
        else {
            return false;
        };
        let home = |upstream: &Arc<Upstream>| Arc::ptr_eq(upstream, from);
        let number = match from.health.is_ejected() {
            false => self.pool.upstreams.iter().position(home),
            true if self.shared.settings.on_failure == OnFailure::Next => self.elsewhere_for(bytes),
            true => None,
        };
        let Some(number) = number.filter(|n| !self.pool.upstreams[*n].health.is_ejected()) else {
            return false;
        };
        from.counters.repeats.fetch_add(1, Relaxed);
        let connection = self.shared_connection_of(number, state, id);
        let at = &mut self.connections[connection];
        let once = PendingRequest {
            is_repeatable: false,
            ..*waiting
        };
        at.push(bytes, once, self.now);
        if at.is_up() {
            mark(&mut self.dirty_connections, connection, &mut at.dirty);
        }
        true
    }

    /// The present upstream of a request about one key.
    fn elsewhere_for(&self, bytes: &[u8]) -> Option<usize> {
        let mut framer = match self.shared.settings.protocol {
            Protocol::Resp => RequestFramer::resp(),
            Protocol::Memcached => RequestFramer::memcached(),
        };
        match framer.frame(bytes, &mut RequestBuffers::default()) {
            RequestFrame::Request(request, _) => match request.route {
                Route::Key(key) => Some(self.locate(key)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Notes that the request that was appended last to a connection is a read, if it is `safe`.
    pub(super) fn keep_request(&mut self, connection: usize, shape: ReplyShape, safe: bool) {
        // A request without an answer is not in the connection's queue. A quiet one is followed by an `mn`.
        if safe && shape != ReplyShape::Nothing {
            self.connections[connection].last_is_read(shape != ReplyShape::Fenced);
        }
    }
}

//! Requests that are sent once more, because the connection broke before a byte of their answers had
//! come and they change nothing.
//!
//! ```text
//!   a link ──▶ [GET a, SET b, GET c]      closed by the upstream
//!                │      │      └──▶ again, over a new connection, behind GET a
//!                │      └──▶ an error: it may have been executed
//!                └──▶ again
//! ```
//!
//! They go to the same upstream, in their order and before anything that their clients send next, so
//! that none overtakes another. If this was the failure that ejects the upstream, they go to the
//! next one with `--on-failure next`, and else get the error. A second time they are not sent again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::{Upstream, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer, Route};
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::settings::{OnFailure, Protocol};
use crate::upstream::{PendingRequest, Purpose, ReplyOwner, UpstreamConnection};

impl Forwarder {
    /// The requests that a link has under way, each with its bytes if it is to be sent again.
    pub(super) fn unanswered(
        link: &UpstreamConnection,
        failure: &UpstreamFailure,
    ) -> Vec<(PendingRequest, Option<Vec<u8>>)> {
        let ended = matches!(
            failure,
            UpstreamFailure::Closed | UpstreamFailure::Lost(_) | UpstreamFailure::Abandoned
        );
        let broken = link.is_up() && ended && matches!(link.purpose, Purpose::Shared(..));
        let begun = link.framer.is_some() || link.framed.is_some() || !link.held.is_empty();
        let mut is_first = true;
        let again = |(waiting, bytes): (&PendingRequest, Option<&[u8]>)| {
            let is_begun = std::mem::take(&mut is_first) && begun;
            let bytes = bytes.filter(|_| broken && !is_begun);
            (*waiting, bytes.map(<[u8]>::to_vec))
        };
        link.unanswered().map(again).collect()
    }

    /// Sends a request again that a link to `from` had under way. False if there is no one to send it
    /// to.
    pub(super) fn again(
        &mut self,
        from: &Arc<Upstream>,
        purpose: Purpose,
        waiting: &PendingRequest,
        bytes: &[u8],
    ) -> bool {
        let (Purpose::Shared(face, _), ReplyOwner::Client { id, .. }) = (purpose, waiting.owner)
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
        let link = self.shared_link(number, face, id);
        let at = &mut self.links[link];
        let once = PendingRequest {
            is_repeatable: false,
            ..*waiting
        };
        at.push(bytes, once, self.now);
        if at.is_up() {
            mark(&mut self.dirty_links, link, &mut at.dirty);
        }
        true
    }

    /// The upstream that a request about one key belongs to now.
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

    /// Notes that the request that was appended last to a link may be sent again.
    pub(super) fn keep_request(&mut self, link: usize, shape: ReplyShape, safe: bool) {
        // Behind one that is quiet comes more than its bytes, and some get no answer.
        if safe && !matches!(shape, ReplyShape::Nothing | ReplyShape::Fenced) {
            self.links[link].repeat_last();
        }
    }
}

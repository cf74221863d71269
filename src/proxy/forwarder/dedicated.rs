//! Clients with an upstream connection of their own: what a shared one has no place for.
//!
//! ```text
//!   MULTI, WATCH      until EXEC or DISCARD, or UNWATCH     see `transaction`
//!   BLPOP and its kin until the answer                      framed and in order, as on a shared link
//!   over 1 MiB        until the answer; the request streams
//!   SUBSCRIBE,        until the client or the upstream      bytes pass unread in both directions
//!   MONITOR, TRACKING closes
//! ```
//!
//! The connection is opened when all that the client sent before is answered, and closed, not used
//! again, when it is over: nothing of one client's state can reach another. Their number is bounded
//! over all workers.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::UpstreamFailure;
use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::framing::request::{
    DedicatedReason, LargeRequest, MetaForm, Remainder, Request, RequestKeys, Route,
};
use crate::protocol::memcached::text::reply;
use crate::proxy::client::Own;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::Fate;
use crate::proxy::forwarder::meta::FENCE;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::intercept::Intercepted;
use crate::proxy::merge::ReplyMerge;
use crate::upstream::ConnectionState;
use crate::upstream::Purpose;

/// Whether a request is this command, whose name is given in capital letters.
fn is(request: &Request<'_>, name: &[u8]) -> bool {
    request
        .args()
        .is_some_and(|args| args[0].eq_ignore_ascii_case(name))
}

impl Forwarder {
    /// Gives a client an upstream connection of its own, to which the request goes.
    pub(super) fn detach(
        &mut self,
        key: usize,
        request: &Request<'_>,
        why: DedicatedReason,
        keys: RequestKeys<'_>,
    ) -> Fate {
        let number = match keys.iter().next() {
            // What is published in a cluster reaches all its servers, unless it is for a slot.
            _ if self.pool.is_cluster()
                && why == DedicatedReason::Subscribe
                && !is(request, b"SSUBSCRIBE") =>
            {
                self.pool.any()
            }
            Some(_) => match self.common(keys) {
                Some(number) => number,
                None => return self.answer(key, self.cross_slot()),
            },
            None if why == DedicatedReason::Transaction && is(request, b"MULTI") => {
                return match request.args() {
                    Some(args) if args.len() > 1 => self.answer(key, errors::MULTI_WORDS),
                    _ => self.multi(key),
                };
            }
            None if self.pool.is_single() => 0,
            None if why == DedicatedReason::Transaction => {
                return self.to(key, self.pool.any(), request);
            }
            None => return self.answer(key, errors::only(request)),
        };
        match self.take_own(key, number, self.clients[key].face) {
            Err(fate) => fate,
            Ok(()) => self.pass_on(key, request),
        }
    }

    /// Closes a client's own connection if what it was for is over, once the last answer has come.
    pub(super) fn leave_own(&mut self, key: usize) -> Option<Fate> {
        let client = &mut self.clients[key];
        let own = client.own.as_ref().filter(|own| own.is_over())?;
        if client.is_waiting() {
            // What follows belongs to everyone's links again.
            return Some(Fate::Stalled);
        }
        let link = own.link;
        client.own = None;
        self.drop_link(link);
        None
    }

    /// Opens a link for one client alone.
    pub(super) fn take_own(
        &mut self,
        key: usize,
        number: usize,
        face: ConnectionState,
    ) -> Result<(), Fate> {
        let client = &self.clients[key];
        if client.is_waiting() {
            // What was sent before is answered first: two connections keep no order.
            return Err(Fate::Stalled);
        }
        let id = client.id;
        let upstream = Arc::clone(&self.pool.upstreams[number]);
        if upstream.health.is_ejected() {
            return Err(self.unavailable(key, &upstream, ReplyShape::Resp, None));
        }
        let limit = self.shared.settings.detached;
        if self.shared.detached.fetch_add(1, Relaxed) >= limit {
            self.shared.detached.fetch_sub(1, Relaxed);
            upstream.counters.errors.fetch_add(1, Relaxed);
            let error = self.error(&upstream, &UpstreamFailure::Full(limit));
            return Err(self.answer(key, error));
        }
        let link = self.open_link(upstream, Purpose::Own { key, id }, face);
        self.clients[key].own = Some(Own {
            link,
            multi: false,
            aborted: false,
            before: face,
            watching: false,
            away: false,
            raw: false,
            upload: None,
            fence: false,
        });
        Ok(())
    }

    /// Sends a request over the link that its client has for itself.
    pub(super) fn pass_on(&mut self, key: usize, request: &Request<'_>) -> Fate {
        let client = &mut self.clients[key];
        let waiting = client.is_waiting();
        let Some(own) = &mut client.own else {
            return Fate::Stalled;
        };
        if waiting && own.away {
            return Fate::Stalled;
        }
        own.away = false;
        let link = own.link;
        if own.multi && own.aborted && is(request, b"EXEC") {
            // Closing the connection discards the transaction.
            (own.multi, own.aborted, own.watching) = (false, false, false);
            client.face = own.before;
            return self.answer(key, errors::EXECABORT);
        }
        if !self.has_room(link, key) {
            return Fate::Stalled;
        }
        let client = &mut self.clients[key];
        let Some(own) = &mut client.own else {
            return Fate::Stalled;
        };
        let mut patient = false;
        match request.route {
            Route::Dedicated(
                DedicatedReason::Subscribe | DedicatedReason::Monitor | DedicatedReason::Tracking,
                _,
            ) => {
                if waiting {
                    return Fate::Stalled;
                }
                own.raw = true;
            }
            Route::Dedicated(DedicatedReason::Blocking, _) => patient = true,
            Route::Refused => {
                own.aborted |= own.multi;
                let protocol = self.shared.settings.protocol;
                return self.answer(key, errors::refused(protocol));
            }
            _ => {}
        }
        let raw = own.raw;
        if let Some(args) = request.args() {
            match &args[0].to_ascii_uppercase()[..] {
                b"MULTI" if !own.multi => (own.multi, own.before) = (true, client.face),
                b"WATCH" => own.watching = true,
                b"EXEC" if args.len() == 1 => (own.multi, own.watching) = (false, false),
                b"DISCARD" if args.len() == 1 && own.multi => {
                    (own.multi, own.aborted, own.watching) = (false, false, false);
                    client.face = own.before;
                }
                b"UNWATCH" if !own.multi => own.watching = false,
                b"RESET" => {
                    (own.multi, own.aborted, own.watching) = (false, false, false);
                    client.face = ConnectionState::default();
                    client.name = Box::default();
                    client.admitted = self.shared.password.is_none();
                }
                b"QUIT" => client.closing = true,
                // It holds for this client's requests over shared links, too, when this is over.
                _ => client.face.follow(args),
            }
        }
        if raw {
            self.links[link].raw = true;
            self.links[link].keeps = false;
            self.links[link].patient = true;
            self.push(link, key, 0, 0, request.bytes, ReplyShape::Nothing);
        } else {
            self.links[link].patient |= patient;
            let sequence = self.clients[key].open(1, None);
            self.push(link, key, sequence, 0, request.bytes, request.shape);
        }
        Fate::Taken
    }

    /// Begins with a request that is too long to be held as a whole.
    pub(super) fn large(&mut self, key: usize, large: LargeRequest<'_>) -> Fate {
        match self.offer_large(key, &large) {
            Intercepted::Forward => {}
            Intercepted::Full => return self.intercepted(key, Intercepted::Full),
            taken => {
                self.clients[key].skip = Some(large.rest);
                return self.intercepted(key, taken);
            }
        }
        let number = match large.route {
            Route::Key(wanted) => Some(self.locate(wanted)),
            Route::Only if self.pool.is_single() => Some(0),
            _ => None,
        };
        let client = &mut self.clients[key];
        if !client.admitted {
            // It could send for ever, and nobody knows it.
            client.closing = true;
            return self.answer(key, errors::NOAUTH);
        }
        let Some(number) = number else {
            // Its keys belong to several upstreams, or are not known yet: it is divided when all of it is there.
            if matches!(large.route, Route::Only) && client.framer.hold_whole() {
                return Fate::Taken;
            }
            let error = errors::too_large(&large.route);
            return self.pass_over(key, large.rest, error);
        };
        if let Some(fate) = self.leave_own(key) {
            return fate;
        }
        let client = &self.clients[key];
        if let MetaForm::Block { .. } = large.meta
            && !self.pool.upstreams[number].health.is_ejected()
        {
            let link = self.shared_link(number, client.face, client.id);
            match self.knows_meta(link, key) {
                None => return Fate::Stalled,
                Some(false) => return self.pass_over(key, large.rest, reply::ERROR),
                Some(true) => {}
            }
        }
        let client = &self.clients[key];
        let opened = match &client.own {
            Some(own) if self.links[own.link].upstream.id == self.pool.upstreams[number].id => {
                Ok(())
            }
            Some(_) => return self.pass_over(key, large.rest, self.cross_slot()),
            None if client.pending.is_some() => self.begin(key, number),
            None => self.take_own(key, number, client.face),
        };
        if let Err(fate) = opened {
            if let Fate::Taken = fate {
                // It is answered, with an error.
                self.clients[key].skip = Some(large.rest);
            }
            return fate;
        }
        let client = &mut self.clients[key];
        let Some(own) = &mut client.own else {
            return Fate::Stalled;
        };
        let quiet = large.meta.is_quiet();
        (own.upload, own.fence) = (Some(large.rest), quiet);
        let link = own.link;
        self.links[link].patient = true;
        self.links[link].keeps = false;
        let sequence = match large.shape {
            ReplyShape::Nothing => 0,
            _ => client.open(1, quiet.then(ReplyMerge::fenced)),
        };
        self.push(link, key, sequence, 0, b"", large.shape);
        Fate::Taken
    }

    /// Answers a request that is too long to be held, and drops what follows up to its end. A
    /// transaction that it was part of is aborted.
    pub(super) fn pass_over(&mut self, key: usize, rest: Remainder, error: &[u8]) -> Fate {
        let client = &mut self.clients[key];
        client.skip = Some(rest);
        if let Some(own) = &mut client.own {
            own.aborted |= own.multi;
        }
        if let Some(pending) = &mut client.pending {
            pending.abort();
        }
        self.answer(key, error)
    }

    /// Passes bytes to a client's own link as they are; how many it took.
    pub(super) fn stream_up(&mut self, key: usize, bytes: &[u8]) -> usize {
        let Some((link, raw)) = self.clients[key]
            .own
            .as_ref()
            .map(|own| (own.link, own.raw))
        else {
            return 0;
        };
        let client = &mut self.clients[key];
        if !self.links.contains(link) {
            client.closing = true;
            return bytes.len();
        }
        if !self.has_room(link, key) {
            self.clients[key].again = true;
            return 0;
        }
        let client = &mut self.clients[key];
        let Some(own) = &mut client.own else {
            return 0;
        };
        let mut used = bytes.len();
        if !raw && let Some(rest) = &mut own.upload {
            match rest.feed(bytes) {
                None => {
                    client.closing = true;
                    client.lost = true;
                    mark(&mut self.dirty_clients, key, &mut client.dirty);
                    return bytes.len();
                }
                Some((taken, done)) => {
                    used = taken;
                    if done {
                        own.upload = None;
                        self.links[link].patient = false;
                        mark(&mut self.dirty_clients, key, &mut client.dirty);
                    }
                }
            }
        }
        let ends = !raw && own.upload.is_none() && std::mem::take(&mut own.fence);
        let at = &mut self.links[link];
        at.out.extend_from_slice(&bytes[..used]);
        if ends {
            at.out.extend_from_slice(FENCE);
        }
        at.since = self.now;
        if at.is_up() {
            mark(&mut self.dirty_links, link, &mut at.dirty);
        }
        used
    }
}

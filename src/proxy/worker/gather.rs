//! From clients to upstreams: reading clients, cutting their requests, finding each one's link.
//!
//! What stops a client for want of room, at its own end or at a link, leaves its input as it is and
//! comes again when there is room.

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::errors;
use super::super::local::{self, Said};
use super::super::merge::Merge;
use super::super::reply::Shape;
use super::super::request::{Cut, Join, Keys, Local, Request, Route, Scratch};
use super::super::request::{Division, divide};
use super::super::settings::OnFailure;
use super::super::upstream::{Failure, Owner, Upstream, Waiting};
use super::{Worker, mark, queue};

/// What became of a request.
pub(super) enum Fate {
    /// It is on its way, or answered.
    Taken,
    /// There is no room for it now; nothing has happened.
    Stalled,
}

impl Worker {
    /// A client's turn: what it has left over, then one read, then what has arrived with that.
    pub(super) fn gather(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.queued = false;
        if client.closing {
            return mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
        if client.again {
            let input = std::mem::take(&mut client.input);
            let used = self.take_requests(key, &input);
            self.keep(key, input, used);
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.again || client.closing {
            return self.settle(key);
        }
        if client.readable && client.has_room() {
            match client.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (client.readable, client.fin) = (false, false);
                }
                Err(error) => return self.end(key, Some(&error)),
                Ok(0) => client.closing = true,
                Ok(n) => {
                    client.readable = n == self.buffer.len() || client.fin;
                    client.active.connection.touch(self.now);
                    self.connections.traffic(self.index).read(n);
                    let buffer = std::mem::take(&mut self.buffer);
                    if client.input.is_empty() {
                        let used = self.take_requests(key, &buffer[..n]);
                        if used < n {
                            self.keep(key, buffer[used..n].to_vec(), 0);
                        }
                    } else {
                        let mut input = std::mem::take(&mut client.input);
                        input.extend_from_slice(&buffer[..n]);
                        let used = self.take_requests(key, &input);
                        self.keep(key, input, used);
                    }
                    self.buffer = buffer;
                }
            }
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if self.draining && !client.readable && client.input.is_empty() {
            client.closing = true;
        }
        if client.readable && !client.again && !client.closing && client.has_room() {
            queue(&mut self.ready, key, client);
        }
        self.settle(key);
    }

    /// Has a client's output sent, or its connection ended, if that is possible now. One that waits
    /// for something else is left alone until that comes.
    fn settle(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && (client.closing || client.unsent() > 0 && client.writable)
        {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    /// Puts back what was not consumed.
    fn keep(&mut self, key: usize, mut input: Vec<u8>, used: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            if used == input.len() {
                return;
            }
            input.drain(..used);
            input.shrink_to(2 * input.len());
            client.input = input;
        }
    }

    /// Takes the complete requests at the start of `input`, as far as there is room. Returns the
    /// bytes that are done with, and leaves in `Client::again` whether it stopped for want of room.
    fn take_requests(&mut self, key: usize, input: &[u8]) -> usize {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = 0;
        while at < input.len() {
            let Some(client) = self.clients.get_mut(key) else {
                break;
            };
            client.again = !client.has_room();
            if client.again || client.closing {
                break;
            }
            if let Some(own) = &client.own
                && (own.raw || own.upload.is_some())
            {
                match self.stream_up(key, &input[at..]) {
                    0 => break,
                    used => at += used,
                }
                continue;
            }
            match self.take_request(key, &input[at..], &mut scratch) {
                (_, Fate::Stalled) => {
                    if let Some(client) = self.clients.get_mut(key) {
                        client.again = true;
                    }
                    break;
                }
                (None, Fate::Taken) => break,
                (Some(used), Fate::Taken) => at += used,
            }
        }
        self.scratch = scratch;
        at
    }

    /// Takes one request; the bytes that it took, or `None` if it is not all there.
    fn take_request(
        &mut self,
        key: usize,
        input: &[u8],
        scratch: &mut Scratch,
    ) -> (Option<usize>, Fate) {
        let client = &mut self.clients[key];
        match client.cutter.cut(input, scratch) {
            Cut::Incomplete => (None, Fate::Taken),
            Cut::Nothing(used) => (Some(used), Fate::Taken),
            Cut::Bad {
                reply,
                consumed,
                close,
            } => {
                client.answer(&reply);
                client.closing |= close;
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                // Nothing after it has a meaning.
                (
                    Some(if close { input.len() } else { consumed }),
                    Fate::Taken,
                )
            }
            Cut::Large(large) => (Some(0), self.large(key, large)),
            Cut::Request(request, used) => (Some(used), self.request(key, &request)),
        }
    }

    fn request(&mut self, key: usize, request: &Request<'_>) -> Fate {
        let client = &mut self.clients[key];
        if !client.admitted && !matches!(request.route, Route::Local(_)) {
            return self.answer(key, errors::NOAUTH);
        }
        if let Some(own) = &client.own {
            if !own.is_over() {
                return self.pass_on(key, request);
            }
            if client.is_waiting() {
                // The last answer is still to come; what follows belongs to everyone's links again.
                return Fate::Stalled;
            }
            let link = own.link;
            client.own = None;
            self.drop_link(link);
        }
        match request.route {
            Route::Key(wanted) => {
                let number = self.locate(wanted);
                self.to(key, number, request)
            }
            Route::Together(keys) => match self.common(keys) {
                Some(number) => self.to(key, number, request),
                None => self.answer(key, errors::CROSSSLOT),
            },
            Route::Split(join, keys) => self.divide(key, request, join, keys),
            Route::Any => self.to(key, self.pool.any(), request),
            Route::Only if self.pool.is_single() => self.to(key, 0, request),
            Route::Only => self.answer(key, errors::ONLY),
            Route::Every(_) if self.pool.is_single() => self.to(key, 0, request),
            Route::Every(join) => self.every(key, request, join),
            Route::Local(local) => self.local(key, request, local),
            Route::Detach(why, keys) => self.detach(key, request, why, keys),
            Route::Refused => {
                let protocol = self.shared.settings.protocol;
                self.answer(key, errors::refused(protocol))
            }
        }
    }

    /// The upstream of a key, by what is to happen to the keys of an ejected one.
    pub(super) fn locate(&self, key: &[u8]) -> usize {
        let next = self.shared.settings.on_failure == OnFailure::Next;
        self.pool.locate(key, next)
    }

    /// The upstream that all these keys belong to, if there is one.
    pub(super) fn common(&self, keys: Keys<'_>) -> Option<usize> {
        let mut numbers = keys.iter().map(|key| self.locate(key));
        let first = numbers.next().unwrap_or_else(|| self.pool.any());
        numbers.all(|number| number == first).then_some(first)
    }

    pub(super) fn answer(&mut self, key: usize, bytes: impl AsRef<[u8]>) -> Fate {
        let client = &mut self.clients[key];
        client.answer(bytes.as_ref());
        mark(&mut self.dirty_clients, key, &mut client.dirty);
        Fate::Taken
    }

    /// Sends a whole request to an upstream.
    fn to(&mut self, key: usize, number: usize, request: &Request<'_>) -> Fate {
        self.forward_as(
            key,
            number,
            request.bytes,
            request.shape,
            errors::miss(request),
        )
    }

    fn forward_as(
        &mut self,
        key: usize,
        number: usize,
        bytes: &[u8],
        shape: Shape,
        miss: Option<&'static [u8]>,
    ) -> Fate {
        let (face, id) = (self.clients[key].face, self.clients[key].id);
        let upstream = &self.pool.upstreams[number];
        if upstream.health.is_ejected() {
            let upstream = Arc::clone(upstream);
            let miss = miss.filter(|_| self.shared.settings.on_failure == OnFailure::Miss);
            return self.unavailable(key, &upstream, shape, miss);
        }
        let link = self.shared_link(number, face, id);
        if !self.has_room(link, key) {
            return Fate::Stalled;
        }
        let sequence = match shape {
            Shape::Nothing => 0,
            _ => self.clients[key].open(1, None),
        };
        self.push(link, key, sequence, 0, bytes, shape);
        Fate::Taken
    }

    /// Answers for an upstream that is ejected.
    pub(super) fn unavailable(
        &mut self,
        key: usize,
        upstream: &Upstream,
        shape: Shape,
        miss: Option<&'static [u8]>,
    ) -> Fate {
        upstream.counters.requests.fetch_add(1, Relaxed);
        upstream.counters.errors.fetch_add(1, Relaxed);
        if shape == Shape::Nothing {
            return Fate::Taken;
        }
        match miss {
            Some(miss) => self.answer(key, miss),
            None => {
                let error = self.error(upstream, &Failure::Ejected);
                self.answer(key, error)
            }
        }
    }

    pub(super) fn error(&self, upstream: &Upstream, failure: &Failure) -> Vec<u8> {
        errors::upstream(self.shared.settings.protocol, &upstream.address, failure)
    }

    /// Whether a link takes another request; if not, the client is told when it does.
    pub(super) fn has_room(&mut self, link: usize, key: usize) -> bool {
        let link = &mut self.links[link];
        let room = link.has_room();
        if !room && !link.waiters.contains(&key) {
            link.waiters.push(key);
        }
        room
    }

    /// Appends a part of a client's request to a link.
    pub(super) fn push(
        &mut self,
        link: usize,
        key: usize,
        sequence: u64,
        part: usize,
        bytes: &[u8],
        shape: Shape,
    ) {
        let owner = Owner::Client {
            key,
            id: self.clients[key].id,
            sequence,
            part,
        };
        let waiting = Waiting {
            owner,
            shape,
            since: self.micros,
        };
        let at = &mut self.links[link];
        at.upstream.counters.requests.fetch_add(1, Relaxed);
        at.push(bytes, waiting, self.now);
        if at.is_up() {
            mark(&mut self.dirty_links, link, &mut at.dirty);
        }
    }

    /// Sends a request whose keys may belong to several upstreams.
    fn divide(&mut self, key: usize, request: &Request<'_>, join: Join, keys: Keys<'_>) -> Fate {
        match divide(request, join, keys, |key| self.locate(key)) {
            Division::Whole(number) => self.to(key, number, request),
            Division::Parts(parts, merge) => {
                let parts: Vec<(usize, &[u8])> = parts
                    .iter()
                    .map(|part| (part.upstream, &part.bytes[..]))
                    .collect();
                self.parts(key, &parts, request.shape, merge, request.repeat_safe)
            }
        }
    }

    /// Sends a request to all upstreams.
    fn every(&mut self, key: usize, request: &Request<'_>, join: Join) -> Fate {
        let count = self.pool.upstreams.len();
        let parts: Vec<(usize, &[u8])> = (0..count).map(|n| (n, request.bytes)).collect();
        let merge = Merge::every(join, request.shape, count);
        self.parts(key, &parts, request.shape, merge, false)
    }

    /// Sends the parts of a request, or none if a link is full: the answers to two divided requests
    /// can't wait for each other as long as all parts of the one are ahead of those of the other.
    fn parts(
        &mut self,
        key: usize,
        parts: &[(usize, &[u8])],
        shape: Shape,
        merge: Merge,
        may_miss: bool,
    ) -> Fate {
        let (face, id) = (self.clients[key].face, self.clients[key].id);
        let mut links = Vec::with_capacity(parts.len());
        for (number, _) in parts {
            if self.pool.upstreams[*number].health.is_ejected() {
                links.push(None);
                continue;
            }
            let link = self.shared_link(*number, face, id);
            if !self.has_room(link, key) {
                return Fate::Stalled;
            }
            links.push(Some(link));
        }
        let quiet = shape == Shape::Nothing;
        let sequence = match quiet {
            true => 0,
            false => self.clients[key].open(parts.len(), Some(merge)),
        };
        for (part, ((number, bytes), link)) in parts.iter().zip(&links).enumerate() {
            let Some(link) = link else {
                let upstream = Arc::clone(&self.pool.upstreams[*number]);
                upstream.counters.requests.fetch_add(1, Relaxed);
                upstream.counters.errors.fetch_add(1, Relaxed);
                if quiet {
                    continue;
                }
                let error = self.error(&upstream, &Failure::Ejected);
                let client = &mut self.clients[key];
                if may_miss && self.shared.settings.on_failure == OnFailure::Miss {
                    client.miss(sequence, part);
                } else {
                    client.fail(sequence, part, &error);
                }
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                continue;
            };
            self.push(*link, key, sequence, part, bytes, shape);
        }
        Fate::Taken
    }

    /// Answers what concerns the connection between the client and the proxy.
    fn local(&mut self, key: usize, request: &Request<'_>, local: Local<'_>) -> Fate {
        let client = &mut self.clients[key];
        let mut out = Vec::new();
        let said = match local {
            Local::Resp(command, args) => {
                local::resp(command, args, client, &self.shared, &self.pool, &mut out)
            }
            Local::Memcached(command) => local::memcached(command, &self.pool, &mut out),
        };
        match said {
            Said::Answer => self.answer(key, &out),
            Said::Close => {
                self.clients[key].closing = true;
                self.answer(key, &out)
            }
            Said::Forward(shape) => {
                let number = self.pool.any();
                self.forward_as(key, number, request.bytes, shape, None)
            }
        }
    }
}

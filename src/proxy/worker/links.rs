//! The life of a worker's links: made when a client first needs one, connected without waiting,
//! ended by a failure or when nobody needs them any more.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use mio::unix::SourceFd;

use crate::pool::{HealthChange, ResolvedName, Upstream, UpstreamFailure};
use crate::protocol::framing::reply::ReplyShape;
use crate::proxy::errors;
use crate::proxy::settings::Protocol;
use crate::proxy::worker::{Worker, link_token, mark, queue, register};
use crate::server::Stream;
use crate::upstream::ConnectionState;
use crate::upstream::{
    Greeting, Link, MEMCACHED_PROBE, Owner, Purpose, RESP_PROBE, Stage, Waiting,
};

impl Worker {
    /// A new link to an upstream, on its way to being connected. It may have failed already; then
    /// its number is nobody's.
    pub(super) fn open_link(
        &mut self,
        upstream: Arc<Upstream>,
        purpose: Purpose,
        face: ConnectionState,
    ) -> usize {
        self.serial += 1;
        let cluster = self.pool.is_cluster();
        let link = Link::new(upstream, purpose, self.serial, cluster, self.now);
        let name = link.upstream.address.clone();
        let key = self.links.insert(link);
        self.greet(key, face);
        match name.parse() {
            Ok(address) => {
                let addresses = VecDeque::from([address]);
                self.connect(key, addresses);
            }
            Err(_) => self.shared.resolver.look_up(
                name,
                (key, self.serial),
                self.answers.0.clone(),
                Arc::clone(self.inbox.waker()),
            ),
        }
        key
    }

    pub(super) fn resolved(&mut self, lookup: ResolvedName) {
        let waits = self.links.get(lookup.link).is_some_and(|link| {
            link.serial == lookup.serial && matches!(link.stage, Stage::Resolving)
        });
        if !waits {
            return;
        }
        match lookup.found {
            Ok(addresses) => self.connect(lookup.link, addresses.into()),
            Err(error) => self.fail_link(lookup.link, UpstreamFailure::Unknown(error.to_string())),
        }
    }

    pub(super) fn connect(&mut self, key: usize, addresses: VecDeque<SocketAddr>) {
        let link = &mut self.links[key];
        let begun = link.connect(addresses).and_then(|()| match &link.stream {
            Some(stream) => {
                register(&self.poll, stream, link_token(key)).map_err(UpstreamFailure::Refused)
            }
            None => Ok(()),
        });
        if let Err(failure) = begun {
            self.refused.push((key, failure));
        }
    }

    /// The poller says that connecting has come to something.
    pub(super) fn connected(&mut self, key: usize) {
        let link = &mut self.links[key];
        let Some(Stream::Tcp(stream)) = &link.stream else {
            return;
        };
        let outcome = stream.take_error().unwrap_or_else(Some);
        if outcome.is_none() && stream.peer_addr().is_err() {
            // Not yet.
            return;
        }
        if let Some(error) = outcome {
            let Stage::Connecting(rest) = std::mem::replace(&mut link.stage, Stage::Resolving)
            else {
                return;
            };
            // The socket closes, which takes it from the poller.
            link.stream = None;
            (link.writable, link.fin) = (false, false);
            if rest.is_empty() {
                self.fail_link(key, UpstreamFailure::Refused(error));
            } else {
                self.connect(key, rest);
            }
            return;
        }
        link.stage = Stage::Up;
        link.since = self.now;
        log::debug!("upstream {}: connected", link.upstream.address);
        mark(&mut self.dirty_links, key, &mut link.dirty);
        if link.fin && !link.readable {
            link.readable = true;
            self.readable.push_back(key);
        }
    }

    /// The end of a link on which something went wrong: everyone who waits for an answer gets an
    /// error, but for requests that may be sent again.
    pub(super) fn fail_link(&mut self, key: usize, failure: UpstreamFailure) {
        let Some(mut link) = self.links.try_remove(key) else {
            return;
        };
        debug_assert!(!failure.leaves_connection_usable());
        self.forget(key, &link);
        let upstream = Arc::clone(&link.upstream);
        let mut kept = Worker::repeatable(&mut link, &failure);
        let waiting: Vec<Waiting> = link.queue.iter().copied().collect();
        let waiters = std::mem::take(&mut link.waiters);
        let idle = !link.is_waiting();
        // A database that isn't there was the choice of a client, and says nothing of the upstream.
        let chosen = matches!(failure, UpstreamFailure::Login(_))
            && match link.purpose {
                Purpose::Shared(face, _) => face != ConnectionState::default(),
                Purpose::Own { .. } => true,
                Purpose::Probe => false,
            };
        let purpose = link.purpose;
        drop(link);
        if idle {
            log::debug!("upstream {}: an idle connection ended", upstream.address);
        } else if chosen {
            log::info!("upstream {} {failure}", upstream.address);
        } else {
            let limit = self.shared.settings.failures;
            let probing = upstream.health.is_ejected();
            match upstream.health.failed(self.now, limit) {
                HealthChange::Ejected => log::warn!(
                    "upstream {} {failure}; ejected after {limit} errors in a row, probed until it \
                     is back",
                    upstream.address
                ),
                _ if probing => log::debug!("upstream {} {failure}", upstream.address),
                _ => log::warn!("upstream {} {failure}", upstream.address),
            }
        }
        self.shared.ask_for_slots();
        let error = errors::upstream(self.shared.settings.protocol, &upstream.address, &failure);
        for waiting in waiting {
            let bytes = kept.take();
            if let Owner::Client {
                key,
                id,
                sequence,
                part,
            } = waiting.owner
            {
                if let Some(bytes) = bytes
                    && self.clients.get(key).is_some_and(|client| client.id == id)
                    && self.again(&upstream, purpose, &waiting, bytes)
                {
                    continue;
                }
                upstream.counters.errors.fetch_add(1, Relaxed);
                if let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id) {
                    client.fail(sequence, part, &error);
                    mark(&mut self.dirty_clients, key, &mut client.dirty);
                }
            }
        }
        if let Purpose::Own { key: owner, id } = purpose
            && let Some(client) = self.clients.get_mut(owner).filter(|client| client.id == id)
            && client.own.as_ref().is_some_and(|own| own.link == key)
        {
            let key = owner;
            // What the upstream knew of this client, a transaction or a subscription, is lost.
            client.own = None;
            client.closing = true;
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
        for key in waiters {
            if let Some(client) = self.clients.get_mut(key) {
                queue(&mut self.ready, key, client);
            }
        }
    }

    /// Ends a link that owes nobody anything.
    pub(super) fn drop_link(&mut self, key: usize) {
        if let Some(link) = self.links.try_remove(key) {
            self.forget(key, &link);
        }
    }

    pub(super) fn forget(&mut self, key: usize, link: &Link) {
        if let Some(stream) = &link.stream {
            let fd = stream.as_raw_fd();
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        }
        match link.purpose {
            Purpose::Shared(face, number) => {
                let lane = (link.upstream.id, face, number);
                if self.lanes.get(&lane) == Some(&key) {
                    self.lanes.remove(&lane);
                }
            }
            Purpose::Own { .. } => {
                self.shared.detached.fetch_sub(1, Relaxed);
            }
            Purpose::Probe => {}
        }
    }

    /// Gives clients another turn for which a link had no room, if it has now.
    pub(super) fn wake_waiters(&mut self, key: usize) {
        let Some(link) = self.links.get_mut(key).filter(|link| link.has_room()) else {
            return;
        };
        for waiter in std::mem::take(&mut link.waiters) {
            if let Some(client) = self.clients.get_mut(waiter) {
                queue(&mut self.ready, waiter, client);
            }
        }
    }

    /// Goes over to a changed list: links of upstreams that are gone end when their answers have
    /// come, all others stay.
    pub(super) fn change_pool(&mut self) {
        (self.generation, self.pool) = self.shared.pool();
        let stays = |id| self.pool.upstreams.iter().any(|upstream| upstream.id == id);
        self.lanes.retain(|lane, _| stays(lane.0));
        let gone: Vec<usize> = self
            .links
            .iter_mut()
            .filter(|(_, link)| {
                matches!(link.purpose, Purpose::Shared(..)) && !stays(link.upstream.id)
            })
            .map(|(key, link)| {
                link.retired = true;
                key
            })
            .collect();
        for key in gone {
            self.retire(key);
        }
    }

    /// Closes a link that has been retired and owes nobody anything.
    pub(super) fn retire(&mut self, key: usize) {
        if self
            .links
            .get(key)
            .is_some_and(|link| link.retired && !link.is_waiting())
        {
            self.drop_link(key);
        }
    }

    /// The link that this client's requests to an upstream go over; made if it isn't there.
    pub(super) fn shared_link(&mut self, number: usize, face: ConnectionState, id: u64) -> usize {
        self.lane(number, face, id as usize % self.width)
    }

    /// The link in this place among those to an upstream.
    pub(super) fn lane(&mut self, number: usize, face: ConnectionState, place: usize) -> usize {
        let upstream = &self.pool.upstreams[number];
        let lane = (upstream.id, face, place);
        if let Some(&link) = self.lanes.get(&lane) {
            let at = &self.links[link];
            // What an upstream that has closed the connection is sent would be lost.
            if !at.fin || at.is_waiting() {
                return link;
            }
            self.drop_link(link);
        }
        let upstream = &self.pool.upstreams[number];
        let upstream = Arc::clone(upstream);
        let link = self.open_link(upstream, Purpose::Shared(face, place), face);
        self.lanes.insert(lane, link);
        link
    }

    /// What has to be said to an upstream before anything else: the password, and what the clients
    /// of this link have made of their connections.
    pub(super) fn greet(&mut self, link: usize, face: ConnectionState) {
        let settings = &self.shared.settings;
        let greeting = Greeting {
            password: self.shared.password.as_deref(),
            resp3: face.resp3,
            database: match face.database {
                0 => settings.database,
                database => database,
            },
        };
        let (greeting, probe) = match settings.protocol {
            Protocol::Resp => (Some(greeting), RESP_PROBE),
            Protocol::Memcached => (None, MEMCACHED_PROBE),
        };
        let link = &mut self.links[link];
        let purpose = link.purpose;
        let mut push = |bytes: &[u8], shape| {
            let waiting = Waiting::new(Owner::Proxy, shape, self.micros);
            link.push(bytes, waiting, self.now);
        };
        for request in greeting.iter().flat_map(Greeting::requests) {
            push(&request, ReplyShape::Resp);
        }
        if purpose == Purpose::Probe {
            push(probe.0, probe.1);
        }
    }

    /// Asks an upstream that is ejected whether it is back.
    pub(super) fn probe(&mut self, upstream: Arc<Upstream>) {
        self.open_link(upstream, Purpose::Probe, ConnectionState::default());
    }
}

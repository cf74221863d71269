//! From upstreams to clients: reading links, framing their answers, giving each to its client.

use std::sync::atomic::Ordering::Relaxed;

use slab::Slab;

use crate::pool::{HealthChange, UpstreamFailure};
use crate::protocol::framing::reply::{FrameState, ReplyFramer};
use crate::proxy::client::Client;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::settings::{BACKLOG, OnReturn};
use crate::upstream::{Link, Look, Owner, Purpose};

/// Whether bytes for the front of a link's queue have somewhere to go.
pub(super) fn takes(clients: &Slab<Client>, link: &Link, front: Option<Owner>) -> bool {
    let client = |key, id| clients.get(key).filter(|client: &&Client| client.id == id);
    match front {
        Some(Owner::Client {
            key,
            id,
            sequence,
            part,
        }) => client(key, id).is_none_or(|client| client.takes(sequence, part)),
        Some(Owner::Proxy | Owner::Nobody | Owner::Question) => true,
        None => match link.purpose {
            Purpose::Own { key, id } if link.raw => {
                client(key, id).is_none_or(|client| client.backlog() < BACKLOG)
            }
            _ => true,
        },
    }
}

impl Forwarder {
    /// A link's socket has bytes, or the end, to be read. `ends` says that the end was announced, which may be behind
    /// bytes.
    pub(crate) fn link_readable(&mut self, key: usize, ends: bool) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.ends |= ends;
        if !std::mem::replace(&mut link.readable, true) {
            self.readable.push_back(key);
        }
    }

    /// A link's socket has nothing more to be read.
    pub(crate) fn link_drained(&mut self, key: usize) {
        if let Some(link) = self.links.get_mut(key) {
            (link.readable, link.ends) = (false, false);
        }
    }

    /// How many links are to get a turn.
    pub(crate) fn readable_links(&self) -> usize {
        self.readable.len()
    }

    /// Gives the next link its turn: what it holds back is delivered. `Some` if its socket is to be read once then,
    /// which ends in [`link_received`](Forwarder::link_received), [`link_drained`](Forwarder::link_drained) or
    /// [`link_failed`](Forwarder::link_failed).
    pub(crate) fn next_link(&mut self) -> Option<usize> {
        let key = self.readable.pop_front()?;
        let link = self.links.get_mut(key)?;
        if !link.held.is_empty() {
            let held = std::mem::take(&mut link.held);
            match self.deliver(key, &held) {
                Ok(used) if used == held.len() => self.retire(key),
                Ok(used) => self.hold(key, &held[used..]),
                Err(failure) => self.link_failed(key, failure),
            }
        }
        let link = self.links.get(key)?;
        (link.held.is_empty() && link.readable).then_some(key)
    }

    /// Takes bytes that were read from an upstream. `more` says that the socket may have more of them.
    pub(crate) fn link_received(&mut self, key: usize, bytes: &[u8], more: bool) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.readable = more || link.ends;
        link.since = self.now;
        match self.deliver(key, bytes) {
            Err(failure) => self.link_failed(key, failure),
            Ok(used) if used < bytes.len() => self.hold(key, &bytes[used..]),
            Ok(_) => {
                if self.links.get(key).is_some_and(|link| link.readable) {
                    self.readable.push_back(key);
                }
                self.retire(key);
            }
        }
    }

    /// Keeps what can't be delivered yet. Nothing more is read meanwhile.
    fn hold(&mut self, key: usize, rest: &[u8]) {
        if let Some(link) = self.links.get_mut(key) {
            link.held = rest.to_vec();
            self.held.push(key);
        }
    }

    /// Gives bytes to those whose answers they are; how many found a taker.
    fn deliver(&mut self, key: usize, bytes: &[u8]) -> Result<usize, UpstreamFailure> {
        let serial = self.links.get(key).map(|link| link.serial);
        let mut at = 0;
        while at < bytes.len() {
            // Following a redirection may end this link, and make another of the same number.
            let Some(link) = self
                .links
                .get_mut(key)
                .filter(|link| Some(link.serial) == serial)
            else {
                return Ok(bytes.len());
            };
            let front = link
                .queue
                .front()
                .map(|waiting| (waiting.owner, waiting.shape));
            if !takes(&self.clients, link, front.map(|(owner, _)| owner)) {
                return Ok(at);
            }
            let Some((owner, shape)) = front else {
                let Purpose::Own { key, id } = link.purpose else {
                    return Err(UpstreamFailure::Garbage);
                };
                if !link.raw {
                    return Err(UpstreamFailure::Garbage);
                }
                link.since = self.now;
                if let Some(client) = self.clients.get_mut(key).filter(|c| c.id == id) {
                    client.pass(&bytes[at..]);
                    mark(&mut self.dirty_clients, key, &mut client.dirty);
                }
                return Ok(bytes.len());
            };
            let first = link.framer.is_none();
            let (used, done) = match link.framed.take() {
                Some(framed) => framed,
                None => {
                    let framer = link.framer.get_or_insert_with(|| ReplyFramer::new(shape));
                    let progress = framer.feed(&bytes[at..]);
                    match progress.state {
                        FrameState::Garbage => return Err(UpstreamFailure::Garbage),
                        state => (progress.used, state == FrameState::Done),
                    }
                }
            };
            let framer = link.framer.as_ref();
            // A message that belongs to no request: nobody on a shared link asked for it.
            let (push, refused) = (
                framer.is_some_and(ReplyFramer::is_push),
                framer.is_some_and(ReplyFramer::is_error),
            );
            let piece = &bytes[at..at + used];
            let mut before = Vec::new();
            if link.clustered && refused && matches!(owner, Owner::Client { .. }) {
                match link.look(piece, first, done) {
                    Look::Pass(waited) => before = waited,
                    Look::Wait => {
                        at += used;
                        continue;
                    }
                    Look::Redirect(line) => {
                        self.redirect(key, &line);
                        at += used;
                        continue;
                    }
                }
                if first && piece.starts_with(b"-CLUSTERDOWN") {
                    self.shared.ask_for_slots();
                }
            }
            let taken = match owner {
                Owner::Proxy if done && refused && !push => {
                    let said = String::from_utf8_lossy(piece);
                    return Err(UpstreamFailure::Login(
                        said.trim_start_matches('-').trim().to_owned(),
                    ));
                }
                Owner::Client {
                    key,
                    id,
                    sequence,
                    part,
                } if !push => match self.clients.get_mut(key).filter(|c| c.id == id) {
                    Some(client) => {
                        mark(&mut self.dirty_clients, key, &mut client.dirty);
                        if !before.is_empty() {
                            client.deliver(sequence, part, &before, false);
                        }
                        client.deliver(sequence, part, piece, done)
                    }
                    None => used,
                },
                _ => used,
            };
            at += taken;
            if taken < used {
                link.framed = Some((used - taken, done));
                return Ok(at);
            }
            if done && push {
                link.framer = None;
            } else if done {
                self.answered(key);
                if owner == Owner::Question {
                    self.told(key, !refused);
                }
            }
        }
        Ok(at)
    }

    /// The answer at the front of a link's queue is complete.
    fn answered(&mut self, key: usize) {
        let link = &mut self.links[key];
        let Some(waiting) = link.pop() else {
            return;
        };
        link.since = self.now;
        link.used |= matches!(waiting.owner, Owner::Client { .. });
        if link.queue.is_empty() && !link.raw {
            link.patient = false;
        }
        let upstream = &link.upstream;
        if waiting.owner != Owner::Proxy {
            upstream
                .counters
                .latency
                .record(self.micros.saturating_sub(waiting.since));
        }
        let last_of_probe = link.purpose == Purpose::Probe && link.queue.is_empty();
        let flushes = self.shared.settings.on_return == OnReturn::Flush;
        if flushes && !last_of_probe {
            // Only the probe flushes it.
            upstream.health.answered();
        // What lets the proxy in says nothing yet about whether requests are answered.
        } else if (waiting.owner != Owner::Proxy || last_of_probe)
            && upstream.health.succeeded() == HealthChange::Back
        {
            let flushed = if flushes { "flushed and " } else { "" };
            log::info!("upstream {}: {flushed}back", upstream.address);
        }
        upstream.counters.answers.fetch_add(1, Relaxed);
        if link.keeps && !link.waiters.is_empty() {
            // Fewer requests are kept: there may be room.
            self.wake_waiters(key);
        }
        if last_of_probe {
            self.drop_link(key);
        }
    }
}

//! From upstreams to clients: reading connections, framing their answers, giving each to its client.

use std::sync::atomic::Ordering::Relaxed;

use slab::Slab;

use crate::pool::{HealthChange, UpstreamFailure};
use crate::protocol::framing::reply::{ReplyFramer, ReplyShape};
use crate::protocol::memcached::binary::HEADER_LENGTH;
use crate::proxy::client::Client;
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::session::Confirmation;
use crate::proxy::settings::{BACKLOG, OnReturn};
use crate::upstream::{
    ConnectionPurpose, FramedPiece, PendingRequest, RedirectCheck, ReplyOwner, UpstreamConnection,
};

/// Whether bytes for the front of a connection's queue can be delivered.
pub(super) fn takes(
    clients: &Slab<Client>,
    connection: &UpstreamConnection,
    front: Option<ReplyOwner>,
) -> bool {
    let client = |key, id| clients.get(key).filter(|client: &&Client| client.id == id);
    match front {
        Some(ReplyOwner::Client {
            key,
            id,
            sequence,
            part,
        }) => client(key, id).is_none_or(|client| client.takes(sequence, part)),
        Some(ReplyOwner::Proxy | ReplyOwner::Discarded | ReplyOwner::MetaProbe) => true,
        None => match connection.purpose {
            ConnectionPurpose::Dedicated { key, id }
                if connection.raw || connection.takes_messages =>
            {
                client(key, id).is_none_or(|client| client.backlog() < BACKLOG)
            }
            _ => true,
        },
    }
}

/// The error in answer to a first request of the proxy's own.
fn login_failure(shape: ReplyShape, reply: &[u8]) -> UpstreamFailure {
    let text = match shape {
        ReplyShape::Binary(_) => reply.get(HEADER_LENGTH..).unwrap_or_default(),
        _ => reply,
    };
    let said = String::from_utf8_lossy(text);
    UpstreamFailure::Login(said.trim_start_matches('-').trim().to_owned())
}

impl Forwarder {
    /// A connection's socket has bytes, or the end, to be read. `ends` means that the end was announced, which may
    /// be behind bytes.
    pub(crate) fn connection_readable(&mut self, key: usize, ends: bool) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.ends |= ends;
        if !std::mem::replace(&mut connection.readable, true) {
            self.readable.push_back(key);
        }
    }

    /// A connection's socket is drained.
    pub(crate) fn connection_drained(&mut self, key: usize) {
        if let Some(connection) = self.connections.get_mut(key) {
            (connection.readable, connection.ends) = (false, false);
        }
    }

    /// The number of connections that are to get a turn.
    pub(crate) fn readable_connections(&self) -> usize {
        self.readable.len()
    }

    /// Gives the next connection its turn: the bytes that it holds back are delivered. `Some` if its socket is to be
    /// read once then, which ends in [`connection_received`](Forwarder::connection_received),
    /// [`connection_drained`](Forwarder::connection_drained) or [`connection_failed`](Forwarder::connection_failed).
    pub(crate) fn next_readable_connection(&mut self) -> Option<usize> {
        let key = self.readable.pop_front()?;
        let connection = self.connections.get_mut(key)?;
        if !connection.held.is_empty() {
            let held = std::mem::take(&mut connection.held);
            match self.deliver(key, &held) {
                Ok(used) if used == held.len() => self.retire(key),
                Ok(used) => self.hold(key, &held[used..]),
                Err(failure) => self.connection_failed(key, failure),
            }
        }
        let connection = self.connections.get(key)?;
        (connection.held.is_empty() && connection.readable).then_some(key)
    }

    /// Takes bytes that were read from an upstream. `more` means that the socket may have more of
    /// them.
    pub(crate) fn connection_received(&mut self, key: usize, bytes: &[u8], more: bool) {
        let Some(connection) = self.connections.get_mut(key) else {
            return;
        };
        connection.readable = more || connection.ends;
        connection.since = self.now;
        match self.deliver(key, bytes) {
            Err(failure) => self.connection_failed(key, failure),
            Ok(used) if used < bytes.len() => self.hold(key, &bytes[used..]),
            Ok(_) => {
                if self
                    .connections
                    .get(key)
                    .is_some_and(|connection| connection.readable)
                {
                    self.readable.push_back(key);
                }
                self.retire(key);
            }
        }
    }

    /// Keeps bytes that can't be delivered yet. No more are read meanwhile.
    fn hold(&mut self, key: usize, rest: &[u8]) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.held = rest.to_vec();
            self.held.push(key);
        }
    }

    /// Delivers bytes to the clients whose answers they are. Returns the number of delivered bytes.
    fn deliver(&mut self, key: usize, bytes: &[u8]) -> Result<usize, UpstreamFailure> {
        let serial = self
            .connections
            .get(key)
            .map(|connection| connection.serial);
        let mut at = 0;
        while at < bytes.len() {
            // Following a redirection may end this connection, and make another of the same number.
            if self
                .connections
                .get(key)
                .map(|connection| connection.serial)
                != serial
            {
                return Ok(bytes.len());
            }
            let (used, goes_on) = self.deliver_piece(key, &bytes[at..])?;
            at += used;
            if !goes_on {
                break;
            }
        }
        Ok(at)
    }

    /// Delivers the piece of a reply at the start of the bytes. Returns the number of consumed bytes, and whether the
    /// rest may be delivered.
    fn deliver_piece(
        &mut self,
        key: usize,
        bytes: &[u8],
    ) -> Result<(usize, bool), UpstreamFailure> {
        let connection = &mut self.connections[key];
        let front = connection.queue.front().copied();
        if !takes(
            &self.clients,
            connection,
            front.map(|waiting| waiting.owner),
        ) {
            return Ok((0, false));
        }
        let Some(front) = front else {
            return match connection.takes_messages {
                true => self.take_messages(key, bytes),
                false => self.pass_unread(key, bytes),
            };
        };
        let piece = self.frame(key, &front, bytes)?;
        let connection = &mut self.connections[key];
        let bytes = &bytes[..piece.used];
        let mut before = Vec::new();
        if connection.clustered
            && piece.is_error
            && matches!(front.owner, ReplyOwner::Client { .. })
        {
            match connection.check_redirect(bytes, piece.is_first, piece.done) {
                RedirectCheck::Pass(waited) => before = waited,
                RedirectCheck::Wait => return Ok((piece.used, true)),
                RedirectCheck::Redirect(line) => {
                    self.redirect(key, &line);
                    return Ok((piece.used, true));
                }
            }
            if piece.is_first && bytes.starts_with(b"-CLUSTERDOWN") {
                self.shared.ask_for_slots();
            }
        }
        if front.owner == ReplyOwner::Proxy && piece.done && piece.is_error {
            return Err(login_failure(front.shape, bytes));
        }
        let shown = piece.shown_bytes(bytes);
        let taken = match piece.is_push {
            true => 0,
            false => self.give(front.owner, [&before, shown], piece.done),
        };
        // A header is shorter than the least that a client takes.
        if taken < shown.len() {
            self.connections[key].framed = Some((piece.used - taken, piece.done));
            return Ok((taken, false));
        }
        if piece.done {
            self.end_piece(key, &front, &piece);
        }
        Ok((piece.used, true))
    }

    /// Finds the piece of the reply to the front of a connection's queue at the start of the bytes.
    fn frame(
        &mut self,
        key: usize,
        front: &PendingRequest,
        bytes: &[u8],
    ) -> Result<FramedPiece, UpstreamFailure> {
        let connection = &self.connections[key];
        let keeps_elements = connection.framer.is_none() && self.wants_elements(key, front);
        let framed = self.connections[key].frame(front.shape, keeps_elements, bytes);
        framed.map_err(|failure| match front.owner {
            ReplyOwner::Proxy if matches!(front.shape, ReplyShape::Binary(_)) => {
                UpstreamFailure::NotBinary
            }
            _ => failure,
        })
    }

    /// Gives a client a piece of its answer, behind the bytes of it that wait. Returns the number of bytes that
    /// it took.
    fn give(&mut self, owner: ReplyOwner, [before, piece]: [&[u8]; 2], done: bool) -> usize {
        let ReplyOwner::Client {
            key,
            id,
            sequence,
            part,
        } = owner
        else {
            return piece.len();
        };
        let Some(client) = self.clients.get_mut(key).filter(|c| c.id == id) else {
            return piece.len();
        };
        mark(&mut self.dirty_clients, key, &mut client.dirty);
        if !before.is_empty() {
            client.deliver(sequence, part, before, false);
        }
        client.deliver(sequence, part, piece, done)
    }

    /// Passes on a message that belongs to no request: a client that has the connection for itself may have asked
    /// for it.
    fn pass_unread(&mut self, key: usize, bytes: &[u8]) -> Result<(usize, bool), UpstreamFailure> {
        let connection = &mut self.connections[key];
        let ConnectionPurpose::Dedicated { key, id } = connection.purpose else {
            return Err(UpstreamFailure::Garbage);
        };
        if !connection.raw {
            return Err(UpstreamFailure::Garbage);
        }
        connection.since = self.now;
        if let Some(client) = self.clients.get_mut(key).filter(|c| c.id == id) {
            client.pass(bytes);
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
        Ok((bytes.len(), true))
    }

    /// Whether the types of the elements of the next reply change its client's session.
    fn wants_elements(&self, key: usize, front: &PendingRequest) -> bool {
        let ReplyOwner::Client {
            key: client,
            sequence,
            ..
        } = front.owner
        else {
            return false;
        };
        matches!(
            self.connections[key].purpose,
            ConnectionPurpose::Dedicated { .. }
        ) && self
            .clients
            .get(client)
            .is_some_and(|client| client.session.wants_elements(sequence))
    }

    /// A reply is complete, or a message that is no reply.
    fn end_piece(&mut self, key: usize, front: &PendingRequest, piece: &FramedPiece) {
        let connection = &mut self.connections[key];
        if piece.is_push {
            connection.framer = None;
            return;
        }
        if piece.is_error && matches!(front.owner, ReplyOwner::Client { .. }) {
            self.shared.requests.error(ErrorSource::Server);
        }
        if let (ConnectionPurpose::Dedicated { key, id }, ReplyOwner::Client { sequence, .. }) =
            (connection.purpose, front.owner)
            && let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id)
        {
            let elements = connection.framer.as_ref().map(ReplyFramer::elements);
            client.session.confirmed(
                sequence,
                Confirmation {
                    is_error: piece.is_error,
                    elements: elements.unwrap_or_default(),
                },
            );
        }
        self.answered(key);
        if front.owner == ReplyOwner::MetaProbe {
            self.meta_answered(key, !piece.is_error);
        }
    }

    /// The answer at the front of a connection's queue is complete.
    fn answered(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        let Some(waiting) = connection.pop() else {
            return;
        };
        connection.since = self.now;
        connection.used |= matches!(waiting.owner, ReplyOwner::Client { .. });
        if connection.queue.is_empty() && !connection.raw && !connection.takes_messages {
            connection.has_no_deadline = false;
        }
        let upstream = &connection.upstream;
        if waiting.owner != ReplyOwner::Proxy {
            upstream.note_answer(matches!(waiting.shape, ReplyShape::Binary(_)));
            upstream
                .counters
                .latency
                .record(self.micros.saturating_sub(waiting.since));
        }
        let last_of_probe =
            connection.purpose == ConnectionPurpose::Probe && connection.queue.is_empty();
        let flushes = self.shared.settings.on_return == OnReturn::Flush;
        if flushes && !last_of_probe {
            // Only the probe flushes it.
            upstream.health.answered();
        // An accepted login doesn't prove yet that requests are answered.
        } else if (waiting.owner != ReplyOwner::Proxy || last_of_probe)
            && upstream.health.succeeded() == HealthChange::Back
        {
            let flushed = if flushes { "flushed and " } else { "" };
            log::info!("upstream {}: {flushed}back", upstream.address);
        }
        upstream.counters.answers.fetch_add(1, Relaxed);
        if !connection.waiters.is_empty() {
            // Fewer requests are kept: there may be room.
            self.wake_waiters(key);
        }
        if last_of_probe {
            self.drop_connection(key);
        }
    }
}

//! Subscribers: the connections of a client's channels, and the messages that come over them.
//!
//! The connections belong to the client alone and speak RESP2, so every message is an array. The client reads it in its
//! own version. A command is sent when no other request of the client is under way, and the client's next requests wait
//! for it, so that confirmations need no slots among the answers. A client without subscriptions has no such
//! connection.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::pool::UpstreamFailure;
use crate::pool::slots::{Redirect, slot};
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::protocol::framing::request::{
    ConnectionCommand, DedicatedReason, LocalCommand, Request, Route,
};
use crate::protocol::resp::{self, CommandArgs, Reply};
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark};
use crate::proxy::subscriptions::{SubscribedName, SubscriptionKind, Subscriptions};
use crate::upstream::{ConnectionPurpose, ConnectionState};

/// Longest message in bytes. Redis closes a subscriber for which more than that waits.
const MESSAGE_LIMIT: usize = 32 << 20;

impl Forwarder {
    /// Refuses a command that a RESP2 subscriber may not send. `None` for an allowed command.
    pub(super) fn subscriber(
        &mut self,
        key: usize,
        request: &Request<'_>,
    ) -> Option<RequestOutcome> {
        let client = &self.clients[key];
        let subscriptions = client.subscriptions.as_ref()?;
        if subscriptions.is_asking() {
            return Some(RequestOutcome::Stalled);
        }
        let args = request.args()?;
        if client.session.state.resp3 || !subscriptions.is_active() {
            return None;
        }
        match request.route {
            Route::Dedicated(DedicatedReason::Subscribe, _) => None,
            Route::Local(LocalCommand::Resp(
                ConnectionCommand::Quit | ConnectionCommand::Reset,
                _,
            )) => None,
            Route::Local(LocalCommand::Resp(ConnectionCommand::Ping, _)) if args.len() <= 2 => {
                let mut out = b"*2\r\n".to_vec();
                let mut reply = Reply::new(&mut out, false, usize::MAX);
                reply.bulk(b"pong");
                reply.bulk(if args.len() == 2 { args.get(1) } else { b"" });
                Some(self.answer(key, out))
            }
            _ => {
                let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
                let error = format!(
                    "-ERR Can't execute '{name}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are \
                     allowed in this context\r\n"
                );
                Some(self.answer(key, error))
            }
        }
    }

    /// `SUBSCRIBE`, `UNSUBSCRIBE` and their like.
    pub(super) fn subscribe(&mut self, key: usize, request: &Request<'_>) -> RequestOutcome {
        let client = &mut self.clients[key];
        if client.is_waiting() {
            return RequestOutcome::Stalled;
        }
        let Some(args) = request.args() else {
            return RequestOutcome::Taken;
        };
        let what = SubscriptionKind::of(&args[0]);
        if what.1 && args.len() < 2 {
            let name = String::from_utf8_lossy(&args[0]).to_ascii_lowercase();
            let error = format!("-ERR wrong number of arguments for '{name}' command\r\n");
            return self.answer(key, error);
        }
        client.subscriptions.get_or_insert_default();
        let names = match what.1 {
            true => match self.places_of(key, what.0, args) {
                Ok(names) => names,
                Err(fate) => {
                    self.drop_unsubscribed(key);
                    return fate;
                }
            },
            false => self.names_to_leave(key, what.0, args),
        };
        for name in &names {
            let request = resp::request(&[what.0.word(what.1).as_bytes(), &name.name]);
            let waits = name.missing > 0;
            for connection in name.connections.iter().filter(|_| waits) {
                self.connections[*connection].push_unanswered(&request, self.now);
                let at = &mut self.connections[*connection];
                if at.is_up() {
                    mark(&mut self.dirty_connections, *connection, &mut at.dirty);
                }
            }
        }
        let client = &mut self.clients[key];
        let resp3 = client.session.state.resp3;
        let mut out = Vec::new();
        if let Some(subscriptions) = &mut client.subscriptions {
            match names.is_empty() {
                true => subscriptions.confirm(what, None, resp3, &mut out),
                false => subscriptions.ask(what, names, self.now),
            }
            subscriptions.settle(resp3, &mut out);
        }
        self.answer_subscriber(key, &out);
        RequestOutcome::Taken
    }

    /// The connections for each name of a command. Missing ones are opened.
    fn places_of(
        &mut self,
        key: usize,
        kind: SubscriptionKind,
        args: CommandArgs<'_>,
    ) -> Result<VecDeque<SubscribedName>, RequestOutcome> {
        let mut names: VecDeque<SubscribedName> = VecDeque::new();
        if kind == SubscriptionKind::Shard && self.pool.is_cluster() {
            let mut slots = args.iter().skip(1).map(slot);
            let first = slots.next();
            if slots.any(|slot| Some(slot) != first) {
                return Err(self.answer(key, self.cross_slot()));
            }
        }
        for name in args.iter().skip(1) {
            let is_known =
                |subscriptions: &Subscriptions| subscriptions.connections_of(kind, name).is_some();
            let subscriptions = self.clients[key].subscriptions.as_ref();
            let is_twice = names.iter().any(|asked| *asked.name == *name);
            let mut connections = Vec::new();
            if !is_twice && !subscriptions.is_some_and(|s| is_known(s)) {
                for number in self.upstreams_of(key, kind, name) {
                    connections.push(self.subscriber_connection(key, number)?);
                }
            }
            names.push_back(SubscribedName {
                name: name.into(),
                missing: connections.len(),
                connections,
            });
        }
        Ok(names)
    }

    /// The upstreams at which a name is subscribed to. A cluster passes a published message to all its servers, unless
    /// it is for a channel of a shard.
    fn upstreams_of(&self, key: usize, kind: SubscriptionKind, name: &[u8]) -> Vec<usize> {
        match kind {
            SubscriptionKind::Channel | SubscriptionKind::Pattern if self.pool.is_cluster() => {
                let client = &self.clients[key];
                let connections = client.subscriptions.iter().flat_map(|s| &s.connections);
                let mut known = connections.filter_map(|(id, _)| {
                    self.pool
                        .upstreams
                        .iter()
                        .position(|upstream| upstream.id == *id)
                });
                vec![known.next().unwrap_or_else(|| self.pool.any())]
            }
            SubscriptionKind::Pattern => (0..self.pool.upstreams.len()).collect(),
            SubscriptionKind::Channel | SubscriptionKind::Shard => vec![self.locate(name)],
        }
    }

    /// The names that a client unsubscribes from, and their connections.
    fn names_to_leave(
        &self,
        key: usize,
        kind: SubscriptionKind,
        args: CommandArgs<'_>,
    ) -> VecDeque<SubscribedName> {
        let Some(subscriptions) = &self.clients[key].subscriptions else {
            return VecDeque::new();
        };
        let names: Vec<Box<[u8]>> = match args.len() {
            1 => subscriptions.names(kind),
            _ => args.iter().skip(1).map(Box::from).collect(),
        };
        let mut left: VecDeque<SubscribedName> = VecDeque::new();
        for name in names {
            let is_twice = left.iter().any(|other| other.name == name);
            let connections = subscriptions
                .connections_of(kind, &name)
                .filter(|_| !is_twice);
            let connections = connections.unwrap_or_default().to_vec();
            left.push_back(SubscribedName {
                missing: connections.len(),
                connections,
                name,
            });
        }
        left
    }

    /// The connection over which a client gets the messages of an upstream.
    fn subscriber_connection(
        &mut self,
        key: usize,
        number: usize,
    ) -> Result<usize, RequestOutcome> {
        let upstream_id = self.pool.upstreams[number].id;
        let subscriptions = self.clients[key].subscriptions.as_ref();
        let known = subscriptions.and_then(|s| s.connection(upstream_id));
        if let Some(connection) = known {
            return Ok(connection);
        }
        let connection =
            self.open_for_client(key, number, ConnectionState::default(), ReplyShape::Resp)?;
        self.connections[connection].start_messages();
        if let Some(subscriptions) = &mut self.clients[key].subscriptions {
            subscriptions.connections.push((upstream_id, connection));
        }
        Ok(connection)
    }

    /// Takes bytes of a subscriber's connection. Returns their number, and whether the rest may be taken.
    pub(super) fn take_messages(
        &mut self,
        key: usize,
        bytes: &[u8],
    ) -> Result<(usize, bool), UpstreamFailure> {
        let connection = &mut self.connections[key];
        let framer = connection
            .framer
            .get_or_insert_with(|| ReplyFramer::new(ReplyShape::Resp));
        let progress = framer.feed(bytes);
        if progress.state == FrameState::Garbage || connection.line.len() > MESSAGE_LIMIT {
            return Err(UpstreamFailure::Garbage);
        }
        connection.line.extend_from_slice(&bytes[..progress.used]);
        if progress.state == FrameState::Done {
            connection.framer = None;
            connection.since = self.now;
            let message = std::mem::take(&mut connection.line);
            let upstream = Arc::clone(&connection.upstream);
            let ConnectionPurpose::Dedicated { key: owner, id } = connection.purpose else {
                return Err(UpstreamFailure::Garbage);
            };
            if self
                .clients
                .get(owner)
                .is_some_and(|client| client.id == id)
            {
                self.deliver_message(owner, &upstream.address, &message)?;
            }
        }
        Ok((progress.used, true))
    }

    /// Gives a subscriber a message.
    fn deliver_message(
        &mut self,
        key: usize,
        from: &str,
        message: &[u8],
    ) -> Result<(), UpstreamFailure> {
        if let Some(redirect) = Redirect::read(message) {
            let target = redirect.target(from);
            return self.subscribe_elsewhere(key, redirect, &target);
        }
        let client = &mut self.clients[key];
        let resp3 = client.session.state.resp3;
        let Some(subscriptions) = &mut client.subscriptions else {
            return Ok(());
        };
        let mut out = Vec::new();
        if message.starts_with(b"-") {
            // The client couldn't tell which names of the command are confirmed.
            client.closing = true;
            out.extend_from_slice(message);
        } else if !subscriptions.receive(message, resp3, &mut out) {
            return Err(UpstreamFailure::Garbage);
        }
        self.answer_subscriber(key, &out);
        Ok(())
    }

    /// The channels of a slot are subscribed to at the server that the slot has moved to.
    fn subscribe_elsewhere(
        &mut self,
        key: usize,
        redirect: Redirect<'_>,
        target: &str,
    ) -> Result<(), UpstreamFailure> {
        let number = self
            .learn(redirect, target)
            .ok_or(UpstreamFailure::Garbage)?;
        let Ok(connection) = self.subscriber_connection(key, number) else {
            self.clients[key].closing = true;
            return Ok(());
        };
        let subscriptions = self.clients[key].subscriptions.as_mut();
        if let Some(name) = subscriptions.and_then(|s| s.redirect(connection)) {
            let request = resp::request(&[b"SSUBSCRIBE", name]);
            self.connections[connection].push_unanswered(&request, self.now);
            let at = &mut self.connections[connection];
            if at.is_up() {
                mark(&mut self.dirty_connections, connection, &mut at.dirty);
            }
        }
        Ok(())
    }

    /// Delivers bytes to a subscriber, and closes its connections if it has no subscriptions left.
    fn answer_subscriber(&mut self, key: usize, bytes: &[u8]) {
        let client = &mut self.clients[key];
        client.message(bytes);
        mark(&mut self.dirty_clients, key, &mut client.dirty);
        self.drop_unsubscribed(key);
    }

    /// Closes the connections of a client that is subscribed to nothing.
    fn drop_unsubscribed(&mut self, key: usize) {
        let subscriptions = self.clients[key].subscriptions.as_ref();
        if subscriptions.is_some_and(|s| !s.is_asking() && !s.is_active()) {
            self.unsubscribe_all(key);
        }
    }

    /// Closes all connections over which a client gets messages.
    pub(super) fn unsubscribe_all(&mut self, key: usize) {
        let subscriptions = self.clients[key].subscriptions.take();
        for (_, connection) in subscriptions.into_iter().flat_map(|s| s.connections) {
            self.drop_connection(connection);
        }
    }
}

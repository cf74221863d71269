//! Deadlines: ends requests and connections that take too long, and connections that have been idle for too
//! long.

use std::io::{self, ErrorKind};
use std::time::Duration;

use crate::pool::UpstreamFailure;
use crate::proxy::client::Client;
use crate::proxy::forwarder::Forwarder;
use crate::proxy::settings::{OnReturn, SLOW_ROUND_MS, STATE_IDLE_MS, SWEEP_MS};
use crate::upstream::{ConnectionPurpose, REDIRECTED, ReplyOwner};

impl Forwarder {
    /// Checks all deadlines. It does so seldom, and may be called in each round.
    pub(crate) fn sweep(&mut self) {
        if self.now < self.next_sweep {
            return;
        }
        self.next_sweep = self.now + SWEEP_MS;
        self.end_silent_clients();
        self.end_delays();
        self.cancel_blocked_clients();
        self.end_deadlocked_client();
        self.fail_late_connections();
        self.drop_idle_connections();
        self.abandon_connections();
        for upstream in self.pool.upstreams.clone() {
            if upstream.health.take_probe(self.now) {
                self.probe(upstream);
            }
        }
    }

    /// Extends all deadlines by the milliseconds that a round has taken, if they are many: no socket is read while a
    /// large request is divided, and that time is no fault of upstreams and clients.
    pub(crate) fn extend_deadlines(&mut self, round: u64) {
        if round < SLOW_ROUND_MS {
            return;
        }
        for (_, connection) in &mut self.connections {
            connection.since += round;
        }
        for (_, client) in &mut self.clients {
            client.since += round;
        }
    }

    /// Whether more than a deadline has passed since then.
    fn is_late(&self, since: u64, limit: Duration) -> bool {
        u128::from(self.now.saturating_sub(since)) >= limit.as_millis()
    }

    fn end_silent_clients(&mut self) {
        let limit = self.shared.settings.write_timeout;
        let silent: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| client.unsent() > 0 && self.is_late(client.since, limit))
            .map(|(key, _)| key)
            .collect();
        self.end_unconfirmed_subscribers();
        for key in silent {
            let what = "its client read nothing of an answer within the write deadline";
            self.end(key, Some(&io::Error::new(ErrorKind::TimedOut, what)));
        }
    }

    /// Ends clients whose subscriptions no upstream confirms.
    fn end_unconfirmed_subscribers(&mut self) {
        let limit = self.shared.settings.read_timeout;
        let late = |client: &Client| {
            let since = client.subscriptions.as_ref().and_then(|s| s.asking_since());
            since.is_some_and(|since| self.is_late(since, limit))
        };
        let clients = self.clients.iter();
        let late: Vec<usize> = clients
            .filter(|(_, c)| late(c))
            .map(|(key, _)| key)
            .collect();
        for key in late {
            let what = "no upstream confirmed its subscription within the read deadline";
            self.end(key, Some(&io::Error::new(ErrorKind::TimedOut, what)));
        }
    }

    fn cancel_blocked_clients(&mut self) {
        let clients = self.clients.iter();
        let hung_up = clients.filter_map(|(key, client)| client.hung_up.then_some(key));
        for key in hung_up.collect::<Vec<_>>() {
            self.cancel_blocked(key);
        }
    }

    /// Ends a client whose large answers hold up connections while they wait for the answer to a
    /// redirected request. That answer is queued behind answers that it has to precede, so two such
    /// clients can wait for each other. When one has ended, the other proceeds.
    fn end_deadlocked_client(&mut self) {
        let limit = self.shared.settings.read_timeout;
        let entangled = self.held.iter().find_map(|key| {
            let connection = self.connections.get(*key)?;
            let ReplyOwner::Client { key, id, .. } = connection.queue.front()?.owner else {
                return None;
            };
            let client = self.clients.get(key).filter(|client| client.id == id)?;
            let stuck = client.is_redirected() && client.unsent() == 0;
            let late = self.is_late(connection.since, limit) && self.is_late(client.since, limit);
            (stuck && late).then_some(key)
        });
        if let Some(key) = entangled {
            let what = "a redirected request kept its other answers waiting for too long";
            self.end(key, Some(&io::Error::new(ErrorKind::TimedOut, what)));
        }
    }

    fn fail_late_connections(&mut self) {
        let settings = &self.shared.settings;
        let (connect, read) = (settings.connect_timeout, settings.read_timeout);
        let late: Vec<(usize, UpstreamFailure)> = self
            .connections
            .iter()
            .filter_map(|(key, connection)| {
                if !connection.is_up() {
                    self.is_late(connection.since, connect)
                        .then_some((key, UpstreamFailure::ConnectDeadline(connect)))
                } else {
                    let due = connection.is_waiting()
                        && !connection.has_no_deadline
                        && connection.held.is_empty();
                    (due && self.is_late(connection.since, read))
                        .then_some((key, UpstreamFailure::ReadDeadline(read)))
                }
            })
            .collect();
        for (key, failure) in late {
            self.connection_failed(key, failure);
        }
    }

    /// Ends the connections to ejected upstreams that are to be flushed before they get any request: requests that
    /// wait on these connections would be executed before the flush. The first probe comes many sweeps after the
    /// ejection.
    fn abandon_connections(&mut self) {
        if self.shared.settings.on_return == OnReturn::Keep {
            return;
        }
        let abandoned: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| {
                connection.purpose != ConnectionPurpose::Probe
                    && !connection.raw
                    && connection.upstream.health.is_ejected()
            })
            .map(|(key, _)| key)
            .collect();
        for key in abandoned {
            self.connection_failed(key, UpstreamFailure::Abandoned);
        }
    }

    /// Drops the connections that only a few clients need, those of another database or of RESP3 and
    /// those for a cluster's redirections, when no client has needed them for a while.
    fn drop_idle_connections(&mut self) {
        let idle: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| match connection.purpose {
                ConnectionPurpose::Shared(state, place)
                    if state.is_changed() || place == REDIRECTED =>
                {
                    !connection.is_waiting()
                        && self.now.saturating_sub(connection.since) >= STATE_IDLE_MS
                }
                _ => false,
            })
            .map(|(key, _)| key)
            .collect();
        for key in idle {
            self.drop_connection(key);
        }
    }
}

//! Connections that are closed because nothing happens on them: those that are idle for too long, and those whose TLS
//! handshake does not come to its end.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::Worker;
use crate::server::connections::ticks;
use crate::server::limits;

impl Worker {
    /// The longest time that the worker may sleep.
    pub(super) fn timeout(&mut self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        if let Some(timeout) = self.waiting_timeout() {
            return Some(timeout);
        }
        let now = ticks();
        let clients = &self.clients;
        let handshake = self.handshakes.next(now, |key, id| {
            let client = clients.get(key).filter(|client| client.id() == id);
            client.is_some_and(|client| client.stream.is_handshaking())
        });
        // Without connections there is no idle time to check.
        let idle = self.idle_timeout.filter(|_| !self.clients.is_empty());
        let idle = idle.map(|_| Duration::from_millis(self.next_idle_check.saturating_sub(now)));
        [handshake, idle].into_iter().flatten().min()
    }

    /// Closes the connections whose handshake has taken too long.
    pub(super) fn close_stalled_handshakes(&mut self) {
        while let Some((key, id)) = self.handshakes.take_due(self.buffers.now) {
            let client = self.clients.get(key).filter(|client| client.id() == id);
            if client.is_some_and(|client| client.stream.is_handshaking()) {
                let error = "its TLS handshake takes too long";
                self.close(key, Some(&io::Error::new(ErrorKind::TimedOut, error)));
            }
        }
    }

    /// Closes the connections on which nothing passed for too long. It looks at all of them, but
    /// seldom.
    pub(super) fn close_idle(&mut self) {
        let Some(limit) = self.idle_timeout else {
            return;
        };
        if self.buffers.now < self.next_idle_check {
            return;
        }
        let limit = limit.as_millis() as u64;
        self.next_idle_check = self.buffers.now + (limit / 4).clamp(1, limits::IDLE_SWEEP_MS);
        let now = self.buffers.now;
        let silent: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                let active = client.membership.connection.last_active();
                client.waiter.is_none() && now.saturating_sub(active) >= limit
            })
            .map(|(key, _)| key)
            .collect();
        for key in silent {
            self.close(
                key,
                Some(&io::Error::new(ErrorKind::TimedOut, "silent for too long")),
            );
        }
    }
}

//! The deadlines of TLS handshakes, for a worker that runs many connections.
//!
//! A worker adds each connection with TLS. All have the same time, so the first one in the queue is due first. One whose
//! handshake is complete is dropped from the queue when it comes to the front.

use std::collections::VecDeque;
use std::time::Duration;

use super::connections::Connection;
use super::limits::HANDSHAKE_TIMEOUT;

/// Connections that may not have completed their handshake.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// The end of its time in ticks, its key at the worker, and its id.
    pending: VecDeque<(u64, usize, u64)>,
}

impl Handshakes {
    /// Adds a connection. Its time begins now.
    pub(crate) fn add(&mut self, key: usize, connection: &Connection, now: u64) {
        let deadline = now + HANDSHAKE_TIMEOUT.as_millis() as u64;
        self.pending.push_back((deadline, key, connection.id()));
    }

    /// The time until the first deadline; `None` if all handshakes are complete. `is_pending` tells whether that of the
    /// connection with this key and id is not.
    pub(crate) fn next(
        &mut self,
        now: u64,
        is_pending: impl Fn(usize, u64) -> bool,
    ) -> Option<Duration> {
        while let Some(&(deadline, key, id)) = self.pending.front() {
            if is_pending(key, id) {
                return Some(Duration::from_millis(deadline.saturating_sub(now)));
            }
            self.pending.pop_front();
        }
        None
    }

    /// Takes the key and the id of a connection whose time has passed. Its handshake may be complete.
    pub(crate) fn take_due(&mut self, now: u64) -> Option<(usize, u64)> {
        let &(deadline, key, id) = self.pending.front()?;
        if deadline > now {
            return None;
        }
        self.pending.pop_front();
        Some((key, id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_connection_that_shakes_hands_is_due_first() {
        let limit = HANDSHAKE_TIMEOUT.as_millis() as u64;
        let connection = Connection::detached();
        let mut handshakes = Handshakes::default();
        assert_eq!(handshakes.next(0, |_, _| true), None);
        for (key, now) in [(7, 100), (8, 200), (9, 300)] {
            handshakes.add(key, &connection, now);
        }
        let left = handshakes.next(150, |key, _| key > 7);
        assert_eq!(left, Some(Duration::from_millis(limit + 50)));
        assert_eq!(handshakes.take_due(199 + limit), None);
        assert_eq!(handshakes.take_due(200 + limit), Some((8, 0)));
        assert_eq!(handshakes.take_due(200 + limit), None);
        assert_eq!(handshakes.next(400, |_, _| false), None);
    }
}

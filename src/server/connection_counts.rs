//! The counts of the set of connections, since the start or since a client last reset them.
//!
//! Cost: each worker has bytes of its own to count, so reading a sum takes sixteen loads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::connections::Connections;
use super::traffic::Traffic;

impl Connections {
    /// Connections accepted, without those that were refused.
    pub fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// Connections refused because the limit was reached.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    /// Connections closed because of the idle timeout.
    pub fn idle_closed(&self) -> u64 {
        self.idle_closed.load(Relaxed)
    }

    /// Bytes received from clients.
    pub fn bytes_read(&self) -> u64 {
        self.bytes(|worker| &worker.read)
    }

    /// Bytes sent to clients.
    pub fn bytes_written(&self) -> u64 {
        self.bytes(|worker| &worker.written)
    }

    fn bytes(&self, direction: impl Fn(&Traffic) -> &AtomicU64) -> u64 {
        let workers = self.traffic.iter();
        workers.map(|one| direction(one).load(Relaxed)).sum()
    }

    /// Sets the counts of the past to zero, as memcached's `stats reset` and Redis's CONFIG RESETSTAT do. Open
    /// connections and held memory still count.
    pub(crate) fn reset_counts(&self) {
        let counts = [&self.total, &self.rejected, &self.idle_closed];
        let replies = [&self.replies.waits, &self.replies.closed];
        let bytes = self
            .traffic
            .iter()
            .flat_map(|one| [&one.read, &one.written]);
        for count in counts.into_iter().chain(replies).chain(bytes) {
            count.store(0, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_sets_each_count_of_the_past_to_zero() {
        let connections = Connections::new();
        for count in [
            &connections.total,
            &connections.rejected,
            &connections.idle_closed,
        ] {
            count.store(3, Relaxed);
        }
        connections.replies.closed.store(3, Relaxed);
        connections.traffic(0).read(5);
        connections.traffic(1).read(6);
        connections.traffic(1).written(7);
        let counts = || {
            [
                connections.total(),
                connections.rejected(),
                connections.idle_closed(),
                connections.closed_for_replies(),
                connections.bytes_read(),
                connections.bytes_written(),
            ]
        };
        assert_eq!(counts(), [3, 3, 3, 3, 11, 7]);
        connections.reset_counts();
        assert_eq!(counts(), [0; 6]);
    }
}

//! The clients that [`monitor`](super::monitor), and the lines that wait for them.
//!
//! Bounds: a monitor that reads more slowly than commands come is disconnected when [`BUFFER`] bytes wait for it, as with
//! Redis's `client-output-buffer-limit`. Its connection may have as much again on the way.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::client_info::ClientInfo;
use crate::server::{Connection, Next};

/// Bytes of lines that wait for one monitor.
const BUFFER: usize = 8 << 20;

/// The clients that monitor.
#[derive(Debug, Default)]
pub(super) struct Monitors {
    count: AtomicUsize,
    list: Mutex<Vec<Monitor>>,
}

/// A client that monitors, and the lines that wait for it.
#[derive(Debug)]
struct Monitor {
    client: u64,
    connection: Arc<Connection>,
    lines: Vec<u8>,
}

impl Monitors {
    /// Whether a client monitors.
    #[inline]
    pub(super) fn are_any(&self) -> bool {
        self.count.load(Relaxed) > 0
    }

    pub(super) fn add(&self, client: &ClientInfo) {
        let mut list = self.locked();
        list.push(Monitor {
            client: client.id,
            connection: Arc::clone(&client.connection),
            lines: Vec::new(),
        });
        self.count.store(list.len(), Relaxed);
    }

    /// Ends the monitoring of a client.
    pub(super) fn remove(&self, client: u64) {
        let mut list = self.locked();
        list.retain(|one| one.client != client);
        self.count.store(list.len(), Relaxed);
    }

    /// Gives a line to all monitors, and disconnects those for which too much waits.
    pub(super) fn push(&self, line: &[u8]) {
        let mut list = self.locked();
        list.retain_mut(|monitor| {
            if monitor.lines.len() + line.len() <= BUFFER {
                monitor.lines.extend_from_slice(line);
                return true;
            }
            let peer = monitor.connection.peer_addr();
            log::warn!(
                "closing client {} ({peer}): it reads MONITOR's lines too slowly",
                monitor.client
            );
            monitor.connection.kill();
            false
        });
        self.count.store(list.len(), Relaxed);
    }

    /// Appends the lines that wait for a client, and returns when the next ones are due.
    pub(super) fn take(&self, client: u64, output: &mut Vec<u8>) -> Next {
        let mut list = self.locked();
        let monitor = list.iter_mut().find(|one| one.client == client);
        let Some(lines) = monitor.map(|monitor| std::mem::take(&mut monitor.lines)) else {
            // It was too slow.
            return Next::Close;
        };
        drop(list);
        output.extend_from_slice(&lines);
        // So many that the buffer may not last until the next turn.
        let is_urgent = lines.len() > BUFFER / 8;
        if is_urgent { Next::Again } else { Next::Later }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Monitor>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_monitor_that_reads_too_slowly_is_removed() {
        let monitors = Monitors::default();
        let client = ClientInfo::detached();
        monitors.add(&client);
        let mut output = Vec::new();
        monitors.push(&[b'x'; BUFFER / 2]);
        assert_eq!(monitors.take(client.id, &mut output), Next::Again);
        for _ in 0..2 {
            monitors.push(&[b'x'; BUFFER / 2]);
        }
        assert!(monitors.are_any());
        monitors.push(b"x");
        assert!(!monitors.are_any());
        assert_eq!(monitors.take(client.id, &mut output), Next::Close);
        assert_eq!(output.len(), BUFFER / 2);
    }
}

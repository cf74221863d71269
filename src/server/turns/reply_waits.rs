//! Connections that wait for something that the poller doesn't report, under turns: memory for a reply, the end of the
//! delay after a wrong password, or the time of a turn without input. Their worker looks again when it has served others, or after a short time.

use std::ops::Range;
use std::time::Duration;

use super::client::{Client, WaitFor, WorkerBuffers};
use super::timer::Timer;
use super::{Worker, queue};
use crate::server::connections::ticks;
use crate::server::limits;

impl Worker {
    /// Notes that a connection waits.
    pub(super) fn wait_without_event(&mut self, key: usize) {
        if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
    }

    /// The time after which a waiting connection is looked at again; `None` if none waits.
    pub(super) fn waiting_timeout(&self) -> Option<Duration> {
        let timeouts = self.waiting.iter().map(|&key| {
            let client = self.clients.get(key);
            match client.and_then(|client| client.timer.due()) {
                Some(due) => Duration::from_millis(due.saturating_sub(ticks())),
                None => limits::REPLY_RETRY,
            }
        });
        timeouts.min()
    }

    /// Gives a turn to connections for whose reply there is memory now, and to those whose time has come.
    pub(super) fn retry_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (clients, ready, buffers) = (&mut self.clients, &mut self.ready, &self.buffers);
        self.waiting.retain(|&key| {
            // One that has ended may have left its key to another.
            let Some(client) = clients.get_mut(key) else {
                return false;
            };
            let waits = match client.timer.due() {
                Some(_) => client.timer.waits(buffers.now),
                None => client.awaits_memory && !client.may_reply(buffers),
            };
            if !waits && (client.awaits_memory || client.timer.due().is_some()) {
                queue(ready, key, client);
            }
            waits
        });
    }
}

impl Client {
    /// Keeps a reply until the delay of a wrong password is over.
    pub(super) fn delay(&mut self, buffers: &WorkerBuffers, reply: Range<usize>) -> WaitFor {
        self.settle(buffers, reply.len());
        (self.output, self.written) = (buffers.output[reply].to_vec(), 0);
        self.timer = Timer::of_delay();
        self.again = !self.input.is_empty();
        WaitFor::Time
    }

    /// Counts the memory of the bytes that are left of the replies, and that of an unfinished request.
    pub(super) fn settle(&self, buffers: &WorkerBuffers, left: usize) {
        let (connections, connection) = (&buffers.connections, &self.membership.connection);
        connections.settle_reply(connection, self.stream.kept_for(left));
        connections.settle_request(connection, self.input.len(), self.input.capacity());
    }

    /// Whether there is memory for the reply for which the connection waits.
    pub(super) fn may_reply(&self, buffers: &WorkerBuffers) -> bool {
        buffers.connections.may_reply(&self.membership.connection)
    }
}

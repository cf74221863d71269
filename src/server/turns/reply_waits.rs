//! Connections that wait for memory for a reply, under turns: their worker looks again when it has served others, or
//! after a short time.

use super::{Worker, queue};

impl Worker {
    /// Notes that a connection waits.
    pub(super) fn wait_for_memory(&mut self, key: usize) {
        if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
    }

    /// Gives a turn to connections for whose reply there is memory now.
    pub(super) fn retry_waiting(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        let (clients, ready, buffers) = (&mut self.clients, &mut self.ready, &self.buffers);
        self.waiting.retain(|&key| {
            // One that has ended may have left its key to another.
            let Some(client) = clients.get_mut(key).filter(|client| client.awaits_memory) else {
                return false;
            };
            let waits = !client.may_reply(buffers);
            if !waits {
                queue(ready, key, client);
            }
            waits
        });
    }
}

//! Wrong passwords: their answer waits, and the client with it.
//!
//! A client that guesses passwords has one guess a connection in [`FAILED_LOGIN_DELAY`]. Its connection stays open for that
//! time even if the client closes it, so its number of connections bounds its guesses.

use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark, queue};
use crate::server::FAILED_LOGIN_DELAY;

impl Forwarder {
    /// Answers a wrong password later. Until then nothing more is taken from the client.
    pub(super) fn delay(&mut self, key: usize, answer: Vec<u8>) -> RequestOutcome {
        let until = self.now + FAILED_LOGIN_DELAY.as_millis() as u64;
        let client = &mut self.clients[key];
        let connection = &client.connection;
        log::warn!(
            "{} {}: wrong user or password",
            connection.protocol(),
            connection.peer()
        );
        client.delayed = Some(answer);
        self.delays.push_back((until, key, client.id));
        RequestOutcome::Taken
    }

    /// Gives the answers whose time has come.
    pub(super) fn end_delays(&mut self) {
        while let Some((_, key, id)) = self.delays.front().copied().filter(|due| due.0 <= self.now)
        {
            self.delays.pop_front();
            if let Some(client) = self.clients.get_mut(key).filter(|client| client.id == id)
                && let Some(answer) = client.delayed.take()
            {
                client.answer(&answer);
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                queue(&mut self.ready, key, client);
            }
        }
    }
}

//! The passwords of clients: those of memcached's text protocol, which come before any command, and wrong ones of all
//! protocols, whose answer waits.
//!
//! A client that guesses passwords has one guess a connection in [`FAILED_LOGIN_DELAY`]. Its connection stays open for that
//! time even if the client closes it, so its number of connections bounds its guesses.

use crate::protocol::memcached::text::authentication::{
    FAILURE, FirstLine, first_line, user_and_password,
};
use crate::protocol::memcached::text::reply::STORED;
use crate::proxy::client_counts::ErrorSource;
use crate::proxy::errors;
use crate::proxy::forwarder::gather::RequestOutcome;
use crate::proxy::forwarder::{Forwarder, mark, queue};
use crate::server::FAILED_LOGIN_DELAY;

impl Forwarder {
    /// Takes the user and the password of a client of memcached's text protocol. Returns the number of consumed bytes, or `None` if they
    /// have not arrived.
    pub(super) fn authenticate(
        &mut self,
        key: usize,
        input: &[u8],
    ) -> (Option<usize>, RequestOutcome) {
        let (length, start) = match first_line(input) {
            FirstLine::More => return (None, RequestOutcome::Taken),
            FirstLine::Close => {
                let client = &mut self.clients[key];
                client.closing = true;
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                return (Some(input.len()), RequestOutcome::Taken);
            }
            FirstLine::Refused { reply, consumed } => {
                return (Some(consumed), self.answer(key, reply));
            }
            FirstLine::Token { length, consumed } => (length, consumed),
        };
        let Some(token) = input.get(start..start + length) else {
            return (None, RequestOutcome::Taken);
        };
        let outcome = match user_and_password(token) {
            Err(reply) => self.answer(key, reply),
            Ok((user, password)) if self.shared.is_user(user, password) => {
                self.clients[key].session.admitted = true;
                self.answer(key, STORED)
            }
            Ok(_) => self.delay(key, FAILURE.to_vec()),
        };
        (Some(start + length), outcome)
    }

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
                if errors::is_error(&answer) {
                    self.shared.requests.error(ErrorSource::Proxy);
                }
                client.answer(&answer);
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                queue(&mut self.ready, key, client);
            }
        }
    }
}

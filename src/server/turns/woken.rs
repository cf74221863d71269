//! Connections that wait for another thread, under turns: parked until their [`Waiter`] is woken.
//!
//! A worker doesn't look at them meanwhile, so their number costs the others nothing.

use crate::server::service::Next;
use crate::server::waiter::Waiter;

use super::client::{Client, WaitFor};
use super::{Worker, queue};

impl Worker {
    /// Parks a connection until its waiter is woken, or queues it if that has happened.
    pub(super) fn park_until_woken(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let id = client.id();
        let parked = client.waiter.as_ref();
        if !parked.is_some_and(|waiter| waiter.park(&self.woken, key, id)) {
            queue(&mut self.ready, key, client);
        }
    }

    /// Queues the connections that were woken since the last call.
    pub(super) fn take_woken(&mut self) {
        for (key, id) in self.woken.take() {
            let client = self.clients.get_mut(key);
            if let Some(client) = client.filter(|client| client.id() == id) {
                queue(&mut self.ready, key, client);
            }
        }
    }
}

impl Client {
    /// Begins the wait of a session that answered [`Next::Wait`].
    pub(super) fn begin_wait(&mut self) {
        self.waiter = self.session.waiter(Next::Wait);
        self.again = self.waiter.is_none();
    }

    /// The event that the connection waits for if its waiter is not woken. One that was woken has its turn on the input that
    /// was kept.
    pub(super) fn still_waits(&mut self) -> Option<WaitFor> {
        if self.continuing && self.hung_up {
            // Nobody reads the reply that is being made.
            return Some(WaitFor::Close);
        }
        let waiter = self.waiter.as_deref()?;
        if Waiter::is_woken(waiter) {
            self.waiter = None;
            self.again = true;
            return None;
        }
        // A client that closed only its sending side reads the reply.
        Some(if self.hung_up {
            WaitFor::Close
        } else {
            WaitFor::Wake
        })
    }
}

//! What a worker does when it is woken: it takes in the connections that acceptors sent.

use std::io;

use crate::protocol::framing::request::RequestFramer;
use crate::proxy::client::Client;
use crate::proxy::settings::Protocol;
use crate::proxy::worker::{Worker, client_token, queue, register};
use crate::server::{Accepted, Received};

impl Worker {
    /// Takes in what other threads sent.
    pub(super) fn receive(&mut self) {
        self.answer_intercepted();
        while let Ok(lookup) = self.answers.1.try_recv() {
            self.resolved(lookup);
        }
        loop {
            match self.inbox.receive() {
                Received::Connection(accepted) => {
                    if let Err(error) = self.take_in(accepted) {
                        self.inbox.connection_ended();
                        log::warn!("a connection was lost at once: {error}");
                    }
                }
                Received::Nothing => return,
                Received::Stopping => break,
            }
        }
        self.draining = true;
        // Everyone has one more turn: it forwards what has arrived, and ends those with nothing in
        // flight.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    fn take_in(&mut self, accepted: Accepted) -> io::Result<()> {
        let Accepted {
            stream, membership, ..
        } = accepted;
        stream.set_nonblocking()?;
        let slot = self.clients.vacant_entry();
        let key = slot.key();
        register(&self.poll, &stream, client_token(key))?;
        let framer = match self.shared.settings.protocol {
            Protocol::Memcached => RequestFramer::memcached(),
            Protocol::Resp => RequestFramer::resp(),
        };
        let admitted = self.shared.password.is_none();
        let client = slot.insert(Client::new(stream, membership, framer, admitted));
        queue(&mut self.ready, key, client);
        Ok(())
    }
}

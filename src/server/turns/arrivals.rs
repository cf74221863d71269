//! Connections that come to a worker and those that it hands over to others, under turns.

use std::io;
use std::os::fd::AsRawFd;

use mio::Token;
use mio::unix::SourceFd;

use super::balance::{self, Balance, Incoming};
use super::client::Client;
use super::{Worker, queue};
use crate::server::connections::ticks;
use crate::server::workers::WorkerMessage;

impl Worker {
    /// Hands connections to other workers if there are more or fewer of them than before.
    pub(super) fn balance(&mut self, balance: &mut Balance) {
        balance.look(self.buffers.now, &self.buffers.connections);
        if self.buffers.draining {
            return;
        }
        balance.place();
        let Some((workers, surplus)) = balance.surplus(self.buffers.index, self.clients.len())
        else {
            return;
        };
        let keys: Vec<usize> = self.clients.iter().map(|(key, _)| key).collect();
        for key in balance::evenly(&keys, surplus) {
            let client = self.clients.remove(key);
            let fd = client.stream.as_raw_fd();
            let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
            self.inbox.connection_ended();
            workers.send(Incoming::Moved(Box::new(client)));
        }
    }

    /// Takes in the connections that the acceptors sent. The end of the channel means that the server is
    /// stopping.
    pub(super) fn receive(&mut self) {
        loop {
            match self.inbox.receive() {
                WorkerMessage::Connection(incoming) => {
                    let client = match incoming {
                        Incoming::New(accepted) => Client::open(accepted),
                        Incoming::Moved(client) => Ok(*client),
                    };
                    if let Err(error) = client.and_then(|client| self.take_in(client)) {
                        self.inbox.connection_ended();
                        log::warn!("a connection was lost while it was accepted: {error}");
                    }
                }
                WorkerMessage::Nothing => return,
                WorkerMessage::Stopping => break,
            }
        }
        self.buffers.draining = true;
        // Each connection gets one more turn: it answers the complete requests, and closes the
        // connection if nothing is in flight.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    /// Registers a connection and gives it a turn, which reads bytes that may have arrived before.
    fn take_in(&mut self, mut client: Client) -> io::Result<()> {
        let slot = self.clients.vacant_entry();
        let (fd, token) = (client.stream.as_raw_fd(), Token(slot.key()));
        self.poll
            .registry()
            .register(&mut SourceFd(&fd), token, client.interest())?;
        (client.queued, client.more) = (false, true);
        if client.stream.is_handshaking() {
            let connection = &client.membership.connection;
            self.handshakes.add(token.0, connection, ticks());
        }
        queue(&mut self.ready, token.0, slot.insert(client));
        Ok(())
    }
}

//! What leaves in a round: one write for each link, one for each client, and the end of clients.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;

use mio::unix::SourceFd;

use crate::pool::UpstreamFailure;
use crate::proxy::worker::{Worker, mark, queue, scatter};

impl Worker {
    /// One write for each link with something to send.
    pub(super) fn forward(&mut self) {
        for (key, failure) in std::mem::take(&mut self.refused) {
            self.fail_link(key, failure);
        }
        for key in std::mem::take(&mut self.dirty_links) {
            let Some(link) = self.links.get_mut(key) else {
                continue;
            };
            link.dirty = false;
            match link.flush() {
                Err(error) => self.fail_link(key, UpstreamFailure::lost(error)),
                Ok(sent) => {
                    if sent {
                        link.since = self.now;
                    }
                    self.wake_waiters(key);
                }
            }
        }
    }

    /// One write for each client with something to send.
    pub(super) fn send(&mut self) {
        for key in std::mem::take(&mut self.dirty_clients) {
            let Some(client) = self.clients.get_mut(key) else {
                continue;
            };
            client.dirty = false;
            match client.flush() {
                Err(error) => {
                    self.end(key, Some(&error));
                    continue;
                }
                Ok(0) => {}
                Ok(sent) => {
                    client.since = self.now;
                    client.membership.connection.touch(self.now);
                    self.connections.traffic(self.index).written(sent);
                }
            }
            if client.lost {
                let error = io::Error::other("its upstream failed in the middle of an answer");
                self.end(key, Some(&error));
                continue;
            } else if client.closing && client.is_done() {
                client.stream.close_gracefully();
                self.end(key, None);
                continue;
            }
            let finished = client.own.as_ref().is_some_and(|own| own.is_over());
            if finished
                && !client.is_waiting()
                && let Some(own) = client.own.take()
            {
                self.drop_link(own.link);
            }
            let client = &mut self.clients[key];
            if client.unsent() > 0 {
                mark(&mut self.slow, key, &mut client.slow);
            }
            let more = client.again || client.readable || self.draining;
            if more && !client.closing && client.has_room() {
                queue(&mut self.ready, key, client);
            }
        }
    }

    /// Gives a client that was full, or whose link was, another turn.
    pub(super) fn resume(&mut self) {
        for key in std::mem::take(&mut self.held) {
            if let Some(link) = self.links.get_mut(key)
                && !link.held.is_empty()
                && !self.readable.contains(&key)
            {
                let front = link.queue.front().map(|waiting| waiting.owner);
                if scatter::takes(&self.clients, link, front) {
                    self.readable.push_back(key);
                } else {
                    self.held.push(key);
                }
            }
        }
    }

    /// Closes a client and forgets it. Answers that are still due to it are read and dropped.
    pub(super) fn end(&mut self, key: usize, error: Option<&io::Error>) {
        let Some(client) = self.clients.try_remove(key) else {
            return;
        };
        self.inbox.connection_ended();
        let connection = &client.membership.connection;
        let (protocol, peer) = (connection.protocol(), connection.peer());
        match error {
            None => log::debug!("{protocol} {peer}: closed"),
            Some(error) => log::debug!("{protocol} {peer}: connection lost: {error}"),
        }
        if let Some(own) = client.own {
            self.drop_link(own.link);
        }
        let fd = client.stream.as_raw_fd();
        // Closing the descriptor would do, but a kill in this moment may still hold it open.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        let _ = client.stream.shutdown(Shutdown::Both);
        // What its links still hold for it need not wait any more.
        self.resume();
    }
}

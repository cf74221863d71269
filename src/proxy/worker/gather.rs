//! A client's turn: reading it, and cutting complete requests from what has arrived.
//!
//! What stops a client for want of room, at its own end or at a link, leaves its input as it is and
//! comes again when there is room.

use std::io::ErrorKind;

use crate::protocol::framing::request::{RequestBuffers, RequestFrame};
use crate::proxy::worker::{Worker, mark, queue};

/// What became of a request.
pub(super) enum Fate {
    /// It is on its way, or answered.
    Taken,
    /// There is no room for it now; nothing has happened.
    Stalled,
}

impl Worker {
    /// A client's turn: what it has left over, then one read, then what has arrived with that.
    pub(super) fn gather(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.queued = false;
        if client.closing {
            return mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
        if client.again {
            let input = std::mem::take(&mut client.input);
            let used = self.take_requests(key, &input);
            self.keep(key, input, used);
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if client.again || client.closing {
            return self.settle(key);
        }
        if client.readable && client.has_room() {
            match client.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (client.readable, client.fin) = (false, false);
                }
                Err(error) => return self.end(key, Some(&error)),
                Ok(0) => client.closing = true,
                Ok(n) => {
                    client.readable = n == self.buffer.len() || client.fin;
                    client.membership.connection.touch(self.now);
                    self.connections.traffic(self.index).read(n);
                    let buffer = std::mem::take(&mut self.buffer);
                    if client.input.is_empty() {
                        let used = self.take_requests(key, &buffer[..n]);
                        if used < n {
                            self.keep(key, buffer[used..n].to_vec(), 0);
                        }
                    } else {
                        let mut input = std::mem::take(&mut client.input);
                        input.extend_from_slice(&buffer[..n]);
                        let used = self.take_requests(key, &input);
                        self.keep(key, input, used);
                    }
                    self.buffer = buffer;
                }
            }
        }
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if self.draining && !client.readable && client.input.is_empty() {
            client.closing = true;
        }
        if client.readable && !client.again && !client.closing && client.has_room() {
            queue(&mut self.ready, key, client);
        }
        self.settle(key);
    }

    /// Has a client's output sent, or its connection ended, if that is possible now. One that waits
    /// for something else is left alone until that comes.
    fn settle(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && (client.closing || client.unsent() > 0 && client.writable)
        {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    /// Puts back what was not consumed.
    fn keep(&mut self, key: usize, mut input: Vec<u8>, used: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            if used == input.len() {
                return;
            }
            input.drain(..used);
            input.shrink_to(2 * input.len());
            client.input = input;
        }
    }

    /// Takes the complete requests at the start of `input`, as far as there is room. Returns the
    /// bytes that are done with, and leaves in `Client::again` whether it stopped for want of room.
    fn take_requests(&mut self, key: usize, input: &[u8]) -> usize {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut at = 0;
        while at < input.len() {
            let Some(client) = self.clients.get_mut(key) else {
                break;
            };
            client.again = !client.has_room();
            if client.again || client.closing {
                break;
            }
            if let Some(rest) = &mut client.skip {
                let fed = rest.feed(&input[at..]);
                match fed {
                    None => client.closing = true,
                    Some((used, done)) => {
                        at += used;
                        if done {
                            client.skip = None;
                        }
                    }
                }
                continue;
            }
            if let Some(own) = &client.own
                && (own.raw || own.upload.is_some())
            {
                match self.stream_up(key, &input[at..]) {
                    0 => break,
                    used => at += used,
                }
                continue;
            }
            match self.take_request(key, &input[at..], &mut scratch) {
                (_, Fate::Stalled) => {
                    if let Some(client) = self.clients.get_mut(key) {
                        client.again = true;
                    }
                    break;
                }
                (None, Fate::Taken) => break,
                (Some(used), Fate::Taken) => at += used,
            }
        }
        self.scratch = scratch;
        at
    }

    /// Takes one request; the bytes that it took, or `None` if it is not all there.
    fn take_request(
        &mut self,
        key: usize,
        input: &[u8],
        scratch: &mut RequestBuffers,
    ) -> (Option<usize>, Fate) {
        let client = &mut self.clients[key];
        match client.framer.frame(input, scratch) {
            RequestFrame::Incomplete => (None, Fate::Taken),
            RequestFrame::Nothing(used) => (Some(used), Fate::Taken),
            RequestFrame::Bad {
                reply,
                consumed,
                close,
            } => {
                client.answer(&reply);
                client.closing |= close;
                mark(&mut self.dirty_clients, key, &mut client.dirty);
                // Nothing after it has a meaning.
                (
                    Some(if close { input.len() } else { consumed }),
                    Fate::Taken,
                )
            }
            RequestFrame::Large(large) => (Some(0), self.large(key, large)),
            RequestFrame::Request(request, used) => (Some(used), self.request(key, &request)),
        }
    }
}

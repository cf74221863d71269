//! A client's turn: reading it, and cutting complete requests from its input.
//!
//! If a client or its connection has no room for a request, the request stays in the input and is read
//! again when there is room.

use std::io;

use crate::pool::Protocol;
use crate::protocol::framing::request::{Admission, RequestBuffers, RequestFrame};
use crate::proxy::forwarder::{Forwarder, mark, queue};

/// Milliseconds after which a command counts as blocked, once its client has hung up.
const CANCEL_AFTER_MS: u64 = 20;

/// The result of handling a request.
pub(super) enum RequestOutcome {
    /// It is sent, or answered.
    Taken,
    /// There is no room for it now; nothing was changed.
    Stalled,
}

impl Forwarder {
    /// A client's socket has bytes, or the end, to be read.
    pub(crate) fn client_readable(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            client.readable = true;
            queue(&mut self.ready, key, client);
        }
    }

    /// A client's socket is drained.
    pub(crate) fn client_drained(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            client.readable = false;
        }
        self.end_turn(key);
        self.settle(key);
    }

    /// The number of clients that are to get a turn.
    pub(crate) fn ready_clients(&self) -> usize {
        self.ready.len()
    }

    /// Gives the next client its turn: the requests left in its input are taken. `Some` if its socket is to be
    /// read once then, which ends in [`client_received`](Forwarder::client_received),
    /// [`client_drained`](Forwarder::client_drained), [`client_ended`](Forwarder::client_ended) or
    /// [`client_lost`](Forwarder::client_lost).
    pub(crate) fn next_client(&mut self) -> Option<usize> {
        let key = self.ready.pop_front()?;
        let client = self.clients.get_mut(key)?;
        client.queued = false;
        if client.closing {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
            return None;
        }
        if client.has_input {
            let input = std::mem::take(&mut client.input);
            let used = self.take_requests(key, &input);
            self.keep(key, input, used);
        }
        let client = self.clients.get_mut(key)?;
        if !client.has_input && !client.closing && client.readable && client.has_room() {
            return Some(key);
        }
        if !client.has_input {
            self.end_turn(key);
        }
        self.settle(key);
        None
    }

    /// Takes bytes that were read from a client. `more` says that the socket may have more of them.
    pub(crate) fn client_received(&mut self, key: usize, bytes: &[u8], more: bool) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.readable = more;
        if client.input.is_empty() {
            let used = self.take_requests(key, bytes);
            if used < bytes.len() {
                self.keep(key, bytes[used..].to_vec(), 0);
            }
        } else {
            let mut input = std::mem::take(&mut client.input);
            input.extend_from_slice(bytes);
            let used = self.take_requests(key, &input);
            self.keep(key, input, used);
        }
        self.end_turn(key);
        self.settle(key);
    }

    /// A client's end was announced; bytes may be left to be read before it.
    pub(crate) fn client_hung_up(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key) {
            client.hung_up = true;
        }
        self.cancel_blocked(key);
    }

    /// A client has closed its direction. It gets the answers that are due, except for an incomplete request, and for a
    /// command that blocks, whose answer may never come.
    pub(crate) fn client_ended(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        (client.closing, client.hung_up) = (true, true);
        if client
            .dedicated
            .as_ref()
            .is_some_and(|dedicated| dedicated.upload.is_some())
        {
            let error = io::Error::other("its client closed in the middle of a request");
            return self.end(key, Some(&error));
        }
        self.cancel_blocked(key);
        self.settle(key);
    }

    /// Cancels the blocked command of a client that has hung up, as Redis does: else the command would take an
    /// element for a client that has left. Closing its upstream connection does it.
    ///
    /// A command that need not wait is answered within [`CANCEL_AFTER_MS`], so a client that has closed only its own
    /// direction gets that answer.
    pub(super) fn cancel_blocked(&mut self, key: usize) {
        let Some(client) = self.clients.get(key).filter(|client| client.hung_up) else {
            return;
        };
        let connection = client
            .dedicated
            .as_ref()
            .and_then(|dedicated| self.connections.get(dedicated.connection));
        let Some(connection) = connection.filter(|connection| connection.has_no_deadline) else {
            return;
        };
        let since = connection.queue.front().map(|waiting| waiting.since);
        if since.is_some_and(|since| self.micros.saturating_sub(since) >= CANCEL_AFTER_MS * 1000) {
            let error = io::Error::other("its client closed during a blocked command");
            self.end(key, Some(&error));
        }
    }

    /// A client's connection has failed.
    pub(crate) fn client_lost(&mut self, key: usize, error: &io::Error) {
        self.end(key, Some(error));
    }

    /// Queues a client that can continue, and ends one that is finished.
    fn end_turn(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let idle = !client.readable && client.input.is_empty();
        if self.draining && idle && !client.connection.awaits_first_request() {
            client.closing = true;
        }
        if client.readable && !client.has_input && !client.closing && client.has_room() {
            queue(&mut self.ready, key, client);
        }
    }

    /// Has a client's output sent, or its connection ended, if that is possible now.
    fn settle(&mut self, key: usize) {
        if let Some(client) = self.clients.get_mut(key)
            && (client.closing || client.unsent() > 0)
        {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    /// Puts back the bytes that were not consumed.
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
    /// number of consumed bytes, and sets `Client::again` if it stopped for lack of room.
    fn take_requests(&mut self, key: usize, input: &[u8]) -> usize {
        let mut buffers = std::mem::take(&mut self.buffers);
        let mut at = 0;
        while at < input.len() {
            let Some(client) = self.clients.get_mut(key) else {
                break;
            };
            client.has_input = !client.has_room();
            if client.has_input || client.closing {
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
            if let Some(dedicated) = &client.dedicated
                && dedicated.upload.is_some()
            {
                match self.upload(key, &input[at..]) {
                    0 => break,
                    used => at += used,
                }
                continue;
            }
            match self.take_request(key, &input[at..], &mut buffers) {
                (_, RequestOutcome::Stalled) => {
                    if let Some(client) = self.clients.get_mut(key) {
                        client.has_input = true;
                    }
                    break;
                }
                (None, RequestOutcome::Taken) => break,
                (Some(used), RequestOutcome::Taken) => at += used,
            }
        }
        self.buffers = buffers;
        self.run.end(&self.shared.requests);
        at
    }

    /// Takes one request. Returns its length, or `None` if it is incomplete.
    fn take_request(
        &mut self,
        key: usize,
        input: &[u8],
        buffers: &mut RequestBuffers,
    ) -> (Option<usize>, RequestOutcome) {
        let client = &mut self.clients[key];
        if !client.session.admitted && self.shared.settings.protocol == Protocol::Memcached {
            client.framer.choose_protocol(input);
            if !client.framer.is_binary() {
                return self.authenticate(key, input);
            }
        }
        client.framer.admit(match client.session.admitted {
            false => Admission::Due,
            true if self.shared.password.is_some() => Admission::Given,
            true => Admission::Open,
        });
        let frame = client.framer.frame(input, buffers);
        client.session.state.binary = client.framer.is_binary();
        match frame {
            RequestFrame::Incomplete => (None, RequestOutcome::Taken),
            RequestFrame::Nothing(used) => (Some(used), RequestOutcome::Taken),
            RequestFrame::Bad {
                reply,
                consumed,
                close,
            } => {
                client.closing |= close;
                // Bytes behind it have no meaning.
                let used = if close { input.len() } else { consumed };
                (Some(used), self.answer(key, &reply))
            }
            RequestFrame::Large(large) => {
                let (used, outcome) = (large.head.len(), self.large(key, large));
                if let RequestOutcome::Taken = outcome {
                    self.run.add_large(input, &self.shared.requests);
                }
                (Some(used), outcome)
            }
            RequestFrame::Request(request, used) => {
                let sequence = client.next_sequence();
                let outcome = self.request(key, &request);
                if let RequestOutcome::Taken = outcome {
                    self.run.add(&request, &self.shared.requests);
                    if let Some(client) = self.clients.get_mut(key) {
                        client.time_request(sequence, self.micros);
                    }
                }
                (Some(used), outcome)
            }
        }
    }
}

//! Turns: each worker runs many connections on one thread, giving a turn to those that have bytes.
//!
//! ```text
//!   acceptors ──channel, waker──▶ worker ─────────────────────────────────────────┐
//!                                 │   ┌───────────┐ ready   ┌───────┐  one turn   │
//!                                 │   │ mio::Poll │────────▶│ queue │──each──┐    │
//!                                 │   └───────────┘         └───────┘        │    │
//!                                 │     ▲   ▲                   ▲            ▼    │
//!                                 │     │   └─ quiet ◀──────────┼─── short read   │
//!                                 │     │                       └─── full read    │
//!                                 │     └───── parked ◀───────────── socket full  │
//!                                 └───────────────────────────────────────────────┘
//! ```
//!
//! A turn is one read into the worker's buffer, one call of the session, one write; the writes of a
//! round are done together, when all that are ready have been read. A short read
//! means that the socket is drained, so the connection is *quiet* until the poller says otherwise
//! (edge-triggered: no call to re-arm it). A read that filled the buffer sends the connection to
//! the back of the queue, behind all others that are ready. A socket that doesn't take the whole
//! output *parks* its connection: the rest is kept, the poller is asked for writability only, and
//! nothing is read from this client until it has taken everything. It holds memory of one turn's
//! output and one read's input, and no worker.
//!
//! Cost: a request is one read and one write, and a share of one wait; two more calls when a
//! connection parks and two when it goes on. A quiet connection is a slot of about 140 bytes and
//! its session: its input and output are empty vectors, without memory of their own, unless half a
//! request is kept.
//!
//! The poller speaks once. What it said is kept in the connection until a read has found the socket
//! drained, because a turn that continues ([`Next::Again`]) does not read.
//!
//! Invariants: a connection with output left is registered for writing, any other for reading. A
//! connection that has something to do and is not waiting for the poller is in the queue, once.

mod client;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use super::acceptor::Accepted;
use super::connections::{Connections, ticks};
use super::guard::Guarded;
use super::limits::{self, EVENTS, LOOKS, OUTPUT_SOFT_LIMIT, READ_BUFFER};
use super::service::Next;
use super::workers::{Received, WorkerHandle, WorkerInbox, worker_channel};
use client::{After, Client, Desk, Turned};

/// The token of the waker; connections have their slot's number.
const WAKE: Token = Token(usize::MAX);

/// One thread's worth of connections.
pub(super) struct Worker {
    poll: Poll,
    inbox: WorkerInbox,
    clients: Slab<Client>,
    ready: VecDeque<usize>,
    idle_timeout: Option<Duration>,
    next_sweep: u64,
    /// Whose replies lie where in the output, not yet sent, and what comes next.
    replies: Vec<(usize, Range<usize>, Next)>,
    desk: Desk,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        connections: Arc<Connections>,
        idle_timeout: Option<Duration>,
        max_input: usize,
    ) -> io::Result<(Worker, WorkerHandle)> {
        let poll = Poll::new()?;
        let (handle, inbox) = worker_channel(poll.registry(), WAKE)?;
        let desk = Desk {
            input: vec![0; READ_BUFFER],
            output: Vec::new(),
            now: ticks(),
            max_input,
            draining: false,
            connections,
            index,
        };
        let worker = Worker {
            poll,
            inbox,
            clients: Slab::new(),
            ready: VecDeque::new(),
            idle_timeout,
            next_sweep: 0,
            replies: Vec::new(),
            desk,
        };
        Ok((worker, handle))
    }

    // ANCHOR: run
    /// Runs until the acceptors are gone and the last connection has ended.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        let mut looks = 0;
        while !(self.desk.draining && self.clients.is_empty()) {
            // Whoever sends to a sleeping worker pays for its waking, so it looks again before it sleeps.
            let timeout = match looks {
                0 => self.timeout(),
                _ => Some(Duration::ZERO),
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("a worker can't wait for its clients and closes them: {error}");
                    return;
                }
                Ok(()) if looks > 0 && events.is_empty() && self.ready.is_empty() => {
                    looks -= 1;
                    thread::yield_now();
                    continue;
                }
                Ok(()) => looks = LOOKS,
            }
            self.desk.now = ticks();
            let mut woken = false;
            for event in &events {
                if event.token() == WAKE {
                    woken = true;
                } else if let Some(client) = self.clients.get_mut(event.token().0) {
                    // The end may already be behind what a short read will find: then no further
                    // event announces it.
                    let fin = event.is_read_closed() || event.is_error();
                    client.fin |= fin;
                    // Remembered, because the next turn may be one that does not read.
                    client.more |= event.is_readable() || fin;
                    queue(&mut self.ready, event.token().0, client);
                }
            }
            if woken {
                self.receive();
            }
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.serve(key);
                }
            }
            self.answer();
            self.sweep();
        }
    }
    // ANCHOR_END: run

    fn timeout(&self) -> Option<Duration> {
        if !self.ready.is_empty() {
            return Some(Duration::ZERO);
        }
        // Without connections nothing can fall silent.
        self.idle_timeout.filter(|_| !self.clients.is_empty())?;
        Some(Duration::from_millis(
            self.next_sweep.saturating_sub(ticks()),
        ))
    }

    /// Takes in what the acceptors sent, and learns from the channel's end that the server is
    /// stopping.
    fn receive(&mut self) {
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
        self.desk.draining = true;
        // Everyone has one more turn: it answers what has arrived, and ends those with nothing in
        // flight.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    fn take_in(&mut self, accepted: Accepted) -> io::Result<()> {
        let Accepted {
            stream,
            active,
            service,
        } = accepted;
        stream.set_nonblocking()?;
        let session = Guarded::open(&*service, &active)
            .ok_or_else(|| io::Error::other("its session could not be opened"))?;
        let slot = self.clients.vacant_entry();
        let (fd, token) = (stream.as_raw_fd(), Token(slot.key()));
        self.poll
            .registry()
            .register(&mut SourceFd(&fd), token, Interest::READABLE)?;
        slot.insert(Client {
            session,
            stream,
            active,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            queued: false,
            more: false,
            fin: false,
            again: false,
            closing: false,
            parked: false,
        });
        Ok(())
    }

    // ANCHOR: serve
    fn serve(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.queued = false;
        match client.turn(&mut self.desk) {
            Ok(Turned::Silent(after)) => self.settle(key, Ok(after)),
            Ok(Turned::Reply(reply, next)) => {
                self.replies.push((key, reply, next));
                if self.desk.output.len() >= OUTPUT_SOFT_LIMIT {
                    self.answer();
                }
            }
            Err(error) => self.settle(key, Err(error)),
        }
    }

    /// Sends the replies of the turns since the last time. Together, because a client that is woken at once sends
    /// again, and is alone in the next round.
    fn answer(&mut self) {
        let mut replies = std::mem::take(&mut self.replies);
        for (key, reply, next) in replies.drain(..) {
            if let Some(client) = self.clients.get_mut(key) {
                let after = client.answer(&self.desk, reply, next);
                self.settle(key, after);
            }
        }
        self.replies = replies;
        self.desk.output.clear();
        self.desk.output.shrink_to(2 * OUTPUT_SOFT_LIMIT);
    }

    /// Gives a connection the place that its turn has earned: the poller, the queue, or its end.
    fn settle(&mut self, key: usize, after: io::Result<After>) {
        let after = match after {
            Ok(After::End) => return self.end(key, None),
            Err(error) => return self.end(key, Some(&error)),
            Ok(after) => after,
        };
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        let full = !client.output.is_empty();
        if client.parked != full {
            client.parked = full;
            let interest = if full {
                Interest::WRITABLE
            } else {
                Interest::READABLE
            };
            let (fd, token) = (client.stream.as_raw_fd(), Token(key));
            // Asking anew reports what is already so: nothing that happened meanwhile is missed.
            if let Err(error) = self
                .poll
                .registry()
                .reregister(&mut SourceFd(&fd), token, interest)
            {
                return self.end(key, Some(&error));
            }
        }
        if after == After::More {
            queue(&mut self.ready, key, client);
        }
    }
    // ANCHOR_END: serve

    /// Closes a connection and forgets it.
    fn end(&mut self, key: usize, error: Option<&io::Error>) {
        let client = self.clients.remove(key);
        self.inbox.connection_ended();
        let (protocol, peer) = (
            client.active.connection.protocol(),
            client.active.connection.peer(),
        );
        match error {
            None => log::debug!("{protocol} {peer}: closed"),
            Some(error) => log::debug!("{protocol} {peer}: connection lost: {error}"),
        }
        let fd = client.stream.as_raw_fd();
        // Closing the descriptor would do, but a kill in this moment may still hold it open.
        let _ = self.poll.registry().deregister(&mut SourceFd(&fd));
        let _ = client.stream.shutdown(Shutdown::Both);
        if self.clients.is_empty() {
            self.clients.shrink_to_fit();
        }
    }

    /// Closes the connections that have been silent for too long. It looks at all of them, but
    /// seldom.
    fn sweep(&mut self) {
        let Some(limit) = self.idle_timeout else {
            return;
        };
        if self.desk.now < self.next_sweep {
            return;
        }
        let limit = limit.as_millis() as u64;
        self.next_sweep = self.desk.now + (limit / 4).clamp(1, limits::IDLE_SWEEP_MS);
        let now = self.desk.now;
        let silent: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| {
                now.saturating_sub(client.active.connection.last_active()) >= limit
            })
            .map(|(key, _)| key)
            .collect();
        for key in silent {
            self.end(
                key,
                Some(&io::Error::new(ErrorKind::TimedOut, "silent for too long")),
            );
        }
    }
}

fn queue(ready: &mut VecDeque<usize>, key: usize, client: &mut Client) {
    if !client.queued {
        client.queued = true;
        ready.push_back(key);
    }
}

//! One forwarding thread: its clients, its own upstream connections, and its round.
//!
//! ```text
//!            one round of a worker (one thread, one mio::Poll)
//!  clients ─▶ gather   read the clients that are ready, cut complete requests
//!             route    find each one's upstream
//!             append   add it to that link's output, and whose it is to its queue
//!             flush    one write for each link that has output
//!  upstreams─▶ scatter read the links that are ready, frame their answers, append each to the
//!                      client whose turn it is
//!             flush    one write for each client that has output
//! ```
//!
//! Each step is a file. Beside them: incoming (how clients get here), links (their making and their
//! end), detached (clients with a connection of their own), transaction (MULTI), meta (memcached's
//! meta commands), redirect (what a cluster sends elsewhere), again (what is sent twice), sweep
//! (deadlines).
//!
//! Nothing waits for an upstream but the clients that asked it. Bounds keep memory in check: a
//! client with too many requests or bytes under way is not read, a link with too much to send takes
//! no request, an answer whose client is slow stays with its upstream. A client that takes nothing
//! for as long as the write deadline is closed, so that it can't hold up the others on its link.
//!
//! Cost: a request is a share of one read and one write on either side. A client between requests
//! is about 300 bytes; a link has a buffer of its own only while answers are held back.
//!
//! Invariants: requests of one client to one upstream go over one link, so they are executed in its
//! order. A slab's number is used only together with the serial or id of who had it.

mod again;
mod append;
mod detached;
mod flush;
mod gather;
mod incoming;
mod intercept;
mod links;
mod meta;
mod redirect;
mod route;
mod scatter;
mod sweep;
mod transaction;

use intercept::Interception;
pub(super) use transaction::Pending;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use crossbeam_channel::{Receiver, Sender};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::pool::Pool;
use crate::pool::{ResolvedName, UpstreamFailure};
use crate::protocol::framing::request::RequestBuffers;
use crate::proxy::client::Client;
use crate::proxy::settings::SWEEP_MS;
use crate::proxy::shared::Shared;
use crate::server::limits::{EVENTS, READ_BUFFER};
use crate::server::{Connections, Stream, WorkerHandle, WorkerInbox, ticks, worker_channel};
use crate::upstream::ConnectionState;
use crate::upstream::Link;

/// The token of the waker; clients have even numbers, links odd ones.
const WAKE: Token = Token(usize::MAX);

fn client_token(key: usize) -> Token {
    Token(key * 2)
}

fn link_token(key: usize) -> Token {
    Token(key * 2 + 1)
}

/// Which of the links that clients share: upstream, what its clients made of their connections, and
/// the number among its like.
type Lane = (u64, ConnectionState, usize);

/// One thread's worth of clients and links.
pub(super) struct Worker {
    poll: Poll,
    inbox: WorkerInbox,
    answers: (Sender<ResolvedName>, Receiver<ResolvedName>),
    shared: Arc<Shared>,
    connections: Arc<Connections>,
    index: usize,
    pool: Arc<Pool>,
    generation: usize,
    clients: Slab<Client>,
    links: Slab<Link>,
    lanes: AHashMap<Lane, usize>,
    /// How many links to each upstream are this worker's.
    width: usize,
    serial: u64,
    /// Clients with something to do, links with something to read.
    ready: VecDeque<usize>,
    readable: VecDeque<usize>,
    /// Clients and links with something to send.
    dirty_clients: Vec<usize>,
    dirty_links: Vec<usize>,
    /// Clients that have not taken all that was sent.
    slow: Vec<usize>,
    /// Links that could not even begin to connect.
    refused: Vec<(usize, UpstreamFailure)>,
    /// Links that hold bytes back.
    held: Vec<usize>,
    buffer: Vec<u8>,
    scratch: RequestBuffers,
    /// The time of this round: in milliseconds, and in microseconds since the worker began.
    now: u64,
    micros: u64,
    began: Instant,
    next_sweep: u64,
    draining: bool,
    /// Answers requests in place of an upstream.
    interception: Option<Interception>,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        width: usize,
        shared: Arc<Shared>,
        connections: Arc<Connections>,
    ) -> io::Result<(Worker, WorkerHandle)> {
        let poll = Poll::new()?;
        let (handle, inbox) = worker_channel(poll.registry(), WAKE)?;
        let (generation, pool) = shared.pool();
        let interception = shared
            .interceptor
            .as_ref()
            .map(|interceptor| Interception::new(&**interceptor, handle.waker()));
        let worker = Worker {
            poll,
            inbox,
            answers: crossbeam_channel::unbounded(),
            shared,
            connections,
            index,
            pool,
            generation,
            clients: Slab::new(),
            links: Slab::new(),
            lanes: AHashMap::new(),
            width,
            serial: 0,
            ready: VecDeque::new(),
            readable: VecDeque::new(),
            dirty_clients: Vec::new(),
            dirty_links: Vec::new(),
            slow: Vec::new(),
            refused: Vec::new(),
            held: Vec::new(),
            buffer: vec![0; READ_BUFFER],
            scratch: RequestBuffers::default(),
            now: ticks(),
            micros: 0,
            began: Instant::now(),
            next_sweep: 0,
            draining: false,
            interception,
        };
        Ok((worker, handle))
    }

    /// Runs until the acceptors are gone and the last client has left.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !(self.draining && self.clients.is_empty()) {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("a worker can't wait for its clients and closes them: {error}");
                    return;
                }
                Ok(()) => {}
            }
            self.now = ticks();
            self.micros = self.began.elapsed().as_micros() as u64;
            let mut woken = false;
            for event in &events {
                let fin = event.is_read_closed() || event.is_error();
                let (readable, writable) = (event.is_readable() || fin, event.is_writable());
                match event.token() {
                    WAKE => woken = true,
                    Token(token) if token % 2 == 0 => {
                        self.client_event(token / 2, readable, writable, fin)
                    }
                    Token(token) => self.link_event(token / 2, readable, writable, fin),
                }
            }
            if woken {
                self.receive();
            }
            if self.shared.generation() != self.generation {
                self.change_pool();
            }
            self.round();
            self.sweep();
        }
        if let Some(mut interception) = self.interception {
            interception.interceptor.finish();
        }
    }

    fn round(&mut self) {
        for _ in 0..self.ready.len() {
            if let Some(key) = self.ready.pop_front() {
                self.gather(key);
            }
        }
        self.end_interception();
        self.forward();
        for _ in 0..self.readable.len() {
            if let Some(key) = self.readable.pop_front() {
                self.scatter(key);
            }
        }
        // What a cluster sent elsewhere, and links that failed at once, wait for no other event.
        if !self.dirty_links.is_empty() || !self.refused.is_empty() {
            self.forward();
        }
        self.send();
        self.resume();
    }

    /// How long nothing need be looked at. Asked in each round, so it must not cost more with more clients that are quiet.
    fn timeout(&mut self) -> Option<Duration> {
        if !self.ready.is_empty() || !self.readable.is_empty() {
            return Some(Duration::ZERO);
        }
        if self
            .interception
            .as_ref()
            .is_some_and(Interception::is_stalled)
        {
            return Some(Duration::from_millis(1));
        }
        let clients = &mut self.clients;
        self.slow.retain(|key| match clients.get_mut(*key) {
            Some(client) => {
                client.slow = client.unsent() > 0;
                client.slow
            }
            None => false,
        });
        let watching = !self.slow.is_empty()
            || !self.dirty_clients.is_empty()
            || self.links.iter().any(|(_, link)| link.is_waiting())
            || self.pool.upstreams.iter().any(|u| u.health.is_ejected());
        watching.then(|| Duration::from_millis(SWEEP_MS))
    }

    fn client_event(&mut self, key: usize, readable: bool, writable: bool, fin: bool) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.readable |= readable;
        client.writable |= writable;
        client.fin |= fin;
        if readable {
            queue(&mut self.ready, key, client);
        }
        if writable && client.unsent() > 0 {
            mark(&mut self.dirty_clients, key, &mut client.dirty);
        }
    }

    fn link_event(&mut self, key: usize, readable: bool, writable: bool, fin: bool) {
        let Some(link) = self.links.get_mut(key) else {
            return;
        };
        link.writable |= writable;
        link.fin |= fin;
        if !link.is_up() {
            if writable || fin {
                self.connected(key);
            }
            return;
        }
        if readable {
            if !link.readable {
                self.readable.push_back(key);
            }
            link.readable = true;
        }
        if writable && link.unsent() > 0 {
            mark(&mut self.dirty_links, key, &mut link.dirty);
        }
    }
}

fn register(poll: &Poll, stream: &Stream, token: Token) -> io::Result<()> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    let fd = stream.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), token, interest)
}

fn queue(ready: &mut VecDeque<usize>, key: usize, client: &mut Client) {
    if !client.queued {
        client.queued = true;
        ready.push_back(key);
    }
}

fn mark(dirty: &mut Vec<usize>, key: usize, is_dirty: &mut bool) {
    if !*is_dirty {
        *is_dirty = true;
        dirty.push(key);
    }
}

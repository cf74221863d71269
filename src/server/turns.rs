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
//! round are done together, when all ready connections have been read. A short read
//! means that the socket is drained, so the connection is *quiet* until the poller reports it
//! (edge-triggered: no call to re-arm it). A read that filled the buffer sends the connection to
//! the back of the queue, behind all others that are ready. A socket that doesn't take the whole
//! output *parks* its connection: the rest is kept, the poller is asked for writability only, and
//! nothing is read from this client until it has taken everything. It holds memory of one turn's
//! output and one read's input, and no worker. A connection that waits for another thread is parked, too, until that
//! thread wakes it: `woken`.
//!
//! Cost: a request is one read and one write, and a share of one wait; two more calls when a
//! connection parks and two when it resumes. A quiet connection is a slot of about 140 bytes and
//! its session: its input and output are empty vectors, without memory of their own, unless half a
//! request is kept.
//!
//! There is a worker for each core, and not all of them run connections: `active_workers` decides how many do, by a
//! `trial` where that is open; `worker_load` reads the kernel's figures, `balance` hands connections over, and `pinning`
//! gives workers cores of their own. `polling` comes before a worker's sleep. `pieces` bounds the share of commands that are
//! done in pieces.
//!
//! The poller reports an event once. The connection keeps it until a read has found the socket
//! drained, because a turn that continues ([`Next::Again`]) does not read.
//!
//! Invariants: a connection with output left is registered for writing, any other for reading. A
//! connection that has something to do and is not waiting for the poller is in the queue, once.

mod active_workers;
mod arrivals;
mod balance;
mod client;
mod deadlines;
mod pieces;
mod pinning;
mod polling;
mod reply_waits;
mod sending;
mod timer;
mod trial;
mod woken;
mod worker_load;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Poll, Token};
use slab::Slab;
use threadpool::ThreadPool;

use super::connections::{Connections, ticks};
use super::handshakes::Handshakes;
use super::limits::{EVENTS, OUTPUT_SOFT_LIMIT, READ_BUFFER};
use super::service::Next;
use super::waiter::WokenConnections;
use super::workers::{WorkerHandle, WorkerHandles, WorkerInbox, worker_channel};
pub(super) use balance::WorkerGroup;
use balance::{Balance, Incoming};
use client::{Client, TurnOutcome, WaitFor, WorkerBuffers};
use pieces::PieceShare;
use polling::Talkers;
use timer::Timer;

/// The token of the waker; connections have their slot's number.
const WAKE: Token = Token(usize::MAX);

/// Memory of a connection in its worker, without its buffers.
pub(super) const CLIENT_RECORD: usize = size_of::<Client>();

/// Starts the workers of a group on the pool.
pub(super) fn start(
    pool: &ThreadPool,
    group: &Arc<WorkerGroup>,
    connections: &Arc<Connections>,
    idle_timeout: Option<Duration>,
    max_input: usize,
) -> io::Result<Arc<WorkerHandles<Incoming>>> {
    let mut handles = Vec::new();
    for index in 0..group.most() {
        let (group, connections) = (Arc::clone(group), Arc::clone(connections));
        let (worker, handle) = Worker::new(index, group, connections, idle_timeout, max_input)?;
        handles.push(handle);
        pool.execute(move || worker.run());
    }
    Ok(group.assemble(handles))
}

// ANCHOR: worker
/// One thread's worth of connections.
struct Worker {
    poll: Poll,
    inbox: WorkerInbox<Incoming>,
    group: Arc<WorkerGroup>,
    clients: Slab<Client>,
    ready: VecDeque<usize>,
    /// Connections that get the next piece of their command at the end of the round.
    unfinished: Vec<usize>,
    idle_timeout: Option<Duration>,
    next_idle_check: u64,
    /// Replies that are not yet sent: the connection, the range of its reply in the output, the next step.
    replies: Vec<(usize, Range<usize>, Next)>,
    /// Connections that wait for memory for a reply, or for the end of a delay; some may have ended.
    waiting: Vec<usize>,
    /// Connections that other threads have woken.
    woken: Arc<WokenConnections>,
    handshakes: Handshakes,
    pieces: PieceShare,
    buffers: WorkerBuffers,
}
// ANCHOR_END: worker

impl Worker {
    fn new(
        index: usize,
        group: Arc<WorkerGroup>,
        connections: Arc<Connections>,
        idle_timeout: Option<Duration>,
        max_input: usize,
    ) -> io::Result<(Worker, WorkerHandle<Incoming>)> {
        let poll = Poll::new()?;
        let (handle, inbox) = worker_channel(poll.registry(), WAKE)?;
        let buffers = WorkerBuffers {
            input: vec![0; READ_BUFFER],
            output: Vec::new(),
            now: ticks(),
            max_input,
            draining: false,
            connections,
            index,
            has_received: false,
            talkers: Talkers::default(),
        };
        let worker = Worker {
            poll,
            woken: WokenConnections::new(inbox.waker()),
            inbox,
            group,
            clients: Slab::new(),
            ready: VecDeque::new(),
            unfinished: Vec::new(),
            idle_timeout,
            next_idle_check: 0,
            replies: Vec::new(),
            waiting: Vec::new(),
            handshakes: Handshakes::default(),
            pieces: PieceShare::default(),
            buffers,
        };
        Ok((worker, handle))
    }

    /// Runs until the acceptors are gone and the last connection has ended.
    fn run(mut self) {
        // ANCHOR: wait
        let mut events = Events::with_capacity(EVENTS);
        let mut balance = Balance::begin(&self.group, self.buffers.index);
        while !(self.buffers.draining && self.clients.is_empty()) {
            match self.wait(&mut events, &mut balance) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("a worker can't wait for its clients and closes them: {error}");
                    return;
                }
                Ok(()) => {}
            }
            // ANCHOR_END: wait
            // ANCHOR: events
            self.buffers.now = ticks();
            let mut woken = false;
            for event in &events {
                if event.token() == WAKE {
                    woken = true;
                } else if let Some(client) = self.clients.get_mut(event.token().0) {
                    // The end of the stream may already be behind the bytes that a short read
                    // finds: then no further event announces it.
                    let fin = event.is_read_closed() || event.is_error();
                    client.fin |= fin;
                    client.hung_up |= event.is_write_closed() || event.is_error();
                    // Remembered, because the next turn may be one that does not read.
                    client.more |= event.is_readable() || fin;
                    queue(&mut self.ready, event.token().0, client);
                }
            }
            // ANCHOR_END: events
            // ANCHOR: round
            if woken {
                self.receive();
                self.take_woken();
            }
            for _ in 0..self.ready.len() {
                if let Some(key) = self.ready.pop_front() {
                    self.serve(key);
                }
            }
            self.answer();
            self.serve_unfinished();
            self.retry_waiting();
            self.close_idle();
            self.close_stalled_handshakes();
            self.balance(&mut balance);
        }
        // ANCHOR_END: round
    }

    /// Waits for events: polls for a moment if a core is idle, then sleeps.
    fn wait(&mut self, events: &mut Events, balance: &mut Balance) -> io::Result<()> {
        let timeout = self.timeout();
        if timeout == Some(Duration::ZERO) {
            return self.poll.poll(events, timeout);
        }
        let few_talk = self.buffers.talkers.are_few(self.buffers.now);
        if !self.clients.is_empty() && few_talk && balance.may_poll() {
            balance.polled(polling::poll(&mut self.poll, events)?, !events.is_empty());
            if !events.is_empty() {
                return Ok(());
            }
        }
        self.buffers.has_received = false;
        self.poll.poll(events, timeout)
    }

    // ANCHOR: serve
    fn serve(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.queued = false;
        if client.continuing {
            self.unfinished.push(key);
        } else {
            self.serve_turn(key);
        }
    }

    fn serve_turn(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        match client.turn(&mut self.buffers) {
            Ok(TurnOutcome::NoReply(after)) => self.after_turn(key, Ok(after)),
            Ok(TurnOutcome::Reply(reply, next)) => {
                if next == Next::Continue && !client.continuing {
                    self.pieces.begin(self.buffers.connections.bytes_read());
                }
                self.replies.push((key, reply, next));
                if self.buffers.output.len() >= OUTPUT_SOFT_LIMIT {
                    self.answer();
                }
            }
            Err(error) => self.after_turn(key, Err(error)),
        }
    }

    /// Gives the connections of commands in pieces their turns, when all others have their replies.
    fn serve_unfinished(&mut self) {
        let mut unfinished = std::mem::take(&mut self.unfinished);
        unfinished.drain(..).for_each(|key| self.serve_piece(key));
        self.unfinished = unfinished;
    }

    /// Gives a connection the next piece of its command, with its reply, or lets it rest.
    fn serve_piece(&mut self, key: usize) {
        let (now, received) = (self.buffers.now, self.buffers.connections.bytes_read());
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        if !client.hung_up && self.pieces.is_used_up(now, received) {
            client.timer = Timer::of_rest(now);
            return self.after_turn(key, Ok(WaitFor::Time));
        }
        if self.pieces.gives_way(self.buffers.has_received) {
            thread::yield_now();
            self.buffers.has_received = false;
            // Those who have sent something meanwhile come first.
            return self.after_turn(key, Ok(WaitFor::NextTurn));
        }
        let began = Instant::now();
        self.serve_turn(key);
        self.answer();
        self.pieces.add(began.elapsed());
    }
    // ANCHOR_END: serve

    /// Sends the replies of the turns since the last call. They go out together: a client whose reply is sent early
    /// sends its next request early and is alone in the next round.
    // ANCHOR: answer
    fn answer(&mut self) {
        let mut replies = std::mem::take(&mut self.replies);
        for (key, reply, next) in replies.drain(..) {
            if let Some(client) = self.clients.get_mut(key) {
                let after = client.answer(&mut self.buffers, reply, next);
                self.after_turn(key, after);
            }
        }
        self.replies = replies;
        self.buffers.output.clear();
        self.buffers.output.shrink_to(2 * OUTPUT_SOFT_LIMIT);
    }
    // ANCHOR_END: answer

    /// Registers a connection for the event that it waits for after its turn, queues it or closes
    /// it.
    fn after_turn(&mut self, key: usize, after: io::Result<WaitFor>) {
        let after = match after {
            Ok(WaitFor::Close) => return self.close(key, None),
            Err(error) => return self.close(key, Some(&error)),
            Ok(after) => after,
        };
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        // ANCHOR: interest
        let full = !client.output.is_empty();
        if client.parked != full {
            client.parked = full;
            let interest = client.interest();
            let (fd, token) = (client.stream.as_raw_fd(), Token(key));
            // Registering again reports the present state, so no event of the meantime is missed.
            if let Err(error) = self
                .poll
                .registry()
                .reregister(&mut SourceFd(&fd), token, interest)
            {
                return self.close(key, Some(&error));
            }
        }
        match after {
            WaitFor::NextTurn => queue(&mut self.ready, key, client),
            WaitFor::Memory | WaitFor::Time => self.wait_without_event(key),
            WaitFor::Wake => self.park_until_woken(key),
            WaitFor::Event | WaitFor::Close => {}
        }
    }
    // ANCHOR_END: interest

    /// Closes a connection and removes it.
    fn close(&mut self, key: usize, error: Option<&io::Error>) {
        let client = self.clients.remove(key);
        self.inbox.connection_ended();
        let (protocol, peer) = (
            client.membership.connection.protocol(),
            client.membership.connection.peer(),
        );
        match error {
            None => log::debug!("{protocol} {peer}: closed"),
            Some(error) => log::debug!("{protocol} {peer}: connection lost: {error}"),
        }
        if let Some(error) = error {
            client.membership.connection.note_end(error);
        }
        client.close(self.poll.registry());
        if self.clients.is_empty() {
            self.clients.shrink_to_fit();
        }
    }
}

// ANCHOR: queue
fn queue(ready: &mut VecDeque<usize>, key: usize, client: &mut Client) {
    if !client.queued {
        client.queued = true;
        ready.push_back(key);
    }
}
// ANCHOR_END: queue

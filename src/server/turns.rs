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
//! A turn is one read into the worker's buffer, one call of the session, one write. A short read
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

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use slab::Slab;

use super::acceptor::{Accepted, Dispatch};
use super::connections::{Active, Connections, Traffic, ticks};
use super::guard::Guarded;
use super::limits::{self, EVENTS, OUTPUT_SOFT_LIMIT, READ_BUFFER};
use super::service::Next;
use super::stream::Stream;

/// The token of the waker; connections have their slot's number.
const WAKE: Token = Token(usize::MAX);

/// How connections reach a worker, and how busy it is.
pub(super) struct Seat {
    incoming: Sender<Accepted>,
    waker: Arc<Waker>,
    load: Arc<AtomicUsize>,
}

/// All workers, as the acceptors see them. When the last acceptor drops it, the workers drain and
/// end.
pub(super) struct Turns {
    pub(super) seats: Vec<Seat>,
}

impl Dispatch for Turns {
    /// To the worker that has the fewest connections.
    fn dispatch(&self, accepted: Accepted) {
        let Some(seat) = self.seats.iter().min_by_key(|seat| seat.load.load(Relaxed)) else {
            return;
        };
        seat.load.fetch_add(1, Relaxed);
        // A worker ends only when all senders are gone, so it receives this.
        let _ = seat.incoming.send(accepted);
        wake(&seat.waker);
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        for seat in self.seats.drain(..) {
            drop(seat.incoming);
            wake(&seat.waker);
        }
    }
}

fn wake(waker: &Waker) {
    if let Err(error) = waker.wake() {
        log::error!("could not wake a worker: {error}; it goes on when one of its clients sends");
    }
}

/// What a worker has once for all its connections.
struct Desk {
    input: Vec<u8>,
    output: Vec<u8>,
    /// The time of this round, in [`ticks`].
    now: u64,
    max_input: usize,
    /// The server is stopping: a connection without a request in flight is closed.
    draining: bool,
    connections: Arc<Connections>,
    index: usize,
}

impl Desk {
    fn traffic(&self) -> &Traffic {
        self.connections.traffic(self.index)
    }
}

/// One thread's worth of connections.
pub(super) struct Worker {
    poll: Poll,
    /// Kept, because a wake that is under way is lost when the last waker is dropped.
    _waker: Arc<Waker>,
    incoming: Receiver<Accepted>,
    load: Arc<AtomicUsize>,
    clients: Slab<Client>,
    ready: VecDeque<usize>,
    idle_timeout: Option<Duration>,
    next_sweep: u64,
    desk: Desk,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        connections: Arc<Connections>,
        idle_timeout: Option<Duration>,
        max_input: usize,
    ) -> io::Result<(Worker, Seat)> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        let (sender, incoming) = crossbeam_channel::unbounded();
        let load = Arc::new(AtomicUsize::new(0));
        let seat = Seat {
            incoming: sender,
            waker: Arc::clone(&waker),
            load: Arc::clone(&load),
        };
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
            _waker: waker,
            incoming,
            load,
            clients: Slab::new(),
            ready: VecDeque::new(),
            idle_timeout,
            next_sweep: 0,
            desk,
        };
        Ok((worker, seat))
    }

    /// Runs until the acceptors are gone and the last connection has ended.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS);
        while !(self.desk.draining && self.clients.is_empty()) {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => {
                    log::error!("a worker can't wait for its clients and closes them: {error}");
                    return;
                }
                Ok(()) => {}
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
            self.sweep();
        }
    }

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
            match self.incoming.try_recv() {
                Ok(accepted) => {
                    if let Err(error) = self.take_in(accepted) {
                        self.load.fetch_sub(1, Relaxed);
                        log::warn!("a connection was lost at once: {error}");
                    }
                }
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => break,
            }
        }
        self.desk.draining = true;
        // Everyone has one more turn: it answers what has arrived, and ends those with nothing in
        // flight.
        for (key, client) in &mut self.clients {
            queue(&mut self.ready, key, client);
        }
    }

    fn take_in(&mut self, Accepted { stream, active }: Accepted) -> io::Result<()> {
        stream.set_nonblocking()?;
        let session = Guarded::open(&active)
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

    fn serve(&mut self, key: usize) {
        let Some(client) = self.clients.get_mut(key) else {
            return;
        };
        client.queued = false;
        let after = match client.turn(&mut self.desk) {
            Ok(After::End) => return self.end(key, None),
            Err(error) => return self.end(key, Some(&error)),
            Ok(after) => after,
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

    /// Closes a connection and forgets it.
    fn end(&mut self, key: usize, error: Option<&io::Error>) {
        let client = self.clients.remove(key);
        self.load.fetch_sub(1, Relaxed);
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

/// A connection as its worker keeps it. The fields are dropped in this order: the session ends, the
/// socket closes, the set is left.
struct Client {
    session: Guarded,
    stream: Arc<Stream>,
    active: Active,
    /// Arrived, not yet consumed.
    input: Vec<u8>,
    /// What the socket did not take, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// It is in the ready queue.
    queued: bool,
    /// The socket may hold bytes: the poller said so, or the last read was not short.
    more: bool,
    /// The end of the stream, or an error, was announced: only reading it ends the connection.
    fin: bool,
    /// The session wants a turn without a read.
    again: bool,
    /// The session wants the connection closed once the output is out.
    closing: bool,
    /// It is registered for writing.
    parked: bool,
}

/// What a connection waits for after its turn.
#[derive(PartialEq, Eq)]
enum After {
    /// The poller: for bytes, or for room if output is left.
    Event,
    /// Another turn, when the others have had theirs.
    More,
    /// Nothing. It is closed.
    End,
}

impl Client {
    /// One turn. An error is the socket's: the connection is lost.
    fn turn(&mut self, desk: &mut Desk) -> io::Result<After> {
        if !self.output.is_empty() && !self.flush(desk)? {
            return Ok(After::Event);
        }
        if self.closing {
            self.stream.farewell();
            return Ok(After::End);
        }
        let next = if std::mem::take(&mut self.again) {
            self.turn_on_kept(desk)
        } else {
            let n = match self.stream.read(&mut desk.input) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (self.more, self.fin) = (false, false);
                    return Ok(self.rest(desk));
                }
                read => read?,
            };
            if n == 0 {
                return Ok(After::End);
            }
            self.more = n == desk.input.len() || self.fin;
            self.active.connection.touch(desk.now);
            desk.traffic().read(n);
            if self.input.is_empty() {
                let turn = self.session.turn(&desk.input[..n], &mut desk.output);
                if turn.consumed < n {
                    self.input = desk.input[turn.consumed..n].to_vec();
                }
                turn.next
            } else {
                self.input.extend_from_slice(&desk.input[..n]);
                self.turn_on_kept(desk)
            }
        };
        self.send(desk)?;
        match next {
            Next::Close if self.output.is_empty() => {
                self.stream.farewell();
                return Ok(After::End);
            }
            Next::Close => self.closing = true,
            Next::Again => self.again = true,
            Next::Read if self.input.len() > desk.max_input => {
                log::warn!(
                    "{} {}: closing, more than {} bytes arrived without a complete request",
                    self.active.connection.protocol(),
                    self.active.connection.peer(),
                    desk.max_input,
                );
                return Ok(After::End);
            }
            Next::Read => {}
        }
        Ok(self.rest(desk))
    }

    /// What to wait for, when the turn is done.
    fn rest(&self, desk: &Desk) -> After {
        if !self.output.is_empty() {
            After::Event
        } else if self.again || self.more {
            After::More
        } else if desk.draining && self.input.is_empty() {
            After::End
        } else {
            After::Event
        }
    }

    fn turn_on_kept(&mut self, desk: &mut Desk) -> Next {
        let turn = self.session.turn(&self.input, &mut desk.output);
        if turn.consumed == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..turn.consumed);
            self.input.shrink_to(2 * self.input.len());
        }
        turn.next
    }

    /// Writes the worker's output; what the socket doesn't take is kept.
    fn send(&mut self, desk: &mut Desk) -> io::Result<()> {
        let sent = push(&self.stream, &desk.output);
        if let Ok(taken) = sent {
            desk.traffic().written(taken);
            if taken < desk.output.len() {
                self.output = desk.output[taken..].to_vec();
                self.written = 0;
            }
        }
        desk.output.clear();
        desk.output.shrink_to(OUTPUT_SOFT_LIMIT);
        sent.map(drop)
    }

    /// Writes kept output; true when all is out.
    fn flush(&mut self, desk: &Desk) -> io::Result<bool> {
        let taken = push(&self.stream, &self.output[self.written..])?;
        if taken > 0 {
            desk.traffic().written(taken);
            self.active.connection.touch(desk.now);
            self.written += taken;
        }
        if self.written < self.output.len() {
            return Ok(false);
        }
        self.output = Vec::new();
        self.written = 0;
        Ok(true)
    }
}

/// Writes until all is out or the socket is full, as a poller that reports only changes demands.
/// Returns the bytes taken.
fn push(stream: &Stream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match stream.write(&bytes[taken..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            written => taken += written?,
        }
    }
    Ok(taken)
}

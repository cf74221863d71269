//! One connection under turns: its state between two turns, and the steps of a turn.
//!
//! A turn has up to four steps and ends at the first that can't go on: write the output that was kept,
//! read (unless the session wants to continue), call the session, and write the reply. The worker
//! writes the replies when all ready connections have been read. [One level up](super) describes how a
//! connection gets its turns.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::polling::Talkers;
use super::timer::Timer;
use crate::server::acceptor::Accepted;
use crate::server::connections::{Connection, Connections, Membership};
use crate::server::guard::GuardedSession;
use crate::server::limits::READ_AT_ONCE;
use crate::server::service::{Insertion, Next};
use crate::server::stream::Stream;
use crate::server::system_calls::Received;
use crate::server::traffic::Traffic;
use crate::server::waiter::Waiter;

/// The buffers and values that a worker has once for all its connections.
// ANCHOR: buffers
pub(super) struct WorkerBuffers {
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// The time of this round, in milliseconds.
    pub(super) now: u64,
    pub(super) max_input: usize,
    /// The server is stopping: a connection without a request in flight is closed.
    pub(super) draining: bool,
    pub(super) connections: Arc<Connections>,
    pub(super) index: usize,
    /// Bytes have arrived since the worker last slept or yielded its core.
    pub(super) has_received: bool,
    /// The clients that it may poll for.
    pub(super) talkers: Talkers,
}
// ANCHOR_END: buffers

impl WorkerBuffers {
    pub(super) fn traffic(&self) -> &Traffic {
        self.connections.traffic(self.index)
    }

    /// Notes that so many bytes have arrived on a connection.
    fn note_arrival(&mut self, connection: &Connection, count: usize) {
        self.talkers
            .note(self.now, |since| connection.was_active_since(since));
        connection.touch(self.now);
        self.has_received = true;
        self.traffic().read(count);
    }
}

/// A connection as its worker keeps it. The fields are dropped in this order: the session ends, the
/// socket closes, the set is left.
// ANCHOR: client
pub(in crate::server) struct Client {
    pub(super) session: GuardedSession,
    pub(super) stream: Arc<Stream>,
    pub(super) membership: Membership,
    /// Arrived, not yet consumed.
    pub(super) input: Vec<u8>,
    /// Bytes that the socket did not accept, from `written` on.
    pub(super) output: Vec<u8>,
    /// Values that belong into `output`. `written` counts them.
    pub(super) insertions: Vec<Insertion>,
    pub(super) written: usize,
    /// It is in the ready queue.
    pub(super) queued: bool,
    /// The socket may hold bytes: the poller reported some, or the last read was not short.
    pub(super) more: bool,
    /// The poller reported the end of the stream or an error. Only a read that finds it ends the connection.
    pub(super) fin: bool,
    /// Both directions of the socket are closed.
    pub(super) hung_up: bool,
    /// The session waits for another thread.
    pub(super) waiter: Option<Arc<Waiter>>,
    /// The session wants a turn without a read.
    pub(super) again: bool,
    /// Its last turn has left a part of a command or of a reply: [`Next::Continue`].
    pub(super) continuing: bool,
    /// The session waits for memory for a reply.
    pub(super) awaits_memory: bool,
    pub(super) timer: Timer,
    /// The session receives the next bytes in memory of its own.
    pub(super) receiving: bool,
    /// The connection is closed when the output is written.
    pub(super) closing: bool,
    /// It is registered for writing.
    pub(super) parked: bool,
}
// ANCHOR_END: client

// ANCHOR: outcomes
/// The event that a connection waits for after its turn.
#[derive(PartialEq, Eq)]
pub(super) enum WaitFor {
    /// An event from the poller: bytes, or room in the socket if output is left.
    Event,
    /// Its next turn, after those of the other ready connections.
    NextTurn,
    /// Memory for its reply.
    Memory,
    /// The time of its [`Timer`].
    Time,
    /// Its waiter.
    Wake,
    /// Nothing: it is closed.
    Close,
}

/// The result of a turn.
pub(super) enum TurnOutcome {
    /// No bytes were read, so there is no reply.
    NoReply(WaitFor),
    /// The session was called: the range of its reply in the worker's output, and the next step.
    Reply(Range<usize>, Next),
}
// ANCHOR_END: outcomes

impl Client {
    /// The connection that an acceptor sent.
    pub(super) fn open(accepted: Accepted) -> io::Result<Client> {
        let Accepted {
            stream,
            membership,
            service,
        } = accepted;
        stream.set_nonblocking()?;
        let session = GuardedSession::open(&*service, &membership)
            .ok_or_else(|| io::Error::other("its session could not be opened"))?;
        Ok(Client::new(session, stream, membership))
    }

    /// A connection on which nothing has happened.
    fn new(session: GuardedSession, stream: Arc<Stream>, membership: Membership) -> Client {
        Client {
            session,
            stream,
            membership,
            input: Vec::new(),
            output: Vec::new(),
            insertions: Vec::new(),
            written: 0,
            queued: false,
            more: false,
            fin: false,
            hung_up: false,
            waiter: None,
            again: false,
            continuing: false,
            awaits_memory: false,
            timer: Timer::None,
            receiving: false,
            closing: false,
            parked: false,
        }
    }

    /// The number of the connection.
    pub(super) fn id(&self) -> u64 {
        self.membership.connection.id()
    }

    /// Ends the session and closes the socket.
    pub(super) fn close(self, registry: &Registry) {
        drop(self.session);
        // Dropping the socket takes it out of the poller's set and shuts it down, unless a kill holds it open in this moment.
        if self.stream.is_tls() || Arc::strong_count(&self.stream) > 1 {
            let fd = self.stream.as_raw_fd();
            let _ = registry.deregister(&mut SourceFd(&fd));
            self.stream.close();
        }
        drop(self.stream);
        // Last, so that an empty set means that all sockets are closed.
        drop(self.membership);
    }

    /// The events that the poller reports: that the socket takes more if the connection is parked, otherwise that bytes
    /// have arrived. TLS may have records to send before it can read.
    pub(super) fn interest(&self) -> Interest {
        if self.parked {
            Interest::WRITABLE
        } else if self.stream.is_tls() {
            Interest::READABLE | Interest::WRITABLE
        } else {
            Interest::READABLE
        }
    }

    /// One turn up to its reply. An error is the socket's: the connection is lost.
    pub(super) fn turn(&mut self, buffers: &mut WorkerBuffers) -> io::Result<TurnOutcome> {
        if !self.timer.waits(buffers.now) {
            self.again |= matches!(std::mem::take(&mut self.timer), Timer::Turn(_));
        } else if let Timer::Delay(_) = self.timer {
            return Ok(TurnOutcome::NoReply(WaitFor::Time));
        }
        // ANCHOR: kept
        if !self.output.is_empty() && !self.flush(buffers)? {
            return Ok(TurnOutcome::NoReply(WaitFor::Event));
        }
        if self.closing {
            self.stream.close_gracefully();
            return Ok(TurnOutcome::NoReply(WaitFor::Close));
        }
        if let Some(wait) = self.still_waits() {
            return Ok(TurnOutcome::NoReply(wait));
        }
        if self.receiving
            && let Some(outcome) = self.receive(buffers)?
        {
            return Ok(outcome);
        }
        if self.awaits_memory && !self.may_reply(buffers) {
            return Ok(TurnOutcome::NoReply(WaitFor::Memory));
        }
        let start = buffers.output.len();
        let next = if std::mem::take(&mut self.again) || std::mem::take(&mut self.awaits_memory) {
            self.turn_on_kept_input(buffers)
        // ANCHOR_END: kept
        } else {
            // ANCHOR: read
            let Received { count: n, more } = match self.stream.read(&mut buffers.input) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (self.more, self.fin) = (false, false);
                    return Ok(TurnOutcome::NoReply(self.wait_for(buffers)));
                }
                read => read?,
            };
            if n == 0 {
                return Ok(TurnOutcome::NoReply(WaitFor::Close));
            }
            self.more = more || self.fin;
            buffers.note_arrival(&self.membership.connection, n);
            // ANCHOR_END: read
            // ANCHOR: session
            if self.input.is_empty() {
                let turn = self.session.turn(&buffers.input[..n], &mut buffers.output);
                if turn.consumed < n {
                    self.input = buffers.input[turn.consumed..n].to_vec();
                }
                turn.next
            } else {
                self.input.extend_from_slice(&buffers.input[..n]);
                self.turn_on_kept_input(buffers)
            }
        };
        Ok(TurnOutcome::Reply(start..buffers.output.len(), next))
        // ANCHOR_END: session
    }

    /// The end of a turn: writes its reply, which is a part of the worker's output, and prepares for `next`.
    pub(super) fn answer(
        &mut self,
        buffers: &mut WorkerBuffers,
        reply: Range<usize>,
        next: Next,
    ) -> io::Result<WaitFor> {
        self.continuing = next == Next::Continue;
        if next == Next::Delay {
            return Ok(self.delay(buffers, reply));
        }
        self.timer = Timer::None;
        // ANCHOR: next
        let insertions = self.session.insertions(next);
        self.send(buffers, reply, insertions)?;
        match next {
            Next::Close if self.output.is_empty() => {
                self.stream.close_gracefully();
                return Ok(WaitFor::Close);
            }
            Next::Close => self.closing = true,
            Next::Again => self.again = true,
            Next::Continue => {
                self.again = true;
                // It is not idle.
                self.membership.connection.touch(buffers.now);
            }
            Next::Send => self.again = !self.input.is_empty(),
            Next::AwaitMemory => self.awaits_memory = true,
            Next::Wait => self.begin_wait(),
            // ANCHOR_END: next
            Next::Later => self.timer = Timer::of_next_turn(),
            Next::Receive => self.receiving = true,
            Next::Read if self.input.len() > buffers.max_input => {
                log::warn!(
                    "{} {}: closing, more than {} bytes arrived without a complete request",
                    self.membership.connection.protocol(),
                    self.membership.connection.peer(),
                    buffers.max_input,
                );
                return Ok(WaitFor::Close);
            }
            Next::Read | Next::Delay => {}
        }
        Ok(self.wait_for(buffers))
    }

    /// A turn of a session that receives a large value: reads into the session's own memory. The input read before is
    /// consumed. `None` if it has no such memory.
    fn receive(&mut self, buffers: &mut WorkerBuffers) -> io::Result<Option<TurnOutcome>> {
        let start = buffers.output.len();
        self.receiving = false;
        let Some(space) = self.session.space() else {
            return Ok(None);
        };
        let length = space.len().min(READ_AT_ONCE);
        let Received { count: n, more } = match self.stream.read(&mut space[..length]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                (self.more, self.fin, self.receiving) = (false, false, true);
                return Ok(Some(TurnOutcome::NoReply(self.wait_for(buffers))));
            }
            read => read?,
        };
        if n == 0 {
            return Ok(Some(TurnOutcome::NoReply(WaitFor::Close)));
        }
        self.more = more || self.fin;
        buffers.note_arrival(&self.membership.connection, n);
        let next = self.session.arrived(n, &mut buffers.output);
        let reply = start..buffers.output.len();
        Ok(Some(TurnOutcome::Reply(reply, next)))
    }

    /// The event that the connection waits for when the turn is done.
    // ANCHOR: wait_for
    fn wait_for(&self, buffers: &WorkerBuffers) -> WaitFor {
        if !self.output.is_empty() {
            WaitFor::Event
        } else if self.waiter.is_some() {
            WaitFor::Wake
        } else if self.awaits_memory {
            WaitFor::Memory
        } else if self.again || self.more {
            WaitFor::NextTurn
        } else if buffers.draining && self.is_idle() {
            WaitFor::Close
        } else if self.timer != Timer::None {
            WaitFor::Time
        } else {
            WaitFor::Event
        }
    }
    // ANCHOR_END: wait_for

    /// Whether no request has arrived, not even in part, and none is expected at once.
    fn is_idle(&self) -> bool {
        let expected = self.membership.connection.awaits_first_request();
        self.input.is_empty() && !self.receiving && !expected
    }

    fn turn_on_kept_input(&mut self, buffers: &mut WorkerBuffers) -> Next {
        let turn = self.session.turn(&self.input, &mut buffers.output);
        if turn.consumed == self.input.len() {
            self.input = Vec::new();
        } else {
            self.input.drain(..turn.consumed);
            self.input.shrink_to(2 * self.input.len());
        }
        turn.next
    }
}

//! One connection under turns: its state between two turns, and what a turn does.
//!
//! A turn goes through up to four steps, and ends at the first that can't go on: write what was kept,
//! read (unless the session wants to continue), call the session, and, when all who are ready have come
//! so far, write the reply. How the worker and the poller bring it its turns is told [one level up](super).

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use crate::server::connections::{Active, Connections, Traffic};
use crate::server::guard::Guarded;
use crate::server::service::Next;
use crate::server::stream::Stream;

/// What a worker has once for all its connections.
pub(super) struct Desk {
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// The time of this round, in milliseconds.
    pub(super) now: u64,
    pub(super) max_input: usize,
    /// The server is stopping: a connection without a request in flight is closed.
    pub(super) draining: bool,
    pub(super) connections: Arc<Connections>,
    pub(super) index: usize,
}

impl Desk {
    fn traffic(&self) -> &Traffic {
        self.connections.traffic(self.index)
    }
}

/// A connection as its worker keeps it. The fields are dropped in this order: the session ends, the
/// socket closes, the set is left.
pub(super) struct Client {
    pub(super) session: Guarded,
    pub(super) stream: Arc<Stream>,
    pub(super) active: Active,
    /// Arrived, not yet consumed.
    pub(super) input: Vec<u8>,
    /// What the socket did not take, from `written` on.
    pub(super) output: Vec<u8>,
    pub(super) written: usize,
    /// It is in the ready queue.
    pub(super) queued: bool,
    /// The socket may hold bytes: the poller said so, or the last read was not short.
    pub(super) more: bool,
    /// The end of the stream, or an error, was announced: only reading it ends the connection.
    pub(super) fin: bool,
    /// The session wants a turn without a read.
    pub(super) again: bool,
    /// The session wants the connection closed once the output is out.
    pub(super) closing: bool,
    /// It is registered for writing.
    pub(super) parked: bool,
}

/// What a connection waits for after its turn.
#[derive(PartialEq, Eq)]
pub(super) enum After {
    /// The poller: for bytes, or for room if output is left.
    Event,
    /// Another turn, when the others have had theirs.
    More,
    /// Nothing. It is closed.
    End,
}

/// How far a turn came.
pub(super) enum Turned {
    /// Nothing was read, so there is nothing to answer.
    Silent(After),
    /// The session had its call: where its reply lies in the worker's output, and what it wants next.
    Reply(Range<usize>, Next),
}

impl Client {
    // ANCHOR: turn
    /// One turn up to its reply. An error is the socket's: the connection is lost.
    pub(super) fn turn(&mut self, desk: &mut Desk) -> io::Result<Turned> {
        if !self.output.is_empty() && !self.flush(desk)? {
            return Ok(Turned::Silent(After::Event));
        }
        if self.closing {
            self.stream.farewell();
            return Ok(Turned::Silent(After::End));
        }
        let start = desk.output.len();
        let next = if std::mem::take(&mut self.again) {
            self.turn_on_kept(desk)
        } else {
            let n = match self.stream.read(&mut desk.input) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    (self.more, self.fin) = (false, false);
                    return Ok(Turned::Silent(self.rest(desk)));
                }
                read => read?,
            };
            if n == 0 {
                return Ok(Turned::Silent(After::End));
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
        Ok(Turned::Reply(start..desk.output.len(), next))
    }
    // ANCHOR_END: turn

    /// The rest of a turn: writes its reply, a part of the worker's output, and does what the session wants next.
    pub(super) fn answer(
        &mut self,
        desk: &Desk,
        reply: Range<usize>,
        next: Next,
    ) -> io::Result<After> {
        self.send(desk, reply)?;
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

    /// Writes a reply; what the socket doesn't take is kept.
    fn send(&mut self, desk: &Desk, reply: Range<usize>) -> io::Result<()> {
        let reply = &desk.output[reply];
        let taken = push(&self.stream, reply)?;
        desk.traffic().written(taken);
        if taken < reply.len() {
            self.output = reply[taken..].to_vec();
            self.written = 0;
        }
        Ok(())
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

// ANCHOR: push
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
// ANCHOR_END: push

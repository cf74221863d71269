//! One connection to an upstream, and the requests under way on it.
//!
//! ```text
//!   requests of many clients ──▶ out ──▶ socket ──▶ upstream
//!                                 │                    │
//!                                 ▼                    ▼
//!   whose turn it is  ◀── queue [a, b, a, c] ◀── answers, in the order of the requests
//! ```
//!
//! Invariants: the queue has an entry for each request whose answer has not come to its end, in the
//! order in which the requests were appended to `out`. The bytes of an answer belong to the front.
//! If requests are kept, `out` has those of the queue from `answered` on, in its order.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::slots::Redirect;
use crate::pool::{Upstream, UpstreamFailure};
use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::upstream::ConnectionState;
use crate::upstream::framed_piece::FramedPiece;
use crate::upstream::pending::{MetaSupport, PendingRequest, ReplyOwner};

/// Bytes of requests that wait to be sent over one upstream connection before further clients have
/// to wait.
pub(crate) const OUTBOX: usize = 1024 * 1024;

/// The purpose of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ConnectionPurpose {
    /// The requests of many clients: the connection of this number to this upstream of the pool,
    /// or [`REDIRECTED`].
    Shared(ConnectionState, usize),
    /// The requests of one client alone.
    Dedicated { key: usize, id: u64 },
    /// A probe that checks whether the upstream is up again.
    Probe,
}

/// The check of an error reply for a redirection.
pub(crate) enum RedirectCheck {
    /// It goes to the client, behind these bytes, which waited.
    Pass(Vec<u8>),
    /// It may be a redirection, and is kept until that is known.
    Wait,
    /// It was the last piece of this line, which is a redirection.
    Redirect(Vec<u8>),
}

/// Most bytes of requests that one connection keeps, not counting those that come from another.
const KEPT: usize = 2 * OUTBOX;

/// Bytes of answered requests that are left in the buffer, because removing them costs more.
const TRIM: usize = 4096;

/// The number of the connection for requests that another upstream of a cluster has redirected here.
/// They have their own connection because they are older than the requests that wait on the others.
pub(crate) const REDIRECTED: usize = usize::MAX;

/// The state of a connection.
#[derive(Debug)]
pub(crate) enum ConnectionStage {
    /// Its name is being looked up.
    Resolving,
    /// The first of the addresses is being connected to.
    Connecting(VecDeque<SocketAddr>),
    Up,
}

/// One connection to an upstream.
pub(crate) struct UpstreamConnection {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) purpose: ConnectionPurpose,
    pub(crate) serial: u64,
    pub(crate) stage: ConnectionStage,
    /// The unsent bytes, from `written` on; before that, requests that are kept.
    pub(crate) out: Vec<u8>,
    written: usize,
    /// It is a cluster: an answer may be a redirection.
    pub(crate) clustered: bool,
    /// Requests stay in `out` until they are answered, from `answered` on: to be compared with their replies, retried,
    /// or redirected. Not if a client's bytes are streamed.
    pub(super) keeps: bool,
    pub(super) answered: usize,
    /// The start of an answer that may be a redirection, or of a message to a subscriber.
    pub(crate) line: Vec<u8>,
    pub(crate) queue: VecDeque<PendingRequest>,
    /// Requests without reply that are behind requests of the queue: the number of requests in front of each since
    /// the connection began, and the client's id. None is in front of the queue.
    pub(super) quiet: VecDeque<(u64, u64)>,
    /// Requests that have left the queue.
    pub(super) popped: u64,
    /// Reads the answer that has begun to come.
    pub(crate) framer: Option<ReplyFramer>,
    /// All bytes belong to the one client, framed or not.
    pub(crate) raw: bool,
    /// The upstream sends messages to a subscriber.
    pub(crate) takes_messages: bool,
    /// The time at which the upstream last sent or accepted bytes, in the worker's milliseconds:
    /// the deadlines count from here.
    pub(crate) since: u64,
    /// The socket may have bytes, or an end, to be read.
    pub(crate) readable: bool,
    /// The end was announced, and only a read finds it.
    pub(crate) ends: bool,
    /// Bytes that were read but not delivered, because their client can't take them yet.
    pub(crate) held: Vec<u8>,
    /// The number of bytes of `held` that the framer has read, and whether they complete the
    /// answer.
    pub(crate) framed: Option<(usize, bool)>,
    /// An answer has no deadline: it blocks, or its request is still being sent.
    pub(crate) has_no_deadline: bool,
    /// A client's request has been answered over it.
    pub(crate) used: bool,
    /// Clients with a request for which `out` was too full.
    pub(crate) waiters: Vec<usize>,
    pub(crate) dirty: bool,
    /// Whether the server supports memcached's meta commands.
    pub(crate) meta_support: MetaSupport,
    /// It gets no further requests, and is closed when the last answer has come.
    pub(crate) retired: bool,
}

impl UpstreamConnection {
    pub(crate) fn new(
        upstream: Arc<Upstream>,
        purpose: ConnectionPurpose,
        serial: u64,
        clustered: bool,
        now: u64,
    ) -> UpstreamConnection {
        upstream.counters.connections.fetch_add(1, Relaxed);
        UpstreamConnection {
            upstream,
            purpose,
            serial,
            stage: ConnectionStage::Resolving,
            out: Vec::new(),
            written: 0,
            clustered,
            keeps: true,
            answered: 0,
            line: Vec::new(),
            queue: VecDeque::new(),
            quiet: VecDeque::new(),
            popped: 0,
            framer: None,
            raw: false,
            takes_messages: false,
            since: now,
            readable: false,
            ends: false,
            held: Vec::new(),
            framed: None,
            has_no_deadline: false,
            used: false,
            waiters: Vec::new(),
            dirty: false,
            meta_support: MetaSupport::Unasked,
            retired: false,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        matches!(self.stage, ConnectionStage::Up)
    }

    /// Whether it has room for another request.
    pub(crate) fn has_room(&self) -> bool {
        self.unsent() < OUTBOX && self.kept() < KEPT
    }

    /// Bytes of requests that are not answered, if it keeps them.
    fn kept(&self) -> usize {
        match self.keeps {
            true => self.out.len().saturating_sub(self.answered),
            false => 0,
        }
    }

    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.written
    }

    /// Whether answers are due.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.is_up() || !self.queue.is_empty() || self.unsent() > 0
    }

    /// Appends a request; `shape` is the framing of its answer, [`ReplyShape::Nothing`] if none comes.
    pub(crate) fn push(&mut self, bytes: &[u8], mut waiting: PendingRequest, now: u64) {
        if !self.is_waiting() {
            self.since = now;
        }
        if waiting.shape != ReplyShape::Nothing {
            self.upstream.counters.in_flight.fetch_add(1, Relaxed);
            waiting.length = bytes.len();
            waiting.span = 0;
            self.queue.push_back(waiting);
        } else if let ReplyOwner::Client { id, .. } = waiting.owner
            && !self.queue.is_empty()
        {
            let quiet = (self.popped + self.queue.len() as u64, id);
            if self.quiet.back() != Some(&quiet) {
                self.quiet.push_back(quiet);
            }
        }
        self.extend(bytes);
    }

    /// Appends bytes that belong to the last request, or have no reply.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        match self.queue.back_mut() {
            Some(last) => last.span += bytes.len(),
            None => self.answered = self.out.len(),
        }
    }

    /// Appends a request whose confirmation comes among messages.
    pub(crate) fn push_unanswered(&mut self, bytes: &[u8], now: u64) {
        self.upstream.counters.requests.fetch_add(1, Relaxed);
        if !self.is_waiting() {
            self.since = now;
        }
        self.extend(bytes);
    }

    /// It is a subscriber's.
    pub(crate) fn start_messages(&mut self) {
        (self.takes_messages, self.has_no_deadline) = (true, true);
    }

    /// From here on, bytes are passed on that are no requests of the queue.
    pub(crate) fn stream(&mut self) {
        self.keeps = false;
    }

    /// Takes the front of the queue, whose answer is complete.
    pub(crate) fn pop(&mut self) -> Option<PendingRequest> {
        let front = self.queue.pop_front()?;
        self.framer = None;
        self.popped += 1;
        while self
            .quiet
            .front()
            .is_some_and(|(place, _)| *place <= self.popped)
        {
            self.quiet.pop_front();
        }
        self.upstream.counters.in_flight.fetch_sub(1, Relaxed);
        if self.keeps {
            self.answered += front.span;
            self.trim();
        }
        Some(front)
    }

    /// The bytes of the request at the front of the queue, if they are kept.
    pub(crate) fn front_request(&self) -> Option<&[u8]> {
        let front = self.queue.front().filter(|_| self.keeps)?;
        self.out.get(self.answered..self.answered + front.length)
    }

    /// Finds the part of the bytes that belongs to the reply at the front of the queue. The reply has this form;
    /// `keeps_elements` keeps the types of its elements if it is an array.
    ///
    /// # Errors
    /// When they are no such reply.
    pub(crate) fn frame(
        &mut self,
        shape: ReplyShape,
        keeps_elements: bool,
        bytes: &[u8],
    ) -> Result<FramedPiece, UpstreamFailure> {
        let is_first = self.framer.is_none();
        let framer = self.framer.get_or_insert_with(|| ReplyFramer::new(shape));
        if keeps_elements {
            framer.keep_elements();
        }
        let request = match self.queue.front() {
            Some(front) if self.keeps => &self.out[self.answered..self.answered + front.length],
            _ => &[],
        };
        let (used, done) = match self.framed.take() {
            Some(framed) => framed,
            None => {
                let progress = framer.feed_reply_to(request, bytes);
                // A transaction only queues its commands.
                let queues = matches!(self.purpose, ConnectionPurpose::Dedicated { .. })
                    && framer.is_status();
                match progress.state {
                    _ if !queues && framer.is_out_of_step(request) => {
                        return Err(UpstreamFailure::OutOfStep);
                    }
                    FrameState::Garbage => return Err(UpstreamFailure::Garbage),
                    state => (progress.used, state == FrameState::Done),
                }
            }
        };
        let is_push = framer.is_push();
        Ok(FramedPiece {
            used,
            done,
            is_first,
            is_error: framer.is_error() && !is_push,
            is_push,
            shown: framer.shown(),
        })
    }

    /// Checks a piece of an error of a cluster, `first` its first piece and `done` its last.
    pub(crate) fn check_redirect(
        &mut self,
        piece: &[u8],
        first: bool,
        done: bool,
    ) -> RedirectCheck {
        if !first && self.line.is_empty() {
            return RedirectCheck::Pass(Vec::new());
        }
        let mut line = std::mem::take(&mut self.line);
        let may_be = match first {
            true => Redirect::may_be(piece),
            false => Redirect::may_be(&[&line, piece].concat()),
        };
        if !may_be {
            return RedirectCheck::Pass(line);
        }
        line.extend_from_slice(piece);
        if !done {
            self.line = line;
            return RedirectCheck::Wait;
        }
        match Redirect::read(&line) {
            Some(_) => RedirectCheck::Redirect(line),
            None => {
                line.truncate(line.len() - piece.len());
                RedirectCheck::Pass(line)
            }
        }
    }

    /// Bytes of requests and answers that it has in memory.
    #[cfg(test)]
    pub(crate) fn bytes_held(&self) -> usize {
        self.out.len() + self.held.len()
    }

    /// Bytes to be sent.
    pub(crate) fn output(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// Notes that this many bytes of the output have been sent.
    pub(crate) fn sent(&mut self, count: usize) {
        self.written += count;
        self.trim();
    }

    /// Removes the bytes that have been sent and, if requests are kept, answered.
    fn trim(&mut self) {
        let done = match self.keeps {
            true => self.written.min(self.answered),
            false => self.written,
        };
        if done == self.out.len() {
            self.out.clear();
            self.out.shrink_to(OUTBOX / 4);
            (self.written, self.answered) = (0, 0);
        } else if done > OUTBOX / 2 || self.keeps && done >= TRIM && done >= self.out.len() - done {
            self.out.drain(..done);
            self.written -= done;
            self.answered = self.answered.saturating_sub(done);
        }
    }
}

impl Drop for UpstreamConnection {
    fn drop(&mut self) {
        let counters = &self.upstream.counters;
        counters.connections.fetch_sub(1, Relaxed);
        counters.in_flight.fetch_sub(self.queue.len(), Relaxed);
    }
}

//! One client connection: its requests under way and their answers, which leave in the order of the
//! requests.
//!
//! ```text
//!   requests   GET a   GET b   MGET a b   GET c
//!   slots     [ 7:      8:      9:         10:    ]     answers come in any order
//!               │       │
//!               │       └─ waits in its slot, bounded
//!               └─ the head: its bytes pass straight on to the output
//! ```
//!
//! Invariants: the bytes in `output` are whole answers, except for the last one, which is the
//! head's. Bytes of a slot that is not the head are in the slot.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::protocol::framing::request::{Remainder, RequestFramer};
use crate::proxy::client_counts::TIMED;
use crate::proxy::merge::ReplyMerge;
use crate::proxy::session::Session;
use crate::proxy::settings::{BACKLOG, PIPELINE};
use crate::proxy::subscriptions::Subscriptions;
use crate::server::Connection;

/// An upstream connection that a client has for itself, and its purpose.
#[derive(Default)]
pub(super) struct DedicatedConnection {
    pub(super) connection: usize,
    /// The slot of the keys for which it was opened, in a cluster.
    pub(super) slot: Option<u16>,
    /// Keys were watched over another connection, whose server no longer has them: they count as changed.
    pub(super) lost_watched_keys: bool,
    /// Requests have gone over shared connections since: their answers come before more is sent here.
    pub(super) shared_requests_sent: bool,
    /// The upstream's bytes are passed on unparsed until one side closes.
    pub(super) raw: bool,
    /// The rest of a request that is streamed.
    pub(super) upload: Option<Remainder>,
    /// A `mn` is sent behind that.
    pub(super) fence: bool,
}

/// An answer that has not been sent yet.
pub(super) struct Slot {
    /// Bytes that wait for their turn.
    bytes: Vec<u8>,
    /// Parts that are not complete.
    left: usize,
    /// Puts the parts together, if there are several.
    merge: Option<Box<ReplyMerge>>,
}

/// A client connection as its forwarder keeps it.
pub(super) struct Client {
    /// The server's record of the connection.
    pub(super) connection: Arc<Connection>,
    pub(super) id: u64,
    pub(super) framer: RequestFramer,
    /// Arrived, not yet consumed.
    pub(super) input: Vec<u8>,
    /// The output, unsent from `written` on.
    output: Vec<u8>,
    written: usize,
    slots: VecDeque<Slot>,
    /// The number of the first slot.
    first: u64,
    /// Bytes in the slots.
    held: usize,
    /// Whether a part of the first slot's answer has left the slot.
    begun: bool,
    pub(super) session: Session,
    pub(super) dedicated: Option<DedicatedConnection>,
    pub(super) subscriptions: Option<Box<Subscriptions>>,
    /// Messages that wait for the end of the answer that is being sent.
    messages: Vec<u8>,
    /// The rest of a request that is answered already, and read only for its end.
    pub(super) skip: Option<Remainder>,
    /// The answer to a wrong password, which is given later.
    pub(super) delayed: Option<Vec<u8>>,
    /// The generation of the map by which its requests under way were sent, in a cluster.
    pub(super) generation: usize,
    /// The request that is being timed: its number, and its arrival in the forwarder's microseconds.
    pub(super) timed: Option<(u64, u64)>,
    /// Requests since one was timed.
    pub(super) untimed: u8,
    /// The time at which the socket last accepted bytes, in the forwarder's milliseconds.
    pub(super) since: u64,
    /// Its socket may have bytes, or the end, to be read.
    pub(super) readable: bool,
    /// It is in the worker's queue of clients with something to do.
    pub(super) queued: bool,
    /// It is in the worker's list of clients with something to send.
    pub(super) dirty: bool,
    /// It has not accepted all its output, and the worker waits until it is writable.
    pub(super) slow: bool,
    /// The rest of the input may hold a complete request.
    pub(super) has_input: bool,
    /// No further requests; the connection ends when all answers have left.
    pub(super) closing: bool,
    /// The client has closed its direction of the connection, or all of it.
    pub(super) hung_up: bool,
    /// The connection ends at once.
    pub(super) lost: bool,
}

impl Client {
    pub(super) fn new(
        id: u64,
        connection: Arc<Connection>,
        framer: RequestFramer,
        admitted: bool,
    ) -> Client {
        Client {
            connection,
            id,
            framer,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            slots: VecDeque::new(),
            first: 0,
            held: 0,
            begun: false,
            session: Session::new(admitted),
            dedicated: None,
            subscriptions: None,
            messages: Vec::new(),
            skip: None,
            delayed: None,
            generation: 0,
            timed: None,
            untimed: 0,
            since: 0,
            readable: true,
            queued: false,
            dirty: false,
            slow: false,
            has_input: false,
            closing: false,
            hung_up: false,
            lost: false,
        }
    }

    /// Whether its dedicated connection has served its purpose, once the last answer has come.
    pub(super) fn is_dedication_over(&self) -> bool {
        let done = |dedicated: &DedicatedConnection| !dedicated.raw && dedicated.upload.is_none();
        self.dedicated.as_ref().is_some_and(done) && !self.session.is_held()
    }

    /// Whether another request may be taken.
    pub(super) fn has_room(&self) -> bool {
        self.slots.len() < PIPELINE && self.backlog() < BACKLOG && self.delayed.is_none()
    }

    /// Bytes of answers that wait for this client.
    pub(super) fn backlog(&self) -> usize {
        self.unsent() + self.held + self.messages.len()
    }

    pub(super) fn unsent(&self) -> usize {
        self.output.len() - self.written
    }

    /// Whether requests are under way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Whether all requests are answered and all answers are sent.
    pub(super) fn is_done(&self) -> bool {
        self.slots.is_empty() && self.unsent() == 0 && self.delayed.is_none()
    }

    /// Whether its next request may be sent by the map or list of this generation. Not while others are under way that
    /// were sent by another one, or sent elsewhere: it could overtake them. A server that has left the list and come back
    /// gets a new connection, beside the one on which they are.
    pub(super) fn may_follow(&mut self, generation: usize) -> bool {
        if self.generation != generation && self.is_waiting() {
            return false;
        }
        self.generation = generation;
        true
    }

    /// A request was sent elsewhere.
    pub(super) fn redirected(&mut self) {
        self.generation = usize::MAX;
    }

    /// Whether a request under way was sent elsewhere.
    pub(super) fn is_redirected(&self) -> bool {
        self.generation == usize::MAX && self.is_waiting()
    }

    /// Begins to time the request with this number, if one request of [`TIMED`] is due. Only requests over shared connections are
    /// timed.
    pub(super) fn time_request(&mut self, sequence: u64, now: u64) {
        if sequence == self.next_sequence() || self.dedicated.is_some() || self.timed.is_some() {
            return;
        }
        if self.untimed == 0 {
            self.timed = Some((sequence, now));
        }
        self.untimed = (self.untimed + 1) % TIMED;
    }

    /// The latency of the timed request in microseconds, if it is answered.
    pub(super) fn timed_latency(&mut self, now: u64) -> Option<u64> {
        let (_, arrived) = self.timed.filter(|(sequence, _)| *sequence < self.first)?;
        self.timed = None;
        Some(now.saturating_sub(arrived))
    }

    /// The number that [`Client::open`] gives next.
    pub(super) fn next_sequence(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    /// Adds a slot for the answer to a request, and returns its number.
    pub(super) fn open(&mut self, parts: usize, merge: Option<ReplyMerge>) -> u64 {
        let sequence = self.next_sequence();
        self.slots.push_back(Slot {
            bytes: Vec::new(),
            left: parts,
            merge: merge.map(Box::new),
        });
        sequence
    }

    /// Adds an answer of the proxy's own, behind those that are due before it.
    pub(super) fn answer(&mut self, bytes: &[u8]) {
        if self.slots.is_empty() {
            self.output.extend_from_slice(bytes);
        } else {
            let sequence = self.open(1, None);
            self.deliver(sequence, 0, bytes, true);
        }
    }

    /// Whether more of the answer to a part may come. For the head, it may as long as the client
    /// reads its bytes; for the others, as long as not too many bytes wait for the head.
    ///
    /// No two connections can wait for each other by this: of all requests of a worker the oldest is the
    /// head of its client and the front of its connections, so it proceeds, and then the next oldest does.
    pub(super) fn takes(&self, sequence: u64, part: usize) -> bool {
        let room = match sequence == self.first {
            true => self.unsent() < BACKLOG,
            false => self.held < BACKLOG,
        };
        let slot = self.slot(sequence);
        let merge = slot.and_then(|at| self.slots[at].merge.as_ref());
        slot.is_none() || room && merge.is_none_or(|merge| merge.has_room(part))
    }

    /// Takes the next bytes of the answer to a part of a request, `done` with the last. Returns how
    /// many it took: a part that isn't next takes less than all.
    pub(super) fn deliver(
        &mut self,
        sequence: u64,
        part: usize,
        bytes: &[u8],
        done: bool,
    ) -> usize {
        let Some(at) = self.slot(sequence) else {
            return bytes.len();
        };
        let mut used = bytes.len();
        let slot = &mut self.slots[at];
        if let Some(merge) = &mut slot.merge {
            let before = slot.bytes.len();
            used = merge.feed(part, bytes, &mut slot.bytes).used;
            self.lost |= merge.is_broken();
            self.held += slot.bytes.len() - before;
        } else if at == 0 {
            self.begun |= !bytes.is_empty();
            self.output.extend_from_slice(bytes);
        } else {
            self.held += bytes.len();
            slot.bytes.extend_from_slice(bytes);
        }
        if done && used == bytes.len() {
            slot.left = slot.left.saturating_sub(1);
        }
        self.settle();
        used
    }

    /// Gives an error instead of the answer to a part. If the client has already got the start of
    /// the answer, its connection is closed.
    pub(super) fn fail(&mut self, sequence: u64, part: usize, error: &[u8]) {
        let Some(at) = self.slot(sequence) else {
            return;
        };
        let slot = &mut self.slots[at];
        let before = slot.bytes.len();
        if let Some(merge) = &mut slot.merge {
            self.lost |= merge.fail(part, error, &mut slot.bytes).is_err() || merge.is_broken();
        } else if at == 0 && self.begun {
            self.lost = true;
            return;
        } else {
            slot.bytes.clear();
            slot.bytes.extend_from_slice(error);
        }
        self.held = self.held - before + slot.bytes.len();
        slot.left = slot.left.saturating_sub(1);
        self.settle();
    }

    /// A part was sent to no upstream: its keys count as missing.
    pub(super) fn miss(&mut self, sequence: u64, part: usize) {
        let Some(at) = self.slot(sequence) else {
            return;
        };
        let slot = &mut self.slots[at];
        let before = slot.bytes.len();
        if let Some(merge) = &mut slot.merge {
            merge.miss(part, &mut slot.bytes);
            self.lost |= merge.is_broken();
        }
        self.held = self.held - before + slot.bytes.len();
        slot.left = slot.left.saturating_sub(1);
        self.settle();
    }

    fn slot(&self, sequence: u64) -> Option<usize> {
        let at = sequence.checked_sub(self.first)? as usize;
        (at < self.slots.len()).then_some(at)
    }

    /// Sends the head, and the complete answers behind it if the head is complete.
    fn settle(&mut self) {
        // No answer can follow one that broke off: the client would read it as the rest of that answer.
        if self.lost {
            return;
        }
        while let Some(slot) = self.slots.front_mut() {
            self.held -= slot.bytes.len();
            self.begun |= !slot.bytes.is_empty();
            self.output.append(&mut slot.bytes);
            let complete = slot.left == 0 || slot.merge.as_ref().is_some_and(|m| m.is_complete());
            if !complete {
                break;
            }
            self.slots.pop_front();
            self.first += 1;
            self.begun = false;
        }
        if !self.begun {
            self.output.append(&mut self.messages);
        }
    }

    /// Bytes that belong to no request: whole messages, which come between answers.
    pub(super) fn message(&mut self, bytes: &[u8]) {
        match self.begun {
            true => self.messages.extend_from_slice(bytes),
            false => self.output.extend_from_slice(bytes),
        }
    }

    /// Bytes that belong to no request: those of a connection that this client has for itself.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Bytes to be sent.
    pub(super) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    /// Notes that this many bytes of the output have been sent.
    pub(super) fn sent(&mut self, count: usize) {
        self.written += count;
        if self.written == self.output.len() {
            self.output.clear();
            self.output.shrink_to(16 * 1024);
            self.written = 0;
        } else if self.written >= BACKLOG / 2 {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }
}

//! Requests that an interceptor answers in place of an upstream.
//!
//! ```text
//!   client ─▶ worker ── a request ──▶ WorkerInterceptor ─┬▶ Answered   the client reads it, in its turn
//!      ▲                                                 ├▶ Later ──▶ any thread ── AnswerSender ──┐
//!      │                                                 └▶ Forward   to the upstream, as without it│
//!      └────────────────────────── worker ◀────────────────────────────────────────────────────────┘
//! ```
//!
//! The proxy calls the interceptor of a worker for each complete request before it is routed, and once at the end of
//! each round, so that an interceptor can hand over the requests of a round as one. An answer that comes later is
//! addressed by a [`RequestId`]; the proxy keeps the order of each client's answers. `larder invalidate` is an
//! interceptor: it records writes in place of forwarding them.
//!
//! Cost: a virtual call for each request; without an interceptor, a test of one field.

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use crate::protocol::framing::request::{LargeRequest, Request};
use crossbeam_channel::{Receiver, Sender};

/// Makes the interceptors of a proxy, one for each worker.
pub(crate) trait Interceptor: Send + Sync {
    /// The interceptor of one worker, which sends later answers through `answers`.
    fn for_worker(&self, answers: AnswerSender) -> Box<dyn WorkerInterceptor>;
}

/// Answers requests of one worker's clients in place of an upstream.
pub(crate) trait WorkerInterceptor: Send {
    /// Takes a request of a client that has chosen this database. `request_id` is for an answer that comes later.
    fn request(
        &mut self,
        request: &Request<'_>,
        database: u32,
        request_id: RequestId,
    ) -> Intercepted;

    /// Takes a request over the limit, of which only the start has arrived. The proxy drops the rest, unless the
    /// request is to be forwarded.
    fn large(&mut self, request: &LargeRequest<'_>, request_id: RequestId) -> Intercepted;

    /// The requests of a round have been taken. Returns whether there is room for more.
    fn end_round(&mut self) -> bool;

    /// Whether requests wait to be handed over, so that the next round must come soon.
    fn has_backlog(&self) -> bool;

    /// The worker ends. Accepted requests, answered or not, are handed over now.
    fn finish(&mut self);
}

/// The decision about a request.
pub(crate) enum Intercepted {
    /// This is the answer.
    Answered(Cow<'static, [u8]>),
    /// It is accepted, and its client expects no answer.
    Silent,
    /// The answer comes later, with the id.
    Later,
    /// There is no room for it; it is offered again when a round has ended with room.
    Full,
    /// The proxy handles it, as without an interceptor.
    Forward,
}

/// The client and the request that an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RequestId {
    /// The worker's number for the client, and the client's own.
    pub(crate) client: (usize, u64),
    /// The number of its request.
    pub(crate) sequence: u64,
}

/// An answer that comes later.
#[derive(Debug)]
pub(crate) struct LaterAnswer {
    pub(crate) request_id: RequestId,
    pub(crate) bytes: Cow<'static, [u8]>,
}

/// Sends later answers to the worker whose clients wait for them.
#[derive(Clone)]
pub(crate) struct AnswerSender {
    answers: Sender<Vec<LaterAnswer>>,
    wake: WakeWorker,
}

/// Wakes a worker.
pub(crate) type WakeWorker = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

impl AnswerSender {
    pub(crate) fn new(wake: WakeWorker) -> (AnswerSender, Receiver<Vec<LaterAnswer>>) {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let answers = sender;
        (AnswerSender { answers, wake }, receiver)
    }

    /// Has the worker answer its clients.
    pub(crate) fn send(&self, answers: Vec<LaterAnswer>) {
        if answers.is_empty() {
            return;
        }
        // A worker that has ended has no clients.
        if self.answers.send(answers).is_ok()
            && let Err(error) = (self.wake)()
        {
            log::error!("could not wake a worker: {error}; it answers with its next event");
        }
    }
}

/// A worker's interceptor, and the worker's state about it.
pub(super) struct Interception {
    pub(super) interceptor: Box<dyn WorkerInterceptor>,
    pub(super) answers: Receiver<Vec<LaterAnswer>>,
    /// Clients whose requests wait for room.
    pub(super) stalled: Vec<usize>,
}

impl Interception {
    pub(super) fn new(interceptor: &dyn Interceptor, wake: WakeWorker) -> Interception {
        let (sender, answers) = AnswerSender::new(wake);
        Interception {
            interceptor: interceptor.for_worker(sender),
            answers,
            stalled: Vec::new(),
        }
    }

    /// Whether requests or answers wait for the next round.
    pub(super) fn is_stalled(&self) -> bool {
        self.interceptor.has_backlog() || !self.stalled.is_empty()
    }

    /// Hands over the remaining requests when the worker ends.
    pub(super) fn finish(mut self) {
        self.interceptor.finish();
    }
}

//! A delivery brings one upstream up to date. It is a value.
//!
//! ```text
//!   Connecting ─▶ AwaitingAnswers (greeting, ping) ─▶ Ready ── the recorder's step ─┬▶ AwaitingAnswers (flush) ───▶ Ready
//!       ▲                                                                   ├▶ Scanning ⇄ AwaitingAnswers ─▶ Ready
//!       │                                                                   └▶ Fresh ⇄ AwaitingAnswers ───▶ Ready
//!    Pausing ◀── Draining ◀── Down ◀──────────────────── any failure
//! ```
//!
//! The recorder, the only writer of the spool, decides the steps of a delivery. A delivery that has connected first
//! replays its pending set. It changes to fresh changes when the recorder hands it the rest. A channel that is full
//! makes the recorder mark the delivery as behind: it delivers the changes in the channel, then replays.
//!
//! [`Delivery::next`] returns the next [`DeliveryAction`], and [`Delivery::handle`] takes its result. The
//! [`DeliveryThread`] performs the actions with sockets, channels and the clock; a simulation does so without. A
//! window of changes is sent at once, then as many replies are awaited; a window is small enough for the
//! buffers of both sides.
//!
//! Invariants: no change is dropped. A change whose request did not get the reply of the protocol stays in the spool,
//! or with durability `none` is returned to the recorder. Replies are counted from the front: if a change has to be
//! deleted instead, the changes behind it count when that is done.

mod action;
mod binary;
mod command;
mod request_kind;
mod thread;
mod window;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::invalidate::message::{DeliveryReport, DeliveryStep, Now};
use crate::invalidate::settings::{BACKOFF, Durability, Target};
use crate::invalidate::spool::{PendingChange, SpoolResult};
use crate::invalidate::stats::{DeliveryPhase, DeliveryStats};
use crate::pool::UpstreamFailure;
use crate::upstream::Exchange;
pub(crate) use action::{DeliveryAction, DeliveryEvent};
use request_kind::DeliveryRequest;
pub(crate) use thread::DeliveryThread;
use window::ChangeWindow;

/// The time that a delivery waits if the recorder has no step for it, or the spool can't be read.
const MOMENT: Duration = Duration::from_millis(20);

/// The time after which an idle delivery checks that its upstream is still up.
const QUIET: Duration = Duration::from_secs(1);

/// Longest reply in bytes.
const REPLY: usize = 2048;

/// One delivery to one upstream.
pub(crate) struct Delivery {
    target: Arc<Target>,
    /// The upstream's address, for the log.
    address: String,
    durability: Durability,
    timeout: Duration,
    pub(crate) stats: Arc<DeliveryStats>,
    state: State,
    /// Reports that are due, before anything else.
    reports: VecDeque<DeliveryReport>,
    /// The connection is to be closed.
    close: bool,
    exchange: Exchange<DeliveryRequest>,
    /// The time at which the upstream last received or sent bytes.
    since: Instant,
    /// The changes that are being delivered.
    window: ChangeWindow,
    /// The pause before the next attempt to connect.
    pause: Duration,
}

/// The state of a delivery.
#[derive(Debug)]
enum State {
    Connecting,
    /// Requests are under way; then this step follows.
    AwaitingAnswers(AfterAnswers),
    /// It has reported to the recorder that it is ready.
    Ready,
    /// The recorder asked it to wait.
    Waiting(Instant),
    /// It continues to read behind this key.
    Scanning(Option<Box<[u8]>>),
    /// It waits for changes; this is the time at which it last sent a request.
    Fresh(Instant),
    /// It has reported to the recorder that its upstream is down.
    Down,
    /// It empties its channel, and then ends or continues.
    Draining {
        end: bool,
    },
    /// Until it connects again.
    Pausing(Instant),
    Ended,
}

/// The step that follows when all requests are answered.
#[derive(Debug)]
enum AfterAnswers {
    /// The greeting is done.
    Greeted,
    /// The upstream is flushed.
    Flushed,
    /// Changes of the spool, of which this is the last key, are delivered.
    Replayed(Box<[u8]>),
    /// Fresh changes are delivered, or the upstream has answered that it is up.
    Fresh,
}

impl Delivery {
    pub(crate) fn new(
        (target, address): (Arc<Target>, String),
        durability: Durability,
        timeout: Duration,
        stats: Arc<DeliveryStats>,
        now: Now,
    ) -> Delivery {
        Delivery {
            target,
            address,
            durability,
            timeout,
            stats,
            state: State::Connecting,
            reports: VecDeque::new(),
            close: false,
            exchange: Exchange::new(REPLY),
            since: now.instant,
            window: ChangeWindow::default(),
            pause: BACKOFF.0,
        }
    }

    /// The next action.
    pub(crate) fn next(&mut self, now: Now) -> DeliveryAction<'_> {
        if std::mem::take(&mut self.close) {
            return DeliveryAction::Close;
        }
        if let Some(report) = self.reports.pop_front() {
            return DeliveryAction::Report(report);
        }
        match &mut self.state {
            State::Connecting => DeliveryAction::Connect,
            State::AwaitingAnswers(_) if !self.exchange.output().is_empty() => {
                DeliveryAction::Send(self.exchange.output())
            }
            State::AwaitingAnswers(_) => DeliveryAction::Receive(self.since + self.timeout),
            State::Ready | State::Down => DeliveryAction::AwaitStep,
            State::Waiting(until) | State::Pausing(until) => DeliveryAction::Pause(*until),
            State::Scanning(after) => DeliveryAction::Scan(after.take()),
            State::Fresh(_) => DeliveryAction::AwaitChanges(now.instant + MOMENT),
            State::Draining { .. } => DeliveryAction::TakeChanges,
            State::Ended => DeliveryAction::End,
        }
    }

    /// Takes the result of an action.
    pub(crate) fn handle(&mut self, event: DeliveryEvent<'_>, now: Now) {
        match event {
            DeliveryEvent::Connected(Ok(())) => self.greet(now),
            DeliveryEvent::Sent(Ok(())) => {
                self.exchange.sent();
                self.since = now.instant;
            }
            DeliveryEvent::Received(Ok(bytes)) => {
                self.since = now.instant;
                if let Err(failure) = self.receive(bytes, now) {
                    self.fail(&failure);
                }
            }
            DeliveryEvent::Received(Err(UpstreamFailure::ReadDeadline(_))) => {
                self.fail(&UpstreamFailure::ReadDeadline(self.timeout));
            }
            DeliveryEvent::Connected(Err(failure))
            | DeliveryEvent::Sent(Err(failure))
            | DeliveryEvent::Received(Err(failure)) => self.fail(&failure),
            DeliveryEvent::Step(step) => self.step(step, now),
            DeliveryEvent::Changes(changes) => self.take_changes(changes, now),
            DeliveryEvent::NoChanges { behind } => self.no_changes(behind, now),
            DeliveryEvent::Paused => match self.state {
                State::Pausing(_) => self.state = State::Connecting,
                _ => self.ready(),
            },
            DeliveryEvent::Scanned(found) => self.scanned(found, now),
            DeliveryEvent::RecorderGone => self.state = State::Ended,
        }
    }

    /// Begins a conversation on a new connection. The upstream has to answer, because a frozen process accepts
    /// connections, too.
    fn greet(&mut self, now: Now) {
        self.exchange = Exchange::new(REPLY);
        self.exchange.greet(&self.target.greeting());
        self.ping(AfterAnswers::Greeted, now);
    }

    fn ping(&mut self, then: AfterAnswers, now: Now) {
        let (request, shape) = self.target.ping();
        self.exchange.request(request, shape, DeliveryRequest::Ping);
        self.await_answers(then, now);
    }

    fn await_answers(&mut self, then: AfterAnswers, now: Now) {
        self.since = now.instant;
        self.state = State::AwaitingAnswers(then);
    }

    fn ready(&mut self) {
        self.reports.push_back(DeliveryReport::Ready);
        self.state = State::Ready;
    }

    fn step(&mut self, step: DeliveryStep, now: Now) {
        match (step, &self.state) {
            (DeliveryStep::End, _) => self.state = State::Draining { end: true },
            (DeliveryStep::DownNoted, State::Down) => self.state = State::Draining { end: false },
            (DeliveryStep::Flush, State::Ready) => {
                self.stats.set_phase(DeliveryPhase::Flush);
                let (flush, shape) = self.target.flush();
                self.exchange.request(flush, shape, DeliveryRequest::Flush);
                self.await_answers(AfterAnswers::Flushed, now);
            }
            (DeliveryStep::Replay, State::Ready) => {
                self.stats.set_phase(DeliveryPhase::Replay);
                self.state = State::Scanning(None);
            }
            (DeliveryStep::Fresh, State::Ready) => {
                self.stats.set_phase(DeliveryPhase::Fresh);
                self.state = State::Fresh(now.instant);
            }
            (DeliveryStep::Wait | DeliveryStep::DownNoted, State::Ready) => {
                self.state = State::Waiting(now.instant + MOMENT);
            }
            // A step that was overtaken by a failure.
            _ => {}
        }
    }

    fn scanned(&mut self, found: SpoolResult<Vec<PendingChange>>, now: Now) {
        match found {
            // The recorder also finds that the spool can't be read, and decides the next step.
            Err(_) => self.state = State::Waiting(now.instant + MOMENT),
            Ok(changes) => match changes.last() {
                None => self.ready(),
                Some(last) => {
                    let last = last.key.clone();
                    self.deliver(changes, AfterAnswers::Replayed(last), now);
                }
            },
        }
    }

    fn take_changes(&mut self, changes: Vec<PendingChange>, now: Now) {
        match self.state {
            State::Draining { .. } => self.give_back(changes),
            _ => self.deliver(changes, AfterAnswers::Fresh, now),
        }
    }

    fn no_changes(&mut self, behind: bool, now: Now) {
        match self.state {
            State::Draining { end: true } => self.state = State::Ended,
            State::Draining { end: false } => {
                self.state = State::Pausing(now.instant + self.pause);
                self.pause = (self.pause * 2).min(BACKOFF.1);
            }
            State::Fresh(_) if behind => self.ready(),
            State::Fresh(used) if now.since(used) >= QUIET => self.ping(AfterAnswers::Fresh, now),
            _ => {}
        }
    }

    fn deliver(&mut self, changes: Vec<PendingChange>, then: AfterAnswers, now: Now) {
        let first = changes.first().map_or(0, |change| change.record.sequence);
        self.stats.sending(first);
        self.window = ChangeWindow::new(changes);
        self.await_answers(then, now);
        self.answered(now);
    }

    fn receive(&mut self, bytes: &[u8], now: Now) -> Result<(), UpstreamFailure> {
        self.exchange.receive(bytes);
        while let Some(reply) = self.exchange.next_reply()? {
            if !self
                .window
                .take_reply(&self.target, reply.what, reply.bytes)
            {
                return Err(UpstreamFailure::unexpected(reply.bytes));
            }
        }
        if !self.exchange.is_waiting() {
            self.answered(now);
        }
        Ok(())
    }

    /// All requests are answered.
    fn answered(&mut self, now: Now) {
        if self.window.go_on(&self.target, now, &mut self.exchange) {
            return;
        }
        let State::AwaitingAnswers(then) = std::mem::replace(&mut self.state, State::Ready) else {
            return;
        };
        match then {
            AfterAnswers::Greeted => {
                self.pause = BACKOFF.0;
                self.ready();
            }
            AfterAnswers::Flushed => {
                self.reports.push_back(DeliveryReport::Flushed);
                self.ready();
            }
            AfterAnswers::Replayed(last) => {
                self.end_window();
                self.state = State::Scanning(Some(last));
            }
            AfterAnswers::Fresh => {
                self.end_window();
                self.state = State::Fresh(now.instant);
            }
        }
    }

    /// Reports the delivered changes; the others are returned.
    fn end_window(&mut self) {
        let Some((delivered, rest)) = self.window.end() else {
            return;
        };
        self.stats.sending(0);
        self.stats.delivered(delivered.len());
        self.reports.push_back(DeliveryReport::Delivered(delivered));
        self.stats.retried(rest.len());
        self.give_back(rest);
    }

    /// Without a record in the spool, undelivered changes would be lost.
    fn give_back(&mut self, changes: Vec<PendingChange>) {
        if self.durability == Durability::None && !changes.is_empty() {
            self.reports.push_back(DeliveryReport::Returned(changes));
        }
    }

    /// The connection can't be used any more.
    fn fail(&mut self, failure: &UpstreamFailure) {
        self.end_window();
        if self.stats.failed(failure) {
            let (name, address) = (&self.target.name, &self.address);
            log::warn!(
                "{name} {address} {failure}; its deletes are kept and delivered when it is up again"
            );
        }
        self.close = true;
        self.reports.push_back(DeliveryReport::Down);
        self.state = State::Down;
    }
}

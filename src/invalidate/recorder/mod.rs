//! The recorder: the only writer of the spool. It decides the next step for each upstream.
//!
//! ```text
//!   workers ──── batches ──┐            ┌─▶ spool       removals and changes, one transaction
//!                          ├─▶ a group ─┼─▶ workers     answers
//!   deliveries ─ reports ──┘            └─▶ deliveries  the changes, if they are up to date; their next step
//! ```
//!
//! All messages that arrive while a group is recorded are the next group, so all waiting clients share the cost of a
//! commit, and of the disk with `fsync`. The recorder never waits for an upstream, nor for a client.
//!
//! The recorder is a value: [`Recorder::handle`] takes a message, [`Recorder::record`] makes a group of the messages
//! since the last one, and [`Recorder::timeout`] returns the time until the next action. The [`RecorderThread`] waits
//! for messages and takes the time; a simulation does that in its own way. Its channels never block it.
//!
//! Invariants: no client is answered before the group is recorded. A delivery gets changes over its channel only after
//! all its pending changes, so the newest change of a key comes last. With durability `none` a change for a delivery
//! that is up to date is in the channel only, and comes back from a delivery that fails.

mod direct;
mod divide;
mod group;
mod plan;
mod register;
mod rings;
mod routed_target;
mod spread;
mod thread;
mod upstream;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::invalidate::change::ChangeBatch;
use crate::invalidate::message::{DeliveryReport, DeliveryStep, Now, RecorderMessage};
use crate::invalidate::settings::{Durability, GROUP, LINGER, Settings, Target};
use crate::invalidate::spool::{DeliveryId, PendingChange, Spool, SpoolError};
use crate::invalidate::stats::InvalidationStats;
use routed_target::RoutedTarget;
pub(crate) use thread::RecorderThread;
pub(crate) use upstream::StartDelivery;
use upstream::TargetUpstream;

/// The longest time that the recorder waits for a message before it reads the clock.
const TICK: Duration = Duration::from_millis(200);

/// The state of the recorder.
pub(crate) struct Recorder {
    settings: Settings,
    spool: Arc<Spool>,
    stats: Arc<InvalidationStats>,
    /// For the deliveries.
    sender: Sender<RecorderMessage>,
    start_delivery: StartDelivery,
    routes: Vec<RoutedTarget>,
    /// The servers that may hold the key of a change: one list for all changes.
    servers: Vec<usize>,
    /// The time up to which the spool has how long rings are still remembered.
    rings_noted: Instant,
    upstreams: Vec<TargetUpstream>,
    /// Upstreams that are no longer targets and whose deliveries have not ended yet.
    leaving: Vec<TargetUpstream>,
    /// The last sequence.
    sequence: u64,
    /// The spool is new, and has none of the upstreams.
    unknown: bool,
    arrived: ArrivedMessages,
    /// Removals and returned changes that are not recorded yet.
    removals: Vec<(DeliveryId, Vec<PendingChange>)>,
    returned: Vec<(DeliveryId, Vec<PendingChange>)>,
    /// The time at which the first of the removals came.
    waiting: Option<Instant>,
    stop: Option<Instant>,
}

/// The messages since the last group.
#[derive(Default)]
struct ArrivedMessages {
    batches: Vec<ChangeBatch>,
    ready: Vec<DeliveryId>,
    flushed: Vec<DeliveryId>,
    changes: usize,
}

impl Recorder {
    /// A recorder on an open spool. `lost` means that an earlier spool is lost, and with it the pending changes.
    /// `sender` sends to this recorder.
    ///
    /// # Errors
    /// When the spool can't be written or a delivery can't be started.
    pub(crate) fn new(
        settings: Settings,
        targets: Vec<Target>,
        (spool, lost): (Spool, bool),
        (sender, start_delivery): (Sender<RecorderMessage>, StartDelivery),
        stats: Arc<InvalidationStats>,
        now: Now,
    ) -> Result<Recorder, String> {
        let mut recorder = Recorder {
            settings,
            spool: Arc::new(spool),
            stats,
            sender,
            start_delivery,
            routes: Vec::new(),
            servers: Vec::new(),
            rings_noted: now.instant,
            upstreams: Vec::new(),
            leaving: Vec::new(),
            sequence: 0,
            unknown: lost,
            arrived: ArrivedMessages::default(),
            removals: Vec::new(),
            returned: Vec::new(),
            waiting: None,
            stop: None,
        };
        recorder.register(targets, now)?;
        Ok(recorder)
    }

    /// The time for which it needs no call, if no message comes.
    pub(crate) fn timeout(&self, now: Now) -> Duration {
        if self.stop.is_some() {
            return Duration::from_millis(5);
        }
        let mut timeout = TICK;
        if let Some(since) = self.waiting {
            timeout = timeout.min(LINGER.saturating_sub(now.since(since)));
        }
        if !self.returned.is_empty() {
            timeout = Duration::ZERO;
        }
        for due in self.upstreams.iter().filter_map(|upstream| upstream.again) {
            timeout = timeout.min(Duration::from_micros(due.saturating_sub(now.unix)));
        }
        // A spool that can't be written is tried again only after a pause.
        match self.spool.is_usable() {
            true => timeout,
            false => timeout.max(Duration::from_millis(20)),
        }
    }

    /// Whether enough changes have come for a full group.
    pub(crate) fn is_full(&self) -> bool {
        self.arrived.changes >= GROUP
    }

    /// Takes a message.
    pub(crate) fn handle(&mut self, message: RecorderMessage, now: Now) {
        match message {
            RecorderMessage::Batch(batch) => {
                self.arrived.changes += batch.changes.len();
                self.arrived.batches.push(batch);
            }
            RecorderMessage::Delivery(id, report) => self.take_report(id, report, now),
            RecorderMessage::Replace(targets, done) => {
                // A caller that has ended does not wait for the outcome.
                let _ = done.send(self.register(targets, now));
            }
            RecorderMessage::Stop(deadline) => self.stop = Some(deadline),
        }
    }

    fn take_report(&mut self, id: DeliveryId, report: DeliveryReport, now: Now) {
        // A report about a removed upstream is ignored; its delivery was asked to end.
        let Some((upstream, delivery)) = self.find(id) else {
            return;
        };
        let upstream = &mut self.upstreams[upstream];
        let handle = &mut upstream.deliveries[delivery];
        match report {
            DeliveryReport::Ready => {
                handle.idle = true;
                self.arrived.ready.push(id);
            }
            DeliveryReport::Flushed => self.arrived.flushed.push(id),
            DeliveryReport::Delivered(changes) => {
                // With durability none, changes of a delivery that has nothing pending were never in the
                // spool.
                let unrecorded = self.settings.durability == Durability::None
                    && handle.stats.pending.load(Relaxed) == 0;
                if !changes.is_empty() && !unrecorded {
                    self.arrived.changes += changes.len();
                    self.waiting.get_or_insert(now.instant);
                    self.removals.push((id, changes));
                }
            }
            DeliveryReport::Returned(changes) => self.returned.push((id, changes)),
            DeliveryReport::Down => {
                if upstream.state.flushing == Some(id.number) {
                    upstream.state.flushing = None;
                }
                handle.idle = true;
                handle.fall_behind();
                handle.send_step(DeliveryStep::DownNoted);
            }
        }
    }

    /// The numbers of a delivery: its upstream's, and its own.
    fn find(&self, id: DeliveryId) -> Option<(usize, usize)> {
        let of = |upstream: &TargetUpstream| upstream.state.row.id == id.upstream;
        let upstream = self.upstreams.iter().position(of)?;
        let delivery = usize::from(id.number);
        (delivery < self.upstreams[upstream].deliveries.len()).then_some((upstream, delivery))
    }

    /// The next sequence: the time, or one more if the clock stands still or has gone back.
    fn next_sequence(&mut self, now: Now) -> u64 {
        self.sequence = now.unix.max(self.sequence + 1);
        self.sequence
    }

    /// Whether it was asked to stop, and has delivered all that it can or has no time left.
    fn is_done(&self, inbox_is_empty: bool, now: Now) -> bool {
        self.stop
            .is_some_and(|deadline| now.instant >= deadline || inbox_is_empty && self.is_quiet())
    }

    /// Whether all changes that can be delivered have been.
    pub(crate) fn is_quiet(&self) -> bool {
        self.removals.is_empty()
            && self.returned.is_empty()
            && !self.upstreams.iter().any(TargetUpstream::is_busy)
    }

    /// Asks the deliveries to end.
    pub(crate) fn end_deliveries(&mut self) {
        for upstream in self.upstreams.iter_mut().chain(&mut self.leaving) {
            upstream.end();
        }
    }

    pub(crate) fn have_deliveries_ended(&self) -> bool {
        self.upstreams.iter().all(TargetUpstream::has_ended)
    }

    /// Closes the spool when all deliveries have ended.
    pub(crate) fn close(&self) {
        let kept: u64 = self.upstreams.iter().map(TargetUpstream::pending).sum();
        if kept > 0 {
            log::info!("ended; {kept} keys are kept and delivered after the next start");
        }
        self.spool.close();
    }

    /// Takes note of an error of the spool: all deliveries replay when it is open again.
    fn failed(&mut self, error: &SpoolError) {
        if let SpoolError::Damaged(_) = error {
            self.unknown = true;
        }
        for upstream in &mut self.upstreams {
            for delivery in &mut upstream.deliveries {
                if self.settings.durability != Durability::None || self.unknown {
                    delivery.fall_behind();
                }
            }
        }
        self.note_problem();
    }

    fn note_problem(&self) {
        self.stats.set_problem(self.spool.problem());
    }
}

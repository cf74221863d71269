//! The recorder: the one thread that writes the spool and decides what each upstream gets.
//!
//! ```text
//!   workers ──── batches ──┐            ┌─▶ spool       removals and changes, one transaction
//!                          ├─▶ a group ─┼─▶ workers     answers
//!   deliveries ─ reports ──┘            └─▶ deliveries  the changes, if they are up to date; their next step
//! ```
//!
//! Everything that arrives while a group is recorded is the next group, so the cost of a commit, and of the disk with
//! `fsync`, is shared by all clients that wait for it. The recorder never waits for an upstream, nor for a client.
//!
//! Invariants: no client is answered before the group is recorded. A delivery gets changes over its channel only after
//! it was handed all that is pending for it, so the newest change of a key comes last. With durability `none` a change
//! for a delivery that is up to date is in the channel only, and comes back from a delivery that fails.

mod group;
mod register;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::invalidate::change::ChangeBatch;
use crate::invalidate::delivery::{DeliveryItem, DeliveryStep};
use crate::invalidate::settings::{Durability, GROUP, LINGER, Settings, Target};
use crate::invalidate::spool::{DeliveryId, Spool, SpoolError};
use crate::invalidate::stats::InvalidationStats;
use crate::invalidate::target::TargetRoutes;
use crate::invalidate::upstreams::TargetUpstream;

/// What the recorder is sent.
pub(crate) enum RecorderMessage {
    /// Changes, from a worker.
    Batch(ChangeBatch),
    /// From a delivery.
    Delivery(DeliveryId, DeliveryReport),
    /// Other targets, and where to say what came of it.
    Replace(Vec<Target>, Sender<Result<(), String>>),
    /// The end: what is under way is delivered until then.
    Stop(Instant),
}

/// What a delivery reports.
#[derive(Debug)]
pub(crate) enum DeliveryReport {
    /// It is connected and has done what it was told; it is answered.
    Ready,
    /// It has no connection; it is answered.
    Away,
    /// It has flushed the upstream.
    Flushed,
    /// These were delivered.
    Delivered(Vec<DeliveryItem>),
    /// These were not, and are not in the spool.
    Returned(Vec<DeliveryItem>),
}

/// How long the recorder waits for a message before it looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// The thread.
pub(crate) struct Recorder {
    pub(super) settings: Settings,
    pub(super) spool: Arc<Spool>,
    pub(super) stats: Arc<InvalidationStats>,
    inbox: Receiver<RecorderMessage>,
    /// For the deliveries.
    sender: Sender<RecorderMessage>,
    /// Each target, with the numbers of its servers among the upstreams.
    routes: Vec<(TargetRoutes, Vec<usize>)>,
    upstreams: Vec<TargetUpstream>,
    /// Upstreams that are no longer targets and whose threads have not ended yet.
    leaving: Vec<TargetUpstream>,
    /// The last sequence.
    sequence: u64,
    /// The spool is new, and knows none of the upstreams.
    unknown: bool,
    /// Removals and what came back, not recorded yet.
    removals: Vec<(DeliveryId, Vec<DeliveryItem>)>,
    returned: Vec<(DeliveryId, Vec<DeliveryItem>)>,
    /// When the first of the removals came.
    waiting: Option<Instant>,
    stop: Option<Instant>,
}

/// What has come since the last group.
#[derive(Default)]
struct ArrivedMessages {
    batches: Vec<ChangeBatch>,
    ready: Vec<DeliveryId>,
    flushed: Vec<DeliveryId>,
    changes: usize,
}

/// Microseconds of Unix time.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_micros() as u64)
}

impl Recorder {
    /// A recorder on an open spool. `lost` says that an earlier spool is gone, and with it what upstreams had missed.
    ///
    /// # Errors
    /// When the spool can't be written or the system has no threads to give.
    pub(crate) fn new(
        settings: Settings,
        targets: Vec<Target>,
        (spool, lost): (Spool, bool),
        (sender, inbox): (Sender<RecorderMessage>, Receiver<RecorderMessage>),
        stats: Arc<InvalidationStats>,
    ) -> Result<Recorder, String> {
        let mut recorder = Recorder {
            settings,
            spool: Arc::new(spool),
            stats,
            inbox,
            sender,
            routes: Vec::new(),
            upstreams: Vec::new(),
            leaving: Vec::new(),
            sequence: 0,
            unknown: lost,
            removals: Vec::new(),
            returned: Vec::new(),
            waiting: None,
            stop: None,
        };
        recorder.register(targets)?;
        Ok(recorder)
    }

    /// Runs until it is told to stop.
    pub(crate) fn run(mut self) {
        loop {
            let arrived = self.receive();
            self.group(arrived);
            if let Some(deadline) = self.stop
                && (self.is_quiet() || Instant::now() >= deadline)
            {
                return self.end();
            }
            self.leaving.retain(|upstream| !upstream.has_ended());
        }
    }

    fn timeout(&self) -> Duration {
        if self.stop.is_some() {
            return Duration::from_millis(5);
        }
        let mut timeout = TICK;
        if let Some(since) = self.waiting {
            timeout = timeout.min(LINGER.saturating_sub(since.elapsed()));
        }
        if !self.returned.is_empty() {
            timeout = Duration::ZERO;
        }
        let now = now();
        for due in self.upstreams.iter().filter_map(|upstream| upstream.again) {
            timeout = timeout.min(Duration::from_micros(due.saturating_sub(now)));
        }
        // A spool that can't be written is not asked in a circle.
        match self.spool.is_usable() {
            true => timeout,
            false => timeout.max(Duration::from_millis(20)),
        }
    }

    /// Waits for a message, then takes what else is there.
    fn receive(&mut self) -> ArrivedMessages {
        let mut arrived = ArrivedMessages::default();
        let mut next = self.inbox.recv_timeout(self.timeout());
        if let Err(RecvTimeoutError::Disconnected) = next {
            self.stop = Some(Instant::now());
        }
        while let Ok(message) = next {
            self.take(message, &mut arrived);
            if arrived.changes >= GROUP {
                break;
            }
            next = self.inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout);
        }
        arrived
    }

    fn take(&mut self, message: RecorderMessage, arrived: &mut ArrivedMessages) {
        match message {
            RecorderMessage::Batch(batch) => {
                arrived.changes += batch.changes.len();
                arrived.batches.push(batch);
            }
            RecorderMessage::Delivery(id, DeliveryReport::Ready) => arrived.ready.push(id),
            RecorderMessage::Delivery(id, DeliveryReport::Flushed) => arrived.flushed.push(id),
            RecorderMessage::Delivery(id, DeliveryReport::Delivered(items)) => {
                let Some((upstream, delivery)) = self.find(id).filter(|_| !items.is_empty()) else {
                    return;
                };
                let stats = &self.upstreams[upstream].deliveries[delivery].stats;
                if self.settings.durability == Durability::None && stats.pending.load(Relaxed) == 0
                {
                    // They were never in the spool.
                    return;
                }
                arrived.changes += items.len();
                self.waiting.get_or_insert_with(Instant::now);
                self.removals.push((id, items));
            }
            RecorderMessage::Delivery(id, DeliveryReport::Returned(items)) => {
                if self.find(id).is_some() {
                    self.returned.push((id, items));
                }
            }
            RecorderMessage::Delivery(id, DeliveryReport::Away) => {
                if let Some((upstream, delivery)) = self.find(id) {
                    let upstream = &mut self.upstreams[upstream];
                    if upstream.state.flushing == Some(id.delivery) {
                        upstream.state.flushing = None;
                    }
                    upstream.deliveries[delivery].fall_behind();
                    upstream.deliveries[delivery].say(DeliveryStep::Known);
                }
            }
            RecorderMessage::Replace(targets, done) => {
                // Who has gone away does not wait for the outcome.
                let _ = done.send(self.register(targets));
            }
            RecorderMessage::Stop(deadline) => self.stop = Some(deadline),
        }
    }

    /// The numbers of a delivery: its upstream's, and its own.
    fn find(&self, id: DeliveryId) -> Option<(usize, usize)> {
        let of = |upstream: &TargetUpstream| upstream.state.row.id == id.upstream;
        let upstream = self.upstreams.iter().position(of)?;
        let delivery = usize::from(id.delivery);
        (delivery < self.upstreams[upstream].deliveries.len()).then_some((upstream, delivery))
    }

    /// The next sequence: the time, or one more where the clock stands still or has gone back.
    fn next(&mut self, now: u64) -> u64 {
        self.sequence = now.max(self.sequence + 1);
        self.sequence
    }

    /// Whether what can be delivered has been.
    fn is_quiet(&self) -> bool {
        self.removals.is_empty()
            && self.returned.is_empty()
            && self.inbox.is_empty()
            && !self.upstreams.iter().any(TargetUpstream::is_busy)
    }

    /// Ends the threads and records what they still have to say.
    fn end(mut self) {
        for upstream in self.upstreams.iter().chain(&self.leaving) {
            upstream.end();
        }
        while !self.upstreams.iter().all(TargetUpstream::has_ended) || !self.inbox.is_empty() {
            let arrived = self.receive();
            self.group(arrived);
        }
        self.group(ArrivedMessages::default());
        let kept: u64 = self.upstreams.iter().map(TargetUpstream::pending).sum();
        if kept > 0 {
            log::info!("ended; {kept} keys are kept and delivered after the next start");
        }
        self.spool.close();
    }

    /// Takes note of an error of the spool: all deliveries replay when it is back.
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

    fn count_refused(&self, changes: usize, quiet: usize) {
        self.stats.refused.fetch_add(changes as u64, Relaxed);
        self.stats.refused_quiet.fetch_add(quiet as u64, Relaxed);
    }
}

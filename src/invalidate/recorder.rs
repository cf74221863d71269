//! The recorder: the one thread that writes the spool and decides what each upstream gets.
//!
//! ```text
//!   workers ── batches ──┐            ┌─▶ spool    removals and changes, one transaction
//!                        ├─▶ a group ─┼─▶ workers  answers
//!   lanes ─── reports ───┘            └─▶ lanes    the changes, if they are up to date; what to do next
//! ```
//!
//! Everything that arrives while a group is recorded is the next group, so the cost of a commit, and of the disk with
//! `fsync`, is shared by all who wait for it. The recorder never waits for an upstream, nor for a client.
//!
//! Invariants: nobody is answered before the group is recorded. A lane gets changes over its channel only from when it
//! had nothing pending that it was not handed, so the newest for a key comes last. With durability `none` a change for a
//! lane that is up to date is in the channel only, and comes back from a lane that fails.

mod group;
mod register;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::invalidate::change::Batch;
use crate::invalidate::lane::{Go, Item};
use crate::invalidate::settings::{Durability, GROUP, LINGER, Settings, Target};
use crate::invalidate::spool::{Error, LaneId, Spool};
use crate::invalidate::stats::Stats;
use crate::invalidate::target::Routes;
use crate::invalidate::upstreams::Upstream;

/// What the recorder is sent.
pub(crate) enum Message {
    /// Changes, from a worker.
    Batch(Batch),
    /// From a lane.
    Lane(LaneId, Report),
    /// Other targets, and where to say what came of it.
    Replace(Vec<Target>, Sender<Result<(), String>>),
    /// The end: what is under way is delivered until then.
    Stop(Instant),
}

/// What a lane reports.
#[derive(Debug)]
pub(crate) enum Report {
    /// It is connected and has done what it was told; it is answered.
    Ready,
    /// It has no connection; it is answered.
    Away,
    /// It has flushed the upstream.
    Flushed,
    /// These were delivered.
    Delivered(Vec<Item>),
    /// These were not, and are not in the spool.
    Returned(Vec<Item>),
}

/// How long the recorder waits for a message before it looks at the clock.
const TICK: Duration = Duration::from_millis(200);

/// The thread.
pub(crate) struct Recorder {
    pub(super) settings: Settings,
    pub(super) spool: Arc<Spool>,
    pub(super) stats: Arc<Stats>,
    inbox: Receiver<Message>,
    /// For the lanes.
    sender: Sender<Message>,
    /// Each target, with the numbers of its servers among the upstreams.
    routes: Vec<(Routes, Vec<usize>)>,
    upstreams: Vec<Upstream>,
    /// Upstreams that are no longer targets and whose threads have not ended yet.
    leaving: Vec<Upstream>,
    /// The last sequence.
    sequence: u64,
    /// The spool is new, and knows none of the upstreams.
    unknown: bool,
    /// Removals and what came back, not recorded yet.
    removals: Vec<(LaneId, Vec<Item>)>,
    returned: Vec<(LaneId, Vec<Item>)>,
    /// When the first of the removals came.
    waiting: Option<Instant>,
    stop: Option<Instant>,
}

/// What has come since the last group.
#[derive(Default)]
struct Arrived {
    batches: Vec<Batch>,
    ready: Vec<LaneId>,
    flushed: Vec<LaneId>,
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
        (sender, inbox): (Sender<Message>, Receiver<Message>),
        stats: Arc<Stats>,
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
    fn receive(&mut self) -> Arrived {
        let mut arrived = Arrived::default();
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

    fn take(&mut self, message: Message, arrived: &mut Arrived) {
        match message {
            Message::Batch(batch) => {
                arrived.changes += batch.changes.len();
                arrived.batches.push(batch);
            }
            Message::Lane(id, Report::Ready) => arrived.ready.push(id),
            Message::Lane(id, Report::Flushed) => arrived.flushed.push(id),
            Message::Lane(id, Report::Delivered(items)) => {
                let Some((upstream, lane)) = self.find(id).filter(|_| !items.is_empty()) else {
                    return;
                };
                let stats = &self.upstreams[upstream].lanes[lane].stats;
                if self.settings.durability == Durability::None && stats.pending.load(Relaxed) == 0
                {
                    // They were never in the spool.
                    return;
                }
                arrived.changes += items.len();
                self.waiting.get_or_insert_with(Instant::now);
                self.removals.push((id, items));
            }
            Message::Lane(id, Report::Returned(items)) => {
                if self.find(id).is_some() {
                    self.returned.push((id, items));
                }
            }
            Message::Lane(id, Report::Away) => {
                if let Some((upstream, lane)) = self.find(id) {
                    let upstream = &mut self.upstreams[upstream];
                    if upstream.standing.flushing == Some(id.lane) {
                        upstream.standing.flushing = None;
                    }
                    upstream.lanes[lane].fall_behind();
                    upstream.lanes[lane].say(Go::Known);
                }
            }
            Message::Replace(targets, done) => {
                // Who has gone away does not wait for the outcome.
                let _ = done.send(self.register(targets));
            }
            Message::Stop(deadline) => self.stop = Some(deadline),
        }
    }

    /// The numbers of a lane: its upstream's, and its own.
    fn find(&self, id: LaneId) -> Option<(usize, usize)> {
        let of = |upstream: &Upstream| upstream.standing.row.id == id.upstream;
        let upstream = self.upstreams.iter().position(of)?;
        let lane = usize::from(id.lane);
        (lane < self.upstreams[upstream].lanes.len()).then_some((upstream, lane))
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
            && !self.upstreams.iter().any(Upstream::is_busy)
    }

    /// Ends the threads and records what they still have to say.
    fn end(mut self) {
        for upstream in self.upstreams.iter().chain(&self.leaving) {
            upstream.end();
        }
        while !self.upstreams.iter().all(Upstream::has_ended) || !self.inbox.is_empty() {
            let arrived = self.receive();
            self.group(arrived);
        }
        self.group(Arrived::default());
        let kept: u64 = self.upstreams.iter().map(Upstream::pending).sum();
        if kept > 0 {
            log::info!("ended; {kept} keys are kept and delivered after the next start");
        }
        self.spool.close();
    }

    /// Takes note of an error of the spool: all lanes replay when it is back.
    fn failed(&mut self, error: &Error) {
        if let Error::Damaged(_) = error {
            self.unknown = true;
        }
        for upstream in &mut self.upstreams {
            for lane in &mut upstream.lanes {
                if self.settings.durability != Durability::None || self.unknown {
                    lane.fall_behind();
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

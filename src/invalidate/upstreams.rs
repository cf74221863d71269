//! The recorder's view of the upstreams: how each stands, and the threads that deliver to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::invalidate::lane::{Go, Item, Lane};
use crate::invalidate::recorder::Message;
use crate::invalidate::settings::{LANE, Settings, Target};
use crate::invalidate::spool::{LaneId, Row, Spool};
use crate::invalidate::stats::{LaneStats, UpstreamStats};

/// How an upstream stands. A group works on a copy, which counts when the group is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    /// What the spool knows.
    pub(super) row: Row,
    /// The lane that has been told to flush, and whose report ends the flush.
    pub(super) flushing: Option<u16>,
}

impl Standing {
    /// Whether a change need not be recorded: the flush that wipes it out has not begun.
    pub(super) fn is_moot(&self) -> bool {
        self.row.flush && self.flushing.is_none()
    }
}

/// A server that has to be told of changes.
pub(super) struct Upstream {
    /// Its name in the spool: target and address.
    pub(super) name: String,
    pub(super) target: Arc<Target>,
    pub(super) standing: Standing,
    pub(super) lanes: Vec<LaneState>,
    pub(super) stats: Arc<UpstreamStats>,
    /// When the spool is to be asked for second deletes that are due, in Unix microseconds.
    pub(super) again: Option<u64>,
}

/// A lane as the recorder sees it.
pub(super) struct LaneState {
    pub(super) id: LaneId,
    /// It is given changes over its channel.
    pub(super) fresh: bool,
    changes: Sender<Vec<Item>>,
    go: Sender<Go>,
    pub(super) stats: Arc<LaneStats>,
    thread: Option<JoinHandle<()>>,
    /// What it gets when the group is recorded.
    pub(super) out: Vec<Item>,
}

impl Upstream {
    /// Starts the threads of an upstream.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub(super) fn start(
        name: String,
        (target, address): (Arc<Target>, &str),
        row: Row,
        settings: &Settings,
        spool: &Arc<Spool>,
        inbox: &Sender<Message>,
    ) -> Result<Upstream, String> {
        let lanes: Result<Vec<_>, String> = (0..row.lanes)
            .map(|lane| {
                let id = LaneId {
                    upstream: row.id,
                    lane,
                };
                let ((changes, fresh), (go, told)) = (bounded(LANE), bounded(4));
                let stats = Arc::new(LaneStats::default());
                let lane = Lane {
                    id,
                    target: Arc::clone(&target),
                    address: address.to_owned(),
                    spool: Arc::clone(spool),
                    durability: settings.durability,
                    timeout: settings.timeout,
                    fresh,
                    go: told,
                    inbox: inbox.clone(),
                    stats: Arc::clone(&stats),
                };
                let thread = thread::Builder::new()
                    .name("delivery".to_owned())
                    .spawn(move || lane.run())
                    .map_err(|error| format!("no thread to deliver with: {error}"))?;
                Ok(LaneState {
                    id,
                    fresh: false,
                    changes,
                    go,
                    stats,
                    thread: Some(thread),
                    out: Vec::new(),
                })
            })
            .collect();
        let lanes = lanes?;
        let stats = Arc::new(UpstreamStats {
            target: target.name.clone(),
            address: address.to_owned(),
            lanes: lanes.iter().map(|lane| Arc::clone(&lane.stats)).collect(),
            flush: row.flush.into(),
            flushes: Default::default(),
            since: row.since.into(),
        });
        Ok(Upstream {
            name,
            // What is due is asked for at once.
            again: target.again.map(|_| 0),
            target,
            standing: Standing {
                row,
                flushing: None,
            },
            lanes,
            stats,
        })
    }

    /// Takes over how it stands now.
    pub(super) fn settle(&mut self, standing: Standing) {
        self.standing = standing;
        self.stats.flush.store(standing.row.flush, Relaxed);
        self.stats.since.store(standing.row.since, Relaxed);
    }

    /// Keys that are pending for it.
    pub(super) fn pending(&self) -> u64 {
        self.stats.pending()
    }

    /// Whether a lane of it is not up to date.
    pub(super) fn is_behind(&self) -> bool {
        self.lanes.iter().any(|lane| !lane.fresh)
    }

    /// Whether it takes what it is given, so that waiting for it makes sense.
    pub(super) fn is_busy(&self) -> bool {
        self.lanes
            .iter()
            .any(|lane| lane.stats.is_busy(lane.changes.is_empty()))
    }

    /// Tells the threads to end.
    pub(super) fn end(&self) {
        for lane in &self.lanes {
            lane.say(Go::End);
        }
    }

    /// Whether all threads have ended.
    pub(super) fn has_ended(&self) -> bool {
        let threads = self.lanes.iter().filter_map(|lane| lane.thread.as_ref());
        threads.into_iter().all(JoinHandle::is_finished)
    }
}

impl LaneState {
    /// Answers the lane. It asks one thing at a time, so there is room.
    pub(super) fn say(&self, go: Go) {
        if let Err(TrySendError::Full(_)) = self.go.try_send(go) {
            log::error!("a delivery thread does not listen");
        }
    }

    /// Gives it nothing over the channel from now on; it replays when it has delivered what is in there.
    pub(super) fn fall_behind(&mut self) {
        self.fresh = false;
        self.stats.set_behind(true);
    }

    /// From now on it gets its changes over the channel.
    pub(super) fn catch_up(&mut self) {
        self.fresh = true;
        self.stats.set_behind(false);
    }

    /// Hands over the group's changes. What finds no place comes back.
    pub(super) fn push(&mut self) -> Option<Vec<Item>> {
        if self.out.is_empty() {
            return None;
        }
        match self.changes.try_send(std::mem::take(&mut self.out)) {
            Ok(()) => None,
            Err(TrySendError::Full(items) | TrySendError::Disconnected(items)) => {
                self.fall_behind();
                Some(items)
            }
        }
    }
}

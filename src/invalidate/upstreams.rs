//! The recorder's view of the upstreams: how each stands, and the threads that deliver to it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::invalidate::delivery::{Delivery, DeliveryItem, DeliveryStep};
use crate::invalidate::recorder::RecorderMessage;
use crate::invalidate::settings::{DELIVERY_BATCHES, Settings, Target};
use crate::invalidate::spool::{DeliveryId, Spool, UpstreamRow};
use crate::invalidate::stats::{DeliveryStats, UpstreamStats};

/// How an upstream stands. A group works on a copy, which counts when the group is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliveryState {
    /// What the spool knows.
    pub(super) row: UpstreamRow,
    /// The delivery that has been told to flush, and whose report ends the flush.
    pub(super) flushing: Option<u16>,
}

impl DeliveryState {
    /// Whether a change need not be recorded: the flush that wipes it out has not begun.
    pub(super) fn is_moot(&self) -> bool {
        self.row.flush && self.flushing.is_none()
    }
}

/// A server that has to be told of changes.
pub(super) struct TargetUpstream {
    /// Its name in the spool: target and address.
    pub(super) name: String,
    pub(super) target: Arc<Target>,
    pub(super) state: DeliveryState,
    pub(super) deliveries: Vec<DeliveryHandle>,
    pub(super) stats: Arc<UpstreamStats>,
    /// When the spool is to be asked for second deletes that are due, in Unix microseconds.
    pub(super) again: Option<u64>,
}

/// A delivery as the recorder sees it.
pub(super) struct DeliveryHandle {
    pub(super) id: DeliveryId,
    /// It is given changes over its channel.
    pub(super) fresh: bool,
    changes: Sender<Vec<DeliveryItem>>,
    go: Sender<DeliveryStep>,
    pub(super) stats: Arc<DeliveryStats>,
    thread: Option<JoinHandle<()>>,
    /// What it gets when the group is recorded.
    pub(super) out: Vec<DeliveryItem>,
}

impl TargetUpstream {
    /// Starts the threads of an upstream.
    ///
    /// # Errors
    /// When the system has no threads to give.
    pub(super) fn start(
        name: String,
        (target, address): (Arc<Target>, &str),
        row: UpstreamRow,
        settings: &Settings,
        spool: &Arc<Spool>,
        inbox: &Sender<RecorderMessage>,
    ) -> Result<TargetUpstream, String> {
        let deliveries: Result<Vec<_>, String> = (0..row.deliveries)
            .map(|delivery| {
                let id = DeliveryId {
                    upstream: row.id,
                    delivery,
                };
                let ((changes, fresh), (go, told)) = (bounded(DELIVERY_BATCHES), bounded(4));
                let stats = Arc::new(DeliveryStats::default());
                let delivery = Delivery {
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
                    .spawn(move || delivery.run())
                    .map_err(|error| format!("no thread to deliver with: {error}"))?;
                Ok(DeliveryHandle {
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
        let deliveries = deliveries?;
        let stats = Arc::new(UpstreamStats {
            target: target.name.clone(),
            address: address.to_owned(),
            deliveries: deliveries
                .iter()
                .map(|delivery| Arc::clone(&delivery.stats))
                .collect(),
            flush: row.flush.into(),
            flushes: Default::default(),
            since: row.since.into(),
        });
        Ok(TargetUpstream {
            name,
            // What is due is asked for at once.
            again: target.again.map(|_| 0),
            target,
            state: DeliveryState {
                row,
                flushing: None,
            },
            deliveries,
            stats,
        })
    }

    /// Takes over how it stands now.
    pub(super) fn settle(&mut self, state: DeliveryState) {
        self.state = state;
        self.stats.flush.store(state.row.flush, Relaxed);
        self.stats.since.store(state.row.since, Relaxed);
    }

    /// Keys that are pending for it.
    pub(super) fn pending(&self) -> u64 {
        self.stats.pending()
    }

    /// Whether a delivery of it is not up to date.
    pub(super) fn is_behind(&self) -> bool {
        self.deliveries.iter().any(|delivery| !delivery.fresh)
    }

    /// Whether it takes what it is given, so that waiting for it makes sense.
    pub(super) fn is_busy(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.stats.is_busy(delivery.changes.is_empty()))
    }

    /// Tells the threads to end.
    pub(super) fn end(&self) {
        for delivery in &self.deliveries {
            delivery.say(DeliveryStep::End);
        }
    }

    /// Whether all threads have ended.
    pub(super) fn has_ended(&self) -> bool {
        let threads = self
            .deliveries
            .iter()
            .filter_map(|delivery| delivery.thread.as_ref());
        threads.into_iter().all(JoinHandle::is_finished)
    }
}

impl DeliveryHandle {
    /// Answers the delivery. It asks one thing at a time, so there is room.
    pub(super) fn say(&self, go: DeliveryStep) {
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
    pub(super) fn push(&mut self) -> Option<Vec<DeliveryItem>> {
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

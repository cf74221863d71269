//! The recorder's view of the upstreams: their state, and the deliveries to them.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use crossbeam_channel::{Sender, TrySendError, bounded};

use crate::invalidate::delivery::{Delivery, DeliveryThread};
use crate::invalidate::message::{DeliveryStep, Now, RecorderMessage};
use crate::invalidate::settings::{DELIVERY_BATCHES, Settings, Target};
use crate::invalidate::spool::{DeliveryId, PendingChange, Spool, UpstreamRow};
use crate::invalidate::stats::{DeliveryStats, UpstreamStats};

/// Starts a delivery, on a thread of its own or in a simulation.
pub(crate) type StartDelivery = Box<dyn FnMut(DeliveryThread) -> Result<(), String> + Send>;

/// The state of an upstream. A group works on a copy, which replaces it when the group is recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct DeliveryState {
    /// The spool's row.
    pub(super) row: UpstreamRow,
    /// The delivery that flushes, and whose report ends the flush.
    pub(super) flushing: Option<u16>,
    /// The last sequence before the last flush was begun: changes up to here need not be delivered any more.
    pub(super) flushed_before: u64,
}

impl DeliveryState {
    /// Whether a change need not be recorded: the flush that covers it has not begun.
    pub(super) fn is_covered_by_flush(&self) -> bool {
        self.row.flush && self.flushing.is_none()
    }
}

/// A server of a target, which is notified of changes.
pub(super) struct TargetUpstream {
    /// Its name in the spool: target and address.
    pub(super) name: String,
    pub(super) target: Arc<Target>,
    pub(super) state: DeliveryState,
    pub(super) deliveries: Vec<DeliveryHandle>,
    pub(super) stats: Arc<UpstreamStats>,
    /// The time at which to read the spool for second deletes that are due, in Unix microseconds.
    pub(super) again: Option<u64>,
}

/// The recorder's state of a delivery.
pub(super) struct DeliveryHandle {
    pub(super) id: DeliveryId,
    /// It gets changes over its channel.
    pub(super) fresh: bool,
    /// It has nothing to deliver: it got neither changes nor a replay since it last reported that it is ready or down.
    pub(super) idle: bool,
    changes: Sender<Vec<PendingChange>>,
    steps: Sender<DeliveryStep>,
    pub(super) stats: Arc<DeliveryStats>,
    alive: Weak<()>,
    /// The changes that it gets when the group is recorded.
    pub(super) out: Vec<PendingChange>,
}

impl TargetUpstream {
    /// Starts the deliveries to an upstream.
    ///
    /// # Errors
    /// When one can't be started.
    pub(super) fn start(
        name: String,
        (target, address): (Arc<Target>, &str),
        row: UpstreamRow,
        settings: &Settings,
        spool: &Arc<Spool>,
        (inbox, start): (&Sender<RecorderMessage>, &mut StartDelivery),
        now: Now,
    ) -> Result<TargetUpstream, String> {
        let deliveries = (0..row.deliveries).map(|number| {
            let upstream = row.id;
            let id = DeliveryId { upstream, number };
            let (spool, inbox) = (Arc::clone(spool), inbox.clone());
            let (handle, thread) = delivery(id, (&target, address), settings, spool, inbox, now);
            start(thread).map(|()| handle)
        });
        let deliveries = deliveries.collect::<Result<Vec<_>, String>>()?;
        let stats = Arc::new(UpstreamStats {
            target: target.name.clone(),
            address: address.to_owned(),
            deliveries: deliveries.iter().map(|it| Arc::clone(&it.stats)).collect(),
            flush: row.flush.into(),
            flushes: Default::default(),
            undeliverable: Default::default(),
            since: row.since.into(),
        });
        Ok(TargetUpstream {
            name,
            // Second deletes that are due are read from the spool at once.
            again: target.again.map(|_| 0),
            target,
            state: DeliveryState {
                row,
                flushing: None,
                flushed_before: 0,
            },
            deliveries,
            stats,
        })
    }

    /// Adopts the recorded state.
    pub(super) fn settle(&mut self, state: DeliveryState) {
        self.state = state;
        self.stats.flush.store(state.row.flush, Relaxed);
        self.stats.since.store(state.row.since, Relaxed);
    }

    /// Counts a change of a key that it may have, and of which it can't be sent a delete. The first is logged.
    pub(super) fn note_undeliverable(&self, name: &[u8]) {
        if self.stats.undeliverable.fetch_add(1, Relaxed) == 0 {
            log::warn!(
                "upstream {}: a key of {} bytes with spaces or line ends fits no delete of memcached's text protocol, so \
                 an item of this name stays there; further ones are counted only (undeliverable)",
                self.name,
                name.len()
            );
        }
    }

    /// Keys that are pending for it.
    pub(super) fn pending(&self) -> u64 {
        self.stats.pending()
    }

    /// Whether no other delivery than this one has changes to deliver.
    pub(super) fn others_are_idle(&self, id: DeliveryId) -> bool {
        self.deliveries.iter().all(|it| it.idle || it.id == id)
    }

    /// Whether a delivery to it is not up to date.
    pub(super) fn is_behind(&self) -> bool {
        self.deliveries.iter().any(|delivery| !delivery.fresh)
    }

    /// Whether it accepts changes, so that waiting for it makes sense.
    pub(super) fn is_busy(&self) -> bool {
        self.deliveries
            .iter()
            .any(|delivery| delivery.stats.is_busy(delivery.changes.is_empty()))
    }

    /// Asks the deliveries to end.
    pub(super) fn end(&mut self) {
        for delivery in &mut self.deliveries {
            delivery.send_step(DeliveryStep::End);
        }
    }

    /// Whether all deliveries have ended.
    pub(super) fn has_ended(&self) -> bool {
        self.deliveries
            .iter()
            .all(|delivery| delivery.alive.strong_count() == 0)
    }
}

/// A delivery, and the recorder's state of it.
fn delivery(
    id: DeliveryId,
    (target, address): (&Arc<Target>, &str),
    settings: &Settings,
    spool: Arc<Spool>,
    inbox: Sender<RecorderMessage>,
    now: Now,
) -> (DeliveryHandle, DeliveryThread) {
    let ((changes, fresh), (steps, told)) = (bounded(DELIVERY_BATCHES), bounded(4));
    let stats = Arc::new(DeliveryStats::default());
    let alive = Arc::new(());
    let handle = DeliveryHandle {
        id,
        fresh: false,
        idle: true,
        changes,
        steps,
        stats: Arc::clone(&stats),
        alive: Arc::downgrade(&alive),
        out: Vec::new(),
    };
    let of = (Arc::clone(target), address.to_owned());
    let thread = DeliveryThread {
        id,
        delivery: Delivery::new(of, settings.durability, settings.timeout, stats, now),
        address: address.to_owned(),
        tls: target.tls.clone(),
        spool,
        timeout: settings.timeout,
        changes: fresh,
        steps: told,
        inbox,
        _alive: alive,
    };
    (handle, thread)
}

impl DeliveryHandle {
    /// Sends the delivery its next step. It asks for one at a time, so there is room.
    pub(super) fn send_step(&mut self, step: DeliveryStep) {
        self.idle &= !matches!(step, DeliveryStep::Replay | DeliveryStep::Fresh);
        if let Err(TrySendError::Full(_)) = self.steps.try_send(step) {
            log::error!("a delivery does not take its steps");
        }
    }

    /// Sends it no more changes over the channel; it replays when it has delivered those in the channel.
    pub(super) fn fall_behind(&mut self) {
        self.fresh = false;
        self.stats.set_behind(true);
    }

    /// From now on it gets its changes over the channel.
    pub(super) fn catch_up(&mut self) {
        self.fresh = true;
        self.stats.set_behind(false);
    }

    /// Hands over the group's changes. Returns those that there was no room for.
    pub(super) fn push(&mut self) -> Option<Vec<PendingChange>> {
        if self.out.is_empty() {
            return None;
        }
        match self.changes.try_send(std::mem::take(&mut self.out)) {
            Ok(()) => None,
            Err(TrySendError::Full(changes) | TrySendError::Disconnected(changes)) => {
                self.fall_behind();
                Some(changes)
            }
        }
    }
}

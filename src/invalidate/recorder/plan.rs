//! The decisions of a group, which take effect when the group is recorded.

use crate::invalidate::message::DeliveryStep;
use crate::invalidate::recorder::upstream::{DeliveryState, TargetUpstream};
use crate::invalidate::rings::RingHistory;
use crate::invalidate::spool::DeliveryId;

/// The decisions of a group.
pub(super) struct GroupPlan {
    /// The new state of each upstream.
    pub(super) states: Vec<DeliveryState>,
    /// The next steps of the deliveries that asked.
    pub(super) steps: Vec<(DeliveryId, DeliveryStep)>,
    /// Deliveries whose number of pending keys may have changed.
    pub(super) touched: Vec<(usize, usize)>,
    /// The number of keys pending for each of those.
    pub(super) pending: Vec<(usize, usize, u64)>,
    /// Upstreams that have been flushed.
    pub(super) flushed: Vec<usize>,
    /// For each upstream, the time at which second deletes are due.
    pub(super) again: Vec<Option<u64>>,
    /// The rings of each target, if time has passed for them.
    pub(super) rings: Option<Vec<RingHistory>>,
}

impl GroupPlan {
    /// The plan that changes nothing.
    pub(super) fn new(upstreams: &[TargetUpstream]) -> GroupPlan {
        GroupPlan {
            states: upstreams.iter().map(|upstream| upstream.state).collect(),
            steps: Vec::new(),
            touched: Vec::new(),
            pending: Vec::new(),
            flushed: Vec::new(),
            again: upstreams.iter().map(|upstream| upstream.again).collect(),
            rings: None,
        }
    }

    pub(super) fn touch(&mut self, upstream: usize, delivery: usize) {
        if !self.touched.contains(&(upstream, delivery)) {
            self.touched.push((upstream, delivery));
        }
    }
}

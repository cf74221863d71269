//! The decisions about each upstream: the next step of a delivery that is ready, the end of a flush, and the bounds of
//! the pending changes.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::invalidate::message::{DeliveryStep, Now};
use crate::invalidate::recorder::Recorder;
use crate::invalidate::recorder::plan::GroupPlan;
use crate::invalidate::settings::{REST, REST_BYTES};
use crate::invalidate::spool::{DeliveryId, SpoolResult, SpoolTransaction};

impl Recorder {
    /// Whether changes have been pending since then for longer than is allowed.
    pub(super) fn is_old(&self, since: u64, now: Now) -> bool {
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        let max = self.settings.max_age.map(micros);
        since > 0 && max.is_some_and(|max| now.unix.saturating_sub(since) > max)
    }

    /// Decides the next step of a delivery that is ready.
    pub(super) fn direct(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        id: DeliveryId,
    ) -> SpoolResult<()> {
        let Some((upstream, delivery)) = self.find(id) else {
            return Ok(());
        };
        let state = &mut plan.states[upstream];
        let step = if state.row.flush {
            match state.flushing {
                Some(other) if other != id.number => DeliveryStep::Wait,
                // Another delivery would set keys to values that are older than the flush, after it.
                _ if !self.upstreams[upstream].others_are_idle(id) => DeliveryStep::Wait,
                _ => {
                    state.flushing = Some(id.number);
                    state.flushed_before = self.sequence;
                    // All changes recorded so far are older than the flush.
                    self.clear_pending(group, plan, upstream)?;
                    DeliveryStep::Flush
                }
            }
        } else if group.len(id)? <= REST
            && let Some(rest) = group.rest(id, REST_BYTES)?
        {
            // All pending changes, those of this group included, ahead of later ones.
            self.upstreams[upstream].deliveries[delivery].out = rest;
            DeliveryStep::Fresh
        } else {
            DeliveryStep::Replay
        };
        plan.touch(upstream, delivery);
        plan.steps.push((id, step));
        Ok(())
    }

    /// A delivery has flushed its upstream.
    pub(super) fn end_flush(&self, plan: &mut GroupPlan, id: DeliveryId) {
        let Some((upstream, _)) = self.find(id) else {
            return;
        };
        let state = &mut plan.states[upstream];
        if state.row.flush && state.flushing == Some(id.number) {
            (state.row.flush, state.flushing) = (false, None);
            plan.flushed.push(upstream);
        }
    }

    /// Has upstreams flushed that have too many changes pending, or for too long.
    pub(super) fn bound(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: Now,
    ) -> SpoolResult<()> {
        for number in 0..self.upstreams.len() {
            if plan.states[number].row.flush {
                continue;
            }
            let upstream = &self.upstreams[number];
            let mut pending = 0;
            for (delivery, handle) in upstream.deliveries.iter().enumerate() {
                pending += match plan.touched.contains(&(number, delivery)) {
                    true => group.len(handle.id)?,
                    false => handle.stats.pending.load(Relaxed),
                };
            }
            let since = upstream.state.row.since;
            let old = pending > 0 && self.is_old(since, now);
            if pending > self.settings.max_pending || old {
                let why = match old {
                    true => {
                        let seconds = now.unix.saturating_sub(since) / 1_000_000;
                        format!("has changes pending for {seconds} s")
                    }
                    false => format!("has {pending} keys pending"),
                };
                log::warn!(
                    "{}: {why}, which exceeds the limit; it will be flushed instead",
                    upstream.name
                );
                self.want_flush(group, plan, number)?;
            }
        }
        Ok(())
    }

    /// Notes the time since which each upstream has been behind.
    pub(super) fn age(&self, plan: &mut GroupPlan, now: Now) {
        for (number, upstream) in self.upstreams.iter().enumerate() {
            let mut behind = false;
            let mut total = 0;
            for (delivery, handle) in upstream.deliveries.iter().enumerate() {
                let caught_up = plan.steps.contains(&(handle.id, DeliveryStep::Fresh));
                behind |= !handle.fresh && !caught_up;
                let mut counted = plan.pending.iter();
                total += counted
                    .find(|(upstream, of, _)| (*upstream, *of) == (number, delivery))
                    .map_or_else(
                        || handle.stats.pending.load(Relaxed),
                        |(_, _, count)| *count,
                    );
            }
            let row = &mut plan.states[number].row;
            match behind && (total > 0 || row.flush) {
                true if row.since == 0 => row.since = now.unix,
                true => {}
                false => row.since = 0,
            }
        }
    }
}

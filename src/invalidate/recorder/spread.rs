//! A change on its way to the upstreams that may hold its key.

use crate::invalidate::change::NewValue;
use crate::invalidate::message::Now;
use crate::invalidate::recorder::Recorder;
use crate::invalidate::recorder::plan::GroupPlan;
use crate::invalidate::settings::Durability;
use crate::invalidate::spool::{PendingChange, PendingRecord, SpoolResult, SpoolTransaction};
use crate::invalidate::target;

/// Second deletes that are taken at once.
const AGAIN: usize = 4096;

impl Recorder {
    /// A change, to every upstream that may hold the key.
    pub(super) fn spread(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: Now,
        key: &[u8],
        value: Option<&NewValue>,
    ) -> SpoolResult<()> {
        let routes = std::mem::take(&mut self.routes);
        let mut servers = std::mem::take(&mut self.servers);
        let spread = routes.iter().try_for_each(|target| {
            let route = &target.routes;
            let Some(name) = route.name(key) else {
                return Ok(());
            };
            let value = value.filter(|_| route.wants_values());
            let owners = route.servers(&name, &mut servers);
            for (place, server) in servers.iter().enumerate() {
                let number = target.numbers[*server];
                // A server that had the key by an earlier list only has to forget it.
                let value = value.filter(|_| place < owners);
                if !route.takes(&name) {
                    self.upstreams[number].note_undeliverable(&name);
                    continue;
                }
                let record = PendingRecord {
                    sequence: self.next_sequence(now),
                    value: value.cloned(),
                };
                self.plan_second_delete(group, plan, number, now, &name, record.sequence)?;
                self.put(group, plan, number, &name, record)?;
            }
            Ok(())
        });
        (self.routes, self.servers) = (routes, servers);
        spread
    }

    /// Notes a second delete for a change, if the target has them.
    fn plan_second_delete(
        &self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
        now: Now,
        key: &[u8],
        sequence: u64,
    ) -> SpoolResult<()> {
        let Some(delay) = self.upstreams[number].target.again else {
            return Ok(());
        };
        if plan.states[number].is_covered_by_flush() {
            return Ok(());
        }
        let due = now.unix.saturating_add(delay.as_micros() as u64);
        let first = plan.again[number].map_or(due, |first| first.min(due));
        plan.again[number] = Some(first);
        group.put_again(plan.states[number].row.id, due, sequence, key)
    }

    /// Second deletes that are due are changes like others.
    pub(super) fn take_due(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: Now,
    ) -> SpoolResult<()> {
        for number in 0..self.upstreams.len() {
            let upstream = &self.upstreams[number];
            let (Some(due), Some(again)) = (plan.again[number], upstream.target.again) else {
                continue;
            };
            if due > now.unix {
                continue;
            }
            let ahead = again.as_micros() as u64;
            let id = upstream.state.row.id;
            let (keys, next) = group.take_again(id, now.unix, ahead, AGAIN)?;
            plan.again[number] = next;
            for key in keys {
                let record = PendingRecord {
                    sequence: self.next_sequence(now),
                    value: None,
                };
                self.put(group, plan, number, &key, record)?;
            }
        }
        Ok(())
    }

    /// A change, to one upstream: over the channel if it is up to date, and into the spool.
    fn put(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
        key: &[u8],
        record: PendingRecord,
    ) -> SpoolResult<()> {
        let state = &plan.states[number];
        if state.is_covered_by_flush() {
            return Ok(());
        }
        let upstream = &mut self.upstreams[number];
        let delivery = usize::from(target::delivery(key, state.row.deliveries));
        let handle = &mut upstream.deliveries[delivery];
        let fresh = handle.fresh && !state.row.flush;
        if !fresh || self.settings.durability != Durability::None {
            group.put(handle.id, key, &record)?;
            plan.touch(number, delivery);
        }
        if fresh {
            let key = key.into();
            handle.out.push(PendingChange { key, record });
        }
        Ok(())
    }

    /// All keys have changed.
    pub(super) fn flush_all(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
    ) -> SpoolResult<()> {
        (0..self.upstreams.len()).try_for_each(|number| self.want_flush(group, plan, number))
    }

    /// An upstream is to be flushed, so the changes recorded for it are no longer needed.
    pub(super) fn want_flush(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
    ) -> SpoolResult<()> {
        let state = &mut plan.states[number];
        state.row.flush = true;
        // A flush under way may have been executed before the changes that it has to cover.
        state.flushing = None;
        group.clear_again(state.row.id)?;
        self.clear_pending(group, plan, number)
    }

    /// Drops all pending changes of an upstream.
    pub(super) fn clear_pending(
        &self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
    ) -> SpoolResult<()> {
        for (delivery, handle) in self.upstreams[number].deliveries.iter().enumerate() {
            group.clear(handle.id)?;
            plan.touch(number, delivery);
        }
        Ok(())
    }
}

//! One group: the messages that have arrived are recorded in the spool, and then answered and
//! delivered.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::invalidate::change::{ChangeBatch, ReportedChange};
use crate::invalidate::message::{DeliveryStep, Now};
use crate::invalidate::recorder::plan::GroupPlan;
use crate::invalidate::recorder::{ArrivedMessages, Recorder};
use crate::invalidate::settings::{Durability, LINGER};
use crate::invalidate::spool::{DeliveryId, SpoolError, SpoolResult, SpoolTransaction};

impl Recorder {
    /// Records the messages that have arrived, and answers.
    pub(crate) fn record(&mut self, now: Now) {
        self.leaving.retain(|upstream| !upstream.has_ended());
        let arrived = std::mem::take(&mut self.arrived);
        if !self.has_work(&arrived, now) {
            return;
        }
        let spool = Arc::clone(&self.spool);
        match spool.write(|group| self.plan(group, &arrived, now)) {
            Ok(plan) => {
                self.unknown = false;
                self.waiting = None;
                self.removals.clear();
                self.returned.clear();
                self.apply_plan(plan, now);
                self.answer(arrived.batches, None);
            }
            Err(error) => self.refuse(&error, arrived),
        }
    }

    /// Whether there are changes to record now.
    fn has_work(&self, arrived: &ArrivedMessages, now: Now) -> bool {
        let lingered = self
            .waiting
            .is_some_and(|since| self.stop.is_some() || now.since(since) >= LINGER);
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now.unix);
        !arrived.batches.is_empty()
            || !arrived.ready.is_empty()
            || !arrived.flushed.is_empty()
            || !self.returned.is_empty()
            || lingered
            || self.unknown
            || self.has_rings_to_note(now)
            || self.upstreams.iter().any(|upstream| {
                let row = upstream.state.row;
                let began = row.since == 0 && upstream.pending() > 0 && upstream.is_behind();
                due(upstream.again) || began || self.is_old(row.since, now) && !row.flush
            })
    }

    /// Writes the group, and decides the steps that follow when it is recorded.
    fn plan(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        arrived: &ArrivedMessages,
        now: Now,
    ) -> SpoolResult<GroupPlan> {
        let mut plan = GroupPlan::new(&self.upstreams);
        if self.unknown {
            self.enter_new_spool(group, &mut plan)?;
        }
        self.note_rings(group, &mut plan, now)?;
        self.settle_reports(group, &mut plan)?;
        self.take_due(group, &mut plan, now)?;
        for change in arrived.batches.iter().flat_map(|batch| &batch.changes) {
            match change {
                ReportedChange::Key(key, value) => {
                    self.spread(group, &mut plan, now, key, value.as_ref())?;
                }
                ReportedChange::All => self.flush_all(group, &mut plan)?,
            }
        }
        for id in &arrived.flushed {
            self.end_flush(&mut plan, *id);
        }
        self.bound(group, &mut plan, now)?;
        for id in &arrived.ready {
            self.direct(group, &mut plan, *id)?;
        }
        for (upstream, delivery) in plan.touched.clone() {
            let id = self.upstreams[upstream].deliveries[delivery].id;
            plan.pending.push((upstream, delivery, group.len(id)?));
        }
        self.age(&mut plan, now);
        for (upstream, state) in self.upstreams.iter().zip(&plan.states) {
            if state.row != upstream.state.row || self.unknown {
                group.set_row(&upstream.name, &state.row)?;
            }
        }
        group.set_number("sequence", self.sequence)?;
        Ok(plan)
    }

    /// Enters the upstreams in a new spool. The changes recorded for them before are lost, so they are flushed.
    fn enter_new_spool(
        &self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
    ) -> SpoolResult<()> {
        group.set_number("strict", 1)?;
        let upstreams = self.upstreams.iter().chain(&self.leaving);
        let next = upstreams.map(|it| it.state.row.id + 1).max();
        group.set_number("next", u64::from(next.unwrap_or(1)))?;
        for state in &mut plan.states {
            state.row.flush = true;
            state.flushing = None;
        }
        Ok(())
    }

    /// Removes delivered changes, and records changes that came back.
    fn settle_reports(
        &self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
    ) -> SpoolResult<()> {
        for (id, changes) in &self.removals {
            if let Some((upstream, delivery)) = self.find(*id) {
                plan.touch(upstream, delivery);
                for change in changes {
                    group.remove(*id, &change.key, change.record.sequence)?;
                }
            }
        }
        for (id, changes) in &self.returned {
            // A flush that has not begun makes them unnecessary.
            if let Some((upstream, delivery)) = self.find(*id)
                && !plan.states[upstream].is_covered_by_flush()
            {
                plan.touch(upstream, delivery);
                let flushed = plan.states[upstream].flushed_before;
                let later = changes.iter().filter(|it| it.record.sequence > flushed);
                for change in later {
                    group.put_older(*id, &change.key, &change.record)?;
                }
            }
        }
        Ok(())
    }

    /// The group is recorded: deliveries get their changes and steps.
    fn apply_plan(&mut self, plan: GroupPlan, now: Now) {
        if let Some(rings) = plan.rings {
            self.adopt_rings(rings, now);
        }
        for (upstream, delivery, count) in plan.pending {
            let stats = &self.upstreams[upstream].deliveries[delivery].stats;
            stats.pending.store(count, Relaxed);
        }
        for (number, state) in plan.states.into_iter().enumerate() {
            let upstream = &mut self.upstreams[number];
            let wanted = state.row.flush && !upstream.state.row.flush;
            upstream.settle(state);
            upstream.again = plan.again[number];
            if wanted || state.is_covered_by_flush() {
                // They report that they are ready, and then get the step to flush.
                for delivery in &mut upstream.deliveries {
                    delivery.fall_behind();
                }
            }
        }
        for number in plan.flushed {
            let upstream = &self.upstreams[number];
            upstream.stats.flushes.fetch_add(1, Relaxed);
            log::info!("{}: flushed", upstream.name);
        }
        for (id, step) in plan.steps {
            if step == DeliveryStep::Fresh
                && let Some((upstream, delivery)) = self.find(id)
            {
                self.upstreams[upstream].deliveries[delivery].catch_up();
            }
            self.send_step(id, step);
        }
        for upstream in &mut self.upstreams {
            for delivery in &mut upstream.deliveries {
                if let Some(changes) = delivery.push()
                    && self.settings.durability == Durability::None
                {
                    self.returned.push((delivery.id, changes));
                }
            }
        }
        self.stats.commits.fetch_add(1, Relaxed);
        self.note_problem();
    }

    /// The group is not recorded: clients get an error, and deliveries that are ready ask again.
    fn refuse(&mut self, error: &SpoolError, arrived: ArrivedMessages) {
        for upstream in &mut self.upstreams {
            let deliveries = upstream.deliveries.iter_mut();
            deliveries.for_each(|delivery| delivery.out.clear());
        }
        self.failed(error);
        // Without their removal they are delivered again in a replay.
        for (id, _) in std::mem::take(&mut self.removals) {
            if let Some((upstream, delivery)) = self.find(id) {
                self.upstreams[upstream].deliveries[delivery].fall_behind();
            }
        }
        self.waiting = None;
        for id in arrived.ready {
            self.send_step(id, DeliveryStep::Wait);
        }
        self.answer(arrived.batches, Some(error.to_string()));
    }

    fn send_step(&mut self, id: DeliveryId, step: DeliveryStep) {
        if let Some((upstream, delivery)) = self.find(id) {
            self.upstreams[upstream].deliveries[delivery].send_step(step);
        }
    }

    /// Has the workers answer their clients.
    fn answer(&self, batches: Vec<ChangeBatch>, failure: Option<String>) {
        let changes: usize = batches.iter().map(|batch| batch.changes.len()).sum();
        let quiet: usize = batches.iter().map(|batch| batch.quiet).sum();
        match &failure {
            None => {
                self.stats.recorded.fetch_add(changes as u64, Relaxed);
            }
            Some(failure) => {
                if quiet > 0 {
                    log::error!(
                        "{quiet} changes of requests with noreply are not recorded: {failure}"
                    );
                }
                self.stats.refused.fetch_add(changes as u64, Relaxed);
                self.stats.refused_quiet.fetch_add(quiet as u64, Relaxed);
            }
        }
        for batch in batches {
            batch.answer(failure.as_deref());
        }
    }
}

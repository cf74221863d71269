//! One group: what has arrived, into the spool, and then to whom it concerns.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::invalidate::change::{ChangeBatch, NewValue, ReportedChange};
use crate::invalidate::delivery::{DeliveryItem, DeliveryStep};
use crate::invalidate::recorder::{ArrivedMessages, Recorder, now};
use crate::invalidate::settings::{Durability, LINGER, REST, REST_BYTES};
use crate::invalidate::spool::{DeliveryId, PendingRecord, Result, SpoolTransaction};
use crate::invalidate::target;
use crate::invalidate::upstreams::DeliveryState;

/// Second deletes that are taken at once.
const AGAIN: usize = 4096;

/// What counts when the group is recorded.
struct GroupPlan {
    states: Vec<DeliveryState>,
    /// What deliveries that asked are told.
    told: Vec<(DeliveryId, DeliveryStep)>,
    /// Deliveries whose number of pending keys may have changed.
    touched: Vec<(usize, usize)>,
    flushed: Vec<usize>,
    /// For each upstream, when second deletes are due.
    again: Vec<Option<u64>>,
}

impl GroupPlan {
    fn touch(&mut self, upstream: usize, delivery: usize) {
        if !self.touched.contains(&(upstream, delivery)) {
            self.touched.push((upstream, delivery));
        }
    }
}

impl Recorder {
    /// Records what has arrived, and answers.
    pub(super) fn group(&mut self, arrived: ArrivedMessages) {
        let ArrivedMessages {
            batches,
            ready,
            flushed,
            ..
        } = arrived;
        let now = now();
        if !self.has_work(&batches, now) && ready.is_empty() && flushed.is_empty() {
            return;
        }
        let spool = Arc::clone(&self.spool);
        let mut pending = Vec::new();
        let done = spool.write(|group| {
            let mut plan = GroupPlan {
                states: self.upstreams.iter().map(|u| u.state).collect(),
                told: Vec::new(),
                touched: Vec::new(),
                flushed: Vec::new(),
                again: self.upstreams.iter().map(|u| u.again).collect(),
            };
            if self.unknown {
                self.introduce(group, &mut plan)?;
            }
            self.settle_reports(group, &mut plan)?;
            self.take_due(group, &mut plan, now)?;
            for batch in &batches {
                for change in &batch.changes {
                    match change {
                        ReportedChange::Key(key, value) => {
                            self.spread(group, &mut plan, now, key, value.as_ref(), true)?;
                        }
                        ReportedChange::All => self.flush_all(group, &mut plan)?,
                    }
                }
            }
            for id in &flushed {
                self.end_flush(&mut plan, *id);
            }
            self.bound(group, &mut plan, now)?;
            for id in &ready {
                self.direct(group, &mut plan, *id)?;
            }
            for (upstream, delivery) in plan.touched.clone() {
                let id = self.upstreams[upstream].deliveries[delivery].id;
                pending.push((upstream, delivery, group.len(id)?));
            }
            self.age(&mut plan, &pending, now);
            for (number, state) in plan.states.iter().enumerate() {
                let upstream = &self.upstreams[number];
                if state.row != upstream.state.row || self.unknown {
                    group.set_row(&upstream.name, &state.row)?;
                }
            }
            group.set_number("sequence", self.sequence)?;
            Ok(plan)
        });
        match done {
            Ok(plan) => {
                self.unknown = false;
                self.waiting = None;
                self.removals.clear();
                self.returned.clear();
                for (upstream, delivery, count) in pending {
                    let stats = &self.upstreams[upstream].deliveries[delivery].stats;
                    stats.pending.store(count, Relaxed);
                }
                self.carry_out(plan);
                self.answer(batches, None);
            }
            Err(error) => {
                for upstream in &mut self.upstreams {
                    upstream
                        .deliveries
                        .iter_mut()
                        .for_each(|delivery| delivery.out.clear());
                }
                self.failed(&error);
                // Without their removal they come again in the replay.
                self.removals.clear();
                self.waiting = None;
                for id in ready {
                    self.tell(id, DeliveryStep::Wait);
                }
                self.answer(batches, Some(error.to_string()));
            }
        }
    }

    /// Whether something has to be recorded now.
    fn has_work(&self, batches: &[ChangeBatch], now: u64) -> bool {
        let lingered = self
            .waiting
            .is_some_and(|since| self.stop.is_some() || since.elapsed() >= LINGER);
        let due = |at: Option<u64>| at.is_some_and(|at| at <= now);
        let old = |since: u64| {
            since > 0
                && self
                    .max_age()
                    .is_some_and(|age| now.saturating_sub(since) > age)
        };
        !batches.is_empty()
            || !self.returned.is_empty()
            || lingered
            || self.unknown
            || self.upstreams.iter().any(|upstream| {
                let row = upstream.state.row;
                let began = row.since == 0 && upstream.pending() > 0 && upstream.is_behind();
                due(upstream.again) || began || old(row.since) && !row.flush
            })
    }

    fn max_age(&self) -> Option<u64> {
        let micros = |age: Duration| u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
        self.settings.max_age.map(micros)
    }

    /// A new spool is told who there is; what had been recorded for them is lost, so they are flushed.
    fn introduce(&self, group: &mut SpoolTransaction<'_>, plan: &mut GroupPlan) -> Result<()> {
        group.set_number("strict", 1)?;
        let next = self.upstreams.iter().map(|u| u.state.row.id + 1).max();
        group.set_number("next", u64::from(next.unwrap_or(1)))?;
        for state in &mut plan.states {
            state.row.flush = true;
            state.flushing = None;
        }
        Ok(())
    }

    /// What deliveries have delivered is struck out, what came back is recorded.
    fn settle_reports(&self, group: &mut SpoolTransaction<'_>, plan: &mut GroupPlan) -> Result<()> {
        for (id, items) in &self.removals {
            if let Some((upstream, delivery)) = self.find(*id) {
                plan.touch(upstream, delivery);
                for item in items {
                    group.remove(*id, &item.key, item.sequence)?;
                }
            }
        }
        for (id, items) in &self.returned {
            // What a flush that has not begun wipes out has no meaning any more.
            if let Some((upstream, delivery)) = self.find(*id)
                && !plan.states[upstream].is_moot()
            {
                plan.touch(upstream, delivery);
                for item in items {
                    let record = PendingRecord {
                        sequence: item.sequence,
                        value: item.value.clone(),
                    };
                    group.put_older(*id, &item.key, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Second deletes whose time has come are changes like others.
    fn take_due(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: u64,
    ) -> Result<()> {
        for number in 0..self.upstreams.len() {
            let upstream = &self.upstreams[number];
            let (Some(due), Some(again)) = (plan.again[number], upstream.target.again) else {
                continue;
            };
            if due > now {
                continue;
            }
            let ahead = again.as_micros() as u64;
            let id = upstream.state.row.id;
            let (keys, next) = group.take_again(id, now, ahead, AGAIN)?;
            plan.again[number] = next;
            for key in keys {
                let sequence = self.next(now);
                self.put(group, plan, number, &key, sequence, None)?;
            }
        }
        Ok(())
    }

    /// A change, to every upstream that may hold the key.
    fn spread(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: u64,
        key: &[u8],
        value: Option<&NewValue>,
        again: bool,
    ) -> Result<()> {
        let routes = std::mem::take(&mut self.routes);
        let mut done = Ok(());
        'targets: for (route, numbers) in &routes {
            let Some(name) = route.name(key) else {
                continue;
            };
            for server in route.servers(&name) {
                let number = numbers[server];
                let sequence = self.next(now);
                let value = value.filter(|_| route.wants_values()).cloned();
                done = self.put(group, plan, number, &name, sequence, value);
                if let (Ok(()), Some(delay), true) = (&done, route.target.again, again)
                    && !plan.states[number].is_moot()
                {
                    let due = now.saturating_add(delay.as_micros() as u64);
                    let id = plan.states[number].row.id;
                    done = group.put_again(id, due, sequence, &name);
                    let first = plan.again[number].map_or(due, |first| first.min(due));
                    plan.again[number] = Some(first);
                }
                if done.is_err() {
                    break 'targets;
                }
            }
        }
        self.routes = routes;
        done
    }

    /// A change, to one upstream: over the channel if it is up to date, and into the spool.
    fn put(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
        key: &[u8],
        sequence: u64,
        value: Option<NewValue>,
    ) -> Result<()> {
        let state = &plan.states[number];
        if state.is_moot() {
            return Ok(());
        }
        let upstream = &mut self.upstreams[number];
        let delivery = usize::from(target::delivery(key, state.row.deliveries));
        let handle = &mut upstream.deliveries[delivery];
        let fresh = handle.fresh && !state.row.flush;
        let record = PendingRecord { sequence, value };
        if !fresh || self.settings.durability != Durability::None {
            group.put(handle.id, key, &record)?;
            plan.touch(number, delivery);
        }
        if fresh {
            let PendingRecord { sequence, value } = record;
            handle.out.push(DeliveryItem {
                key: key.into(),
                sequence,
                value,
            });
        }
        Ok(())
    }

    /// Everything has changed.
    fn flush_all(&mut self, group: &mut SpoolTransaction<'_>, plan: &mut GroupPlan) -> Result<()> {
        (0..self.upstreams.len()).try_for_each(|number| self.want_flush(group, plan, number))
    }

    /// An upstream is to be flushed, and what was recorded for it has no meaning any more.
    fn want_flush(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        number: usize,
    ) -> Result<()> {
        let state = &mut plan.states[number];
        state.row.flush = true;
        // A flush under way may have happened before what is to be wiped out.
        state.flushing = None;
        group.clear_again(state.row.id)?;
        for delivery in 0..self.upstreams[number].deliveries.len() {
            let id = self.upstreams[number].deliveries[delivery].id;
            group.clear(id)?;
            plan.touch(number, delivery);
        }
        Ok(())
    }

    fn end_flush(&self, plan: &mut GroupPlan, id: DeliveryId) {
        let Some((upstream, _)) = self.find(id) else {
            return;
        };
        let state = &mut plan.states[upstream];
        if state.row.flush && state.flushing == Some(id.delivery) {
            (state.row.flush, state.flushing) = (false, None);
            plan.flushed.push(upstream);
        }
    }

    /// Flushes whom too much waits for, or for too long.
    fn bound(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: u64,
    ) -> Result<()> {
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
            let age = now.saturating_sub(since);
            let old = since > 0 && pending > 0 && self.max_age().is_some_and(|max| age > max);
            if pending > self.settings.max_pending || old {
                let why = match old {
                    true => format!("has missed changes for {} s", age / 1_000_000),
                    false => format!("has {pending} keys pending"),
                };
                log::warn!(
                    "{}: {why}, more than is allowed; it will be flushed instead",
                    upstream.name
                );
                self.want_flush(group, plan, number)?;
            }
        }
        Ok(())
    }

    /// Decides what a delivery that is ready does next.
    fn direct(
        &mut self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        id: DeliveryId,
    ) -> Result<()> {
        let Some((upstream, delivery)) = self.find(id) else {
            return Ok(());
        };
        let state = &mut plan.states[upstream];
        let go = if state.row.flush {
            match state.flushing {
                Some(other) if other != id.delivery => DeliveryStep::Wait,
                _ => {
                    state.flushing = Some(id.delivery);
                    // What is recorded so far is older than the flush.
                    for delivery in 0..self.upstreams[upstream].deliveries.len() {
                        let id = self.upstreams[upstream].deliveries[delivery].id;
                        group.clear(id)?;
                        plan.touch(upstream, delivery);
                    }
                    DeliveryStep::Flush
                }
            }
        } else if group.len(id)? <= REST
            && let Some(rest) = group.rest(id, REST_BYTES)?
        {
            // All of it, the changes of this group included, ahead of what comes later.
            self.upstreams[upstream].deliveries[delivery].out = rest
                .into_iter()
                .map(|(key, PendingRecord { sequence, value })| DeliveryItem {
                    key,
                    sequence,
                    value,
                })
                .collect();
            DeliveryStep::Fresh
        } else {
            DeliveryStep::Replay
        };
        plan.touch(upstream, delivery);
        plan.told.push((id, go));
        Ok(())
    }

    /// Keeps since when each upstream has been behind.
    fn age(&self, plan: &mut GroupPlan, pending: &[(usize, usize, u64)], now: u64) {
        for (number, upstream) in self.upstreams.iter().enumerate() {
            let mut behind = false;
            let mut total = 0;
            for (delivery, handle) in upstream.deliveries.iter().enumerate() {
                let told = plan.told.contains(&(handle.id, DeliveryStep::Fresh));
                behind |= !handle.fresh && !told;
                let counted = pending
                    .iter()
                    .find(|(u, l, _)| (*u, *l) == (number, delivery));
                total += counted.map_or_else(
                    || handle.stats.pending.load(Relaxed),
                    |(_, _, count)| *count,
                );
            }
            let row = &mut plan.states[number].row;
            match behind && (total > 0 || row.flush) {
                true if row.since == 0 => row.since = now,
                true => {}
                false => row.since = 0,
            }
        }
    }

    /// The group is recorded: everyone gets what is theirs.
    fn carry_out(&mut self, plan: GroupPlan) {
        for (number, state) in plan.states.into_iter().enumerate() {
            let upstream = &mut self.upstreams[number];
            let wanted = state.row.flush && !upstream.state.row.flush;
            upstream.settle(state);
            upstream.again = plan.again[number];
            if wanted || state.is_moot() {
                // They come and ask, and are told to flush.
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
        for (id, go) in plan.told {
            if go == DeliveryStep::Fresh
                && let Some((upstream, delivery)) = self.find(id)
            {
                self.upstreams[upstream].deliveries[delivery].catch_up();
            }
            self.tell(id, go);
        }
        for upstream in &mut self.upstreams {
            for delivery in &mut upstream.deliveries {
                if let Some(items) = delivery.push()
                    && self.settings.durability == Durability::None
                {
                    self.returned.push((delivery.id, items));
                }
            }
        }
        self.stats.commits.fetch_add(1, Relaxed);
        self.note_problem();
    }

    fn tell(&self, id: DeliveryId, go: DeliveryStep) {
        if let Some((upstream, delivery)) = self.find(id) {
            self.upstreams[upstream].deliveries[delivery].say(go);
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
                        "{quiet} changes of clients that want no answer are not recorded: {failure}"
                    );
                }
                self.count_refused(changes, quiet);
            }
        }
        for batch in batches {
            batch.answer(failure.as_deref());
        }
    }
}

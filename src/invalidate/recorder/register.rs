//! Who has to be told: targets into upstreams, at the start and when the lists change.
//!
//! An upstream keeps its number as long as the spool knows it. One that is no longer a target misses what is recorded from
//! then on, so what it has pending is dropped, and it is flushed should it come back, also in a target of another name.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use ahash::AHashMap;

use crate::invalidate::recorder::Recorder;
use crate::invalidate::settings::{GROUP, Target};
use crate::invalidate::spool::{DeliveryId, Result, SpoolError, SpoolTransaction, UpstreamRow};
use crate::invalidate::target::{self, TargetRoutes};
use crate::invalidate::upstreams::TargetUpstream;

/// What the spool knows of a target's server: its name there, the target's number, its address.
type Wanted = (String, usize, String);

impl Recorder {
    /// Makes these the targets.
    pub(super) fn register(&mut self, targets: Vec<Target>) -> std::result::Result<(), String> {
        let wanted: Vec<Wanted> = targets
            .iter()
            .enumerate()
            .flat_map(|(number, target)| {
                let servers = target.servers.servers().iter();
                servers.map(move |server| {
                    let name = format!("{} {}", target.name, server.address);
                    (name, number, server.address.clone())
                })
            })
            .collect();
        let rows = match self.rows(&wanted) {
            Err(SpoolError::Damaged(_)) => {
                self.unknown = true;
                self.rows(&wanted)
            }
            rows => rows,
        };
        let rows = rows.map_err(|error| error.to_string())?;
        self.unknown = false;

        let shared: Vec<Arc<Target>> = targets.iter().cloned().map(Arc::new).collect();
        let mut started = AHashMap::new();
        for ((name, number, address), (row, pending)) in wanted.iter().zip(&rows) {
            if self.upstreams.iter().any(|known| known.name == *name) {
                continue;
            }
            let target = Arc::clone(&shared[*number]);
            let upstream = TargetUpstream::start(
                name.clone(),
                (target, address),
                *row,
                &self.settings,
                &self.spool,
                &self.sender,
            )?;
            for (delivery, count) in upstream.deliveries.iter().zip(pending) {
                delivery.stats.pending.store(*count, Relaxed);
            }
            started.insert(name.clone(), upstream);
        }
        let mut known: AHashMap<String, TargetUpstream> = std::mem::take(&mut self.upstreams)
            .into_iter()
            .map(|upstream| (upstream.name.clone(), upstream))
            .collect();
        self.routes = targets
            .into_iter()
            .map(|target| (TargetRoutes::new(target), Vec::new()))
            .collect();
        for (name, number, _) in &wanted {
            if let Some(upstream) = known.remove(name).or_else(|| started.remove(name)) {
                self.routes[*number].1.push(self.upstreams.len());
                self.upstreams.push(upstream);
            }
        }
        for upstream in known.into_values() {
            log::info!("{}: no longer a target", upstream.name);
            upstream.end();
            self.leaving.push(upstream);
        }
        let upstreams = self
            .upstreams
            .iter()
            .map(|upstream| Arc::clone(&upstream.stats));
        *self
            .stats
            .upstreams
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = upstreams.collect();
        Ok(())
    }

    /// The rows of the wanted upstreams, with the keys pending in each delivery.
    fn rows(&mut self, wanted: &[Wanted]) -> Result<Vec<(UpstreamRow, Vec<u64>)>> {
        let spool = Arc::clone(&self.spool);
        let deliveries = u16::try_from(self.settings.workers).unwrap_or(u16::MAX);
        let unknown = self.unknown;
        let now = crate::invalidate::recorder::now();
        let (sequence, known) = spool.write(|group| {
            let sequence = group.number("sequence")?;
            if unknown {
                group.set_number("strict", 1)?;
            }
            let strict = group.number("strict")? != 0;
            let mut known: AHashMap<String, UpstreamRow> = group.rows()?.into_iter().collect();
            let mut next = group.number("next")?.max(1);
            let mut missing = Vec::new();
            for (name, row) in &known {
                if !wanted.iter().any(|(wanted, _, _)| wanted == name) && misses(group, row)? {
                    missing.extend(name.rsplit(' ').next().map(str::to_owned));
                }
            }
            for (name, _, address) in wanted {
                let row = known.entry(name.clone()).or_insert_with(|| {
                    next += 1;
                    let flush = strict || missing.contains(address);
                    UpstreamRow {
                        id: (next - 1) as u32,
                        deliveries,
                        flush,
                        left: false,
                        since: if flush { now } else { 0 },
                    }
                });
                if row.left {
                    // It has missed everything since.
                    (row.left, row.flush, row.since) = (false, true, now);
                }
            }
            group.set_number("next", next)?;
            for (name, row) in &mut known {
                if !wanted.iter().any(|(wanted, _, _)| wanted == name) && !row.left {
                    row.left = true;
                    clear(group, row)?;
                }
                group.set_row(name, row)?;
            }
            Ok((sequence, known))
        })?;
        self.sequence = self.sequence.max(sequence);
        let mut rows = Vec::new();
        for (name, _, _) in wanted {
            let mut row = known[name];
            if row.deliveries != deliveries
                && !self.upstreams.iter().any(|known| known.name == *name)
            {
                row = self.divide(name, row, deliveries)?;
            }
            let mut pending = Vec::new();
            for delivery in 0..row.deliveries {
                let id = DeliveryId {
                    upstream: row.id,
                    delivery,
                };
                pending.push(spool.write(|group| group.len(id))?);
            }
            if row.since == 0 && pending.iter().any(|count| *count > 0) {
                // The last that was recorded before the end is no older than this.
                row.since = sequence;
            }
            rows.push((row, pending));
        }
        Ok(rows)
    }

    /// Divides a pending set anew, for another number of deliveries. An end in the middle loses nothing: the tables of the new
    /// number are remembered, and the old ones are emptied into them again.
    fn divide(&mut self, name: &str, mut row: UpstreamRow, deliveries: u16) -> Result<UpstreamRow> {
        let spool = Arc::clone(&self.spool);
        let moving = format!("moving {name}");
        let id = spool.write(|group| {
            let id = match group.number(&moving)? {
                0 => {
                    let next = group.number("next")?;
                    group.set_number("next", next + 1)?;
                    group.set_number(&moving, next)?;
                    next
                }
                id => id,
            };
            Ok(id as u32)
        })?;
        let to = |key: &[u8]| DeliveryId {
            upstream: id,
            delivery: target::delivery(key, deliveries),
        };
        for delivery in 0..row.deliveries {
            let from = DeliveryId {
                upstream: row.id,
                delivery,
            };
            while spool.write(|group| group.move_some(from, to, GROUP))? > 0 {}
        }
        while spool.write(|group| group.move_again(row.id, id, GROUP))? > 0 {}
        (row.id, row.deliveries) = (id, deliveries);
        spool.write(|group| {
            group.set_row(name, &row)?;
            group.set_number(&moving, 0)
        })?;
        Ok(row)
    }
}

/// Whether an upstream has not been told everything. One that is no longer a target hasn't.
fn misses(group: &mut SpoolTransaction<'_>, row: &UpstreamRow) -> Result<bool> {
    let mut misses = row.left || row.flush || row.since != 0;
    for delivery in 0..row.deliveries {
        misses = misses
            || group.len(DeliveryId {
                upstream: row.id,
                delivery,
            })? > 0;
    }
    Ok(misses)
}

/// Drops all that is pending for an upstream.
fn clear(group: &mut SpoolTransaction<'_>, row: &UpstreamRow) -> Result<()> {
    for delivery in 0..row.deliveries {
        group.clear(DeliveryId {
            upstream: row.id,
            delivery,
        })?;
    }
    group.clear_again(row.id)
}

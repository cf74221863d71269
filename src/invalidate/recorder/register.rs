//! The upstreams of the targets, at the start and when the lists change.
//!
//! An upstream keeps its number as long as it is a target. One that is no longer a target misses later changes. So
//! its pending changes are dropped, and it is flushed if it comes back, also in a target of another name.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, PoisonError};

use ahash::AHashMap;

use crate::invalidate::message::Now;
use crate::invalidate::recorder::Recorder;
use crate::invalidate::recorder::rings;
use crate::invalidate::recorder::routed_target::RoutedTarget;
use crate::invalidate::recorder::upstream::TargetUpstream;
use crate::invalidate::rings::RingHistory;
use crate::invalidate::settings::Target;
use crate::invalidate::spool::{SpoolError, SpoolResult, SpoolTransaction, UpstreamRow};

/// A server in the list of a target.
struct ListedServer {
    /// Its name in the spool: target and address.
    name: String,
    /// The number of the target.
    target: usize,
    address: String,
}

/// A row, and the keys pending in each delivery.
type RowWithPending = (UpstreamRow, Vec<u64>);

/// The spool's rows of the upstreams, by name.
type KnownRows = AHashMap<String, UpstreamRow>;

impl Recorder {
    /// Makes these the targets.
    pub(super) fn register(&mut self, targets: Vec<Target>, now: Now) -> Result<(), String> {
        let listed = listed(&targets);
        let rows = match self.rows(&targets, &listed, now) {
            Err(SpoolError::Damaged(_)) => {
                self.unknown = true;
                self.rows(&targets, &listed, now)
            }
            rows => rows,
        };
        let (rows, rings) = rows.map_err(|error| error.to_string())?;
        self.unknown = false;
        let mut known: AHashMap<String, TargetUpstream> = AHashMap::new();
        let shared: Vec<Arc<Target>> = targets.iter().cloned().map(Arc::new).collect();
        for (server, (row, pending)) in listed.iter().zip(&rows) {
            if self.is_upstream(&server.name) {
                continue;
            }
            let upstream = TargetUpstream::start(
                server.name.clone(),
                (Arc::clone(&shared[server.target]), &server.address),
                *row,
                &self.settings,
                &self.spool,
                (&self.sender, &mut self.start_delivery),
                now,
            )?;
            for (delivery, count) in upstream.deliveries.iter().zip(pending) {
                delivery.stats.pending.store(*count, Relaxed);
            }
            known.insert(server.name.clone(), upstream);
        }
        let before = std::mem::take(&mut self.upstreams);
        known.extend(before.into_iter().map(|it| (it.name.clone(), it)));
        self.routes = targets
            .into_iter()
            .zip(rings)
            .map(|(target, rings)| RoutedTarget::new(target, rings))
            .collect();
        for server in &listed {
            if let Some(upstream) = known.remove(&server.name) {
                self.routes[server.target]
                    .numbers
                    .push(self.upstreams.len());
                self.upstreams.push(upstream);
            }
        }
        self.end_unlisted(known.into_values());
        let all = self.upstreams.iter().map(|it| Arc::clone(&it.stats));
        let mut stats = self
            .stats
            .upstreams
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *stats = all.collect();
        drop(stats);
        self.count_rings();
        Ok(())
    }

    fn is_upstream(&self, name: &str) -> bool {
        self.upstreams.iter().any(|upstream| upstream.name == name)
    }

    /// Ends the deliveries to upstreams that are no longer targets.
    fn end_unlisted(&mut self, upstreams: impl Iterator<Item = TargetUpstream>) {
        for mut upstream in upstreams {
            log::info!("{}: no longer a target", upstream.name);
            upstream.end();
            self.leaving.push(upstream);
        }
    }

    /// The rows of the listed servers, with the keys pending in each delivery, and the rings of the targets.
    fn rows(
        &mut self,
        targets: &[Target],
        listed: &[ListedServer],
        now: Now,
    ) -> SpoolResult<(Vec<RowWithPending>, Vec<RingHistory>)> {
        let spool = Arc::clone(&self.spool);
        let deliveries = u16::try_from(self.settings.workers).unwrap_or(u16::MAX);
        let unknown = self.unknown;
        let remember = self.settings.remember_rings;
        let (sequence, known, rings) = spool.write(|group| {
            let sequence = group.number("sequence")?;
            if unknown {
                group.set_number("strict", 1)?;
            }
            let mut known: KnownRows = group.rows()?.into_iter().collect();
            let (rings, renamed) = rings::enter(group, targets, remember)?;
            enter(group, listed, (&mut known, &renamed), deliveries, now)?;
            retire(group, listed, &mut known)?;
            Ok((sequence, known, rings))
        })?;
        self.sequence = self.sequence.max(sequence);
        let mut rows = Vec::new();
        for server in listed {
            let mut row = known[&server.name];
            if row.deliveries != deliveries && !self.is_upstream(&server.name) {
                row = self.divide(&server.name, row, deliveries)?;
            }
            let pending = spool.write(|group| {
                row.delivery_ids()
                    .map(|id| group.len(id))
                    .collect::<SpoolResult<Vec<u64>>>()
            })?;
            if row.since == 0 && pending.iter().any(|count| *count > 0) {
                // The last change recorded before the end is no older than this.
                row.since = sequence;
            }
            rows.push((row, pending));
        }
        Ok((rows, rings))
    }
}

fn listed(targets: &[Target]) -> Vec<ListedServer> {
    let numbered = targets.iter().enumerate();
    let servers = numbered.flat_map(|(number, target)| {
        let servers = target.servers.servers().iter();
        servers.map(move |server| ListedServer {
            name: format!("{} {}", target.name, server.address),
            target: number,
            address: server.address.clone(),
        })
    });
    servers.collect()
}

fn is_listed(listed: &[ListedServer], name: &str) -> bool {
    listed.iter().any(|server| server.name == name)
}

/// Gives each listed server a row. One that comes back, or whose predecessor at the same address had not received
/// everything, has to be flushed first, and so has one that keeps keys of a target that was renamed.
fn enter(
    group: &mut SpoolTransaction<'_>,
    listed: &[ListedServer],
    (known, renamed): (&mut KnownRows, &[(usize, String)]),
    deliveries: u16,
    now: Now,
) -> SpoolResult<()> {
    let strict = group.number("strict")? != 0;
    let mut next = group.number("next")?.max(1);
    let mut missing = Vec::new();
    for (name, row) in known.iter() {
        if !is_listed(listed, name) && misses(group, row)? {
            missing.extend(name.rsplit(' ').next().map(str::to_owned));
        }
    }
    for server in listed {
        let row = known.entry(server.name.clone()).or_insert_with(|| {
            next += 1;
            let of = (server.target, server.address.clone());
            let flush = strict || missing.contains(&server.address) || renamed.contains(&of);
            UpstreamRow {
                id: (next - 1) as u32,
                deliveries,
                flush,
                left: false,
                since: if flush { now.unix } else { 0 },
            }
        });
        if row.left {
            // It has missed all changes since. Its former deliveries may not have ended yet; with another number, their
            // reports are not taken for those of the new ones.
            (row.left, row.flush, row.since) = (false, true, now.unix);
            row.id = next as u32;
            next += 1;
        }
    }
    group.set_number("next", next)
}

/// Drops the pending changes of upstreams that are no longer listed, and writes all rows.
fn retire(
    group: &mut SpoolTransaction<'_>,
    listed: &[ListedServer],
    known: &mut KnownRows,
) -> SpoolResult<()> {
    for (name, row) in known {
        if !is_listed(listed, name) && !row.left {
            row.left = true;
            row.delivery_ids().try_for_each(|id| group.clear(id))?;
            group.clear_again(row.id)?;
        }
        group.set_row(name, row)?;
    }
    Ok(())
}

/// Whether changes are pending for an upstream, even for one that is no longer a target.
fn misses(group: &mut SpoolTransaction<'_>, row: &UpstreamRow) -> SpoolResult<bool> {
    let mut misses = row.left || row.flush || row.since != 0;
    for id in row.delivery_ids() {
        misses = misses || group.len(id)? > 0;
    }
    Ok(misses)
}

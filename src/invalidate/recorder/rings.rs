//! The rings of the targets: read when the lists change, and noted while they are remembered.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::invalidate::message::Now;
use crate::invalidate::recorder::Recorder;
use crate::invalidate::recorder::plan::GroupPlan;
use crate::invalidate::rings::{RingHistory, RingList};
use crate::invalidate::settings::{RINGS_NOTED, Target};
use crate::invalidate::spool::{SpoolResult, SpoolTransaction};

impl Recorder {
    /// Whether the spool should have anew how long rings are still remembered.
    pub(super) fn has_rings_to_note(&self, now: Now) -> bool {
        let often = self.settings.remember_rings / 100;
        now.since(self.rings_noted) >= RINGS_NOTED.min(often)
            && self.routes.iter().any(|target| target.rings.has_past())
    }

    /// Notes in the spool how long rings are still remembered, if enough time has passed or the spool is new.
    pub(super) fn note_rings(
        &self,
        group: &mut SpoolTransaction<'_>,
        plan: &mut GroupPlan,
        now: Now,
    ) -> SpoolResult<()> {
        if !self.unknown && !self.has_rings_to_note(now) {
            return Ok(());
        }
        let mut passed = Vec::new();
        for target in &self.routes {
            let mut rings = target.rings.clone();
            rings.pass(now.since(self.rings_noted));
            group.set_rings(target.name(), &rings)?;
            passed.push(rings);
        }
        plan.rings = Some(passed);
        Ok(())
    }

    /// Takes over the rings that are noted.
    pub(super) fn adopt_rings(&mut self, rings: Vec<RingHistory>, now: Now) {
        self.rings_noted = now.instant;
        for (target, rings) in self.routes.iter_mut().zip(rings) {
            let known = |rings: &RingHistory| (rings.earlier().len(), rings.is_everywhere());
            if known(&rings) != known(&target.rings) {
                let name = target.name();
                log::info!("target {name}: an earlier list of servers is no longer remembered");
                target.adopt(rings);
            } else {
                target.rings = rings;
            }
        }
        self.count_rings();
    }

    /// Puts the number of remembered rings into the statistics.
    pub(super) fn count_rings(&self) {
        let rings = self.routes.iter().map(|it| it.rings.earlier().len() as u64);
        self.stats.rings.store(rings.sum(), Relaxed);
    }
}

/// A server's address, with the number of its target.
type NumberedServer = (usize, String);

/// The rings of these targets, which are recorded as the present ones. Also returns the servers, each with the number of
/// its target, that may hold other keys of a target that is gone, which may be this one by another name.
pub(super) fn enter(
    group: &mut SpoolTransaction<'_>,
    targets: &[Target],
    remember: Duration,
) -> SpoolResult<(Vec<RingHistory>, Vec<NumberedServer>)> {
    let known = group.rings()?;
    let is_target = |name: &str| targets.iter().any(|target| target.name == name);
    let gone = known.iter().filter(|(name, _)| !is_target(name));
    let gone: Vec<&RingHistory> = gone.map(|(_, rings)| rings).collect();
    let (mut histories, mut renamed) = (Vec::new(), Vec::new());
    for (number, target) in targets.iter().enumerate() {
        let ring = RingList::of(target);
        let before = known.iter().find(|(name, _)| *name == target.name);
        let history = match before {
            Some((_, before)) => {
                let mut history = before.clone();
                history.replace(ring, remember);
                history
            }
            None => {
                let servers = target.servers.servers().iter();
                let left =
                    servers.filter(|it| gone.iter().any(|g| g.leaves_keys(&it.address, &ring)));
                renamed.extend(left.map(|it| (number, it.address.clone())));
                RingHistory::new(ring)
            }
        };
        group.set_rings(&target.name, &history)?;
        histories.push(history);
    }
    for (name, _) in known.iter().filter(|(name, _)| !is_target(name)) {
        group.clear_rings(name)?;
    }
    Ok((histories, renamed))
}

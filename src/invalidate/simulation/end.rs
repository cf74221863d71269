//! The end of a simulation: all changes are delivered, and nothing is left.

use std::sync::PoisonError;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::server::CacheBehaviour;
use super::state::{KEYS, Simulation, name};
use crate::invalidate::message::RecorderMessage;
use crate::invalidate::rings::{RingHistory, RingList};
use crate::invalidate::settings::Target;
use crate::invalidate::target::TargetRoutes;

/// Steps after which all changes must have been delivered, once there are no more faults.
const ENOUGH: usize = 20_000;

impl Simulation {
    /// No more faults occur, and all changes are delivered.
    pub(super) fn finish(mut self) -> Result<(), String> {
        for server in &mut self.servers {
            server.behaviour = CacheBehaviour::Well;
        }
        self.memory.set_full(false);
        let mut left = ENOUGH;
        while !self.is_settled() {
            left -= 1;
            if left == 0 {
                return Err(format!("something is left: {}", self.summary()));
            }
            self.go_on()?;
            if self.rng.u8(..8) == 0 {
                self.passed += Duration::from_millis(20);
            }
        }
        self.check()?;
        self.end()
    }

    /// Whether nothing is under way.
    fn is_settled(&self) -> bool {
        let waits = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        let upstreams = &self.running.stats.upstreams;
        let upstreams = upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        waits.is_empty()
            && self.running.inbox.is_empty()
            && self.running.recorder.is_quiet()
            && upstreams.iter().all(|it| {
                it.pending() == 0 && it.state() == "up to date" && !it.flush.load(Relaxed)
            })
            && self.connections.iter().all(|(_, it)| !it.closed)
    }

    fn summary(&self) -> String {
        let upstreams = &self.running.stats.upstreams;
        let upstreams = upstreams.lock().unwrap_or_else(PoisonError::into_inner);
        let states: Vec<String> = upstreams
            .iter()
            .map(|it| format!("{} {} pending", it.state(), it.pending()))
            .collect();
        format!(
            "{} messages, {} connections, {}",
            self.running.inbox.len(),
            self.connections.len(),
            states.join(", ")
        )
    }

    /// Whether every change that was answered has reached every server in the list that may hold its key: the ones that it
    /// had by the list of that time, or by one before.
    fn check(&self) -> Result<(), String> {
        let lists: Vec<&Target> = self.earlier.iter().chain([&self.target]).collect();
        let lists: Vec<TargetRoutes> = lists
            .into_iter()
            .map(|target| {
                let history = RingHistory::new(RingList::of(target));
                TargetRoutes::new(target.clone(), &history)
            })
            .collect();
        let (mut servers, mut owners) = (Vec::new(), Vec::new());
        for (number, change) in self.reported.iter().enumerate().filter(|(_, c)| c.answered) {
            for key in (0..KEYS).filter(|key| change.key.is_none_or(|only| only == *key)) {
                let key = name(key);
                let key = lists[0]
                    .name(key.as_bytes())
                    .ok_or("a key without a name")?;
                owners.clear();
                for list in &lists[..=change.list] {
                    list.servers(&key, &mut servers);
                    owners.extend(servers.iter().map(|it| port(&list.target, *it)));
                }
                let present = 0..self.target.servers.servers().len();
                for server in present.map(|it| port(&self.target, it)) {
                    if owners.contains(&server) {
                        self.check_server(server - 1, &key, (number, change.step))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whether a change has reached a server.
    fn check_server(
        &self,
        server: usize,
        key: &[u8],
        (number, step): (usize, u64),
    ) -> Result<(), String> {
        let changed = self.servers[server].last_change(key);
        let set = self.servers[server].set(key);
        if changed < step || set.is_some_and(|set| set < number as u64) {
            return Err(format!(
                "change {number} of {} at step {step} has not reached server {server}, \
                 whose last change of it was at step {changed}, to {set:?}",
                key.escape_ascii()
            ));
        }
        Ok(())
    }

    /// Ends it in good order; the spool is empty then.
    fn end(mut self) -> Result<(), String> {
        let now = self.now();
        self.running
            .recorder
            .handle(RecorderMessage::Stop(now.instant), now);
        self.running.recorder.end_deliveries();
        let mut left = ENOUGH;
        while !self.deliveries.is_empty() {
            left -= 1;
            if left == 0 {
                return Err("a delivery does not end".to_owned());
            }
            self.go_on()?;
            self.passed += Duration::from_millis(1);
        }
        while let Ok(message) = self.running.inbox.try_recv() {
            self.running.recorder.handle(message, now);
        }
        self.running.recorder.record(now);
        if !self.running.recorder.have_deliveries_ended() {
            return Err("a delivery has not ended".to_owned());
        }
        self.running.recorder.close();
        let (spool, _) = self.memory.open()?;
        let pending = spool.write(|group| {
            let mut pending = Vec::new();
            for (name, row) in group.rows()? {
                // A server that has left the list has missed changes. It is flushed when it comes back.
                if row.left {
                    continue;
                }
                for id in row.delivery_ids() {
                    pending.push((name.clone(), group.len(id)?, row.flush));
                }
            }
            Ok(pending)
        });
        let pending = pending.map_err(|error| error.to_string())?;
        match pending
            .iter()
            .find(|(_, count, flush)| *count > 0 || *flush)
        {
            Some(left) => Err(format!("the spool is not empty: {left:?}")),
            None => Ok(()),
        }
    }
}

/// The port of a server in the list of a target, which is its number from 1.
fn port(target: &Target, server: usize) -> usize {
    let server = &target.servers.servers()[server];
    server.port().parse().expect("the ports are numbers")
}

//! The service's figures, for programs that watch it.

use std::sync::atomic::Ordering::Relaxed;

use super::Resp;
use super::service_state::REDIS_VERSION;
use super::table::{CommandEntry, table};

/// The figures of a command that was called or refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct CommandFigures {
    /// `get`, or `client|list`.
    pub(crate) name: &'static str,
    pub(crate) calls: u64,
    /// The time of all calls together.
    pub(crate) seconds: f64,
    pub(crate) rejected: u64,
    pub(crate) failed: u64,
    /// The calls within each of the bounds that were asked for, and all calls whose latency was counted.
    pub(crate) within: Vec<u64>,
    pub(crate) timed: u64,
}

/// The figures of the service.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RespFigures {
    pub(crate) redis_version: &'static str,
    pub(crate) clients: usize,
    /// Clients whose command waits: for the end of a pause, for the origin, or for memory for its reply.
    pub(crate) blocked_clients: usize,
    /// Milliseconds since the start.
    pub(crate) uptime_ms: u64,
    /// In the order of the table.
    pub(crate) commands: Vec<CommandFigures>,
    /// The number of answers of each error, by its first word.
    pub(crate) errors: Vec<(String, u64)>,
    /// The name of the policy when the store is full.
    pub(crate) policy: &'static str,
}

impl RespFigures {
    /// Calls of all commands.
    pub(crate) fn calls(&self) -> u64 {
        self.commands.iter().map(|of| of.calls).sum()
    }
}

impl Resp {
    /// The figures now. Latencies are counted up to these bounds in nanoseconds.
    pub(crate) fn figures(&self, bounds: &[u64]) -> RespFigures {
        let shared = &self.shared;
        let of_command = |entry: &'static CommandEntry| {
            let counters = &shared.statistics.commands[usize::from(entry.number)];
            CommandFigures {
                name: &entry.name,
                calls: counters.calls.load(Relaxed),
                seconds: counters.nanoseconds.load(Relaxed) as f64 / 1e9,
                rejected: counters.rejected.load(Relaxed),
                failed: counters.failed.load(Relaxed),
                // The total is read last, so that no count of `within` is larger.
                within: counters.latency.calls_within_each(bounds),
                timed: counters.latency.calls(),
            }
        };
        let commands = table().all().map(of_command);
        let errors = shared.statistics.errors().into_iter();
        RespFigures {
            redis_version: REDIS_VERSION,
            clients: shared.clients.len(),
            blocked_clients: shared.clients.blocked(),
            uptime_ms: shared.store.now_ms().saturating_sub(shared.started_ms),
            commands: commands.filter(|of| of.calls + of.rejected > 0).collect(),
            errors: errors
                .map(|(word, count)| (String::from_utf8_lossy(&word).into_owned(), count))
                .collect(),
            policy: shared.maxmemory_policy(),
        }
    }
}

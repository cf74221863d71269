//! The figures that a server has reported at one moment, whatever its protocol.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;

/// Names of a list that are kept, so that no server fills the memory.
const KINDS: usize = 400;

/// Figures that only grow while a server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    Requests,
    Hits,
    Misses,
    Evictions,
    Expired,
    Received,
    Sent,
    Errors,
}

impl Counter {
    pub(super) const ALL: [Counter; 8] = [
        Counter::Requests,
        Counter::Hits,
        Counter::Misses,
        Counter::Evictions,
        Counter::Expired,
        Counter::Received,
        Counter::Sent,
        Counter::Errors,
    ];
}

/// A value for each counter. `None` is a figure that the server doesn't report.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct PerCounter<T>([Option<T>; Counter::ALL.len()]);

impl<T: Copy> PerCounter<T> {
    pub(super) fn none() -> PerCounter<T> {
        PerCounter([None; Counter::ALL.len()])
    }

    pub(super) fn get(&self, counter: Counter) -> Option<T> {
        self.0[counter as usize]
    }

    pub(super) fn set(&mut self, counter: Counter, value: Option<T>) {
        self.0[counter as usize] = value;
    }
}

/// Figures that rise and fall.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Gauges {
    pub(super) memory: Option<u64>,
    /// `None` also without a limit.
    pub(super) memory_limit: Option<u64>,
    pub(super) items: Option<u64>,
    pub(super) connections: Option<u64>,
    pub(super) max_connections: Option<u64>,
}

/// The times of answers, as a server reports them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Latencies {
    /// The median and the 99th percentile since its start, in seconds.
    SinceStart([f64; 2]),
    /// Their numbers since its start, of which those of an interval can be made.
    Counted(Histogram),
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies::SinceStart([0.0; 2])
    }
}

/// One server behind a proxy.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct UpstreamFigures {
    pub(super) address: String,
    /// `up` or `ejected`.
    pub(super) state: String,
    pub(super) connections: u64,
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) in_flight: u64,
    pub(super) latencies: Latencies,
}

/// One server that `larder invalidate` sends deletes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TargetFigures {
    /// Its target and its address.
    pub(super) name: String,
    pub(super) state: String,
    /// Deletes that are not delivered, and the age of the oldest in seconds.
    pub(super) waiting: u64,
    pub(super) oldest: u64,
    pub(super) delivered: u64,
    pub(super) retries: u64,
    pub(super) flushes: u64,
}

/// The requests of one command in one protocol.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CommandFigures {
    pub(super) requests: u64,
    /// Empty if the server reports none.
    pub(super) latencies: Histogram,
}

/// All of it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// `larder`, `memcached`, `redis`, `valkey`, `proxy` or `invalidate`.
    pub(super) program: &'static str,
    pub(super) version: String,
    /// A text that another process doesn't have.
    pub(super) process: String,
    /// Seconds since the start.
    pub(super) uptime: Option<u64>,
    pub(super) counters: PerCounter<u64>,
    pub(super) gauges: Gauges,
    /// Requests by kind.
    pub(super) kinds: BTreeMap<String, u64>,
    /// Requests by protocol, of a server with several.
    pub(super) protocols: BTreeMap<String, u64>,
    /// Requests by protocol and command, from the admin listener.
    pub(super) commands: BTreeMap<(String, String), CommandFigures>,
    /// The latencies of clients' requests in the server, from the admin listener.
    pub(super) latencies: Histogram,
    /// Whether the server is healthy, by its admin listener.
    pub(super) healthy: Option<bool>,
    /// The servers behind a proxy.
    pub(super) upstreams: Vec<UpstreamFigures>,
    /// The servers that get deletes.
    pub(super) targets: Vec<TargetFigures>,
    /// The time from a small request to its reply.
    pub(super) latency: Option<Duration>,
}

impl Reading {
    /// A reading of a program that reports nothing.
    pub(super) fn of(program: &'static str) -> Reading {
        Reading {
            program,
            version: String::new(),
            process: String::new(),
            uptime: None,
            counters: PerCounter::none(),
            gauges: Gauges::default(),
            kinds: BTreeMap::new(),
            protocols: BTreeMap::new(),
            commands: BTreeMap::new(),
            latencies: Histogram::default(),
            healthy: None,
            upstreams: Vec::new(),
            targets: Vec::new(),
            latency: None,
        }
    }

    pub(super) fn with_kinds(
        self,
        kinds: BTreeMap<String, u64>,
        protocols: BTreeMap<String, u64>,
    ) -> Reading {
        Reading {
            kinds,
            protocols,
            ..self
        }
    }

    /// Keeps the first names of each list only.
    pub(super) fn bounded(mut self) -> Reading {
        for names in [&mut self.kinds, &mut self.protocols] {
            while names.len() > KINDS {
                names.pop_last();
            }
        }
        while self.commands.len() > KINDS {
            self.commands.pop_last();
        }
        self.upstreams.truncate(KINDS);
        self.targets.truncate(KINDS);
        self
    }

    /// `larder invalidate` counts the changes that it has recorded, beside the reads that it forwards.
    pub(super) fn with_targets(
        mut self,
        recorded: Option<u64>,
        targets: Vec<TargetFigures>,
    ) -> Reading {
        if let Some(recorded) = recorded {
            let forwarded = self.upstreams.iter().map(|it| it.requests);
            let requests = forwarded.fold(recorded, u64::saturating_add);
            self.program = "invalidate";
            self.counters.set(Counter::Requests, Some(requests));
            self.targets = targets;
        }
        self
    }

    /// A proxy counts the requests that it forwards itself.
    pub(super) fn with_upstreams(mut self, upstreams: Vec<UpstreamFigures>) -> Reading {
        if !upstreams.is_empty() {
            let sum = |figure: fn(&UpstreamFigures) -> u64| {
                upstreams.iter().map(figure).fold(0, u64::saturating_add)
            };
            self.program = "proxy";
            self.counters
                .set(Counter::Requests, Some(sum(|it| it.requests)));
            self.counters
                .set(Counter::Errors, Some(sum(|it| it.errors)));
            self.upstreams = upstreams;
        }
        self
    }
}

/// Names and values that a server has sent.
pub(super) struct Reported<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Reported<'a> {
    pub(super) fn new(pairs: &'a [(String, String)]) -> Reported<'a> {
        let pairs = pairs.iter();
        Reported(pairs.map(|(name, value)| (&**name, &**value)).collect())
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.0.get(name).copied()
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.text(name)?.trim().parse().ok()
    }

    /// The sum of those that are reported; `None` if none is.
    pub(super) fn sum(&self, names: &[&str]) -> Option<u64> {
        let numbers = names.iter().filter_map(|name| self.number(name));
        numbers.reduce(u64::saturating_add)
    }

    /// The names with this beginning, without it, and their values.
    pub(super) fn beginning_with(
        &self,
        begin: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(begin)?, *value)))
    }
}

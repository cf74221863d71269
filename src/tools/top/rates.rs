//! Figures for each second, from two readings of the same server.
//!
//! Invariant: no rate is made of counters that went back, because the server has been restarted or its statistics were reset
//! in between, or one of a proxy's servers is missing in the sum. The next pair of readings has rates again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::histogram::Histogram;
use super::reading::{CommandFigures, Counter, Latencies, PerCounter, Reading, UpstreamFigures};

/// The rates of one interval.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rates {
    pub(super) counters: PerCounter<f64>,
    /// Requests by kind, the most frequent first; kinds without requests are left out.
    pub(super) kinds: Vec<(String, f64)>,
    pub(super) protocols: Vec<(String, f64)>,
    /// Each server behind a proxy, by its address.
    pub(super) upstreams: BTreeMap<String, UpstreamRate>,
    /// Deletes that each server of an invalidation server has confirmed, by its name.
    pub(super) targets: Vec<(String, f64)>,
    /// The most frequent first; those without requests are left out.
    pub(super) commands: Vec<CommandRate>,
    /// The median and the 99th percentile of all requests in the server, in seconds.
    pub(super) latencies: Option<[f64; 2]>,
}

/// A command's requests in a second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CommandRate {
    pub(super) protocol: String,
    pub(super) command: String,
    pub(super) rate: f64,
    /// As those of all requests.
    pub(super) latencies: Option<[f64; 2]>,
}

/// What a server behind a proxy did.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UpstreamRate {
    /// Requests in a second.
    pub(super) requests: f64,
    /// As those of all requests, if the proxy reports their numbers.
    pub(super) latencies: Option<[f64; 2]>,
}

impl Rates {
    /// The rates between two readings. `None` if they can't be compared.
    pub(super) fn between(before: &Reading, after: &Reading, elapsed: Duration) -> Option<Rates> {
        let seconds = elapsed.as_secs_f64();
        let restarted = before.process != after.process || before.uptime > after.uptime;
        if seconds <= 0.0 || restarted {
            return None;
        }
        let rate = |before: u64, after: u64| Some(after.checked_sub(before)? as f64 / seconds);
        let mut counters = PerCounter::none();
        for counter in Counter::ALL {
            if let Some((before, after)) = before
                .counters
                .get(counter)
                .zip(after.counters.get(counter))
            {
                counters.set(counter, Some(rate(before, after)?));
            }
        }
        let of_targets = |reading: &Reading| -> BTreeMap<String, u64> {
            let targets = reading.targets.iter();
            targets.map(|it| (it.name.clone(), it.delivered)).collect()
        };
        let targets = (of_targets(before), of_targets(after));
        Some(Rates {
            counters,
            kinds: named(&before.kinds, &after.kinds, rate)?,
            protocols: named(&before.protocols, &after.protocols, rate)?,
            upstreams: upstreams(before, after, rate)?,
            targets: named(&targets.0, &targets.1, rate)?,
            commands: commands(before, after, rate)?,
            latencies: quantiles(&before.latencies, &after.latencies),
        })
    }

    /// The hits among the reads of this interval; `None` without reads.
    pub(super) fn hit_ratio(&self) -> Option<f64> {
        ratio(
            self.counters.get(Counter::Hits)?,
            self.counters.get(Counter::Misses)?,
        )
    }
}

/// The part of hits; `None` without reads.
pub(super) fn ratio(hits: f64, misses: f64) -> Option<f64> {
    (hits + misses > 0.0).then(|| hits / (hits + misses))
}

/// The median and the 99th percentile of what came between two readings.
fn quantiles(before: &Histogram, after: &Histogram) -> Option<[f64; 2]> {
    let between = after.since(before);
    Some([between.quantile(0.5)?, between.quantile(0.99)?])
}

/// The rates of the servers behind a proxy. One that is new has begun at 0, unless all are new because they were not reported.
fn upstreams(
    before: &Reading,
    after: &Reading,
    rate: impl Fn(u64, u64) -> Option<f64>,
) -> Option<BTreeMap<String, UpstreamRate>> {
    let earlier = before.upstreams.iter().map(|it| (&it.address, it));
    let earlier: BTreeMap<_, _> = earlier.collect();
    let none = UpstreamFigures {
        latencies: Latencies::Counted(Histogram::default()),
        ..UpstreamFigures::default()
    };
    let mut rates = BTreeMap::new();
    for now in after.upstreams.iter().filter(|_| !earlier.is_empty()) {
        let then = earlier.get(&now.address).copied().unwrap_or(&none);
        let upstream = UpstreamRate {
            requests: rate(then.requests, now.requests)?,
            latencies: match (&then.latencies, &now.latencies) {
                (Latencies::Counted(then), Latencies::Counted(now)) => quantiles(then, now),
                _ => None,
            },
        };
        rates.insert(now.address.clone(), upstream);
    }
    Some(rates)
}

/// The rates of commands. One that is new has begun at 0.
fn commands(
    before: &Reading,
    after: &Reading,
    rate: impl Fn(u64, u64) -> Option<f64>,
) -> Option<Vec<CommandRate>> {
    let none = CommandFigures::default();
    let mut rates = Vec::new();
    for (name, now) in &after.commands {
        let then = before.commands.get(name).unwrap_or(&none);
        let rate = rate(then.requests, now.requests)?;
        if rate > 0.0 {
            let (protocol, command) = name.clone();
            rates.push(CommandRate {
                protocol,
                command,
                rate,
                latencies: quantiles(&then.latencies, &now.latencies),
            });
        }
    }
    rates.sort_by(|one, other| other.rate.total_cmp(&one.rate));
    Some(rates)
}

/// The rates above 0, the largest first. A name that is new has begun at 0, unless all are new because they were not reported.
fn named(
    before: &BTreeMap<String, u64>,
    after: &BTreeMap<String, u64>,
    rate: impl Fn(u64, u64) -> Option<f64>,
) -> Option<Vec<(String, f64)>> {
    let mut rates = Vec::new();
    for (name, count) in after.iter().filter(|_| !before.is_empty()) {
        let rate = rate(before.get(name).copied().unwrap_or(0), *count)?;
        if rate > 0.0 {
            rates.push((name.clone(), rate));
        }
    }
    rates.sort_by(|one, other| other.1.total_cmp(&one.1));
    Some(rates)
}

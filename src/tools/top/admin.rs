//! The figures of larder's admin listener: `/metrics` of serve, proxy and invalidate.
//!
//! They are more than the protocols of clients have: each command with its latencies, and those of a proxy's own clients.

use std::collections::BTreeMap;

use super::exposition::{Sample, Samples};
use super::histogram::Histogram;
use super::reading::{
    CommandFigures, Counter, Gauges, Latencies, PerCounter, Reading, TargetFigures, UpstreamFigures,
};
use super::text::printable;

/// Servers of a proxy or an invalidation server that are read, so that no answer costs much time.
const SERVERS: usize = 400;

/// Counters, the family of each, and the value that the label `reason` or `result` of its samples has.
const COUNTERS: [(Counter, &str, &str); 8] = [
    (Counter::Requests, "larder_requests_total", ""),
    (Counter::Hits, "larder_reads_total", "hit"),
    (Counter::Misses, "larder_reads_total", "miss"),
    (Counter::Evictions, "larder_items_removed_total", "evicted"),
    (Counter::Expired, "larder_items_removed_total", "expired"),
    (Counter::Received, "larder_received_bytes_total", ""),
    (Counter::Sent, "larder_sent_bytes_total", ""),
    (Counter::Errors, "larder_request_errors_total", ""),
];

/// The figures in the text of `/metrics`, at a time in seconds since 1970; `None` if they are not larder's.
pub(super) fn reading(text: &str, now: f64) -> Option<Reading> {
    let samples = Samples::of(text);
    let build = samples.named("larder_build_info").next()?;
    let program = match build.label("mode") {
        "proxy" => "proxy",
        "invalidate" => "invalidate",
        _ => "larder",
    };
    let mut counters = PerCounter::none();
    for (counter, family, kind) in COUNTERS {
        let is_of_kind = |sample: &Sample<'_>| {
            kind.is_empty() || [sample.label("reason"), sample.label("result")].contains(&kind)
        };
        counters.set(counter, samples.sum_where(family, is_of_kind));
    }
    let start = samples.named("process_start_time_seconds").next();
    let reading = Reading {
        version: printable(build.label("version"), 20),
        process: start.map_or(String::new(), |start| start.value.to_string()),
        uptime: start.map(|start| (now - start.value) as u64),
        counters,
        gauges: Gauges {
            memory: samples.sum("larder_memory_used_bytes"),
            memory_limit: samples
                .sum("larder_memory_limit_bytes")
                .filter(|limit| *limit > 0),
            items: samples.sum("larder_items"),
            connections: samples.sum("larder_connections"),
            max_connections: samples.sum("larder_connections_max"),
        },
        protocols: protocols(&samples),
        commands: commands(&samples),
        latencies: histogram(samples.named("larder_request_duration_seconds_bucket")),
        healthy: samples.sum("larder_healthy").map(|healthy| healthy == 1),
        upstreams: upstreams(&samples),
        targets: targets(&samples),
        ..Reading::of(program)
    };
    Some(reading.bounded())
}

fn protocols(samples: &Samples<'_>) -> BTreeMap<String, u64> {
    let mut protocols = BTreeMap::new();
    for sample in samples.named("larder_requests_total") {
        let protocol = printable(sample.label("protocol"), 10);
        add(protocols.entry(protocol).or_default(), sample);
    }
    protocols
}

fn commands(samples: &Samples<'_>) -> BTreeMap<(String, String), CommandFigures> {
    let name = |sample: &Sample<'_>| {
        let protocol = printable(sample.label("protocol"), 10);
        (protocol, printable(sample.label("command"), 30))
    };
    let mut commands: BTreeMap<_, CommandFigures> = BTreeMap::new();
    for sample in samples.named("larder_commands_total") {
        add(
            &mut commands.entry(name(sample)).or_default().requests,
            sample,
        );
    }
    for sample in samples.named("larder_command_duration_seconds_bucket") {
        let command = commands.entry(name(sample)).or_default();
        add_bucket(&mut command.latencies, sample);
    }
    commands
}

/// The buckets of all these samples together.
fn histogram<'a>(samples: impl Iterator<Item = &'a Sample<'a>>) -> Histogram {
    let mut histogram = Histogram::default();
    samples.for_each(|sample| add_bucket(&mut histogram, sample));
    histogram
}

fn add(sum: &mut u64, sample: &Sample<'_>) {
    *sum = sum.saturating_add(sample.whole());
}

fn add_bucket(histogram: &mut Histogram, bucket: &Sample<'_>) {
    // `+Inf` and `NaN` are numbers to Rust, too.
    let bound = bucket.label("le").parse::<f64>();
    if let Some(bound) = bound.ok().filter(|bound| !bound.is_nan()) {
        histogram.add(bound, bucket.whole());
    }
}

fn upstreams(samples: &Samples<'_>) -> Vec<UpstreamFigures> {
    let upstreams = samples.named("larder_upstream_up").take(SERVERS).map(|up| {
        let (server, protocol) = (up.label("server"), up.label("protocol"));
        let is_its =
            |it: &Sample<'_>| it.label("server") == server && it.label("protocol") == protocol;
        let sum = |name: &str| samples.sum_where(&format!("larder_upstream_{name}"), is_its);
        let buckets = samples.named("larder_upstream_request_duration_seconds_bucket");
        UpstreamFigures {
            address: printable(server, 60),
            state: if up.value == 1.0 { "up" } else { "ejected" }.to_owned(),
            connections: sum("connections").unwrap_or(0),
            requests: sum("requests_total").unwrap_or(0),
            errors: sum("errors_total").unwrap_or(0),
            in_flight: sum("requests_waiting").unwrap_or(0),
            latencies: Latencies::Counted(histogram(buckets.filter(|sample| is_its(sample)))),
        }
    });
    upstreams.collect()
}

fn targets(samples: &Samples<'_>) -> Vec<TargetFigures> {
    let targets = samples.named("larder_target_up").take(SERVERS).map(|up| {
        let (target, server) = (up.label("target"), up.label("server"));
        let is_its = |it: &Sample<'_>| it.label("target") == target && it.label("server") == server;
        let sum = |name: &str| {
            let sum = samples.sum_where(&format!("larder_target_{name}"), is_its);
            sum.unwrap_or(0)
        };
        let state = match (up.value == 1.0, sum("up_to_date")) {
            (false, _) => "down",
            (true, 0) => "catching up",
            (true, _) => "up to date",
        };
        TargetFigures {
            name: printable(&format!("{target}/{server}"), 60),
            state: state.to_owned(),
            waiting: sum("waiting"),
            oldest: sum("oldest_seconds"),
            delivered: sum("delivered_total"),
            retries: sum("retries_total"),
            flushes: sum("flushes_total"),
        }
    });
    targets.collect()
}

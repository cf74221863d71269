//! The figures of `INFO`, of Redis, Valkey, larder's RESP listener, a proxy and an invalidation server.

use std::collections::BTreeMap;

use super::memcached::PROTOCOLS;
use super::reading::{
    Counter, Gauges, PerCounter, Reading, Reported, TargetFigures, UpstreamFigures,
};
use super::text::printable;

/// Counters by their names in `INFO`.
const COUNTERS: [(Counter, &str); 8] = [
    (Counter::Requests, "total_commands_processed"),
    (Counter::Hits, "keyspace_hits"),
    (Counter::Misses, "keyspace_misses"),
    (Counter::Evictions, "evicted_keys"),
    (Counter::Expired, "expired_keys"),
    (Counter::Received, "total_net_input_bytes"),
    (Counter::Sent, "total_net_output_bytes"),
    (Counter::Errors, "total_error_replies"),
];

/// Programs by the name that gives their version, the particular ones first.
const PROGRAMS: [(&str, &str); 3] = [
    ("larder", "larder_version"),
    ("valkey", "valkey_version"),
    ("redis", "redis_version"),
];

/// The figures in the replies to `INFO`, `INFO commandstats` and, of a proxy, `INFO proxy`.
pub(super) fn reading(
    info: &[(String, String)],
    commands: &[(String, String)],
    proxy: &[(String, String)],
) -> Reading {
    let reported = Reported::new(info);
    let mut counters = PerCounter::none();
    for (counter, name) in COUNTERS {
        counters.set(counter, reported.number(name));
    }
    let mut versions = PROGRAMS.iter().filter_map(|(program, name)| {
        let version = reported.text(name)?;
        Some((*program, printable(version, 20)))
    });
    let (program, version) = versions.next().unwrap_or(("redis", String::new()));
    let commands = Reported::new(commands);
    let kinds: BTreeMap<String, u64> = commands
        .beginning_with("cmdstat_")
        .filter_map(|(name, value)| Some((printable(name, 30), part(value, "calls")?)))
        .collect();
    Reading {
        version,
        process: printable(reported.text("run_id").unwrap_or_default(), 40),
        uptime: reported.number("uptime_in_seconds"),
        counters,
        gauges: Gauges {
            memory: reported.number("used_memory"),
            memory_limit: reported.number("maxmemory").filter(|limit| *limit > 0),
            items: items(&reported),
            connections: reported.number("connected_clients"),
            max_connections: reported.number("maxclients"),
        },
        ..Reading::of(program)
    }
    .with_kinds(kinds, protocols(&reported))
    .with_upstreams(upstreams(&Reported::new(proxy)))
    .with_targets(reported.number("recorded"), targets(&reported))
    .bounded()
}

/// Keys in all databases; 0 if none is listed.
fn items(reported: &Reported<'_>) -> Option<u64> {
    reported.text("redis_version")?;
    let databases = reported
        .beginning_with("db")
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let keys = databases.filter_map(|(_, value)| part(value, "keys"));
    Some(keys.fold(0, u64::saturating_add))
}

/// The requests of larder's memcached listener, and beside them those of this one.
fn protocols(reported: &Reported<'_>) -> BTreeMap<String, u64> {
    let of_memcached = PROTOCOLS.iter().filter_map(|(protocol, name)| {
        let number = reported.number(&format!("memcached_{name}"))?;
        Some(((*protocol).to_owned(), number))
    });
    let mut found: BTreeMap<String, u64> = of_memcached.collect();
    if let (false, Some(requests)) = (
        found.is_empty(),
        reported.number("total_commands_processed"),
    ) {
        found.insert("resp".to_owned(), requests);
    }
    found
}

/// The lists in lines `upstream0:address=…,state=…`, by their number.
fn upstream_lines<'a>(reported: &Reported<'a>) -> Vec<&'a str> {
    let lines = reported.beginning_with("upstream");
    let lines = lines.filter_map(|(number, line)| Some((number.parse::<u32>().ok()?, line)));
    let lines: BTreeMap<u32, &str> = lines.collect();
    lines.into_values().collect()
}

/// The names and values of a line.
fn pairs(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split(',').filter_map(|pair| pair.split_once('='))
}

/// The upstreams.
fn upstreams(reported: &Reported<'_>) -> Vec<UpstreamFigures> {
    let upstreams = upstream_lines(reported).into_iter().map(|line| {
        let mut upstream = UpstreamFigures::default();
        pairs(line).for_each(|(name, value)| upstream.put(name, value));
        upstream
    });
    upstreams.filter(|it| !it.state.is_empty()).collect()
}

/// The servers of `larder invalidate`, whose lines also have their target.
fn targets(reported: &Reported<'_>) -> Vec<TargetFigures> {
    let targets = upstream_lines(reported).into_iter().filter_map(|line| {
        let named = |wanted| pairs(line).find(|(name, _)| *name == wanted).map(|it| it.1);
        let mut figures = TargetFigures {
            name: printable(&format!("{}/{}", named("target")?, named("address")?), 60),
            ..Default::default()
        };
        pairs(line).for_each(|(name, value)| figures.put(name, value));
        Some(figures)
    });
    targets.collect()
}

/// A number in a list such as `keys=3,expires=1`.
fn part(list: &str, name: &str) -> Option<u64> {
    let (_, value) = pairs(list).find(|(found, _)| *found == name)?;
    value.parse().ok()
}

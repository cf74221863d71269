//! The figures of memcached's `stats`, of larder's, of a proxy's, and of an invalidation server's.
//!
//! memcached counts keys of a `get`, not lines. A command that it doesn't count, such as `version` or `stats`, is no request here.

use std::collections::BTreeMap;

use super::reading::{
    Counter, Gauges, Latencies, PerCounter, Reading, Reported, TargetFigures, UpstreamFigures,
};
use super::text::printable;

/// The kinds of requests, and the counters of each.
const KINDS: [(&str, &[&str]); 8] = [
    ("get", &["cmd_get"]),
    ("set", &["cmd_set"]),
    ("touch", &["cmd_touch"]),
    ("delete", &["delete_hits", "delete_misses"]),
    ("incr", &["incr_hits", "incr_misses"]),
    ("decr", &["decr_hits", "decr_misses"]),
    ("flush", &["cmd_flush"]),
    ("me", &["cmd_meta"]),
];

/// The counters by protocol, which only larder has.
pub(super) const PROTOCOLS: [(&str, &str); 4] = [
    ("text", "text_commands"),
    ("meta", "meta_commands"),
    ("binary", "binary_commands"),
    ("udp", "udp_requests"),
];

/// memcached has no counter of all expired items: those found by a get, by a set that needed memory, and by the crawler.
const EXPIRED: [&str; 3] = ["get_expired", "reclaimed", "crawler_reclaimed"];

/// The figures in the replies to `stats` and, of a proxy, to `stats proxy`.
pub(super) fn reading(stats: &[(String, String)], proxy: &[(String, String)]) -> Reading {
    let reported = Reported::new(stats);
    let kinds: BTreeMap<String, u64> = KINDS
        .iter()
        .filter_map(|(kind, names)| Some(((*kind).to_owned(), reported.sum(names)?)))
        .collect();
    let protocols: BTreeMap<String, u64> = PROTOCOLS
        .iter()
        .filter_map(|(protocol, name)| Some(((*protocol).to_owned(), reported.number(name)?)))
        .collect();
    let mut counters = PerCounter::none();
    let all = kinds.values().copied().reduce(u64::saturating_add);
    let expired = reported.number("expired");
    for (counter, value) in [
        (Counter::Requests, all),
        (Counter::Hits, reported.number("get_hits")),
        (Counter::Misses, reported.number("get_misses")),
        (Counter::Evictions, reported.number("evictions")),
        (Counter::Expired, expired.or(reported.sum(&EXPIRED))),
        (Counter::Received, reported.number("bytes_read")),
        (Counter::Sent, reported.number("bytes_written")),
    ] {
        counters.set(counter, value);
    }
    let text = |name: &str| printable(reported.text(name).unwrap_or_default(), 20);
    Reading {
        version: text("version"),
        process: text("pid"),
        uptime: reported.number("uptime"),
        counters,
        gauges: Gauges {
            memory: reported.number("bytes"),
            memory_limit: reported.number("limit_maxbytes").filter(|limit| *limit > 0),
            items: reported.number("curr_items"),
            connections: reported.number("curr_connections"),
            max_connections: reported.number("max_connections"),
        },
        ..Reading::of(match protocols.is_empty() {
            true => "memcached",
            false => "larder",
        })
    }
    .with_kinds(kinds, protocols)
    .with_upstreams(upstreams(proxy))
    .with_targets(reported.number("recorded"), targets(stats))
    .bounded()
}

/// The upstreams in lines `HOST:PORT:NAME value`.
fn upstreams(lines: &[(String, String)]) -> Vec<UpstreamFigures> {
    let mut found: Vec<UpstreamFigures> = Vec::new();
    for (name, value) in lines {
        let Some((address, figure)) = name.rsplit_once(':') else {
            continue;
        };
        let address = printable(address, 60);
        if found.last().is_none_or(|last| last.address != address) {
            found.push(UpstreamFigures {
                address,
                ..Default::default()
            });
        }
        if let Some(upstream) = found.last_mut() {
            upstream.put(figure, value);
        }
    }
    found.retain(|upstream| !upstream.state.is_empty());
    found
}

/// The servers of `larder invalidate` in lines `TARGET/HOST:PORT:NAME value`.
fn targets(lines: &[(String, String)]) -> Vec<TargetFigures> {
    let mut found: Vec<TargetFigures> = Vec::new();
    for (line, value) in lines {
        let Some((name, figure)) = line.rsplit_once(':').filter(|it| it.0.contains('/')) else {
            continue;
        };
        let name = printable(name, 60);
        if found.last().is_none_or(|last| last.name != name) {
            found.push(TargetFigures {
                name,
                ..Default::default()
            });
        }
        if let Some(target) = found.last_mut() {
            target.put(figure, value);
        }
    }
    found.retain(|target| !target.state.is_empty());
    found
}

impl TargetFigures {
    /// A figure of this name; others are ignored.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        let number = || value.parse().unwrap_or(0);
        match name {
            "state" => self.state = printable(value, 20),
            "pending" => self.waiting = number(),
            "oldest_seconds" => self.oldest = number(),
            "delivered" => self.delivered = number(),
            "retries" => self.retries = number(),
            "flushes" => self.flushes = number(),
            _ => {}
        }
    }
}

impl UpstreamFigures {
    /// A figure of this name; others are ignored.
    pub(super) fn put(&mut self, name: &str, value: &str) {
        let number = || value.parse().unwrap_or(0);
        match name {
            "address" => self.address = printable(value, 60),
            "state" => self.state = printable(value, 10),
            "connections" => self.connections = number(),
            "requests" => self.requests = number(),
            "errors" => self.errors = number(),
            "in_flight" => self.in_flight = number(),
            "p50_us" => self.set_latency(0, number()),
            "p99_us" => self.set_latency(1, number()),
            _ => {}
        }
    }

    fn set_latency(&mut self, at: usize, micros: u64) {
        if let Latencies::SinceStart(both) = &mut self.latencies {
            both[at] = micros as f64 / 1e6;
        }
    }
}

//! The figures of the servers behind a proxy, and of those to which `larder invalidate` forwards reads. Both have the same names;
//! those of `larder invalidate` also have the protocol of the listener as a label.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::{LatencyCounts, Upstream};
use crate::proxy::Monitor;

use super::connections::with_protocol;
use super::exposition::{HistogramFigures, Kind, Metrics};

/// Upper bounds of latencies, in microseconds.
pub(super) const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// Writes the figures of the servers of proxies, each with the protocol of its listener; without a name it is the only one.
pub(super) fn write(metrics: &mut Metrics, proxies: &[(&str, &Monitor)]) {
    let mut all = Vec::new();
    for (protocol, proxy) in proxies {
        let upstreams = proxy.upstreams().into_iter();
        all.extend(upstreams.map(|upstream| (*protocol, upstream)));
    }
    for (name, kind, help, figure) in FIGURES {
        let mut family = metrics.family(name, kind, help);
        for (protocol, upstream) in &all {
            with_protocol(protocol, &[("server", &upstream.address)], |labels| {
                family.sample(labels, figure(upstream));
            });
        }
    }
    let help = "Time from sending a request to the server, or from queueing it for a connection, to its whole answer, in seconds.";
    let name = "larder_upstream_request_duration_seconds";
    let mut family = metrics.family(name, Kind::Histogram, help);
    for (protocol, upstream) in &all {
        let figures = histogram(&upstream.counters.latency.counts(&BOUNDS));
        with_protocol(protocol, &[("server", &upstream.address)], |labels| {
            family.histogram(labels, &figures);
        });
    }
}

/// The histogram of latencies that were counted up to each of the [`BOUNDS`].
pub(super) fn histogram(counts: &LatencyCounts) -> HistogramFigures {
    let seconds = |micros: u64| micros as f64 / 1e6;
    let within = counts.within.iter().copied();
    HistogramFigures {
        buckets: BOUNDS.into_iter().map(seconds).zip(within).collect(),
        count: counts.all,
        sum: seconds(counts.sum),
    }
}

/// A figure of an upstream.
type Figure = (&'static str, Kind, &'static str, fn(&Arc<Upstream>) -> u64);

const FIGURES: [Figure; 8] = [
    (
        "larder_upstream_up",
        Kind::Gauge,
        "Whether the server gets requests: 1, or 0 while it is ejected after errors.",
        |upstream| u64::from(!upstream.health.is_ejected()),
    ),
    (
        "larder_upstream_requests_total",
        Kind::Counter,
        "Requests for the server. A request of a client for keys of several servers counts at each.",
        |upstream| upstream.counters.requests.load(Relaxed),
    ),
    (
        "larder_upstream_errors_total",
        Kind::Counter,
        "Requests for the server that it did not answer: it was ejected, its connection broke, or its answer was late. The \
         client got an error of the proxy. Errors in the server's own answers are not counted here.",
        |upstream| upstream.counters.errors.load(Relaxed),
    ),
    (
        "larder_upstream_repeats_total",
        Kind::Counter,
        "Reads that were sent again, because their connection broke before the answer.",
        |upstream| upstream.counters.repeats.load(Relaxed),
    ),
    (
        "larder_upstream_redirects_total",
        Kind::Counter,
        "Requests that the server, a node of a Redis Cluster, sent on to another node (MOVED and ASK).",
        |upstream| upstream.counters.redirects.load(Relaxed),
    ),
    (
        "larder_upstream_ejections_total",
        Kind::Counter,
        "How often the server was ejected after errors, so that it got no requests for a while.",
        |upstream| upstream.health.ejections(),
    ),
    (
        "larder_upstream_requests_waiting",
        Kind::Gauge,
        "Requests that were sent or queued for the server and are not yet answered.",
        |upstream| upstream.counters.in_flight.load(Relaxed) as u64,
    ),
    (
        "larder_upstream_connections",
        Kind::Gauge,
        "Connections to the server that are open or being made.",
        |upstream| upstream.counters.connections.load(Relaxed) as u64,
    ),
];

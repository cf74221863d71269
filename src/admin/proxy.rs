//! The figures of `larder proxy`: its clients and its upstreams.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use crate::pool::Upstream;
use crate::proxy::Monitor;
use crate::server::Handle;

use super::connections;
use super::exposition::{HistogramFigures, Kind, Metrics};
use super::monitored::Monitored;

/// Upper bounds of latencies, in microseconds.
const BOUNDS: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// A proxy.
pub(crate) struct MonitoredProxy {
    pub(crate) proxy: Monitor,
    pub(crate) handle: Handle,
}

impl Monitored for MonitoredProxy {
    fn mode(&self) -> &'static str {
        "proxy"
    }

    fn health(&self) -> Result<(), String> {
        if self.handle.is_ending() {
            return Err(connections::ENDING.into());
        }
        let upstreams = self.proxy.upstreams();
        if upstreams.iter().any(is_up) {
            return Ok(());
        }
        Err(match &upstreams[..] {
            [] => "there is no server to forward to".into(),
            [one] => format!("the server {} is ejected after errors", one.address),
            all => format!("all {} servers are ejected after errors", all.len()),
        })
    }

    fn write(&self, metrics: &mut Metrics) {
        connections::write(metrics, &[("", self.proxy.connections())]);
        let [now, most] = self.proxy.dedicated();
        let help = "Connections to servers that clients have for themselves.";
        metrics.gauge("larder_own_connections", help, now);
        let help = "The most of them: --own-connections.";
        metrics.gauge("larder_own_connections_max", help, most);
        let upstreams = self.proxy.upstreams();
        for (name, kind, help, figure) in FIGURES {
            let mut family = metrics.family(name, kind, help);
            for upstream in &upstreams {
                family.sample(&[("server", &upstream.address)], figure(upstream));
            }
        }
        let help = "Time from a request to its answer, in seconds.";
        let name = "larder_upstream_request_duration_seconds";
        let mut family = metrics.family(name, Kind::Histogram, help);
        for upstream in &upstreams {
            let labels = [("server", &upstream.address[..])];
            family.histogram(&labels, &latency(upstream));
        }
    }
}

fn is_up(upstream: &Arc<Upstream>) -> bool {
    !upstream.health.is_ejected()
}

fn latency(upstream: &Upstream) -> HistogramFigures {
    let counts = upstream.counters.latency.counts(&BOUNDS);
    let seconds = |micros: u64| micros as f64 / 1e6;
    HistogramFigures {
        buckets: BOUNDS.into_iter().map(seconds).zip(counts.within).collect(),
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
        "Whether the server gets requests; 0 while it is ejected after errors.",
        |upstream| u64::from(is_up(upstream)),
    ),
    (
        "larder_upstream_requests_total",
        Kind::Counter,
        "Requests for the server.",
        |upstream| upstream.counters.requests.load(Relaxed),
    ),
    (
        "larder_upstream_errors_total",
        Kind::Counter,
        "Requests that got an error of the proxy in place of an answer.",
        |upstream| upstream.counters.errors.load(Relaxed),
    ),
    (
        "larder_upstream_repeats_total",
        Kind::Counter,
        "Requests that were sent again after their connection broke.",
        |upstream| upstream.counters.repeats.load(Relaxed),
    ),
    (
        "larder_upstream_redirects_total",
        Kind::Counter,
        "Requests that the server of a cluster redirected.",
        |upstream| upstream.counters.redirects.load(Relaxed),
    ),
    (
        "larder_upstream_ejections_total",
        Kind::Counter,
        "Ejections of the server after errors.",
        |upstream| upstream.health.ejections(),
    ),
    (
        "larder_upstream_requests_waiting",
        Kind::Gauge,
        "Requests without their answer.",
        |upstream| upstream.counters.in_flight.load(Relaxed) as u64,
    ),
    (
        "larder_upstream_connections",
        Kind::Gauge,
        "Connections to the server that are open or being made.",
        |upstream| upstream.counters.connections.load(Relaxed) as u64,
    ),
];

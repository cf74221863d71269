//! The figures of `larder invalidate`: accepted, delivered and waiting changes.

use crate::invalidate::{Monitor, TargetFigures};

use super::client_requests;
use super::connections;
use super::exposition::{Kind, Metrics};
use super::monitored::Monitored;
use super::upstreams;

/// An invalidation server.
pub(crate) struct MonitoredInvalidation(pub(crate) Monitor);

impl Monitored for MonitoredInvalidation {
    fn mode(&self) -> &'static str {
        "invalidate"
    }

    /// A server that is down is no reason: its changes wait in the spool.
    fn health(&self) -> Result<(), String> {
        if self.0.is_ending() {
            return Err(connections::ENDING.into());
        }
        self.0.figures().problem.map_or(Ok(()), Err)
    }

    fn write(&self, metrics: &mut Metrics) {
        let proxies = self.0.proxies();
        let named = proxies.iter().map(|proxy| (proxy.protocol().name(), proxy));
        let named: Vec<_> = named.collect();
        let sets = named
            .iter()
            .map(|(name, proxy)| (*name, proxy.connections()));
        connections::write(metrics, &sets.collect::<Vec<_>>());
        client_requests::write(metrics, &proxies.iter().collect::<Vec<_>>());
        upstreams::write(metrics, &named);
        let figures = self.0.figures();
        for (name, help, value) in [
            (
                "larder_invalidations_accepted_total",
                "Changes of keys that clients reported and that were recorded in the spool and acknowledged.",
                figures.recorded,
            ),
            (
                "larder_invalidations_refused_total",
                "Changes of keys that could not be recorded in the spool and were answered with an error.",
                figures.refused,
            ),
            (
                "larder_invalidations_refused_noreply_total",
                "Refused changes whose client wanted no answer (noreply, quiet), and so did not see the error.",
                figures.refused_quiet,
            ),
            (
                "larder_spool_commits_total",
                "Transactions that were written to the spool; one may have the changes of many clients.",
                figures.commits,
            ),
        ] {
            metrics.counter(name, help, value);
        }
        let writable = u8::from(figures.problem.is_none());
        let help = "Whether the spool can be written: 1, or 0 while the disk is full or broken.";
        metrics.gauge("larder_spool_writable", help, writable);
        for (name, kind, help, figure) in FIGURES {
            let mut family = metrics.family(name, kind, help);
            for target in &figures.targets {
                let labels = [
                    ("target", &target.target[..]),
                    ("server", &target.address[..]),
                ];
                family.sample(&labels, figure(target));
            }
        }
    }
}

/// A figure of a server.
type Figure = (&'static str, Kind, &'static str, fn(&TargetFigures) -> u64);

const FIGURES: [Figure; 8] = [
    (
        "larder_target_up",
        Kind::Gauge,
        "Whether there is a connection to the server for deletes: 1 or 0.",
        |target| u64::from(target.is_up),
    ),
    (
        "larder_target_up_to_date",
        Kind::Gauge,
        "Whether the server gets changes as they are recorded; 0 while it is down, flushed, or sent what waited.",
        |target| u64::from(target.is_up_to_date),
    ),
    (
        "larder_target_waiting",
        Kind::Gauge,
        "Keys whose delete waits for the server.",
        |target| target.pending,
    ),
    (
        "larder_target_oldest_seconds",
        Kind::Gauge,
        "Age in seconds of the oldest change that the server has not confirmed; 0 if there is none.",
        |target| target.oldest_seconds,
    ),
    (
        "larder_target_delivered_total",
        Kind::Counter,
        "Deletes that the server has confirmed.",
        |target| target.delivered,
    ),
    (
        "larder_target_retries_total",
        Kind::Counter,
        "Deletes that were sent again, because their connection broke before the server confirmed them.",
        |target| target.retries,
    ),
    (
        "larder_target_flushes_total",
        Kind::Counter,
        "Flushes of the whole server, because it had missed changes that are no longer known.",
        |target| target.flushes,
    ),
    (
        "larder_target_undeliverable_total",
        Kind::Counter,
        "Changes of keys that the server can't be sent a delete of, because its protocol can't carry the key. It may serve old values.",
        |target| target.undeliverable,
    ),
];

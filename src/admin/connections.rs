//! The figures of connections, the same for serve, proxy and invalidate.

use std::sync::Arc;

use crate::server::Connections;

use super::exposition::{Kind, Labels, Metrics};

/// The reason why a program that ends is not healthy.
pub(super) const ENDING: &str =
    "larder ends: requests in flight are answered, and no new clients are accepted";

/// A figure of a set of connections.
type Figure = (&'static str, Kind, &'static str, fn(&Connections) -> u64);

const FIGURES: [Figure; 5] = [
    (
        "larder_connections_max",
        Kind::Gauge,
        "Connections of clients that may be open at a time: --max-connections.",
        |set| set.max() as u64,
    ),
    (
        "larder_connections_accepted_total",
        Kind::Counter,
        "Connections of clients that were accepted.",
        Connections::total,
    ),
    (
        "larder_connections_refused_total",
        Kind::Counter,
        "Connections of clients that were refused with an error, because --max-connections were open.",
        Connections::rejected,
    ),
    (
        "larder_received_bytes_total",
        Kind::Counter,
        "Bytes received from clients.",
        Connections::bytes_read,
    ),
    (
        "larder_sent_bytes_total",
        Kind::Counter,
        "Bytes sent to clients.",
        Connections::bytes_written,
    ),
];

/// Writes the figures of sets of connections, each with the protocol of its listener; without a name it is the only one.
pub(super) fn write(metrics: &mut Metrics, sets: &[(&str, &Arc<Connections>)]) {
    let help = "Open connections of clients by state. quiet: between requests; receiving: a value or a large request is on its \
                way; unread: the client has not read its reply; parked: the reply waits for memory.";
    let mut family = metrics.family("larder_connections", Kind::Gauge, help);
    for (protocol, set) in sets {
        let states = set.states();
        for (state, count) in [
            ("quiet", states.quiet),
            ("receiving", states.receiving),
            ("unread", states.unread),
            ("parked", states.parked),
        ] {
            with_protocol(protocol, &[("state", state)], |labels| {
                family.sample(labels, count);
            });
        }
    }
    for (name, kind, help, figure) in FIGURES {
        let mut family = metrics.family(name, kind, help);
        for (protocol, set) in sets {
            with_protocol(protocol, &[], |labels| {
                family.sample(labels, figure(set));
            });
        }
    }
    let help = "Connections of clients that larder has closed. idle: nothing passed for --idle-timeout; reply_memory: the client \
         did not read its replies, and the memory for replies was short.";
    let mut family = metrics.family("larder_connections_closed_total", Kind::Counter, help);
    for (protocol, set) in sets {
        for (reason, count) in [
            ("idle", set.idle_closed()),
            ("reply_memory", set.closed_for_replies()),
        ] {
            with_protocol(protocol, &[("reason", reason)], |labels| {
                family.sample(labels, count);
            });
        }
    }
}

/// Calls `write` with the labels, behind that of a protocol that has a name.
pub(super) fn with_protocol(protocol: &str, labels: Labels<'_>, write: impl FnOnce(Labels<'_>)) {
    match protocol {
        "" => write(labels),
        protocol => write(&[&[("protocol", protocol)], labels].concat()),
    }
}

/// Writes the figures of the memory for replies, which only a server with a store bounds.
pub(super) fn write_reply_memory(metrics: &mut Metrics, connections: &Connections) {
    metrics.gauge(
        "larder_reply_memory_used_bytes",
        "Memory of large replies, of replies that clients have not read, and of unfinished requests, in bytes.",
        connections.reply_memory(),
    );
    let help = "Memory that these replies and requests may take: --max-reply-memory, in bytes.";
    metrics.gauge(
        "larder_reply_memory_limit_bytes",
        help,
        connections.max_reply_memory(),
    );
    let help =
        "Replies that had to wait for memory, because larder_reply_memory_limit_bytes were in use.";
    metrics.counter(
        "larder_reply_memory_waits_total",
        help,
        connections.reply_waits(),
    );
}

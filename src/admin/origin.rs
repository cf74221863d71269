//! The figures of an origin and of peers. They have the names of `stats` and INFO, behind `larder_`.

use super::exposition::{Kind, Metrics};

/// Writes the figures of these names.
pub(super) fn write(metrics: &mut Metrics, statistics: &[(&'static str, u64)]) {
    for (name, value) in statistics {
        let Some((_, kind, help)) = FIGURES.iter().find(|(of, _, _)| of == name) else {
            debug_assert!(false, "{name} has no help");
            continue;
        };
        let end = match kind {
            Kind::Counter => "_total",
            _ => "",
        };
        let name = format!("larder_{name}{end}");
        metrics.family(&name, *kind, help).sample(&[], value);
    }
}

/// The name in `stats`, the type, and the help of each.
const FIGURES: [(&str, Kind, &str); 34] = [
    (
        "origin_fetches",
        Kind::Counter,
        "Requests that larder sent to the origin, to fetch a value that it did not have.",
    ),
    (
        "origin_found",
        Kind::Counter,
        "Fetches that returned a value, which was stored.",
    ),
    (
        "origin_missing",
        Kind::Counter,
        "Fetches of keys that the origin does not have either; their reads are misses.",
    ),
    (
        "origin_overtaken",
        Kind::Counter,
        "Fetches whose value was dropped, because a client had written or deleted the key meanwhile.",
    ),
    (
        "origin_timeouts",
        Kind::Counter,
        "Fetches that took longer than --origin-timeout and failed.",
    ),
    (
        "origin_unavailable",
        Kind::Counter,
        "Fetches that failed because the origin could not be reached or started, or broke off.",
    ),
    (
        "origin_errors",
        Kind::Counter,
        "Fetches that the origin answered with an error.",
    ),
    (
        "origin_too_large",
        Kind::Counter,
        "Fetches of values that are larger than --max-item-size, which were not stored.",
    ),
    (
        "origin_queue_full",
        Kind::Counter,
        "Reads that missed at once, because too many fetches waited already.",
    ),
    (
        "origin_refreshes",
        Kind::Counter,
        "Fetches that renew an item which is served in its stale state meanwhile.",
    ),
    (
        "origin_waits",
        Kind::Counter,
        "Commands that waited for a fetch.",
    ),
    (
        "origin_queued",
        Kind::Gauge,
        "Fetches that wait for a free thread now.",
    ),
    (
        "origin_under_way",
        Kind::Gauge,
        "Fetches that the origin works on now.",
    ),
    (
        "origin_remembered",
        Kind::Gauge,
        "Keys that are not asked for again for a while, because the origin did not have them or failed.",
    ),
    (
        "peer_nodes",
        Kind::Gauge,
        "Nodes in the list of peers, this one included.",
    ),
    (
        "peer_nodes_skipped",
        Kind::Gauge,
        "Nodes of the list that get no requests now, because they failed.",
    ),
    (
        "peer_fetches",
        Kind::Counter,
        "Reads for which this node asked the owner of the key.",
    ),
    (
        "peer_found",
        Kind::Counter,
        "Such reads for which the owner had a value, of which this node keeps a copy for a while.",
    ),
    (
        "peer_missing",
        Kind::Counter,
        "Such reads for which the owner had no value.",
    ),
    (
        "peer_forwards",
        Kind::Counter,
        "Commands that change a key and were sent to its owner.",
    ),
    (
        "peer_failures",
        Kind::Counter,
        "Commands sent to an owner that did not answer; they may have been executed.",
    ),
    (
        "peer_errors",
        Kind::Counter,
        "Reads and commands that a peer answered with an error.",
    ),
    (
        "peer_wrong_replies",
        Kind::Counter,
        "Replies of peers that were malformed, or belonged to another request or key.",
    ),
    (
        "peer_timeouts",
        Kind::Counter,
        "Requests to peers that were not answered in time.",
    ),
    (
        "peer_unavailable",
        Kind::Counter,
        "Requests to peers for which there was no connection, or that lost it.",
    ),
    (
        "peer_queue_full",
        Kind::Counter,
        "Commands that were refused because too many waited for their owner.",
    ),
    (
        "peer_refused",
        Kind::Counter,
        "Commands that were refused because another node owns their key, and only the owner can execute them.",
    ),
    (
        "peer_requests",
        Kind::Counter,
        "Requests that other nodes sent to this one.",
    ),
    (
        "peer_not_mine",
        Kind::Counter,
        "Requests of other nodes for keys of which this node is not the owner by its own list.",
    ),
    (
        "peer_lists_differ",
        Kind::Counter,
        "Requests of other nodes whose list of peers differs from this node's.",
    ),
    (
        "peer_loops",
        Kind::Counter,
        "Requests that came back to the node which had sent them.",
    ),
    (
        "peer_changes_sent",
        Kind::Counter,
        "News of changed keys that were sent to other nodes, a key for each node.",
    ),
    (
        "peer_changes_lost",
        Kind::Counter,
        "News of changed keys that a node was not sent, because too many waited; it may serve its copy until that expires.",
    ),
    (
        "peer_changes_waiting",
        Kind::Gauge,
        "News of changed keys that wait to be sent to other nodes now.",
    ),
];

//! The figures under the names that prometheus's memcached_exporter gives them, so that dashboards for it work.

use crate::server::Connections;
use crate::service::memcached::Memcached;
use crate::store::StoreStats;

use super::exposition::{Kind, Metrics};
use super::process;

/// Commands whose counts end with `_hits` and `_misses`.
const WITH_MISSES: [&str; 6] = ["get", "delete", "incr", "decr", "cas", "touch"];

/// Writes all of them.
pub(super) fn write(
    metrics: &mut Metrics,
    service: &Memcached,
    connections: &Connections,
    stats: &StoreStats,
) {
    metrics.gauge("memcached_up", "Always 1: larder answers.", 1);
    let seconds = service.uptime_ms() / 1000;
    let help = "Seconds since the start.";
    metrics.gauge("memcached_uptime_seconds", help, seconds);
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    metrics
        .family(
            "memcached_version",
            Kind::Gauge,
            "The version of larder, as a label; always 1.",
        )
        .sample(&version, 1);
    let [user, system] = process::processor_times().map(|time| time.as_secs_f64());
    metrics.counter(
        "memcached_process_user_cpu_seconds_total",
        "Processor time that larder used in its own code, in seconds.",
        user,
    );
    metrics.counter(
        "memcached_process_system_cpu_seconds_total",
        "Processor time that the system used for larder, in seconds.",
        system,
    );
    commands(metrics, service);
    of_connections(metrics, service, connections);
    of_items(metrics, service, stats);
}

fn commands(metrics: &mut Metrics, service: &Memcached) {
    let help = "Keys of commands of memcached's protocols by result: hit: found or stored; miss: not there; badval: changed meanwhile.";
    let mut family = metrics.family("memcached_commands_total", Kind::Counter, help);
    for command in WITH_MISSES {
        for (status, end) in [("hit", "hits"), ("miss", "misses")] {
            let count = service.count(&format!("{command}_{end}"));
            family.sample(&[("command", command), ("status", status)], count);
        }
    }
    let badval = service.count("cas_badval");
    family.sample(&[("command", "cas"), ("status", "badval")], badval);
    // cmd_set counts cas as well.
    let cas = badval + service.count("cas_hits") + service.count("cas_misses");
    let set = service.count("cmd_set").saturating_sub(cas);
    family.sample(&[("command", "set"), ("status", "hit")], set);
    let flush = service.count("cmd_flush");
    family.sample(&[("command", "flush"), ("status", "hit")], flush);
}

fn of_connections(metrics: &mut Metrics, service: &Memcached, connections: &Connections) {
    for (name, help, value) in [
        (
            "memcached_current_connections",
            "Open connections, of all protocols.",
            connections.current() as u64,
        ),
        (
            "memcached_max_connections",
            "Connections that may be open.",
            connections.max() as u64,
        ),
        (
            "memcached_accepting_connections",
            "Always 1: larder refuses connections beyond the limit one by one.",
            1,
        ),
    ] {
        metrics.gauge(name, help, value);
    }
    for (name, help, value) in [
        (
            "memcached_connections_total",
            "Connections that were accepted.",
            connections.total(),
        ),
        (
            "memcached_connections_rejected_total",
            "Connections that were refused because too many were open.",
            connections.rejected(),
        ),
        (
            "memcached_connections_yielded_total",
            "Turns of connections that ended before all their requests were answered, so that others got theirs.",
            service.count("conn_yields"),
        ),
        (
            "memcached_read_bytes_total",
            "Bytes received from clients.",
            connections.bytes_read(),
        ),
        (
            "memcached_written_bytes_total",
            "Bytes sent to clients.",
            connections.bytes_written(),
        ),
    ] {
        metrics.counter(name, help, value);
    }
}

fn of_items(metrics: &mut Metrics, service: &Memcached, stats: &StoreStats) {
    for (name, help, value) in [
        (
            "memcached_current_bytes",
            "Memory that items take, with the store's overhead, in bytes.",
            stats.bytes,
        ),
        (
            "memcached_limit_bytes",
            "Memory that items may take before others are evicted, in bytes.",
            stats.limit,
        ),
        (
            "memcached_malloced_bytes",
            "The same as memcached_current_bytes: larder has no slabs that could be larger.",
            stats.bytes,
        ),
        (
            "memcached_current_items",
            "Items in the cache.",
            stats.items,
        ),
    ] {
        metrics.gauge(name, help, value);
    }
    for (name, help, value) in [
        (
            "memcached_items_total",
            "Items that clients stored.",
            stats.total_items,
        ),
        (
            "memcached_items_evicted_total",
            "Items that were removed to make room.",
            stats.evictions,
        ),
        (
            "memcached_items_reclaimed_total",
            "Expired items that were removed to make room.",
            stats.reclaimed,
        ),
        (
            "memcached_direct_reclaims_total",
            "Items that a write removed to make room, evicted or expired.",
            stats.evictions + stats.reclaimed,
        ),
        (
            "memcached_item_too_large_total",
            "Items that were not stored because they were too large.",
            service.count("store_too_large"),
        ),
        (
            "memcached_item_no_memory_total",
            "Items that were not stored because there was no memory.",
            service.count("store_no_memory"),
        ),
    ] {
        metrics.counter(name, help, value);
    }
}

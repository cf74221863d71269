//! The figures under the names that oliver006's redis_exporter gives them, so that dashboards for it work.

use crate::server::Connections;
use crate::service::resp::{CommandFigures, RespFigures};
use crate::store::{DATABASES, Store, StoreStats};

use super::exposition::{Kind, Metrics};
use super::process;

/// Writes all of them.
pub(super) fn write(
    metrics: &mut Metrics,
    figures: &RespFigures,
    (store, stats): (&Store, &StoreStats),
    connections: &Connections,
) {
    metrics.gauge("redis_up", "Always 1: larder answers.", 1);
    let info = [
        ("role", "master"),
        ("redis_version", figures.redis_version),
        ("redis_mode", "standalone"),
        ("os", std::env::consts::OS),
        ("maxmemory_policy", figures.policy),
    ];
    metrics
        .family("redis_instance_info", Kind::Gauge, "Facts about the server, as labels; always 1. redis_version is the version of Redis whose commands it has.")
        .sample(&info, 1);
    let sources = Sources {
        figures,
        stats,
        connections,
    };
    of_server(metrics, &sources);
    of_commands(metrics, figures);
    keyspace(metrics, store);
}

/// The sources of the figures of the server.
struct Sources<'a> {
    figures: &'a RespFigures,
    stats: &'a StoreStats,
    connections: &'a Connections,
}

/// A figure of the server.
type ServerFigure = (&'static str, &'static str, fn(&Sources<'_>) -> u64);

const GAUGES: [ServerFigure; 7] = [
    (
        "redis_uptime_in_seconds",
        "Seconds since the start.",
        |of| of.figures.uptime_ms / 1000,
    ),
    (
        "redis_connected_clients",
        "Open connections of RESP clients.",
        |of| of.figures.clients as u64,
    ),
    (
        "redis_blocked_clients",
        "RESP clients whose command waits for a pause, the origin or memory.",
        |of| of.figures.blocked_clients as u64,
    ),
    (
        "redis_config_maxclients",
        "Connections that may be open.",
        |of| of.connections.max() as u64,
    ),
    (
        "redis_memory_used_bytes",
        "Memory that items take, with the store's overhead, in bytes.",
        |of| of.stats.bytes,
    ),
    (
        "redis_memory_max_bytes",
        "Memory that items may take before others are evicted, in bytes.",
        |of| of.stats.limit,
    ),
    (
        "redis_connected_slaves",
        "Always 0: there are no replicas.",
        |_| 0,
    ),
];

const COUNTERS: [ServerFigure; 9] = [
    (
        "redis_connections_received_total",
        "Connections that were accepted, of all protocols.",
        |of| of.connections.total(),
    ),
    (
        "redis_rejected_connections_total",
        "Connections that were refused because too many were open.",
        |of| of.connections.rejected(),
    ),
    (
        "redis_commands_processed_total",
        "Commands of clients that speak RESP.",
        |of| of.figures.calls(),
    ),
    (
        "redis_net_input_bytes_total",
        "Bytes received from clients.",
        |of| of.connections.bytes_read(),
    ),
    (
        "redis_net_output_bytes_total",
        "Bytes sent to clients.",
        |of| of.connections.bytes_written(),
    ),
    (
        "redis_keyspace_hits_total",
        "Reads that found their item, of all protocols.",
        |of| of.stats.hits,
    ),
    (
        "redis_keyspace_misses_total",
        "Reads that found none, of all protocols.",
        |of| of.stats.misses,
    ),
    (
        "redis_expired_keys_total",
        "Items that were removed because they had expired.",
        |of| of.stats.expired,
    ),
    (
        "redis_evicted_keys_total",
        "Items that were removed to make room.",
        |of| of.stats.evictions,
    ),
];

fn of_server(metrics: &mut Metrics, sources: &Sources<'_>) {
    for (figures, kind) in [(&GAUGES[..], Kind::Gauge), (&COUNTERS[..], Kind::Counter)] {
        for (name, help, figure) in figures {
            metrics.one(name, kind, help, figure(sources));
        }
    }
    let [user, system] = process::processor_times().map(|time| time.as_secs_f64());
    let help = "Processor time that larder used in its own code, in seconds.";
    metrics.counter("redis_cpu_user_seconds_total", help, user);
    let help = "Processor time that the system used for larder, in seconds.";
    metrics.counter("redis_cpu_sys_seconds_total", help, system);
    if let Some(resident) = process::resident_bytes() {
        let help = "Memory of the process that is in RAM, in bytes.";
        metrics.gauge("redis_memory_used_rss_bytes", help, resident);
        let ratio = resident as f64 / sources.stats.bytes.max(1) as f64;
        let help =
            "That memory as a multiple of redis_memory_used_bytes; without items it says nothing.";
        metrics.gauge("redis_mem_fragmentation_ratio", help, ratio);
    }
    let help = "Start of the process, in seconds since 1970.";
    metrics.gauge("redis_start_time_seconds", help, process::note_start());
}

/// A figure of a command.
type Figure = (&'static str, &'static str, fn(&CommandFigures) -> f64);

fn of_commands(metrics: &mut Metrics, figures: &RespFigures) {
    let of_each: [Figure; 4] = [
        ("redis_commands_total", "Calls of each command.", |of| {
            of.calls as f64
        }),
        (
            "redis_commands_duration_seconds_total",
            "Time in the server of all calls of each command together, in seconds.",
            |of| of.seconds,
        ),
        (
            "redis_commands_rejected_calls_total",
            "Calls of each command that were refused before it ran.",
            |of| of.rejected as f64,
        ),
        (
            "redis_commands_failed_calls_total",
            "Calls of each command that were answered with an error.",
            |of| of.failed as f64,
        ),
    ];
    for (name, help, figure) in of_each {
        let mut family = metrics.family(name, Kind::Counter, help);
        for command in &figures.commands {
            family.sample(&[("cmd", command.name)], figure(command));
        }
    }
    let help = "Answers with an error to clients that speak RESP, by the first word of the error.";
    let mut family = metrics.family("redis_errors_total", Kind::Counter, help);
    for (error, count) in &figures.errors {
        family.sample(&[("err", error)], count);
    }
}

/// The keys of each database.
type KeyFigure = (&'static str, &'static str, fn(&Store, u8) -> usize);

fn keyspace(metrics: &mut Metrics, store: &Store) {
    let of_each: [KeyFigure; 2] = [
        ("redis_db_keys", "Keys of each database.", Store::len),
        (
            "redis_db_keys_expiring",
            "Keys of each database that expire.",
            Store::expiring,
        ),
    ];
    for (name, help, figure) in of_each {
        let mut family = metrics.family(name, Kind::Gauge, help);
        for db in 0..DATABASES {
            family.sample(&[("db", &format!("db{db}"))], figure(store, db));
        }
    }
}

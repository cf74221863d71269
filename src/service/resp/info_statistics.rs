//! The sections of INFO about what the server has done: totals, and the calls and errors of commands.

use std::sync::atomic::Ordering::Relaxed;

use super::acl::log_entries::RefusalKind;
use super::context::Context;
use super::info_text::InfoText;
use super::table::table;

pub(super) fn stats(ctx: &Context<'_>, text: &mut InfoText) {
    let stats = ctx.store.stats();
    let connections = &ctx.service.connections;
    let statistics = &ctx.service.statistics;
    let errors: u64 = statistics.errors().iter().map(|(_, count)| count).sum();
    text.put("total_connections_received", connections.total());
    text.put("total_commands_processed", statistics.calls());
    let totals = [
        statistics.calls(),
        connections.bytes_read(),
        connections.bytes_written(),
    ];
    let rates = ctx.service.rates.sample(ctx.store.now_ms(), totals);
    text.put("instantaneous_ops_per_sec", rates.commands as u64);
    text.put("total_net_input_bytes", connections.bytes_read());
    text.put("total_net_output_bytes", connections.bytes_written());
    for (name, bytes) in [("input", rates.read), ("output", rates.written)] {
        let name = format!("instantaneous_{name}_kbps");
        text.put(&name, format!("{:.2}", bytes / 1024.0));
    }
    text.put("rejected_connections", connections.rejected());
    text.put("evicted_clients", connections.closed_for_replies());
    text.put("expired_keys", stats.expired);
    text.put("evicted_keys", stats.evictions);
    text.put("keyspace_hits", stats.hits);
    text.put("keyspace_misses", stats.misses);
    text.put("total_error_replies", errors);
    if let Some(memcached) = ctx.service.memcached.get() {
        for (name, count) in memcached.requests_by_protocol() {
            text.put(&format!("memcached_{name}"), count);
        }
    }
    for kind in RefusalKind::ALL {
        text.put(kind.info_field(), ctx.service.users.log.count(kind));
    }
}

pub(super) fn command_statistics(ctx: &Context<'_>, text: &mut InfoText) {
    for entry in table().all() {
        let counters = &ctx.service.statistics.commands[usize::from(entry.number)];
        let calls = counters.calls.load(Relaxed);
        let rejected = counters.rejected.load(Relaxed);
        if calls + rejected > 0 {
            let microseconds = counters.nanoseconds.load(Relaxed) / 1000;
            let mean = microseconds as f64 / calls.max(1) as f64;
            let failed = counters.failed.load(Relaxed);
            let value = format!(
                "calls={calls},usec={microseconds},usec_per_call={mean:.2},\
                 rejected_calls={rejected},failed_calls={failed}"
            );
            text.put(&format!("cmdstat_{}", entry.name), value);
        }
    }
}

pub(super) fn error_statistics(ctx: &Context<'_>, text: &mut InfoText) {
    for (error, count) in ctx.service.statistics.errors() {
        let name = format!("errorstat_{}", String::from_utf8_lossy(&error));
        text.put(&name, format!("count={count}"));
    }
}

/// The percentiles of each command's latencies, in microseconds.
pub(super) fn latency_statistics(ctx: &Context<'_>, text: &mut InfoText) {
    let statistics = &ctx.service.statistics;
    if !statistics.tracks_latency.load(Relaxed) {
        return;
    }
    let percentiles = statistics.percentiles();
    for (entry, counters) in table().all().zip(&statistics.commands) {
        let shown = percentiles.iter().map(|percentile| {
            let nanoseconds = counters.latency.percentile(*percentile)?;
            let microseconds = nanoseconds as f64 / 1000.0;
            Some(format!("p{percentile}={microseconds:.3}"))
        });
        let Some(shown) = shown.collect::<Option<Vec<_>>>() else {
            continue;
        };
        if counters.latency.calls() > 0 {
            let name = format!("latency_percentiles_usec_{}", entry.name);
            text.put(&name, shown.join(","));
        }
    }
}

//! The figures of `larder serve`: larder's own, and those under the names of the exporters of memcached and Redis.

use std::sync::Arc;

use crate::server::{Connections, Handle};
use crate::service::memcached::{CommandFigures, Memcached};
use crate::service::resp::{Resp, RespFigures};
use crate::snapshot::Saver;
use crate::store::{Store, StoreStats};

use super::connections;
use super::exposition::{Kind, Metrics};
use super::latencies;
use super::memcached_names;
use super::monitored::Monitored;
use super::origin;
use super::redis_names;

/// A cache server.
pub(crate) struct MonitoredServer {
    pub(crate) store: Arc<Store>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) memcached: Arc<Memcached>,
    pub(crate) resp: Arc<Resp>,
    pub(crate) saver: Option<Arc<Saver>>,
    pub(crate) handle: Handle,
    /// Whether there is a listener for memcached's protocols, and for RESP.
    pub(crate) has_memcached: bool,
    pub(crate) has_resp: bool,
}

impl Monitored for MonitoredServer {
    fn mode(&self) -> &'static str {
        "serve"
    }

    fn health(&self) -> Result<(), String> {
        match self.handle.is_ending() {
            false => Ok(()),
            true => Err(connections::ENDING.into()),
        }
    }

    fn write(&self, metrics: &mut Metrics) {
        let stats = self.store.stats();
        let resp = self.resp.figures(&latencies::BOUNDS);
        let memcached = self.memcached.commands(&latencies::BOUNDS);
        self.requests(metrics, &memcached, &resp);
        latencies::write(metrics, &memcached, &resp.commands);
        items(metrics, &stats);
        connections::write(metrics, &[("", &self.connections)]);
        connections::write_reply_memory(metrics, &self.connections);
        if let Some(saver) = &self.saver {
            snapshots(metrics, saver);
        }
        origin::write(metrics, &self.memcached.origin_statistics());
        if self.has_memcached {
            memcached_names::write(metrics, &self.memcached, &self.connections, &stats);
        }
        if self.has_resp {
            redis_names::write(metrics, &resp, (&self.store, &stats), &self.connections);
        }
    }
}

impl MonitoredServer {
    fn requests(&self, metrics: &mut Metrics, memcached: &[CommandFigures], resp: &RespFigures) {
        let calls_in = |protocol| {
            let commands = memcached.iter().filter(|of| of.protocol == protocol);
            commands.map(|of| of.calls).sum::<u64>()
        };
        let help =
            "Requests of clients by protocol. Those in datagrams count by the protocol in them.";
        metrics
            .family("larder_requests_total", Kind::Counter, help)
            .sample(&[("protocol", "text")], calls_in("text"))
            .sample(&[("protocol", "meta")], calls_in("meta"))
            .sample(&[("protocol", "binary")], calls_in("binary"))
            .sample(&[("protocol", "resp")], resp.calls());
        let help = "Requests of clients by protocol and command; a command appears with its first request.";
        let mut family = metrics.family("larder_commands_total", Kind::Counter, help);
        for of in memcached {
            let labels = [("protocol", of.protocol), ("command", of.name)];
            family.sample(&labels, of.calls);
        }
        for of in resp.commands.iter().filter(|of| of.calls > 0) {
            family.sample(&[("protocol", "resp"), ("command", of.name)], of.calls);
        }
        let count = |name| self.memcached.count(name);
        metrics
            .family(
                "larder_datagrams_total",
                Kind::Counter,
                "Datagrams that arrived at the UDP listener: request: answered; ignored: no request of memcached, without an \
                 answer; too_large: a request, too, whose reply was too large for datagrams and replaced by an error.",
            )
            .sample(&[("outcome", "request")], count("udp_requests"))
            .sample(&[("outcome", "ignored")], count("udp_ignored"))
            .sample(&[("outcome", "too_large")], count("udp_too_large"));
    }
}

/// The figures of the store.
fn items(metrics: &mut Metrics, stats: &StoreStats) {
    let reads =
        "Reads of keys by clients of all protocols: hit: the item was there; miss: it was not.";
    metrics
        .family("larder_reads_total", Kind::Counter, reads)
        .sample(&[("result", "hit")], stats.hits)
        .sample(&[("result", "miss")], stats.misses);
    let help = "Items in the cache, with expired ones that are not yet removed.";
    metrics.gauge("larder_items", help, stats.items);
    metrics.counter(
        "larder_items_stored_total",
        "Items that clients stored; one that replaces another counts, too.",
        stats.total_items,
    );
    let removed = "Items that larder removed. reason: evicted: to make room for others, or expired; read: whether a client had read the \
                   item since it was stored. Deletes of clients do not count.";
    let read_before_eviction = stats.evictions.saturating_sub(stats.evicted_unfetched);
    let read_before_expiry = stats.expired.saturating_sub(stats.expired_unfetched);
    metrics
        .family("larder_items_removed_total", Kind::Counter, removed)
        .sample(
            &[("reason", "evicted"), ("read", "yes")],
            read_before_eviction,
        )
        .sample(
            &[("reason", "evicted"), ("read", "no")],
            stats.evicted_unfetched,
        )
        .sample(
            &[("reason", "expired"), ("read", "yes")],
            read_before_expiry,
        )
        .sample(
            &[("reason", "expired"), ("read", "no")],
            stats.expired_unfetched,
        );
    let help = "Memory that items take, with their keys and the store's overhead, in bytes.";
    metrics.gauge("larder_memory_used_bytes", help, stats.bytes);
    let help = "Memory that items may take before others are evicted: --memory, in bytes.";
    metrics.gauge("larder_memory_limit_bytes", help, stats.limit);
    let help = "Memory of the store's hash tables, in bytes; larder_memory_used_bytes has it, too.";
    metrics.gauge("larder_memory_hash_tables_bytes", help, stats.hash_bytes);
}

fn snapshots(metrics: &mut Metrics, saver: &Saver) {
    let status = saver.status();
    metrics
        .family(
            "larder_snapshots_total",
            Kind::Counter,
            "Snapshots of the cache to --snapshot that ended: written: the file is whole; failed: the log has the reason, and the file \
             before it stays.",
        )
        .sample(&[("outcome", "written")], status.saves)
        .sample(&[("outcome", "failed")], status.failures);
    metrics.gauge(
        "larder_snapshot_running",
        "Whether a snapshot is being written now: 1 or 0.",
        u8::from(status.running_since.is_some()),
    );
    metrics.gauge(
        "larder_snapshot_last_success",
        "Whether the last snapshot was written whole: 1 or 0; 1 before the first.",
        u8::from(status.last_succeeded),
    );
    metrics.gauge(
        "larder_snapshot_last_timestamp_seconds",
        "End of the last snapshot that was written, in seconds since 1970; before the first, the start.",
        status.last_save_ms as f64 / 1000.0,
    );
    metrics.gauge(
        "larder_snapshot_last_duration_seconds",
        "Time that the last snapshot took, in seconds.",
        status.last_duration.unwrap_or_default().as_secs_f64(),
    );
    let help = "Size of the file of the last snapshot, in bytes.";
    metrics.gauge("larder_snapshot_last_size_bytes", help, status.last_bytes);
    let help = "Items in the last snapshot.";
    metrics.gauge("larder_snapshot_last_items", help, status.last_items);
    let help = "Items that were loaded from the snapshot file at the start.";
    metrics.gauge("larder_snapshot_loaded_items", help, status.loaded.stored);
}

//! `stats` without a word behind it: every line of memcached 1.6.45 but the version of libevent, and larder's own about
//! its protocols behind them.
//!
//! A line has larder's own figure where larder has one. The lines about features that larder does not have
//! (slabs, segments of an LRU list, a crawler, buffers of connections) have the value 0,
//! for programs that sum or plot them.

use nix::sys::resource::{UsageWho, getrusage};

use crate::protocol::memcached::text::reply;
use crate::server::limits;

use super::context::TurnContext;
use super::counters::OF_DATAGRAMS;

/// Lines about buffers that memcached keeps for its connections; larder keeps none for a quiet one.
const NO_BUFFER_POOLS: &[&str] = &[
    "read_buf_count",
    "read_buf_bytes",
    "read_buf_bytes_free",
    "read_buf_oom",
];

/// Reads of flushed items: a flush removes its items at once.
const NEVER_COUNTED: &[&str] = &["get_flushed"];

/// Times at which memcached stops listening at its limit; larder keeps listening, and refuses each connection.
const ALWAYS_LISTENING: &[&str] = &["listen_disabled_num", "time_in_listen_disabled_us"];

/// Slabs, the LRU lists' segments, their maintainer and their crawler.
const NO_SLABS: &[&str] = &[
    "hash_power_level",
    "hash_is_expanding",
    "slab_reassign_rescues",
    "slab_reassign_chunk_rescues",
    "slab_reassign_inline_reclaim",
    "slab_reassign_busy_items",
    "slab_reassign_busy_deletes",
    "slab_reassign_busy_nomem",
    "slab_reassign_running",
    "slabs_moved",
    "slab_global_page_pool",
    "lru_crawler_running",
    "lru_crawler_starts",
    "lru_maintainer_juggles",
    "evicted_active",
    "crawler_reclaimed",
    "crawler_items_checked",
    "lrutail_reflocked",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "lru_bumps_dropped",
];

/// Queues of network cards.
const NOTHING_OF_THE_KIND: &[&str] = &["unexpected_napi_ids", "round_robin_fallback"];

impl TurnContext<'_> {
    /// The figures of the origin and of peers, if there are any.
    fn origin_stats(&mut self) {
        let origin = self.shared.origin.get();
        for (name, value) in origin.map(|origin| origin.statistics()).unwrap_or_default() {
            self.stat(name, value);
        }
        let peers = self.shared.peers.get();
        for (name, value) in peers.map(|peers| peers.statistics()).unwrap_or_default() {
            self.stat(name, value);
        }
    }

    pub(super) fn general_stats(&mut self) {
        let shared = self.shared;
        // This turn's counts have not been added yet.
        shared
            .counters
            .add(&std::mem::take(&mut self.operations.counts));
        self.commands.end_run();
        self.process_stats();
        self.connection_stats();
        shared.counters.for_each(|name, count| {
            if !OF_DATAGRAMS.contains(&name) {
                self.stat(name, count);
            }
        });
        self.zeros(NEVER_COUNTED);
        self.item_stats();
        self.zeros(NO_SLABS);
        self.stat("slab_reassign_last_busy_status", "none");
        self.stat("malloc_fails", 0);
        self.watcher_stats();
        self.zeros(NOTHING_OF_THE_KIND);
        for (name, count) in shared.requests_by_protocol() {
            self.stat(name, count);
        }
        self.origin_stats();
        self.snapshot_stats();
    }

    /// Lines about snapshots, if there is a file for them.
    fn snapshot_stats(&mut self) {
        let Some(status) = self.shared.snapshots.get().map(|saver| saver.status()) else {
            return;
        };
        let outcome = if status.last_succeeded { "ok" } else { "err" };
        let milliseconds = status.last_duration.unwrap_or_default().as_millis();
        let running = u8::from(status.running_since.is_some());
        self.stat("snapshot_in_progress", running);
        self.stat("snapshot_last_time", status.last_save_ms / 1000);
        self.stat("snapshot_last_status", outcome);
        self.stat("snapshot_last_milliseconds", milliseconds);
        self.stat("snapshot_last_bytes", status.last_bytes);
        self.stat("snapshot_last_items", status.last_items);
        self.stat("snapshot_saves", status.saves);
        self.stat("snapshot_failures", status.failures);
        self.stat("snapshot_loaded_items", status.loaded.stored);
    }

    fn zeros(&mut self, names: &[&str]) {
        for name in names {
            self.stat(name, 0);
        }
    }

    fn process_stats(&mut self) {
        let now_ms = self.shared.store.now_ms();
        let uptime = now_ms.saturating_sub(self.shared.started_ms) / 1000;
        self.stat("pid", std::process::id());
        self.stat("uptime", uptime);
        self.stat("time", now_ms / 1000);
        self.stat("version", reply::VERSION_NUMBER);
        self.stat("pointer_size", usize::BITS);
        if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
            let times = [
                ("rusage_user", usage.user_time()),
                ("rusage_system", usage.system_time()),
            ];
            for (name, time) in times {
                self.stat(
                    name,
                    format_args!("{}.{:06}", time.tv_sec(), time.tv_usec()),
                );
            }
        }
        self.stat("threads", self.shared.settings.workers);
    }

    /// Lines of `watch`. A worker drops none: it gives them to the watchers at once.
    fn watcher_stats(&mut self) {
        let figures = self.shared.log.figures();
        self.stat("log_worker_dropped", 0);
        self.stat("log_worker_written", figures.written);
        self.stat("log_watcher_skipped", figures.skipped);
        self.stat("log_watcher_sent", figures.sent);
        self.stat("log_watchers", figures.watchers);
    }

    fn connection_stats(&mut self) {
        let connections = &self.shared.connections;
        self.stat("max_connections", connections.max());
        self.stat("curr_connections", connections.current());
        self.stat("total_connections", connections.total());
        self.stat("rejected_connections", connections.rejected());
        self.stat("connection_structures", connections.current());
        self.stat("reserved_fds", limits::SPARE_FILES);
        self.stat("bytes_read", connections.bytes_read());
        self.stat("bytes_written", connections.bytes_written());
        if self.shared.settings.idle_timeout.is_some() {
            self.stat("idle_kicks", connections.idle_closed());
        }
        self.stat("accepting_conns", 1);
        self.zeros(ALWAYS_LISTENING);
        if let Some(certificates) = self.shared.certificates.get() {
            let seconds = certificates.age().as_secs();
            self.stat("time_since_server_cert_refresh", seconds);
        }
        self.stat("response_obj_oom", connections.closed_for_replies());
        self.stat("response_obj_count", 0);
        self.stat("response_obj_bytes", connections.reply_memory());
        self.zeros(NO_BUFFER_POOLS);
    }

    fn item_stats(&mut self) {
        let stats = self.shared.store.stats();
        self.stat("limit_maxbytes", stats.limit);
        self.stat("hash_bytes", stats.hash_bytes);
        self.stat("bytes", stats.bytes);
        self.stat("curr_items", stats.items);
        self.stat("total_items", stats.total_items);
        self.stat("get_expired", stats.get_expired);
        self.stat("expired_unfetched", stats.expired_unfetched);
        self.stat("evicted_unfetched", stats.evicted_unfetched);
        self.stat("evictions", stats.evictions);
        self.stat("reclaimed", stats.reclaimed);
        self.stat("expired", stats.expired);
        // A write that needs room evicts, so every eviction is made by a worker.
        self.stat("direct_reclaims", stats.evictions + stats.reclaimed);
    }
}

//! `stats settings`: every line of memcached 1.6.45, and larder's own behind them.
//!
//! A line about a feature that larder lacks has memcached's value for absent: `no`, 0 or `none`.

use std::sync::atomic::Ordering;

use crate::server::limits;

use super::context::TurnContext;
use super::service_state::SpokenProtocol;
use super::watch;

/// Settings that larder does not have: memcached's name and the value that means "absent".
const NOT_IN_LARDER: &[(&str, &str)] = &[
    // Slabs: items take the memory that they need, from one pool.
    ("growth_factor", "0"),
    ("chunk_size", "0"),
    ("slab_reassign", "no"),
    ("slab_automove", "0"),
    ("slab_automove_ratio", "0"),
    ("slab_automove_window", "0"),
    ("slab_automove_freeratio", "0"),
    ("slab_chunk_max", "0"),
    ("hashpower_init", "0"),
    // An LRU list, its segments and its crawler: the order of eviction has none of them.
    ("lru_crawler", "no"),
    ("lru_crawler_sleep", "0"),
    ("lru_crawler_tocrawl", "0"),
    ("tail_repair_time", "0"),
    ("lru_maintainer_thread", "no"),
    ("lru_segmented", "no"),
    ("hot_lru_pct", "0"),
    ("warm_lru_pct", "0"),
    ("hot_max_factor", "0"),
    ("warm_max_factor", "0"),
    ("temp_lru", "no"),
    ("temporary_ttl", "0"),
    // Statistics by prefix of a key and by size; buffers of workers for `watch`.
    ("stat_key_prefix", ":"),
    ("track_sizes", "no"),
    ("worker_logbuf_size", "0"),
    ("inline_ascii_response", "no"),
    ("read_buf_mem_limit", "0"),
    // Storage on disk or in a file that outlives the process.
    ("ext_item_size", "0"),
    ("ext_item_age", "0"),
    ("ext_low_ttl", "0"),
    ("ext_recache_rate", "0"),
    ("ext_wbuf_size", "0"),
    ("ext_compact_under", "0"),
    ("ext_drop_under", "0"),
    ("ext_max_sleep", "0"),
    ("ext_max_frag", "0"),
    ("ext_drop_unread", "no"),
    ("num_napi_ids", "0"),
    ("memory_file", "(null)"),
];

impl TurnContext<'_> {
    pub(super) fn settings_stats(&mut self) {
        let shared = self.shared;
        self.stat("maxbytes", shared.store.memory());
        self.stat("maxconns", shared.connections.max());
        self.listener_settings();
        self.stat("verbosity", shared.verbosity.load(Ordering::Relaxed));
        self.stat("oldest", 0);
        let evicts = if shared.store.refuses() { "off" } else { "on" };
        self.stat("evictions", evicts);
        self.stat("umask", format_args!("{:o}", limits::SOCKET_MODE));
        self.stat("num_threads", shared.settings.workers);
        // The part of a pipeline that one turn answers is bounded in bytes of output.
        self.stat("reqs_per_event", 0);
        let detail = if shared.prefixes.is_on() { "yes" } else { "no" };
        self.stat("detail_enabled", detail);
        self.stat("cas_enabled", "yes");
        self.stat("tcp_backlog", shared.settings.backlog);
        self.stat("binding_protocol", name(shared.settings.protocol));
        self.stat("item_size_max", shared.max_item_size());
        self.stat("maxconns_fast", "yes");
        let flush = if shared.settings.flush_all {
            "yes"
        } else {
            "no"
        };
        self.stat("flush_enabled", flush);
        self.stat("dump_enabled", "yes");
        self.stat("hash_algorithm", "ahash");
        let idle_timeout = shared.settings.idle_timeout.unwrap_or_default();
        self.stat("idle_timeout", idle_timeout.as_secs());
        self.stat("client_flags_size", size_of::<u32>());
        self.stat("watcher_logbuf_size", watch::BUFFER);
        match shared.auth_file.get() {
            Some(file) => {
                self.stat("auth_enabled_sasl", "yes");
                self.stat("auth_enabled_ascii", file.path().display());
            }
            None => {
                self.stat("auth_enabled_sasl", "no");
                self.stat("auth_enabled_ascii", "no");
            }
        }
        self.tls_settings();
        let udp = shared.udp.get().and_then(|socket| socket.local().udp());
        self.stat("udpport", udp.map_or(0, |address| address.port()));
        self.stat("num_threads_per_udp", u8::from(udp.is_some()));
        let shutdown = match shared.shutdown.get() {
            Some(_) => "yes",
            None => "no",
        };
        self.stat("shutdown_command", shutdown);
        for (name, value) in NOT_IN_LARDER {
            self.stat(name, value);
        }
        let nested = if shared.settings.nested { "on" } else { "off" };
        self.stat("nested", nested);
    }

    /// TLS, if there is any, by memcached's names: 2 is a certificate that clients need, and sessions are resumed.
    fn tls_settings(&mut self) {
        let Some(certificates) = self.shared.certificates.get() else {
            return;
        };
        self.stat("ssl_enabled", "yes");
        self.stat("ssl_chain_cert", certificates.chain().display());
        self.stat("ssl_key", certificates.key().display());
        let client_ca = certificates.client_ca();
        self.stat("ssl_verify_mode", if client_ca.is_some() { 2 } else { 0 });
        self.stat("ssl_keyformat", 1);
        self.stat("ssl_ciphers", "NULL");
        match client_ca {
            Some(path) => self.stat("ssl_ca_cert", path.display()),
            None => self.stat("ssl_ca_cert", "NULL"),
        }
        // Bytes of a record.
        self.stat("ssl_wbuf_size", 1 << 14);
        self.stat("ssl_session_cache", "yes");
        self.stat("ssl_kernel_tls", "no");
        let version = certificates.oldest_version();
        self.stat("ssl_min_version", format_args!("tlsv{version}"));
    }

    /// The listener that the client has reached; larder may have others.
    fn listener_settings(&mut self) {
        let local = self.connection.local();
        self.stat("tcpport", local.tcp().map_or(0, |address| address.port()));
        match local.tcp().or(local.udp()) {
            Some(address) => self.stat("inter", address.ip()),
            None => self.stat("inter", "NULL"),
        }
        match local.unix() {
            Some(path) => self.stat("domain_socket", path.display()),
            None => self.stat("domain_socket", "NULL"),
        }
    }
}

/// The name that memcached has for the protocols of its clients.
fn name(protocol: SpokenProtocol) -> &'static str {
    match protocol {
        SpokenProtocol::Auto => "auto-negotiate",
        SpokenProtocol::Text => "ascii",
        SpokenProtocol::Binary => "binary",
    }
}

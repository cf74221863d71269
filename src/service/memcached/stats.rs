//! `stats`: the counters, the settings and the connections, under memcached's names where larder
//! has the fact.
//!
//! memcached sorts items into slab classes by size; larder does not, and tells of all items as of
//! class 1. What has to do with slabs, LRU segments, `extstore`, prefixes and key dumps is missing:
//! the `stats` of these answer `ERROR`.

use std::sync::atomic::Ordering;

use crate::protocol::memcached::text::{Words, reply};

use super::context::TurnContext;
use super::dump::Dump;

impl TurnContext<'_> {
    /// A list of keys is not written here but returned, because it is written in pieces.
    pub(super) fn stats(&mut self, mut words: Words<'_>) -> Option<Dump> {
        match words.next() {
            None => self.general(),
            Some(b"reset") => {
                self.shared.counters.reset();
                self.counts = Default::default();
                self.shared.store.reset_stats();
                self.reply(false, reply::RESET);
                return None;
            }
            Some(b"settings") => self.settings(),
            Some(b"items") => self.items(),
            Some(b"slabs") => self.slabs(),
            Some(b"sizes") => self.stat("sizes_status", "disabled"),
            Some(b"conns") => self.conns(),
            Some(b"cachedump") => return self.cachedump(words),
            Some(_) => {
                self.reply(false, reply::ERROR);
                return None;
            }
        }
        self.out.extend_from_slice(reply::END);
        None
    }

    fn stat(&mut self, name: &str, value: impl std::fmt::Display) {
        reply::stat(self.out, name, value);
    }

    fn general(&mut self) {
        let shared = self.shared;
        let (store, connections) = (&shared.store, &shared.connections);
        let now_ms = store.now_ms();
        self.stat("pid", std::process::id());
        self.stat("uptime", now_ms.saturating_sub(shared.started_ms) / 1000);
        self.stat("time", now_ms / 1000);
        self.stat("version", reply::VERSION_NUMBER);
        self.stat("pointer_size", usize::BITS);
        self.stat("max_connections", connections.max());
        self.stat("curr_connections", connections.current());
        self.stat("total_connections", connections.total());
        self.stat("rejected_connections", connections.rejected());
        // This turn's counts have not been added yet.
        shared.counters.add(&std::mem::take(&mut self.counts));
        shared
            .counters
            .for_each(|name, count| self.stat(name, count));
        self.stat("bytes_read", connections.bytes_read());
        self.stat("bytes_written", connections.bytes_written());
        let stats = store.stats();
        self.stat("limit_maxbytes", stats.limit);
        self.stat("accepting_conns", 1);
        self.stat("threads", shared.settings.workers);
        self.stat("bytes", stats.bytes);
        self.stat("curr_items", stats.items);
        self.stat("total_items", stats.total_items);
        self.stat("evictions", stats.evictions);
        self.stat("reclaimed", stats.reclaimed);
        self.stat("expired", stats.expired);
    }

    fn settings(&mut self) {
        let shared = self.shared;
        let on_off = |on| if on { "on" } else { "off" };
        self.stat("maxbytes", shared.store.memory());
        self.stat("maxconns", shared.connections.max());
        self.stat("verbosity", shared.verbosity.load(Ordering::Relaxed));
        self.stat("evictions", "on");
        self.stat("shutdown_command", "no");
        self.stat("num_threads", shared.settings.workers);
        self.stat("detail_enabled", "no");
        self.stat("cas_enabled", "yes");
        self.stat("auth_enabled_sasl", "no");
        self.stat("auth_enabled_ascii", "no");
        self.stat("item_size_max", shared.store.max_item_size());
        self.stat("maxconns_fast", "yes");
        self.stat("flush_enabled", "yes");
        self.stat("dump_enabled", "no");
        self.stat("track_sizes", "no");
        self.stat("nested", on_off(shared.settings.nested));
    }

    fn items(&mut self) {
        let stats = self.shared.store.stats();
        if stats.items == 0 {
            return;
        }
        self.stat("items:1:number", stats.items);
        self.stat("items:1:mem_requested", stats.bytes);
        self.stat("items:1:evicted", stats.evictions);
        self.stat("items:1:outofmemory", 0);
        self.stat("items:1:reclaimed", stats.reclaimed);
    }

    fn slabs(&mut self) {
        self.stat("active_slabs", 0);
        self.stat("total_malloced", self.shared.store.used());
    }

    /// The connections of this protocol, by number.
    fn conns(&mut self) {
        let (out, this) = (&mut *self.out, self.connection);
        self.shared.connections.for_each(|connection| {
            if connection.protocol() != "memcached" {
                return;
            }
            let id = connection.id();
            let state = if id == this {
                "conn_parse_cmd"
            } else {
                "conn_read"
            };
            let (peer, local) = (connection.peer_addr(), connection.local_addr());
            reply::stat(out, &format!("{id}:addr"), family(&peer) + &peer);
            reply::stat(out, &format!("{id}:listen_addr"), family(&local) + &local);
            reply::stat(out, &format!("{id}:state"), state);
            let idle = connection.idle().as_secs();
            reply::stat(out, &format!("{id}:secs_since_last_cmd"), idle);
        });
    }
}

/// What memcached writes before an address: a Unix socket's is a path.
fn family(address: &str) -> String {
    let family = if address.contains('/') {
        "unix:"
    } else {
        "tcp:"
    };
    family.to_owned()
}

//! `stats`: its subcommands, and the parts about items and connections.
//!
//! memcached sorts items into classes by size; larder does not, and reports all items as of class 1. The
//! `stats` of storage on disk answer `ERROR`.

use crate::protocol::memcached::binary;
use crate::protocol::memcached::text::{Words, reply};

use super::context::TurnContext;
use super::dump::Dump;

/// Lines of `stats items` about features that larder does not have: segments of an LRU list, and the ages
/// of items.
const NO_SEGMENTS: &[&str] = &[
    "number_hot",
    "number_warm",
    "number_cold",
    "age_hot",
    "age_warm",
    "age",
    "evicted_nonzero",
    "evicted_time",
    "tailrepairs",
    "evicted_active",
    "crawler_reclaimed",
    "crawler_items_checked",
    "lrutail_reflocked",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "hits_to_hot",
    "hits_to_warm",
    "hits_to_cold",
    "hits_to_temp",
];

/// Counters that `stats slabs` has for each class.
const BY_CLASS: &[&str] = &[
    "get_hits",
    "cmd_set",
    "delete_hits",
    "incr_hits",
    "decr_hits",
    "cas_hits",
    "cas_badval",
    "touch_hits",
];

impl TurnContext<'_> {
    /// A list of keys is not written here but returned, because it is written in pieces.
    pub(super) fn stats(&mut self, mut words: Words<'_>) -> Option<Dump> {
        match words.next().unwrap_or_default() {
            b"reset" => {
                self.reset_stats();
                self.output.push(reply::RESET);
                return None;
            }
            b"detail" => {
                if !self.detail(words.next().unwrap_or_default()) {
                    return None;
                }
            }
            b"conns" => self.conns(),
            b"cachedump" => return self.cachedump(words),
            name if self.stat_group(name) => {}
            _ => {
                self.output.push(reply::ERROR);
                return None;
            }
        }
        self.output.push(reply::END);
        None
    }

    /// `stats detail`. Whether a list was written, which has an end.
    fn detail(&mut self, order: &[u8]) -> bool {
        let prefixes = &self.shared.prefixes;
        match order {
            b"dump" => {
                prefixes.write(self.output.bytes);
                return true;
            }
            b"on" | b"off" => {
                prefixes.switch(order == b"on");
                self.output.push(reply::OK);
            }
            _ => self.output.push(reply::DETAIL_USAGE),
        }
        false
    }

    pub(super) fn reset_stats(&mut self) {
        self.shared.prefixes.reset();
        self.shared.counters.reset();
        self.commands.end_run();
        self.shared.commands.reset();
        self.shared.log.reset_figures();
        self.operations.counts = Default::default();
        self.shared.store.reset_stats();
        self.shared.connections.reset_counts();
    }

    /// A group of statistics that all protocols have; the one without a name is the general one. Whether there is such a
    /// group.
    pub(super) fn stat_group(&mut self, name: &[u8]) -> bool {
        match name {
            b"" => self.general_stats(),
            b"settings" => self.settings_stats(),
            b"items" => self.items(),
            b"slabs" => self.slabs(),
            b"slowlog" => self.slow_log_stats(),
            b"sizes" => self.stat("sizes_status", "disabled"),
            _ => return false,
        }
        true
    }

    /// One statistic, in the form of the connection's protocol.
    pub(super) fn stat(&mut self, name: &str, value: impl std::fmt::Display) {
        match self.stat_frames {
            None => reply::stat(self.output.bytes, name, value),
            Some(to) => binary::reply::stat(self.output.bytes, to, name, value),
        }
    }

    /// `stats items`, for the one class that all items are in.
    fn items(&mut self) {
        let stats = self.shared.store.stats();
        if stats.items == 0 {
            return;
        }
        let figures = [
            ("number", stats.items),
            ("mem_requested", stats.bytes),
            ("evicted", stats.evictions),
            ("reclaimed", stats.reclaimed),
            ("expired_unfetched", stats.expired_unfetched),
            ("evicted_unfetched", stats.evicted_unfetched),
            ("direct_reclaims", stats.evictions + stats.reclaimed),
            ("outofmemory", self.shared.counters.get("store_no_memory")),
        ];
        let zeros = NO_SEGMENTS.iter().map(|name| (*name, 0));
        for (name, value) in figures.into_iter().chain(zeros) {
            self.stat(&format!("items:1:{name}"), value);
        }
    }

    /// `stats slabs`: larder's memory as if it were one class of chunks, each of the size of an average item.
    fn slabs(&mut self) {
        const PAGE: u64 = 1024 * 1024;
        let stats = self.shared.store.stats();
        if let Some(chunk) = stats.bytes.checked_div(stats.items) {
            let chunk = chunk.max(1);
            let chunks = (stats.limit / chunk).max(stats.items);
            let figures = [
                ("chunk_size", chunk),
                ("chunks_per_page", PAGE / chunk),
                ("total_pages", stats.bytes.div_ceil(PAGE)),
                ("total_chunks", chunks),
                ("used_chunks", stats.items),
                ("free_chunks", chunks - stats.items),
                ("free_chunks_end", 0),
            ];
            for (name, value) in figures {
                self.stat(&format!("1:{name}"), value);
            }
            for name in BY_CLASS {
                self.stat(&format!("1:{name}"), self.shared.counters.get(name));
            }
        }
        self.stat("active_slabs", u8::from(stats.items > 0));
        self.stat("total_malloced", stats.bytes);
    }
}

//! The counters of the service, under the names of memcached's `stats`.
//!
//! A turn counts in a [`TurnCounts`] of its own and adds it to the service's [`Counters`] once, at its
//! end, so that the workers don't contend for the counters with every command.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! counters {
    ($($name:ident: $what:literal,)*) => {
        /// The counts of one turn.
        #[derive(Debug, Default, Clone, Copy)]
        pub(super) struct TurnCounts {
            $(#[doc = $what] pub(super) $name: u64,)*
        }

        /// The counts of the service since its start or the last `stats reset`.
        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $($name: AtomicU64,)*
        }

        impl Counters {
            /// Adds the counts of a turn.
            pub(super) fn add(&self, counts: &TurnCounts) {
                $(if counts.$name != 0 {
                    self.$name.fetch_add(counts.$name, Relaxed);
                })*
            }

            /// Sets all to zero.
            pub(super) fn reset(&self) {
                $(self.$name.store(0, Relaxed);)*
            }

            /// The count with this name; 0 if there is none.
            pub(super) fn get(&self, name: &str) -> u64 {
                match name {
                    $(stringify!($name) => self.$name.load(Relaxed),)*
                    _ => 0,
                }
            }

            /// Calls `each` with every name and count.
            pub(super) fn for_each(&self, mut each: impl FnMut(&'static str, u64)) {
                $(each(stringify!($name), self.$name.load(Relaxed));)*
            }
        }
    };
}

/// The counters of datagrams, which memcached doesn't have.
pub(super) const OF_DATAGRAMS: [&str; 3] = ["udp_requests", "udp_ignored", "udp_too_large"];

counters! {
    cmd_get: "Keys requested by get, gets, getn, getns, and by mg without a new exptime.",
    cmd_set: "Storage commands whose data block has arrived.",
    cmd_flush: "flush_all commands.",
    cmd_touch: "Keys of touch, gat and gats, and of mg that gave a new exptime.",
    cmd_meta: "me commands.",
    get_hits: "Keys of cmd_get that were found.",
    get_misses: "Keys of cmd_get that were missing.",
    delete_misses: "Deletions of missing items.",
    delete_hits: "Deletions of stored items.",
    incr_misses: "incr of missing items.",
    incr_hits: "incr of stored items.",
    decr_misses: "decr of missing items.",
    decr_hits: "decr of stored items.",
    cas_misses: "cas on missing items.",
    cas_hits: "cas that stored.",
    cas_badval: "cas on items that had changed.",
    touch_hits: "Keys of cmd_touch that were found.",
    touch_misses: "Keys of cmd_touch that were missing.",
    store_too_large: "Items over the item size.",
    conn_yields: "Turns that ended because the output was full, with more to answer.",
    store_no_memory: "Items for which no room could be made.",
    auth_cmds: "Attempts to authenticate.",
    auth_errors: "Attempts to authenticate with a wrong user or password.",
    udp_requests: "Datagrams that were requests; their commands are counted above.",
    udp_ignored: "Datagrams that were no request and got no reply.",
    udp_too_large: "Datagrams whose reply was too large.",
}

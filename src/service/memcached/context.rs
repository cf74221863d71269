//! The context of the commands: the state that all sessions share, and the context of one turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use crate::protocol::memcached::text::{Nesting, Words};
use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{Connection, Connections};
use crate::service::kept_insertions::KeptInsertions;
use crate::store::Store;

use super::counters::{Counters, TurnCounts};

/// The store's database that memcached's clients see.
pub(super) const DATABASE: u8 = 0;

/// The settings of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether keys are paths; without it the service is memcached to the letter.
    pub nested: bool,
    /// The number of the server's worker threads, for `stats`.
    pub workers: usize,
    /// The time after which the server closes an idle connection, for `stats settings`; `None` for never.
    pub idle_timeout: Option<Duration>,
    /// Bytes that key and value of one item may have together, if a client of this service stores it. The store's own
    /// limit holds too. Items that others have stored may be larger, and are returned.
    pub max_item_size: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            nested: true,
            workers: 1,
            idle_timeout: None,
            max_item_size: 1 << 20,
        }
    }
}

/// The state that all sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) connections: Arc<Connections>,
    pub(super) settings: Settings,
    pub(super) counters: Counters,
    /// The start of the service, by the store's clock.
    pub(super) started_ms: u64,
    /// The level of the last `verbosity`. `stats settings` shows it; it doesn't change larder's log
    /// level.
    pub(super) verbosity: AtomicU32,
    pub(super) max_item_size: AtomicUsize,
}

impl Shared {
    /// Bytes that key and value of an item may have together.
    pub(super) fn max_item_size(&self) -> usize {
        let own = self.max_item_size.load(Ordering::Relaxed);
        own.min(self.store.max_item_size())
    }

    pub(super) fn nesting(&self) -> Nesting {
        if self.settings.nested {
            Nesting::On
        } else {
            Nesting::Off
        }
    }
}

/// The context of one turn's commands. The commands are its methods, in the files beside this one.
pub(super) struct TurnContext<'a> {
    pub(super) shared: &'a Shared,
    pub(super) out: &'a mut Vec<u8>,
    pub(super) counts: TurnCounts,
    /// The length of the output beyond which the turn ends.
    pub(super) full: usize,
    /// A large value that belongs into the output. The turn ends behind it.
    pub(super) insertions: KeptInsertions,
    /// The connection writes such values.
    pub(super) may_insert: bool,
    /// The connection whose turn it is.
    pub(super) connection: &'a Connection,
}

impl<'a> TurnContext<'a> {
    /// The context of a turn that appends to `out`.
    pub(super) fn new(
        shared: &'a Shared,
        out: &'a mut Vec<u8>,
        connection: &'a Connection,
    ) -> Self {
        TurnContext {
            full: out.len() + OUTPUT_SOFT_LIMIT,
            shared,
            out,
            counts: TurnCounts::default(),
            insertions: KeptInsertions::default(),
            may_insert: false,
            connection,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.out.len() > self.full
    }

    /// Whether the output may have so many further bytes. If not, the replies of other connections have to be written
    /// first; then the command is done again.
    pub(super) fn has_memory(&self, bytes: usize) -> bool {
        let total = OUTPUT_SOFT_LIMIT + self.out.len() - self.full + bytes;
        let connections = &self.shared.connections;
        total <= OUTPUT_SOFT_LIMIT || connections.reserve_reply(self.connection, total)
    }

    /// Appends a reply, unless the command has `noreply`.
    pub(super) fn reply(&mut self, noreply: bool, reply: &[u8]) {
        if !noreply {
            self.out.extend_from_slice(reply);
        }
    }
}

/// The time at which an item with this exptime expires, in Unix milliseconds; `None` for never.
///
/// Up to 30 days it is a number of seconds from now, beyond that a Unix time, as in memcached; a
/// negative one has expired at once.
pub(super) fn expires_ms(exptime: i32, now_ms: u64) -> Option<u64> {
    const RELATIVE_LIMIT: u32 = 60 * 60 * 24 * 30;
    match u32::try_from(exptime) {
        Ok(0) => None,
        Ok(seconds) if seconds <= RELATIVE_LIMIT => Some(now_ms + u64::from(seconds) * 1000),
        Ok(unix) => Some(u64::from(unix) * 1000),
        Err(_) => Some(now_ms),
    }
}

/// Calls `work` with the names of a path; short paths cost no allocation.
pub(super) fn with_path<R>(path: Words<'_>, work: impl FnOnce(&[&[u8]]) -> R) -> R {
    const FEW: usize = 8;
    let mut names = [&b""[..]; FEW];
    let mut depth = 0;
    for name in path {
        let Some(place) = names.get_mut(depth) else {
            return work(&path.collect::<Vec<_>>());
        };
        *place = name;
        depth += 1;
    }
    work(&names[..depth])
}

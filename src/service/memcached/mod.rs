//! memcached's front door: the classic text protocol, and nested keys, on the store.
//!
//! ```text
//!   input ─▶ Session::turn ─▶ text::parse ─▶ Work (one method per command) ─▶ Tree (one lock per key) ─▶ output
//!                 │                             │
//!                 └ Pending: what a turn        └ Tally: counted here, added to the
//!                   left unfinished               service's counters once per turn
//! ```
//!
//! A [`Session`](session::Session) holds no bytes: a value stays in the connection's input until
//! all of it is there, after its length was checked, and one that is too large is counted off as it
//! arrives. A `get` of many keys writes them one by one and stops between two keys when the output
//! is full; what it has written it consumes, so the rest of the line is all that it needs to go on.
//!
//! A client's items are in the store's database 0, where Redis clients find them too. A Redis hash
//! is a node without a value: to memcached's commands it holds no data (`get` misses, `add` and
//! `replace` don't store), while `getn` and `getch` read its fields. `set`, `add`, `replace` and
//! `cas` replace an item with all that is below it; `append`, `prepend`, `incr`, `decr` and `touch`
//! leave what is below it alone. A change below an item changes its cas unique.
//!
//! Cost of a `get` that hits: the scanner, one lock, one look-up, one copy of the value into the
//! output. No allocation once the output has grown.

mod children;
mod counters;
mod delta;
mod retrieval;
mod session;
mod stats;
mod storage;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::protocol::memcached::text::{Nesting, Words, reply};
use crate::server::connections::Connections;
use crate::server::{self, Peer, Refusal};
use crate::store::Store;

use counters::{Counters, Tally};

/// The store's database that memcached's clients see.
const DATABASE: u8 = 0;

/// What a user can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether keys are paths; without it the service is memcached to the letter.
    pub nested: bool,
    /// How many worker threads the server runs, for `stats`.
    pub workers: usize,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            nested: true,
            workers: 1,
        }
    }
}

/// The memcached service: opens a session for each connection.
#[derive(Debug)]
pub struct Memcached {
    shared: Arc<Shared>,
}

/// What all sessions share.
#[derive(Debug)]
struct Shared {
    store: Arc<Store>,
    connections: Arc<Connections>,
    settings: Settings,
    counters: Counters,
    /// When the service began, by the store's clock.
    started_ms: u64,
    /// What the last `verbosity` said. Shown by `stats settings`; larder's log level is its owner's
    /// to set.
    verbosity: AtomicU32,
}

impl Memcached {
    /// A service on a store; `connections` is what `stats` tells about.
    pub fn new(store: Arc<Store>, connections: Arc<Connections>, settings: Settings) -> Memcached {
        let started_ms = store.now_ms();
        Memcached {
            shared: Arc::new(Shared {
                store,
                connections,
                settings,
                counters: Counters::default(),
                started_ms,
                verbosity: AtomicU32::new(0),
            }),
        }
    }
}

impl server::Service for Memcached {
    fn protocol(&self) -> &'static str {
        "memcached"
    }

    fn open(&self, peer: Peer) -> Box<dyn server::Session> {
        Box::new(session::Session::new(
            Arc::clone(&self.shared),
            peer.connection.id(),
        ))
    }

    fn refusal(&self, why: Refusal) -> Cow<'static, [u8]> {
        match why {
            Refusal::TooManyConnections => Cow::Borrowed(reply::TOO_MANY_CONNECTIONS),
        }
    }
}

impl Shared {
    fn nesting(&self) -> Nesting {
        if self.settings.nested {
            Nesting::On
        } else {
            Nesting::Off
        }
    }
}

/// One turn's work: the commands are its methods, in the files beside this one.
struct Work<'a> {
    shared: &'a Shared,
    out: &'a mut Vec<u8>,
    tally: Tally,
    /// The length of the output beyond which the turn ends.
    full: usize,
    /// The connection whose turn it is.
    connection: u64,
}

impl Work<'_> {
    fn is_full(&self) -> bool {
        self.out.len() > self.full
    }

    /// Appends a reply, unless the client wants none.
    fn reply(&mut self, noreply: bool, reply: &[u8]) {
        if !noreply {
            self.out.extend_from_slice(reply);
        }
    }

    /// `flush_all`: now, or when the time has come.
    fn flush_all(&mut self, delay: i32, noreply: bool) {
        self.tally.cmd_flush += 1;
        let store = &self.shared.store;
        let now_ms = store.now_ms();
        match expires_ms(delay, now_ms) {
            Some(when_ms) if when_ms > now_ms => store.flush_at(DATABASE, when_ms),
            // A date that is over flushes what was stored before then: nothing, since larder is
            // younger. It still takes the place of an earlier order, as in memcached.
            Some(_) if delay > 0 => store.flush_at(DATABASE, u64::MAX),
            _ => store.flush(DATABASE),
        }
        self.reply(noreply, reply::OK);
    }

    fn verbosity(&mut self, level: u32, noreply: bool) {
        self.shared.verbosity.store(level, Ordering::Relaxed);
        self.reply(noreply, reply::OK);
    }

    fn version(&mut self) {
        self.out
            .extend_from_slice(concat!("VERSION ", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes());
    }
}

/// When an item with this expiration time ends, in Unix milliseconds; `None` for never.
///
/// Up to 30 days it is a number of seconds from now, beyond that a Unix time, as in memcached; a
/// negative one is over at once.
fn expires_ms(exptime: i32, now_ms: u64) -> Option<u64> {
    const RELATIVE_LIMIT: u32 = 60 * 60 * 24 * 30;
    match u32::try_from(exptime) {
        Ok(0) => None,
        Ok(seconds) if seconds <= RELATIVE_LIMIT => Some(now_ms + u64::from(seconds) * 1000),
        Ok(unix) => Some(u64::from(unix) * 1000),
        Err(_) => Some(now_ms),
    }
}

/// Calls `work` with the names of a path; short paths cost no allocation.
fn with_path<R>(path: Words<'_>, work: impl FnOnce(&[&[u8]]) -> R) -> R {
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

//! `watch`: connections to which uses of the cache are reported, in lines of memcached's log.
//!
//! ```text
//!   Operations ─── reads, writes, deletions ─┐
//!   Store ──────── evictions ────────────────┼─▶ EventLog::write ─▶ a buffer for each watcher ─▶ Watching::turn
//!   ConnectionSession ─ begin and end ───────┘   (one lock)          (bounded)                   (every 20 ms)
//! ```
//!
//! A client that sends `watch fetchers evictions` gets no further replies, only lines of these kinds of events. It may
//! send nothing more; what it sends is discarded. `kinds` has the names of the kinds, and `lines` the forms of the lines.
//!
//! Cost without a watcher: a load of one byte for each operation, each eviction and each connection. With a watcher, an event of
//! its kinds takes a lock that all connections share, and about a microsecond. The buffer of a watcher has at most [`BUFFER`]
//! bytes. If it is full because the client reads slowly, lines are skipped, and `skipped=N` is written in their place. So events never
//! wait for a watcher.
//!
//! Invariants: the numbers of lines (`gid`) rise in each watcher's stream. The lock is taken below that of a shard, and
//! nothing else is locked under it.

mod kinds;
mod lines;

use std::io::Write;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::server::{Connection, Next};
use crate::store::{EvictedItem, Store};

pub(super) use kinds::EventKinds;
pub(super) use lines::encode;
pub(super) use lines::{DeleteVerb, LookUp, StoreEvent};

/// Bytes of lines that wait for one watcher, as in memcached.
pub(super) const BUFFER: usize = 256 * 1024;

/// Bytes that a line leaves free in the buffer, for the number of skipped ones.
const SPARE: usize = 128;

/// Watchers that may be at once, as in memcached.
const WATCHERS: usize = 20;

/// The log of a service's events.
#[derive(Debug)]
pub(super) struct EventLog {
    /// The kinds that at least one watcher wants.
    wanted: AtomicU8,
    watchers: Mutex<WatcherList>,
    store: Arc<Store>,
}

#[derive(Debug, Default)]
struct WatcherList {
    watchers: Vec<Watcher>,
    /// The number of the last watcher.
    last: u64,
    /// The number of the last line.
    lines: u64,
    figures: LogFigures,
}

/// A watcher, and the lines that wait for it.
#[derive(Debug)]
struct Watcher {
    number: u64,
    kinds: EventKinds,
    buffer: Vec<u8>,
    /// Lines that were skipped since the last one in the buffer.
    skipped: u64,
}

/// Figures for `stats`.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct LogFigures {
    pub(super) watchers: usize,
    /// Lines that at least one watcher wanted.
    pub(super) written: u64,
    /// Lines that were skipped, and lines that were sent, each counted once for each watcher.
    pub(super) skipped: u64,
    pub(super) sent: u64,
}

impl EventLog {
    /// A log without watchers, for a service on this store.
    pub(super) fn new(store: &Arc<Store>) -> Arc<EventLog> {
        let log = Arc::new(EventLog {
            wanted: AtomicU8::new(0),
            watchers: Mutex::default(),
            store: Arc::clone(store),
        });
        let of_store = Arc::downgrade(&log);
        store.observe_evictions(move |evicted| {
            if let Some(log) = of_store.upgrade() {
                log.evicted(evicted);
            }
        });
        log
    }

    /// Whether there is a watcher of this kind of event.
    #[inline]
    pub(super) fn wants(&self, kind: EventKinds) -> bool {
        self.wanted.load(Ordering::Relaxed) & kind.0 != 0
    }

    /// Adds a watcher of these kinds of events; `None` if there are too many.
    pub(super) fn add(self: &Arc<Self>, kinds: EventKinds) -> Option<Watching> {
        let mut list = self.locked();
        if list.watchers.len() >= WATCHERS {
            return None;
        }
        list.last += 1;
        let number = list.last;
        list.watchers.push(Watcher {
            number,
            kinds,
            buffer: Vec::new(),
            skipped: 0,
        });
        self.note_wanted(&list);
        Some(Watching {
            log: Arc::clone(self),
            number,
        })
    }

    pub(super) fn figures(&self) -> LogFigures {
        let list = self.locked();
        LogFigures {
            watchers: list.watchers.len(),
            ..list.figures
        }
    }

    pub(super) fn reset_figures(&self) {
        self.locked().figures = LogFigures::default();
    }

    /// Gives a line to each watcher of this kind of event. `rest` writes the line behind its time and number.
    fn write(&self, kind: EventKinds, rest: impl FnOnce(&mut Vec<u8>)) {
        let now_ms = self.store.now_ms();
        let mut list = self.locked();
        list.lines += 1;
        let mut line = Vec::with_capacity(192);
        let (seconds, micros) = (now_ms / 1000, now_ms % 1000 * 1000);
        // Writing to a Vec can't fail.
        let _ = write!(line, "ts={seconds}.{micros:06} gid={} ", list.lines);
        rest(&mut line);
        line.push(b'\n');
        let WatcherList {
            watchers, figures, ..
        } = &mut *list;
        figures.written += 1;
        for watcher in watchers.iter_mut().filter(|one| one.kinds.0 & kind.0 != 0) {
            match watcher.push(&line) {
                true => figures.sent += 1,
                false => figures.skipped += 1,
            }
        }
    }

    /// Reports a look-up by a connection.
    pub(super) fn looked_up(&self, path: &[&[u8]], look_up: LookUp, connection: u64) {
        self.write(EventKinds::FETCHERS, |line| {
            lines::item_get(line, path, look_up, connection);
        });
    }

    /// Reports a storage command of a connection.
    pub(super) fn stored(&self, path: &[&[u8]], event: StoreEvent, connection: u64) {
        self.write(EventKinds::MUTATIONS, |line| {
            lines::item_store(line, path, event, connection);
        });
    }

    /// Reports the deletion of an item whose value has so many bytes.
    pub(super) fn deleted(&self, path: &[&[u8]], verb: DeleteVerb, length: usize) {
        self.write(EventKinds::DELETIONS, |line| {
            lines::deleted(line, path, verb, length);
        });
    }

    /// Reports the beginning of a connection.
    pub(super) fn connected(&self, connection: &Connection) {
        self.write(EventKinds::CONNEVENTS, |line| {
            lines::conn_new(line, connection)
        });
    }

    /// Reports the end of a connection. `refused`: its session ended it because of what the client had sent.
    pub(super) fn disconnected(&self, connection: &Connection, refused: bool) {
        self.write(EventKinds::CONNEVENTS, |line| {
            lines::conn_close(line, connection, refused);
        });
    }

    fn evicted(&self, evicted: &EvictedItem<'_>) {
        if self.wants(EventKinds::EVICTIONS) {
            self.write(EventKinds::EVICTIONS, |line| lines::eviction(line, evicted));
        }
    }

    fn note_wanted(&self, list: &WatcherList) {
        let wanted = list.watchers.iter().fold(0, |all, one| all | one.kinds.0);
        self.wanted.store(wanted, Ordering::Relaxed);
        self.store
            .report_evictions(wanted & EventKinds::EVICTIONS.0 != 0);
    }

    /// The list. Each statement leaves it whole, so a panic under the lock does no harm.
    fn locked(&self) -> MutexGuard<'_, WatcherList> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watcher {
    /// Appends a line, or skips it because the client reads too slowly.
    fn push(&mut self, line: &[u8]) -> bool {
        if self.buffer.len() + line.len() + SPARE > BUFFER {
            self.skipped += 1;
            return false;
        }
        if self.skipped > 0 {
            let _ = writeln!(self.buffer, "skipped={}", self.skipped);
            self.skipped = 0;
        }
        self.buffer.extend_from_slice(line);
        true
    }
}

/// The state of a connection that watches. The watch ends when it is dropped.
pub(super) struct Watching {
    log: Arc<EventLog>,
    number: u64,
}

impl Watching {
    /// Appends the lines that wait, and returns when the next ones are due.
    pub(super) fn turn(&mut self, output: &mut Vec<u8>) -> Next {
        let number = self.number;
        let mut list = self.log.locked();
        let watcher = list.watchers.iter_mut().find(|one| one.number == number);
        let lines = watcher.map_or(Vec::new(), |watcher| std::mem::take(&mut watcher.buffer));
        drop(list);
        output.extend_from_slice(&lines);
        // So many lines that the buffer may be full before the next turn.
        let is_urgent = lines.len() > BUFFER / 4;
        if is_urgent { Next::Again } else { Next::Later }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut list = self.log.locked();
        list.watchers.retain(|one| one.number != self.number);
        self.log.note_wanted(&list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Clock, Config};

    fn log() -> Arc<EventLog> {
        let store = Store::new(Config::default(), Clock::manual(1_700_000_000_046));
        EventLog::new(&Arc::new(store))
    }

    fn lines(watching: &mut Watching) -> String {
        let mut output = Vec::new();
        watching.turn(&mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn a_line_has_time_and_number_and_goes_to_the_watchers_of_its_kind() {
        let log = log();
        let mut reads = log.add(EventKinds::FETCHERS).unwrap();
        let mut writes = log.add(EventKinds::MUTATIONS).unwrap();
        log.write(EventKinds::FETCHERS, |line| line.extend_from_slice(b"a"));
        log.write(EventKinds::MUTATIONS, |line| line.extend_from_slice(b"b"));
        assert_eq!(lines(&mut reads), "ts=1700000000.046000 gid=1 a\n");
        assert_eq!(lines(&mut writes), "ts=1700000000.046000 gid=2 b\n");
        assert_eq!(lines(&mut reads), "");
    }

    #[test]
    fn kinds_are_wanted_as_long_as_they_have_a_watcher() {
        let log = log();
        let first = log.add(EventKinds::FETCHERS).unwrap();
        let second = log.add(EventKinds::EVICTIONS).unwrap();
        assert!(log.wants(EventKinds::FETCHERS) && log.wants(EventKinds::EVICTIONS));
        assert!(!log.wants(EventKinds::MUTATIONS));
        drop(first);
        assert!(!log.wants(EventKinds::FETCHERS) && log.wants(EventKinds::EVICTIONS));
        drop(second);
        assert!(!log.wants(EventKinds::EVICTIONS));
        assert_eq!(log.figures().watchers, 0);
    }

    #[test]
    fn watchers_beyond_the_limit_are_refused() {
        let log = log();
        let mut watching: Vec<_> = (0..WATCHERS)
            .map(|_| log.add(EventKinds::FETCHERS).unwrap())
            .collect();
        assert!(log.add(EventKinds::FETCHERS).is_none());
        watching.pop();
        assert!(log.add(EventKinds::FETCHERS).is_some());
    }

    #[test]
    fn lines_beyond_the_buffer_are_skipped_and_counted() {
        let log = log();
        let mut watching = log.add(EventKinds::FETCHERS).unwrap();
        let long = [b'x'; 1000];
        for _ in 0..300 {
            log.write(EventKinds::FETCHERS, |line| line.extend_from_slice(&long));
        }
        let figures = log.figures();
        assert_eq!(
            (figures.written, figures.sent + figures.skipped),
            (300, 300)
        );
        assert!(figures.skipped > 0);
        let first = lines(&mut watching);
        assert!(first.len() <= BUFFER && first.len() > BUFFER - 1100 - SPARE);
        assert!(!first.contains("skipped"));
        log.write(EventKinds::FETCHERS, |line| line.extend_from_slice(b"next"));
        let expected = format!(
            "skipped={}\nts=1700000000.046000 gid=301 next\n",
            figures.skipped
        );
        assert_eq!(lines(&mut watching), expected);
    }

    #[test]
    fn a_watcher_with_many_lines_has_its_next_turn_at_once() {
        let log = log();
        let mut watching = log.add(EventKinds::FETCHERS).unwrap();
        let long = [b'x'; BUFFER / 3];
        log.write(EventKinds::FETCHERS, |line| line.extend_from_slice(&long));
        assert_eq!(watching.turn(&mut Vec::new()), Next::Again);
        assert_eq!(watching.turn(&mut Vec::new()), Next::Later);
    }
}

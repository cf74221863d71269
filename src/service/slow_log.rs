//! The slow log: the last requests that took long, of all protocols.
//!
//! ```text
//!   RESP session ──────┐                                                 ┌─▶ SLOWLOG GET
//!   memcached session ─┴─ is_notable? ─▶ is_slow? ─▶ SlowLog::add ───────┴─▶ stats slowlog
//!                                     └▶ LatencyMonitor::note ─────────────▶ LATENCY
//! ```
//!
//! The log owns the [latency monitor](LatencyMonitor), so that a session compares a time once for both.
//!
//! An entry has the words of the request, shortened as Redis shortens them. Sessions leave out passwords and values of
//! memcached's protocols.
//!
//! Cost: a session compares each time that it measures with the lower threshold of both, which is one load. Only an entry takes the
//! lock.
//!
//! Bounds: an entry has at most [`MOST_WORDS`] words of [`MOST_BYTES`] bytes. The log has as many entries as the setting
//! allows, and at most [`MOST_MEMORY`] bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::latency_monitor::LatencyMonitor;

/// Words that an entry has of a request. The last one may be the number of those that are left out.
const MOST_WORDS: usize = 32;

/// Bytes that an entry has of a word.
const MOST_BYTES: usize = 128;

/// Bytes that all entries may have together, even if the setting allows more of them.
const MOST_MEMORY: usize = 16 << 20;

/// Microseconds of a slow request, unless the settings say otherwise: Redis's default.
pub(crate) const SLOWER_THAN: i64 = 10_000;

/// Entries, unless the settings say otherwise: Redis's default.
pub(crate) const MAX_LEN: u64 = 128;

/// A request that took long.
#[derive(Debug, Clone)]
pub(crate) struct SlowRequest {
    /// Rises from 0.
    pub(crate) id: u64,
    /// Unix seconds of its end.
    pub(crate) at: u64,
    pub(crate) microseconds: u64,
    /// Its words, shortened.
    pub(crate) words: Vec<Vec<u8>>,
    /// The client's address, and the name that it has given itself.
    pub(crate) client: String,
    pub(crate) name: Vec<u8>,
}

impl SlowRequest {
    /// Bytes of memory.
    fn size(&self) -> usize {
        let words: usize = self.words.iter().map(|word| word.len() + 24).sum();
        size_of::<SlowRequest>() + words + self.client.len() + self.name.len()
    }
}

/// The last requests that took long.
#[derive(Debug)]
pub(crate) struct SlowLog {
    /// Microseconds of a slow request; negative for no log.
    slower_than: AtomicI64,
    /// Microseconds from which on the log or the monitor notes a request; negative if both are off.
    notable_from: AtomicI64,
    latency: LatencyMonitor,
    max_len: AtomicU64,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    /// The oldest first.
    list: VecDeque<SlowRequest>,
    size: usize,
    next_id: u64,
}

impl Default for SlowLog {
    fn default() -> SlowLog {
        SlowLog {
            slower_than: AtomicI64::new(SLOWER_THAN),
            notable_from: AtomicI64::new(SLOWER_THAN),
            latency: LatencyMonitor::default(),
            max_len: AtomicU64::new(MAX_LEN),
            entries: Mutex::default(),
        }
    }
}

impl SlowLog {
    /// Microseconds of a slow request; negative for no log.
    pub(crate) fn slower_than(&self) -> i64 {
        self.slower_than.load(Relaxed)
    }

    pub(crate) fn set_slower_than(&self, microseconds: i64) {
        self.slower_than.store(microseconds, Relaxed);
        self.update_notable();
    }

    /// The monitor of events that take long.
    #[inline]
    pub(crate) fn latency(&self) -> &LatencyMonitor {
        &self.latency
    }

    /// Changes the milliseconds of an event that the monitor notes; 0 switches it off.
    pub(crate) fn set_latency_threshold(&self, milliseconds: i64) {
        self.latency.set_threshold(milliseconds);
        self.update_notable();
    }

    /// Takes over a change of one of the two thresholds.
    fn update_notable(&self) {
        let threshold = self.latency.threshold();
        let monitored = (threshold > 0).then(|| threshold.saturating_mul(1000));
        let logged = Some(self.slower_than()).filter(|limit| *limit >= 0);
        let least = monitored.into_iter().chain(logged).min();
        self.notable_from.store(least.unwrap_or(-1), Relaxed);
    }

    /// Whether the log or the monitor is on.
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.notable_from.load(Relaxed) >= 0
    }

    /// Whether a request that took so long belongs into the log, or to the events of the monitor.
    #[inline]
    pub(crate) fn is_notable(&self, time: Duration) -> bool {
        let least = self.notable_from.load(Relaxed);
        least >= 0 && time.as_micros() >= least.unsigned_abs().into()
    }

    /// The number of entries that the log may have.
    pub(crate) fn max_len(&self) -> u64 {
        self.max_len.load(Relaxed)
    }

    /// Changes the number of entries. The oldest ones beyond it are removed with the next entry, as in Redis.
    pub(crate) fn set_max_len(&self, entries: u64) {
        self.max_len.store(entries, Relaxed);
    }

    /// Whether a request that took so long belongs into the log.
    pub(crate) fn is_slow(&self, time: Duration) -> bool {
        let slower_than = self.slower_than();
        slower_than >= 0 && time.as_micros() >= slower_than.unsigned_abs().into()
    }

    /// Whether each request has to be timed by itself, because the threshold is so low that a quick one may reach it.
    #[inline]
    pub(crate) fn is_exact(&self) -> bool {
        (0..SLOWER_THAN).contains(&self.notable_from.load(Relaxed))
    }

    /// Adds a request. It gets its number here, and these words, shortened.
    pub(crate) fn add<'a>(
        &self,
        mut request: SlowRequest,
        words: impl IntoIterator<Item = &'a [u8]>,
    ) {
        request.words = shorten(words.into_iter());
        let mut entries = self.locked();
        request.id = entries.next_id;
        entries.next_id += 1;
        entries.size += request.size();
        entries.list.push_back(request);
        let most = usize::try_from(self.max_len()).unwrap_or(usize::MAX);
        while entries.list.len() > most || entries.size > MOST_MEMORY {
            let Some(oldest) = entries.list.pop_front() else {
                break;
            };
            entries.size -= oldest.size();
        }
    }

    /// The last entries, up to this many, the newest first.
    pub(crate) fn latest(&self, count: usize) -> Vec<SlowRequest> {
        self.locked()
            .list
            .iter()
            .rev()
            .take(count)
            .cloned()
            .collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.locked().list.len()
    }

    /// Removes all entries.
    pub(crate) fn reset(&self) {
        let mut entries = self.locked();
        entries.list.clear();
        entries.size = 0;
    }

    fn locked(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Shortens the words of a request. Of a long word the first bytes stay, of many words the first ones, and the number of those that
/// are left out.
fn shorten<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let mut words = words.peekable();
    let mut short = Vec::new();
    while let Some(word) = words.next() {
        if short.len() == MOST_WORDS - 1 && words.peek().is_some() {
            let left = 1 + words.count();
            short.push(format!("... ({left} more arguments)").into_bytes());
            break;
        }
        let mut kept = word[..word.len().min(MOST_BYTES)].to_vec();
        if word.len() > MOST_BYTES {
            let left = word.len() - MOST_BYTES;
            kept.extend_from_slice(format!("... ({left} more bytes)").as_bytes());
        }
        short.push(kept);
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> SlowRequest {
        SlowRequest {
            id: 0,
            at: 0,
            microseconds: 1,
            words: Vec::new(),
            client: String::new(),
            name: Vec::new(),
        }
    }

    #[test]
    fn words_are_shortened_as_in_redis() {
        let long = [b'x'; 130];
        assert_eq!(shorten([&long[..128]].into_iter()), [vec![b'x'; 128]]);
        let mut expected = vec![b'x'; 128];
        expected.extend_from_slice(b"... (2 more bytes)");
        assert_eq!(shorten([&long[..]].into_iter()), [expected]);
        assert_eq!(shorten([&b"a"[..]; 32].into_iter()).len(), 32);
        let many = shorten([&b"a"[..]; 33].into_iter());
        assert_eq!(many.len(), 32);
        assert_eq!(many[31], b"... (2 more arguments)");
    }

    #[test]
    fn the_newest_entries_stay() {
        let log = SlowLog::default();
        log.set_max_len(3);
        for _ in 0..5 {
            log.add(request(), [&b"GET"[..]]);
        }
        let ids = |log: &SlowLog, count| -> Vec<_> {
            log.latest(count).iter().map(|entry| entry.id).collect()
        };
        assert_eq!((log.len(), ids(&log, 9)), (3, vec![4, 3, 2]));
        assert_eq!(ids(&log, 1), [4]);
        log.reset();
        log.add(request(), [&b"GET"[..]]);
        assert_eq!(ids(&log, 9), [5]);
        log.set_max_len(0);
        log.add(request(), [&b"GET"[..]]);
        assert_eq!(log.len(), 0);
    }

    #[test]
    fn entries_take_bounded_memory_however_many_are_allowed() {
        let log = SlowLog::default();
        log.set_max_len(u64::MAX);
        let word = [b'x'; 200];
        for _ in 0..5000 {
            log.add(request(), [&word[..]; 40]);
        }
        let entries = log.locked();
        assert!(entries.size <= MOST_MEMORY && entries.list.len() > 1000);
        let size: usize = entries.list.iter().map(SlowRequest::size).sum();
        assert_eq!(entries.size, size);
    }

    #[test]
    fn a_request_is_slow_from_the_threshold_on_and_never_below_zero() {
        let log = SlowLog::default();
        assert!(log.is_slow(Duration::from_millis(10)) && !log.is_exact());
        assert!(!log.is_slow(Duration::from_micros(9999)));
        log.set_slower_than(0);
        assert!(log.is_slow(Duration::ZERO) && log.is_exact());
        log.set_slower_than(-1);
        assert!(!log.is_slow(Duration::from_secs(99)) && !log.is_exact());
    }

    #[test]
    fn a_time_is_notable_if_the_log_or_the_monitor_wants_it() {
        let log = SlowLog::default();
        log.set_latency_threshold(2);
        assert!(log.is_notable(Duration::from_millis(2)) && log.is_exact());
        assert!(!log.is_notable(Duration::from_micros(1999)));
        log.set_slower_than(-1);
        assert!(log.is_on() && log.is_notable(Duration::from_millis(2)));
        log.set_latency_threshold(0);
        assert!(!log.is_on() && !log.is_notable(Duration::from_secs(99)));
        log.set_slower_than(5000);
        log.set_latency_threshold(i64::MAX);
        assert!(log.is_notable(Duration::from_millis(5)));
        assert!(!log.is_notable(Duration::from_micros(4999)));
    }
}

//! Read-through on the store: the table of fetches behind a lock, and a fetch from its lease to its end.
//!
//! Two locks, never held together the other way around: that of a shard, then that of the table. A fetch holds neither while
//! it asks the origin.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::store::{Item, Lease, LeaseRefusal, Refused, Store, Tree};

use super::failure_log::FailureLog;
use super::fetch::{Fetch, FetchOutcome};
use super::fetch_table::{Asked, FetchTable};
use super::item_path::ItemPath;
use super::settings::{OnFailure, Settings, millis};
use super::source::{FetchError, FetchRequest, Fetched, Origin};
use super::statistics::OriginStatistics;

/// An origin, and the store that its values go to.
pub(crate) struct ReadThrough {
    store: Arc<Store>,
    origin: Arc<dyn Origin>,
    settings: Settings,
    /// Bytes that key and value of a fetched item may have together.
    max_item_size: AtomicUsize,
    /// The values are copies of a peer's items, which the peer has dropped again when they change.
    pub(super) keeps_copies: bool,
    state: Mutex<State>,
    /// Notified when a fetch is queued, and at the end.
    queued: Condvar,
    pub(super) statistics: OriginStatistics,
    failures: FailureLog,
}

struct State {
    table: FetchTable,
    stopping: bool,
}

impl std::fmt::Debug for ReadThrough {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadThrough")
            .field("origin", &self.origin.describe())
            .finish_non_exhaustive()
    }
}

impl ReadThrough {
    pub(super) fn new(
        store: Arc<Store>,
        origin: Arc<dyn Origin>,
        settings: Settings,
        max_item_size: usize,
        keeps_copies: bool,
    ) -> ReadThrough {
        ReadThrough {
            store,
            origin,
            settings,
            keeps_copies,
            max_item_size: AtomicUsize::new(max_item_size),
            state: Mutex::new(State {
                table: FetchTable::new(settings),
                stopping: false,
            }),
            queued: Condvar::new(),
            statistics: OriginStatistics::default(),
            failures: FailureLog::new("origin"),
        }
    }

    /// Sets how many bytes key and value of an item may have together that is fetched from now on.
    pub(crate) fn set_max_item_size(&self, bytes: usize) {
        self.max_item_size.store(bytes, Ordering::Relaxed);
    }

    /// Asks for a path. Nothing waits here; the fetch threads do the rest.
    pub(super) fn ask(&self, path: ItemPath) -> Asked {
        let deadline = Instant::now() + self.settings.timeout;
        let now_ms = self.store.now_ms();
        let asked = self.lock().table.ask(path, now_ms, deadline);
        if let Asked::Queued(_) = asked {
            self.queued.notify_one();
        }
        asked
    }

    /// Notes a hit, whose shard is locked. A stale item is refreshed.
    #[inline]
    pub(crate) fn note_hit(&self, db: u8, names: &[&[u8]], item: Item<'_>, now_ms: u64) {
        if item.marks().from_origin {
            self.refresh_if_stale(db, names, item, now_ms);
        }
    }

    #[cold]
    fn refresh_if_stale(&self, db: u8, names: &[&[u8]], item: Item<'_>, now_ms: u64) {
        if !self.is_stale(item, now_ms) {
            return;
        }
        let Some(path) = ItemPath::new(db, names) else {
            return;
        };
        match self.ask(path) {
            Asked::Queued(_) => OriginStatistics::add(&self.statistics.refreshes),
            // The item is answered all the same.
            Asked::Full(_) => self.note_full(),
            Asked::Joined(_) | Asked::Known => {}
        }
    }

    fn is_stale(&self, item: Item<'_>, now_ms: u64) -> bool {
        let expires_ms = item.expires_ms();
        item.marks().from_origin
            && expires_ms.is_some_and(|expires_ms| self.settings.is_stale(expires_ms, now_ms))
    }

    /// Notes that a path was not fetched because too many are queued.
    pub(super) fn note_full(&self) {
        OriginStatistics::add(&self.statistics.queue_full);
        let queue = self.settings.queue;
        self.failures.note(Instant::now(), || {
            format!(
                "{}: {queue} fetches wait for it, and further keys are answered without it",
                self.origin.describe()
            )
        });
    }

    /// Lines of statistics: a name, and a number.
    pub(crate) fn statistics(&self) -> Vec<(&'static str, u64)> {
        let [queued, under_way, remembered] = self.lock().table.figures().map(|n| n as u64);
        let mut lines = self.statistics.lines();
        lines.extend([
            ("origin_queued", queued),
            ("origin_under_way", under_way),
            ("origin_remembered", remembered),
        ]);
        lines
    }

    /// Notes that a command waits for its fetches.
    pub(crate) fn note_wait(&self) {
        OriginStatistics::add(&self.statistics.waits);
    }

    /// The next fetch for a thread, which waits for it; `None` at the end.
    pub(super) fn next(&self) -> Option<Arc<Fetch>> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            if let Some(fetch) = state.table.next() {
                return Some(fetch);
            }
            state = self
                .queued
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Ends the threads when their current fetches have ended.
    pub(super) fn stop(&self) {
        self.lock().stopping = true;
        self.queued.notify_all();
    }

    /// Runs a fetch to its end.
    pub(super) fn run(&self, fetch: &Arc<Fetch>) {
        let outcome = match self.begin(fetch) {
            None => FetchOutcome::Stored,
            Some(lease) => {
                OriginStatistics::add(&self.statistics.fetches);
                let answer = self.fetch(fetch);
                self.settle(fetch, lease, answer)
            }
        };
        let now_ms = self.store.now_ms();
        if self.lock().table.end(fetch, outcome, now_ms) {
            self.queued.notify_one();
        }
        fetch.end(outcome);
    }

    /// Takes the lease on the path; `None` if the item has come meanwhile and needs no refreshing.
    fn begin<'f>(&self, fetch: &'f Fetch) -> Option<&'f Lease> {
        let _gate = self.store.share();
        fetch.path.with_names(|names| {
            let mut tree = self.store.lock(fetch.path.db, names[0]);
            if let Some(node) = tree.peek(names) {
                // A node without a value is a hash: it is no item of the origin.
                let (item, now_ms) = (tree.item(node), tree.now_ms());
                if item.value().is_none() || !self.is_stale(item, now_ms) {
                    return None;
                }
            }
            let lease = tree.lease(names);
            Some(fetch.begin(lease))
        })
    }

    fn fetch(&self, fetch: &Fetch) -> Result<Option<Fetched>, FetchError> {
        let key = fetch.path.key();
        let most = self.max_item_size.load(Ordering::Relaxed);
        let most = most.min(self.store.max_item_size());
        fetch.path.with_names(|names| {
            let request = FetchRequest {
                key: &key,
                names,
                deadline: fetch.deadline,
                max_value: most.saturating_sub(key.len()),
            };
            request.time_left()?;
            let fetched = catch_unwind(AssertUnwindSafe(|| self.origin.fetch(&request)));
            let fetched = fetched
                .unwrap_or_else(|_| Err(FetchError::Error("its code in larder panicked".into())))?;
            if let Some(fetched) = &fetched {
                request.check_length(fetched.value.len())?;
            }
            Ok(fetched)
        })
    }

    /// Stores what was fetched, unless a client has changed the path.
    fn settle(
        &self,
        fetch: &Fetch,
        lease: &Lease,
        answer: Result<Option<Fetched>, FetchError>,
    ) -> FetchOutcome {
        let _gate = self.store.share();
        let failure = fetch.path.with_names(|names| {
            let mut tree = self.store.lock(fetch.path.db, names[0]);
            match answer {
                Ok(Some(fetched)) => self.store_fetched(&mut tree, lease, &fetched),
                Ok(None) => Ok(remove(&mut tree, lease, FetchOutcome::Missing)),
                Err(FetchError::Moved) => Ok(FetchOutcome::Overtaken),
                Err(error) => {
                    if self.settings.on_failure == OnFailure::Miss {
                        remove(&mut tree, lease, FetchOutcome::Failed);
                    }
                    Err(error)
                }
            }
        });
        match failure {
            Ok(outcome) => {
                self.statistics.count(outcome);
                outcome
            }
            Err(error) => {
                self.note_failure(fetch, &error);
                FetchOutcome::Failed
            }
        }
    }

    fn store_fetched(
        &self,
        tree: &mut Tree<'_>,
        lease: &Lease,
        fetched: &Fetched,
    ) -> Result<FetchOutcome, FetchError> {
        let now_ms = tree.now_ms();
        let expires_ms = match fetched.lifetime {
            Some(lifetime) => Some(now_ms.saturating_add(millis(lifetime))),
            None => self.settings.expires_ms(now_ms),
        };
        match tree.put_leased(lease, &fetched.value, fetched.flags, expires_ms) {
            Ok(node) => {
                if fetched.lifetime.is_some() {
                    // An item of the settings' lifetime is refreshed near its end; this one isn't.
                    tree.clear_marks(node);
                }
                if let Some(cas) = fetched.cas {
                    tree.set_cas(node, cas);
                }
                Ok(FetchOutcome::Stored)
            }
            Err(LeaseRefusal::Revoked) => Ok(FetchOutcome::Overtaken),
            Err(LeaseRefusal::Store(Refused::TooLarge)) => {
                Err(FetchError::TooLarge(self.store.max_item_size()))
            }
            Err(LeaseRefusal::Store(why)) => Err(FetchError::Error(format!("not stored: {why}"))),
        }
    }

    fn note_failure(&self, fetch: &Fetch, error: &FetchError) {
        self.statistics.count_failure(error);
        self.failures.note(Instant::now(), || {
            let key = fetch.path.key();
            let shown = String::from_utf8_lossy(&key[..key.len().min(100)]).into_owned();
            let retry = self.settings.retry;
            format!(
                "{}: the key {shown:?} {error}; it is not fetched again for {retry:?}",
                self.origin.describe()
            )
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes the item that the origin doesn't have any more; `outcome` unless a client has changed it.
fn remove(tree: &mut Tree<'_>, lease: &Lease, outcome: FetchOutcome) -> FetchOutcome {
    match tree.remove_leased(lease) {
        true => outcome,
        false => FetchOutcome::Overtaken,
    }
}

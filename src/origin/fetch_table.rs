//! The rules of fetches, without threads, sockets and clock: one for each path, in the order in which they were asked for.
//!
//! ```text
//!   ask ─▶ remembered? ─▶ under way and current? join ─▶ room in the queue? ─▶ queued ─▶ next ─▶ running ─▶ end
//!            │ Known           │ Wait                        │ Full                             │
//!            ▼                 └ overtaken by a change: a successor, which is queued when it ends ┘
//! ```

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::fetch::{Fetch, FetchOutcome};
use super::item_path::ItemPath;
use super::remembered::RememberedPaths;
use super::settings::{Settings, millis};

/// The fetches that are queued and running, and what is known of others.
#[derive(Debug)]
pub(super) struct FetchTable {
    settings: Settings,
    under_way: HashMap<Arc<ItemPath>, PathFetches>,
    queue: VecDeque<Arc<Fetch>>,
    remembered: RememberedPaths,
}

/// The fetches of one path.
#[derive(Debug)]
struct PathFetches {
    current: Arc<Fetch>,
    /// The one that begins when the current one has ended.
    successor: Option<Arc<Fetch>>,
}

/// The answer to a request for a path.
#[derive(Debug)]
pub(super) enum Asked {
    /// This fetch, which is under way.
    Joined(Arc<Fetch>),
    /// This fetch, which was queued for it.
    Queued(Arc<Fetch>),
    /// None: the origin didn't have it, or a fetch of it failed, lately.
    Known,
    /// No fetch: too many are queued, of which this one runs next.
    Full(Option<Arc<Fetch>>),
}

impl FetchTable {
    pub(super) fn new(settings: Settings) -> FetchTable {
        FetchTable {
            settings,
            under_way: HashMap::new(),
            queue: VecDeque::new(),
            remembered: RememberedPaths::default(),
        }
    }

    /// Asks for a path. A fetch that is queued for it has to end at the deadline.
    pub(super) fn ask(&mut self, path: ItemPath, now_ms: u64, deadline: Instant) -> Asked {
        if self.remembered.knows(&path, now_ms) {
            return Asked::Known;
        }
        let path = Arc::new(path);
        match self.under_way.entry(Arc::clone(&path)) {
            Entry::Occupied(entry) => {
                let fetches = entry.into_mut();
                if fetches.current.is_current() {
                    return Asked::Joined(Arc::clone(&fetches.current));
                }
                let successor = fetches
                    .successor
                    .get_or_insert_with(|| Fetch::new(path, deadline));
                Asked::Joined(Arc::clone(successor))
            }
            Entry::Vacant(_) if self.queue.len() >= self.settings.queue => {
                Asked::Full(self.queue.front().cloned())
            }
            Entry::Vacant(entry) => {
                let fetch = Fetch::new(path, deadline);
                entry.insert(PathFetches {
                    current: Arc::clone(&fetch),
                    successor: None,
                });
                self.queue.push_back(Arc::clone(&fetch));
                Asked::Queued(fetch)
            }
        }
    }

    /// Takes the fetch that is to run next off the queue.
    pub(super) fn next(&mut self) -> Option<Arc<Fetch>> {
        self.queue.pop_front()
    }

    /// Notes how a running fetch ended, and queues its successor. Whether there is one.
    pub(super) fn end(&mut self, fetch: &Arc<Fetch>, outcome: FetchOutcome, now_ms: u64) -> bool {
        self.remembered.drop_old(now_ms);
        let lasts = match outcome {
            FetchOutcome::Missing => self.settings.negative_ttl,
            FetchOutcome::Failed => self.settings.retry,
            FetchOutcome::Stored | FetchOutcome::Overtaken => std::time::Duration::ZERO,
        };
        if !lasts.is_zero() && fetch.is_current() {
            let until_ms = now_ms.saturating_add(millis(lasts));
            self.remembered.add(fetch, until_ms);
        }
        let Entry::Occupied(mut entry) = self.under_way.entry(Arc::clone(&fetch.path)) else {
            return false;
        };
        let Some(successor) = entry.get_mut().successor.take() else {
            entry.remove();
            return false;
        };
        // There is at most one for each running fetch, so the bound of the queue holds without a check.
        self.queue.push_back(Arc::clone(&successor));
        entry.get_mut().current = successor;
        true
    }

    /// Fetches that wait for a thread, those that are queued and running, and paths that are remembered.
    pub(super) fn figures(&self) -> [usize; 3] {
        [
            self.queue.len(),
            self.under_way.len(),
            self.remembered.len(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Clock, Config, Store};

    struct Fixture {
        store: Store,
        table: FetchTable,
        deadline: Instant,
    }

    impl Fixture {
        fn new() -> Fixture {
            let settings = Settings {
                queue: 2,
                negative_ttl: Duration::from_secs(10),
                retry: Duration::from_secs(5),
                ..Settings::default()
            };
            Fixture {
                store: Store::new(Config::default(), Clock::manual(1_000)),
                table: FetchTable::new(settings),
                deadline: Instant::now(),
            }
        }

        fn ask(&mut self, name: &str) -> Asked {
            let path = ItemPath::new(0, &[name.as_bytes()]).unwrap();
            let now_ms = self.store.now_ms();
            self.table.ask(path, now_ms, self.deadline)
        }

        /// Takes the next fetch, and its lease.
        fn run(&mut self) -> Arc<Fetch> {
            let fetch = self.table.next().expect("one is queued");
            let lease = fetch
                .path
                .with_names(|names| self.store.lock(0, names[0]).lease(names));
            fetch.begin(lease);
            fetch
        }

        fn end(&mut self, fetch: &Arc<Fetch>, outcome: FetchOutcome) -> bool {
            self.table.end(fetch, outcome, self.store.now_ms())
        }

        fn delete(&self, name: &str) {
            let name = name.as_bytes();
            self.store.lock(0, name).note_removal(&[name]);
        }
    }

    fn queued(asked: Asked) -> Arc<Fetch> {
        match asked {
            Asked::Queued(fetch) => fetch,
            other => panic!("{other:?}"),
        }
    }

    fn joined(asked: Asked) -> Arc<Fetch> {
        match asked {
            Asked::Joined(fetch) => fetch,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_who_ask_for_a_path_join_one_fetch() {
        let mut fixture = Fixture::new();
        let fetch = queued(fixture.ask("a"));
        assert!(Arc::ptr_eq(&joined(fixture.ask("a")), &fetch));
        let running = fixture.run();
        assert!(Arc::ptr_eq(&running, &fetch));
        assert!(Arc::ptr_eq(&joined(fixture.ask("a")), &fetch));
        assert!(!fixture.end(&running, FetchOutcome::Stored));
        assert_eq!(fixture.table.figures(), [0, 0, 0]);
        queued(fixture.ask("a"));
    }

    #[test]
    fn fetches_run_in_the_order_in_which_they_were_asked_for_and_a_full_queue_refuses() {
        let mut fixture = Fixture::new();
        let (first, second) = (queued(fixture.ask("a")), queued(fixture.ask("b")));
        let full = fixture.ask("c");
        assert!(matches!(full, Asked::Full(Some(next)) if Arc::ptr_eq(&next, &first)));
        joined(fixture.ask("b"));
        assert!(Arc::ptr_eq(&fixture.run(), &first));
        queued(fixture.ask("c"));
        assert!(Arc::ptr_eq(&fixture.run(), &second));
    }

    #[test]
    fn a_path_that_is_missing_is_not_fetched_again_for_the_negative_ttl() {
        let mut fixture = Fixture::new();
        for (outcome, seconds) in [(FetchOutcome::Missing, 10), (FetchOutcome::Failed, 5)] {
            queued(fixture.ask("a"));
            let fetch = fixture.run();
            fixture.end(&fetch, outcome);
            let almost = Duration::from_millis(seconds * 1000 - 1);
            fixture.store.clock().advance(almost);
            assert!(matches!(fixture.ask("a"), Asked::Known));
            fixture.store.clock().advance(Duration::from_millis(1));
        }
        queued(fixture.ask("a"));
    }

    #[test]
    fn a_delete_ends_what_is_remembered_of_a_path() {
        let mut fixture = Fixture::new();
        queued(fixture.ask("a"));
        let fetch = fixture.run();
        fixture.end(&fetch, FetchOutcome::Missing);
        fixture.delete("a");
        queued(fixture.ask("a"));
    }

    #[test]
    fn who_asks_after_a_delete_gets_a_fetch_that_begins_after_it() {
        let mut fixture = Fixture::new();
        queued(fixture.ask("a"));
        fixture.delete("a");
        let fetch = fixture.run();
        joined(fixture.ask("a"));
        fixture.delete("a");
        let successor = joined(fixture.ask("a"));
        assert!(!Arc::ptr_eq(&successor, &fetch));
        assert!(Arc::ptr_eq(&joined(fixture.ask("a")), &successor));
        assert!(fixture.table.next().is_none(), "one fetch at a time");
        assert!(fixture.end(&fetch, FetchOutcome::Overtaken));
        assert!(Arc::ptr_eq(&joined(fixture.ask("a")), &successor));
        let running = fixture.run();
        assert!(Arc::ptr_eq(&running, &successor));
        assert!(!fixture.end(&running, FetchOutcome::Stored));
        assert_eq!(fixture.table.figures(), [0, 0, 0]);
    }

    #[test]
    fn nothing_is_remembered_of_a_path_that_was_changed_meanwhile() {
        let mut fixture = Fixture::new();
        queued(fixture.ask("a"));
        let fetch = fixture.run();
        fixture.delete("a");
        fixture.end(&fetch, FetchOutcome::Failed);
        assert_eq!(fixture.table.figures(), [0, 0, 0]);
    }
}

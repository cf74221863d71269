//! A snapshot into an empty store: all of it, or nothing.

use std::io::Read;
use std::time::Instant;

use super::blocks::Unreadable;
use super::file::SnapshotFile;
use super::read::{Part, read};
use super::time_shift::TimeShift;
use crate::store::{RestoreCounts, Restorer, SavedItem, Store};

/// CAS numbers that are passed over for each millisecond from the snapshot to the load, because a server that crashed may
/// have given them to changes after its snapshot. The 48 bits of a number last for 44 years of it.
const CHANGES_PER_MS: u64 = 200;

/// The same, at least, for the case that the wall clock was set back meanwhile.
const CHANGES_AT_LEAST: u64 = 1 << 20;

/// Half of the numbers that an item has room for.
const LAST_CAS: u64 = 1 << 47;

/// Loads a snapshot into an empty store. After an error the store is empty.
pub(crate) fn load(store: &Store, from: impl Read) -> Result<RestoreCounts, Unreadable> {
    let clock = store.clock();
    let to_store = TimeShift::between(clock.wall_ms(), clock.now_ms());
    let mut restorer = Restorer::new(store);
    let ending = read(from, |part| match part {
        Part::Begin(items) => restorer.expect(items),
        Part::Item(item) => {
            let expires_ms = item.expires_ms.map(|when_ms| to_store.shift(when_ms));
            restorer.put(&SavedItem {
                expires_ms,
                ..*item
            });
        }
    });
    match ending {
        Ok(ending) => {
            let mut state = ending.state;
            let passed = clock.wall_ms().saturating_sub(ending.ended_ms);
            let changes = passed.saturating_mul(CHANGES_PER_MS).max(CHANGES_AT_LEAST);
            state.next_cas = state.next_cas.saturating_add(changes).min(LAST_CAS);
            state.flushes = state
                .flushes
                .map(|due| due.map(|when_ms| to_store.shift(when_ms)));
            Ok(restorer.finish(&state))
        }
        Err(unreadable) => {
            store.flush_all();
            Err(unreadable)
        }
    }
}

/// Loads the snapshot of a file into an empty store. If that is impossible, the file is set aside, and the store stays
/// empty. The error is a sentence for a person: the file could not even be set aside.
pub(super) fn load_file(store: &Store, file: &SnapshotFile) -> Result<RestoreCounts, String> {
    let path = file.path().display();
    let started = Instant::now();
    let loaded = match file.open() {
        Ok(None) => {
            log::info!("there is no snapshot {path} yet: starting empty");
            return Ok(RestoreCounts::default());
        }
        Ok(Some(from)) => load(store, from),
        Err(error) => Err(error.into()),
    };
    match loaded {
        Ok(counts) => {
            let RestoreCounts {
                stored,
                expired,
                refused,
            } = counts;
            log::info!(
                "loaded the snapshot {path} in {:?}: {stored} items, and {expired} that have expired, {refused} that do not fit",
                started.elapsed()
            );
            Ok(counts)
        }
        Err(problem) => match file.set_aside() {
            Ok(aside) => {
                log::error!(
                    "the snapshot {path} can't be loaded: {problem}; it is set aside as {}, starting empty",
                    aside.display()
                );
                Ok(RestoreCounts::default())
            }
            Err(error) => Err(format!(
                "the snapshot {path} can't be loaded: {problem}; it can't be renamed either, so the next one would \
                 replace it: {error}"
            )),
        },
    }
}

//! The spool: the pending changes of every upstream, in one file that survives a crash.
//!
//! ```text
//!   recorder ─── write(transaction) ──▶ spool.redb     the only writer
//!   deliveries ◀─ scan ── a snapshot ◀─────┘
//!
//!   pending.ID.N      key ─▶ record            the pending set of a delivery, each key once
//!   again.ID          due, sequence ─▶ key     second deletes, by the time at which they are due
//!   upstreams         target, address ─▶ row   the number of each upstream, and whether it is to be flushed
//!   rings             target ─▶ text           its servers, and those of earlier lists that may hold old values
//! ```
//!
//! A commit of 50 keys takes about 90 microseconds without waiting for the disk. Memory is the [`CACHE`](storage::CACHE) for any
//! number of keys; ten million keys of 30 bytes take a file of 1 GiB, and opening it after a crash reads all of it.
//!
//! Invariants: a group is recorded as a whole or not at all. An error leaves the last good state: the file is closed, and
//! opened again by the next group. A file that does not read back as it was written is renamed, never used and never
//! deleted; all upstreams must be flushed then ([`SpoolError::Damaged`]). No panic of redb comes through.

mod directory;
mod error;
mod file;
#[cfg(test)]
pub(super) mod memory;
mod record;
mod storage;
mod transaction;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{PoisonError, RwLock, RwLockWriteGuard};
use std::time::Instant;

use redb::{Database, ReadableDatabase, TableError};

use directory::{FILE, SpoolDirectory};
use error::contained;
pub(crate) use error::{SpoolError, SpoolResult};
pub(crate) use record::{DeliveryId, PendingChange, PendingRecord, UpstreamRow};
use storage::SpoolStorage;
pub(crate) use transaction::SpoolTransaction;
use transaction::pending;

/// The condition of the spool when it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpoolCondition {
    /// An empty directory, or a spool that is sound.
    Sound,
    /// There had been a spool, and it is missing or damaged: this describes the measures taken.
    Lost(String),
}

/// An open spool. Another process can't open it meanwhile.
pub(crate) struct Spool {
    storage: Box<dyn SpoolStorage>,
    open: RwLock<SpoolState>,
}

struct SpoolState {
    store: Option<Database>,
    /// The earliest time at which it is opened again.
    retry: Instant,
    last: Option<SpoolError>,
}

impl Spool {
    /// Opens the spool in a directory, which is made if there is none.
    ///
    /// # Errors
    /// A sentence for a person, when the directory can't be used or another process has it.
    pub(crate) fn open(directory: &Path, sync: bool) -> Result<(Spool, SpoolCondition), String> {
        let (directory, is_gone) = SpoolDirectory::lock(directory, sync)?;
        let mut condition = SpoolCondition::Sound;
        if is_gone {
            condition = SpoolCondition::Lost(format!("{FILE} is gone"));
        }
        Spool::open_storage(Box::new(directory), condition)
    }

    fn open_storage(
        storage: Box<dyn SpoolStorage>,
        mut condition: SpoolCondition,
    ) -> Result<(Spool, SpoolCondition), String> {
        let store = match storage.open() {
            Err(SpoolError::Damaged(what)) => {
                condition = SpoolCondition::Lost(storage.put_aside(&what));
                storage.open()
            }
            opened => opened,
        };
        let store = store.map_err(|error| format!("--spool {}: {error}", storage.name()))?;
        let state = SpoolState {
            store: Some(store),
            retry: Instant::now(),
            last: None,
        };
        let open = RwLock::new(state);
        Ok((Spool { storage, open }, condition))
    }

    /// Runs `change` in a transaction of its own and commits it.
    pub(crate) fn write<T>(
        &self,
        change: impl FnOnce(&mut SpoolTransaction<'_>) -> SpoolResult<T>,
    ) -> SpoolResult<T> {
        self.reopen()?;
        let done = {
            let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
            match &state.store {
                None => return Err(state.last.clone().unwrap_or_else(closed)),
                Some(store) => contained(|| {
                    let transaction = store.begin_write()?;
                    let mut group = SpoolTransaction::new(&transaction);
                    let value = change(&mut group)?;
                    drop(group);
                    transaction.commit()?;
                    Ok(value)
                }),
            }
        };
        if let Err(error) = &done {
            self.failed(error);
        }
        done
    }

    /// The next records of a delivery after a key, in the order of the keys: `most` of them, or fewer of about `size` bytes.
    pub(crate) fn scan(
        &self,
        delivery: DeliveryId,
        after: Option<&[u8]>,
        most: usize,
        size: usize,
    ) -> SpoolResult<Vec<PendingChange>> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
        let store = state.store.as_ref().ok_or_else(closed)?;
        contained(|| {
            let name = delivery.table();
            let snapshot = store.begin_read()?;
            let table = match snapshot.open_table(pending(&name)) {
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                table => table?,
            };
            let start = after.map_or(Unbounded, Excluded);
            let mut found = Vec::new();
            let mut bytes = 0;
            for entry in table.range::<&[u8]>((start, Unbounded))? {
                let (key, record) = entry?;
                bytes += key.value().len() + record.value().len();
                found.push(transaction::pending_change(&key, &record)?);
                if found.len() >= most || bytes >= size {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// Whether it is open; if not, the reason.
    pub(crate) fn problem(&self) -> Option<String> {
        let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
        match &state.store {
            Some(_) => None,
            None => state.last.as_ref().map(ToString::to_string),
        }
    }

    /// Whether it may be tried again now.
    pub(crate) fn is_usable(&self) -> bool {
        let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
        state.store.is_some() || Instant::now() >= state.retry
    }

    /// Closes it in good order, which makes the next opening quick.
    pub(crate) fn close(&self) {
        let store = self.state_mut().store.take();
        let _ = contained(|| {
            drop(store);
            Ok(())
        });
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, SpoolState> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens it if an error has closed it and the pause has ended.
    fn reopen(&self) -> SpoolResult<()> {
        {
            let state = self.open.read().unwrap_or_else(PoisonError::into_inner);
            if state.store.is_some() {
                return Ok(());
            }
            if Instant::now() < state.retry {
                return Err(state.last.clone().unwrap_or_else(closed));
            }
        }
        match self.storage.open() {
            Ok(store) => {
                let mut state = self.state_mut();
                state.store = Some(store);
                state.last = None;
                log::info!("the spool {} is open again", self.storage.name());
                Ok(())
            }
            Err(error) => {
                self.failed(&error);
                Err(error)
            }
        }
    }

    /// Closes it after an error.
    fn failed(&self, error: &SpoolError) {
        let mut state = self.state_mut();
        if state.last.as_ref() != Some(error) {
            log::error!("{}: {error}", self.storage.name());
        }
        let store = state.store.take();
        // Its end may write, and so fail.
        let _ = contained(|| {
            drop(store);
            Ok(())
        });
        if let SpoolError::Damaged(what) = error {
            let done = self.storage.put_aside(what);
            log::error!("{}: {done}", self.storage.name());
        }
        state.last = Some(error.clone());
        state.retry = Instant::now() + self.storage.retry();
    }
}

fn closed() -> SpoolError {
    SpoolError::Io("it is closed".to_owned())
}

//! The spool: what every upstream still has to be told, in one file that a crash leaves whole.
//!
//! ```text
//!   recorder ─── write(transaction) ──▶ spool.redb     the only writer
//!   deliveries ◀─ scan ── a snapshot ◀─────┘
//!
//!   pending.ID.N      key ─▶ record            the pending set of a delivery, each key once
//!   again.ID          due, sequence ─▶ key     second deletes, by the time at which they are due
//!   upstreams         target, address ─▶ row   the number of each upstream, and whether it is to be flushed
//! ```
//!
//! A commit of 50 keys takes about 90 microseconds without waiting for the disk. Memory is the [`CACHE`], whatever the
//! number of keys; ten million keys of 30 bytes take a file of 1 GiB, and opening it after a crash reads all of it.
//!
//! Invariants: a group is recorded as a whole or not at all. An error leaves the last good state: the file is closed, and
//! opened again by the next group. A file that does not read back as it was written is renamed, never used and never
//! deleted; all upstreams must be flushed then, which [`SpoolError::Damaged`] says. No panic of redb comes through.

mod file;
mod record;
mod transaction;

#[cfg(test)]
mod tests;

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableDatabase, TableDefinition, TableError};

use file::SpoolFile;
pub(crate) use record::{PendingChange, PendingRecord, UpstreamRow};
pub(crate) use transaction::SpoolTransaction;

/// Memory for pages of the spool, in bytes.
const CACHE: usize = 64 << 20;

/// How long a spool that could not be opened is left alone.
const RETRY: Duration = Duration::from_millis(250);

/// The file's name in the directory.
const FILE: &str = "spool.redb";

/// What a delivery's pending set is called in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct DeliveryId {
    /// The number of the upstream.
    pub(crate) upstream: u32,
    /// The number of the delivery, from 0.
    pub(crate) number: u16,
}

impl DeliveryId {
    fn table(self) -> String {
        format!("pending.{}.{}", self.upstream, self.number)
    }
}

type Bytes = &'static [u8];

fn pending(name: &str) -> TableDefinition<'_, Bytes, Bytes> {
    TableDefinition::new(name)
}

/// Why the spool did not do what it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpoolError {
    /// The system refused; the last good state is kept, and later it may go better.
    Io(String),
    /// The file was not what had been written. It is put aside; the spool that replaces it is empty.
    Damaged(String),
}

impl fmt::Display for SpoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpoolError::Io(what) => write!(f, "the spool can't be written: {what}"),
            SpoolError::Damaged(what) => write!(f, "the spool was damaged: {what}"),
        }
    }
}

impl From<redb::Error> for SpoolError {
    fn from(error: redb::Error) -> SpoolError {
        match error {
            redb::Error::Io(error) => match error.kind() {
                // Shorter than it says, or nothing like it.
                io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                    SpoolError::Damaged(error.to_string())
                }
                _ => SpoolError::Io(error.to_string()),
            },
            redb::Error::PreviousIo | redb::Error::DatabaseClosed => {
                SpoolError::Io(error.to_string())
            }
            error => SpoolError::Damaged(error.to_string()),
        }
    }
}

macro_rules! from_redb {
    ($($kind:ident),*) => {$(
        impl From<redb::$kind> for SpoolError {
            fn from(error: redb::$kind) -> SpoolError {
                redb::Error::from(error).into()
            }
        }
    )*};
}
from_redb!(
    CommitError,
    DatabaseError,
    StorageError,
    TableError,
    TransactionError
);

pub(crate) type SpoolResult<T> = std::result::Result<T, SpoolError>;

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SpoolCondition {
    /// An empty directory, or a spool that is sound.
    Sound,
    /// There had been a spool, and it is gone or damaged: this says what was done.
    Lost(String),
}

/// An open spool. Another process can't open it meanwhile.
pub(crate) struct Spool {
    directory: PathBuf,
    sync: bool,
    open: RwLock<SpoolState>,
    /// Locked as long as the spool is open.
    _lock: File,
    #[cfg(test)]
    full: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

struct SpoolState {
    store: Option<Database>,
    /// Not before this is it opened again.
    retry: Instant,
    last: Option<SpoolError>,
}

impl Spool {
    /// Opens the spool in a directory, which is made if there is none.
    ///
    /// # Errors
    /// A sentence for a person, when the directory can't be used or another process has it.
    pub(crate) fn open(
        directory: &Path,
        sync: bool,
    ) -> std::result::Result<(Spool, SpoolCondition), String> {
        let at = directory.display();
        let say = |error: io::Error| format!("--spool {at}: can't be used as a directory: {error}");
        fs::create_dir_all(directory).map_err(say)?;
        let lock = directory.join("lock");
        let used_before = lock.exists();
        let lock = File::options()
            .create(true)
            .append(true)
            .open(lock)
            .map_err(say)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "--spool {at}: another larder invalidate uses it; end that one or choose another directory"
                ));
            }
            Err(TryLockError::Error(error)) => return Err(say(error)),
        }
        let spool = Spool {
            directory: directory.to_owned(),
            sync,
            open: RwLock::new(SpoolState {
                store: None,
                retry: Instant::now(),
                last: None,
            }),
            _lock: lock,
            #[cfg(test)]
            full: std::sync::Arc::default(),
        };
        let mut found = SpoolCondition::Sound;
        if used_before && !directory.join(FILE).exists() {
            found = SpoolCondition::Lost(format!("{FILE} is gone"));
        }
        let store = match spool.start() {
            Err(SpoolError::Damaged(what)) => {
                found = SpoolCondition::Lost(spool.put_aside(&what));
                spool.start()
            }
            started => started,
        };
        let store = store.map_err(|error| format!("--spool {at}: {error}"))?;
        spool.state_mut().store = Some(store);
        Ok((spool, found))
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

    /// Whether it is open; if not, why.
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

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, SpoolState> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens it if an error has closed it and it is time.
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
        match self.start() {
            Ok(store) => {
                let mut state = self.state_mut();
                state.store = Some(store);
                state.last = None;
                log::info!("the spool {} is open again", self.directory.display());
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
            log::error!("{}: {error}", self.directory.display());
        }
        let store = state.store.take();
        // Its end may write, and so fail.
        let _ = contained(|| {
            drop(store);
            Ok(())
        });
        if let SpoolError::Damaged(what) = error {
            let done = self.put_aside(what);
            log::error!("{}: {done}", self.directory.display());
        }
        state.last = Some(error.clone());
        state.retry = Instant::now() + RETRY;
    }

    /// Renames the file out of the way; what was done, in words.
    fn put_aside(&self, what: &str) -> String {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let from = self.directory.join(FILE);
        let names = (0..).map(|number| match number {
            0 => format!("{FILE}.damaged-{seconds}"),
            number => format!("{FILE}.damaged-{seconds}-{number}"),
        });
        let mut free = names.filter(|name| !self.directory.join(name).exists());
        let name = free.next().unwrap_or_default();
        match fs::rename(from, self.directory.join(&name)) {
            Ok(()) => format!("{what}; the file is kept as {name}"),
            Err(error) => format!("{what}; it can't be renamed: {error}"),
        }
    }

    /// Opens the file, or makes one.
    fn start(&self) -> SpoolResult<Database> {
        let path = self.directory.join(FILE);
        if !path.exists() {
            // Under another name until it is whole, so that a file that is none yet is never taken for a spool.
            let unfinished = self.directory.join("spool.redb.new");
            let file = File::options()
                .read(true)
                .write(true)
                .create(true)
                .truncate(true)
                .open(&unfinished)
                .map_err(|error| SpoolError::Io(error.to_string()))?;
            drop(self.store(file)?);
            fs::rename(&unfinished, &path)
                .and_then(|()| match self.sync {
                    true => File::open(&self.directory)?.sync_all(),
                    false => Ok(()),
                })
                .map_err(|error| SpoolError::Io(error.to_string()))?;
        }
        let file = File::options().read(true).write(true).open(&path);
        let file = file.map_err(|error| SpoolError::Io(error.to_string()))?;
        if file.metadata().is_ok_and(|metadata| metadata.len() == 0) {
            return Err(SpoolError::Damaged(format!("{FILE} is empty")));
        }
        self.store(file)
    }

    fn store(&self, file: File) -> SpoolResult<Database> {
        let file = SpoolFile {
            file,
            sync: self.sync,
            #[cfg(test)]
            full: self.full.clone(),
        };
        contained(|| {
            let store = Database::builder()
                .set_cache_size(CACHE)
                // Also after a clean end: a key that reads back wrong would never be forgotten.
                .set_check_integrity_on_open(true)
                .create_with_backend(file)?;
            Ok(store)
        })
    }
}

fn closed() -> SpoolError {
    SpoolError::Io("it is closed".to_owned())
}

/// Runs what uses the store below. It may panic on a file that someone has changed under it; that is damage, not an end.
fn contained<T>(run: impl FnOnce() -> SpoolResult<T>) -> SpoolResult<T> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let said = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(SpoolError::Damaged(
            said.unwrap_or("its contents make no sense").to_owned(),
        ))
    })
}

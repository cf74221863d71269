//! The directory of a spool: its lock, its file, and files that were damaged.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::Database;

use crate::invalidate::spool::error::{SpoolError, SpoolResult};
use crate::invalidate::spool::file::SpoolFile;
use crate::invalidate::spool::storage::{SpoolStorage, open_store};

/// The file's name in the directory.
pub(super) const FILE: &str = "spool.redb";

/// The pause after a file could not be opened.
pub(super) const RETRY: Duration = Duration::from_millis(250);

/// A directory that no other process uses.
pub(super) struct SpoolDirectory {
    path: PathBuf,
    sync: bool,
    /// Locked as long as the spool is open.
    _lock: File,
}

impl SpoolDirectory {
    /// Makes the directory if there is none, and locks it. Also returns whether it was used before and its file
    /// is missing.
    ///
    /// # Errors
    /// A sentence for a person, when the directory can't be used or another process has it.
    pub(super) fn lock(path: &Path, sync: bool) -> Result<(SpoolDirectory, bool), String> {
        let at = path.display();
        let say = |error: io::Error| format!("--spool {at}: can't be used as a directory: {error}");
        fs::create_dir_all(path).map_err(say)?;
        let lock = path.join("lock");
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
                    "--spool {at}: another larder invalidate uses it; end it or choose another directory"
                ));
            }
            Err(TryLockError::Error(error)) => return Err(say(error)),
        }
        let is_gone = used_before && !path.join(FILE).exists();
        let directory = SpoolDirectory {
            path: path.to_owned(),
            sync,
            _lock: lock,
        };
        Ok((directory, is_gone))
    }

    fn store(&self, file: File) -> SpoolResult<Database> {
        let file = SpoolFile {
            file,
            sync: self.sync,
        };
        open_store(file)
    }
}

impl SpoolStorage for SpoolDirectory {
    fn open(&self) -> SpoolResult<Database> {
        let path = self.path.join(FILE);
        if !path.exists() {
            // The file has another name until it is whole, so that an unfinished one is never taken for a
            // spool.
            let unfinished = self.path.join("spool.redb.new");
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
                    true => File::open(&self.path)?.sync_all(),
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

    fn put_aside(&self, what: &str) -> String {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |now| now.as_secs());
        let from = self.path.join(FILE);
        let names = (0..).map(|number| match number {
            0 => format!("{FILE}.damaged-{seconds}"),
            number => format!("{FILE}.damaged-{seconds}-{number}"),
        });
        let mut free = names.filter(|name| !self.path.join(name).exists());
        let name = free.next().unwrap_or_default();
        match fs::rename(from, self.path.join(&name)) {
            Ok(()) => format!("{what}; the file is kept as {name}"),
            Err(error) => format!("{what}; it can't be renamed: {error}"),
        }
    }

    fn retry(&self) -> Duration {
        RETRY
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

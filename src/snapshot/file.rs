//! The file of a snapshot: replaced as a whole, set aside if it can't be loaded, and used by one server at a time.
//!
//! ```text
//!   FILE             the last snapshot that was written whole
//!   FILE.writing     the next one, until it is renamed; nothing reads it
//!   FILE.lock        empty; locked while a server uses FILE
//!   FILE.unreadable  a snapshot that could not be loaded; the next one is FILE.unreadable.2
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Only the owner reads what is in the cache.
const MODE: u32 = 0o600;

/// A snapshot's file, which this process alone uses.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
    /// Open for its lock.
    _lock: File,
}

impl SnapshotFile {
    /// Takes the file for this process; it need not exist yet. The error is a sentence for a person.
    pub(crate) fn take(path: &Path) -> Result<SnapshotFile, String> {
        if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(format!(
                "snapshot {}: it is not a file; name one that larder may replace",
                path.display()
            ));
        }
        let beside = with_suffix(path, ".lock");
        let lock = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(MODE)
            .open(&beside)
            .map_err(|error| {
                format!(
                    "snapshot {}: {} can't be opened, so no snapshot could be written: {error}",
                    path.display(),
                    beside.display()
                )
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "snapshot {}: another larder uses it; name another file",
                    path.display()
                ));
            }
            // Some file systems have no locks.
            Err(TryLockError::Error(error)) => {
                log::warn!("{} can't be locked: {error}", beside.display());
            }
        }
        Ok(SnapshotFile {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the last snapshot; `None` if there is none yet.
    pub(crate) fn open(&self) -> io::Result<Option<File>> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Puts a new file, which `write` writes, in the place of the old one. After an error the old one is there as before,
    /// except if the last step has failed: to make the rename durable.
    pub(crate) fn replace<T>(&self, write: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let beside = with_suffix(&self.path, ".writing");
        // A rest of a process that was killed. It is removed, not opened: it could be a link to another file.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(MODE)
            .open(&beside)?;
        let written = write(&file).and_then(|written| {
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            Ok(written)
        });
        match written {
            Ok(written) => {
                sync_directory(&self.path)?;
                Ok(written)
            }
            Err(error) => {
                // It takes room on a disk that may be full.
                let _ = fs::remove_file(&beside);
                Err(error)
            }
        }
    }

    /// Renames the last snapshot, so that the next one doesn't replace it; returns its new name.
    pub(crate) fn set_aside(&self) -> io::Result<PathBuf> {
        let names = (1..).map(|number| match number {
            1 => with_suffix(&self.path, ".unreadable"),
            number => with_suffix(&self.path, &format!(".unreadable.{number}")),
        });
        for name in names {
            if fs::symlink_metadata(&name).is_err() {
                fs::rename(&self.path, &name)?;
                return Ok(name);
            }
        }
        Err(ErrorKind::AlreadyExists.into())
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes a rename in the directory of a file durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("it can be read");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        let file = SnapshotFile::take(&path).expect("it is free");
        assert!(file.open().expect("no error").is_none());
        file.replace(|mut to| to.write_all(b"old"))
            .expect("written");
        // A rest of a process that was killed.
        fs::write(directory.path().join("snapshot.writing"), "half").expect("written");
        let failed = file.replace(|mut to| {
            to.write_all(b"new")?;
            Err::<(), _>(ErrorKind::StorageFull.into())
        });
        assert_eq!(failed.map_err(|e| e.kind()), Err(ErrorKind::StorageFull));
        assert_eq!(fs::read(&path).expect("it is there"), b"old");
        assert_eq!(names(directory.path()), ["snapshot", "snapshot.lock"]);
        file.replace(|mut to| to.write_all(b"new"))
            .expect("written");
        assert_eq!(fs::read(&path).expect("it is there"), b"new");
    }

    #[test]
    fn each_file_that_is_set_aside_keeps_a_name_of_its_own() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        let file = SnapshotFile::take(&path).expect("it is free");
        for name in ["snapshot.unreadable", "snapshot.unreadable.2"] {
            fs::write(&path, name).expect("written");
            assert_eq!(
                file.set_aside().expect("renamed"),
                directory.path().join(name)
            );
        }
        assert!(file.open().expect("no error").is_none());
        let kept = fs::read(directory.path().join("snapshot.unreadable"));
        assert_eq!(kept.expect("it is there"), b"snapshot.unreadable");
    }

    #[test]
    fn a_file_belongs_to_one_server_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("snapshot");
        let file = SnapshotFile::take(&path).expect("it is free");
        let error = SnapshotFile::take(&path).expect_err("it is taken");
        assert!(error.contains("another larder uses it"), "{error}");
        drop(file);
        SnapshotFile::take(&path).expect("it is free again");
        let error = SnapshotFile::take(directory.path()).expect_err("a directory");
        assert!(error.contains("it is not a file"), "{error}");
        let error = SnapshotFile::take(&path.join("below")).expect_err("no directory");
        assert!(error.contains("can't be opened"), "{error}");
    }
}

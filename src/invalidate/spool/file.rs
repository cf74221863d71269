//! The file under the spool, as redb writes to it.
//!
//! The durabilities differ in one line here. With `os` a write is done when the system has it: a process that is killed
//! loses nothing, because the system still writes its pages, in the order in which they were written. With `fsync` a
//! write is done when the disk has it, so that a crash of the machine loses nothing either.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use redb::StorageBackend;

/// An open spool file.
pub(super) struct SpoolFile {
    pub(super) file: File,
    /// Whether a commit waits for the disk.
    pub(super) sync: bool,
}

impl fmt::Debug for SpoolFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolFile").finish_non_exhaustive()
    }
}

impl StorageBackend for SpoolFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.sync {
            true => self.file.sync_data(),
            false => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_all_at(data, offset)
    }
}

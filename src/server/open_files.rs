//! The system's limit of open files, which a server raises to what its connections need.

use std::io;
use std::sync::atomic::Ordering::Relaxed;

use rlimit::Resource;

use super::connections::Connections;
use super::limits::SPARE_FILES;

/// Why the limit is not enough.
#[derive(Debug)]
pub(super) enum OpenFilesError {
    /// The system doesn't tell.
    Unknown(io::Error),
    /// More files are needed than the process may have.
    TooFew { needed: u64, allowed: u64 },
}

impl Connections {
    /// Raises the system's limit of open files so that this number of connections can be open.
    ///
    /// # Errors
    /// The number that the system allows, if that is less.
    pub(crate) fn raise_open_files(&self, max: usize) -> Result<(), usize> {
        let own = self.own_files.load(Relaxed);
        match raise(max, own) {
            Err(OpenFilesError::TooFew { allowed, .. }) => Err(connections(allowed, own)),
            // The system doesn't tell, and may allow it.
            Ok(()) | Err(OpenFilesError::Unknown(_)) => Ok(()),
        }
    }
}

/// The connections that so many open files allow.
fn connections(files: u64, own: usize) -> usize {
    let others = SPARE_FILES.saturating_add(own as u64);
    usize::try_from(files.saturating_sub(others)).unwrap_or(usize::MAX)
}

/// Raises the limit of open files to so many connections, and files of the server's own beside them.
pub(super) fn raise(connections: usize, own: usize) -> Result<(), OpenFilesError> {
    let needed = (connections as u64)
        .saturating_add(own as u64)
        .saturating_add(SPARE_FILES);
    let (soft, hard) = Resource::NOFILE.get().map_err(OpenFilesError::Unknown)?;
    if soft >= needed {
        return Ok(());
    }
    // Only a privileged process can exceed the hard limit.
    let raised = Resource::NOFILE.set(needed, hard.max(needed));
    raised.map_err(|_| OpenFilesError::TooFew {
        needed,
        allowed: hard,
    })
}

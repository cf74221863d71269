//! The place of a spool, and the store in it.

use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::invalidate::spool::error::{SpoolResult, contained};

/// Memory for pages of the spool, in bytes.
pub(super) const CACHE: usize = 64 << 20;

/// The place of a spool.
pub(super) trait SpoolStorage: Send + Sync {
    /// Opens the store, or makes an empty one.
    fn open(&self) -> SpoolResult<Database>;

    /// Moves a damaged store out of the way. Returns a description of the measures taken.
    fn put_aside(&self, what: &str) -> String;

    /// The pause after an error.
    fn retry(&self) -> Duration;

    /// Its name for the log.
    fn name(&self) -> String;
}

/// Opens a store, or makes one if there is none.
pub(super) fn open_store(backend: impl StorageBackend) -> SpoolResult<Database> {
    contained(|| {
        let store = Database::builder()
            .set_cache_size(CACHE)
            // Also after a clean end: a key that is read back wrong would never be deleted.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)?;
        Ok(store)
    })
}

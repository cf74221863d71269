//! Where a spool is kept, and the store in it.

use std::time::Duration;

use redb::{Database, StorageBackend};

use crate::invalidate::spool::error::{SpoolResult, contained};

/// Memory for pages of the spool, in bytes.
pub(super) const CACHE: usize = 64 << 20;

/// Where a spool is kept.
pub(super) trait SpoolStorage: Send + Sync {
    /// Opens the store, or makes an empty one.
    fn open(&self) -> SpoolResult<Database>;

    /// Puts a store out of the way that is damaged in this way; what was done, in words.
    fn put_aside(&self, what: &str) -> String;

    /// How long it is not tried again after an error.
    fn retry(&self) -> Duration;

    /// Its name for the log.
    fn name(&self) -> String;
}

/// Opens a store, or makes one where there is nothing.
pub(super) fn open_store(backend: impl StorageBackend) -> SpoolResult<Database> {
    contained(|| {
        let store = Database::builder()
            .set_cache_size(CACHE)
            // Also after a clean end: a key that reads back wrong would never be forgotten.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)?;
        Ok(store)
    })
}

//! The report of a server about its snapshots.

use std::time::{Duration, Instant};

use crate::store::RestoreCounts;

/// The snapshots of a server so far.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotStatus {
    /// The end of the last successful write; until then the start of the server. By the wall clock, in Unix milliseconds.
    pub(crate) last_save_ms: u64,
    /// Whether the last write succeeded; true before the first one.
    pub(crate) last_succeeded: bool,
    /// The time that the last successful write took; `None` before the first one.
    pub(crate) last_duration: Option<Duration>,
    /// Bytes of the file, and items in it, after the last successful write; 0 before the first one.
    pub(crate) last_bytes: u64,
    pub(crate) last_items: u64,
    /// The start of the write that goes on.
    pub(crate) running_since: Option<Instant>,
    /// Successful and failed writes.
    pub(crate) saves: u64,
    pub(crate) failures: u64,
    /// The items that were loaded at the start.
    pub(crate) loaded: RestoreCounts,
}

impl SnapshotStatus {
    pub(super) fn new(started_ms: u64, loaded: RestoreCounts) -> SnapshotStatus {
        SnapshotStatus {
            last_save_ms: started_ms,
            last_succeeded: true,
            last_duration: None,
            last_bytes: 0,
            last_items: 0,
            running_since: None,
            saves: 0,
            failures: 0,
            loaded,
        }
    }
}

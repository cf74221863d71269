//! The state of ACL LOG: refused commands and failed authentications, the latest first, and their numbers for INFO.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Entries that are kept: Redis's `acllog-max-len`. Older ones are dropped.
const MOST_ENTRIES: usize = 128;
/// Milliseconds in which an equal refusal is counted with an earlier one, as in Redis.
const SAME_WITHIN_MS: u64 = 60_000;
/// Entries that are compared with a new one, as in Redis.
const COMPARED: usize = 10;
/// Bytes of a key or of a user's name that are kept: all of any that people choose.
const KEPT_BYTES: usize = 1024;

/// The kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefusalKind {
    Command,
    Key,
    Authentication,
}

impl RefusalKind {
    pub(crate) const ALL: [RefusalKind; 3] = [
        RefusalKind::Authentication,
        RefusalKind::Command,
        RefusalKind::Key,
    ];

    /// Its name in ACL LOG.
    pub(crate) fn name(self) -> &'static str {
        match self {
            RefusalKind::Command => "command",
            RefusalKind::Key => "key",
            RefusalKind::Authentication => "auth",
        }
    }

    /// Its field in INFO.
    pub(crate) fn info_field(self) -> &'static str {
        match self {
            RefusalKind::Command => "acl_access_denied_cmd",
            RefusalKind::Key => "acl_access_denied_key",
            RefusalKind::Authentication => "acl_access_denied_auth",
        }
    }
}

/// A refusal, or several equal ones.
#[derive(Debug, Clone)]
pub(crate) struct LogEntry {
    pub(crate) count: u64,
    pub(crate) kind: RefusalKind,
    pub(crate) in_transaction: bool,
    /// The command or the key; never a password.
    pub(crate) object: Vec<u8>,
    pub(crate) user: Vec<u8>,
    /// The time of the last, in Unix milliseconds.
    pub(crate) at_ms: u64,
    /// The last client, as CLIENT LIST describes it.
    pub(crate) client: String,
}

impl LogEntry {
    fn is_like(&self, other: &LogEntry) -> bool {
        self.kind == other.kind
            && self.in_transaction == other.in_transaction
            && self.at_ms.abs_diff(other.at_ms) <= SAME_WITHIN_MS
            && self.object == other.object
            && self.user == other.user
    }
}

/// The log.
#[derive(Default)]
pub(crate) struct AclLog {
    entries: Mutex<VecDeque<LogEntry>>,
    counts: [AtomicU64; 3],
}

impl AclLog {
    pub(crate) fn add(&self, mut entry: LogEntry) {
        self.counts[entry.kind as usize].fetch_add(1, Relaxed);
        entry.object.truncate(KEPT_BYTES);
        entry.user.truncate(KEPT_BYTES);
        let mut entries = self.locked();
        let like = entries
            .iter()
            .take(COMPARED)
            .position(|old| old.is_like(&entry));
        if let Some(old) = like.and_then(|at| entries.remove(at)) {
            entry.count += old.count;
        }
        entries.push_front(entry);
        entries.truncate(MOST_ENTRIES);
    }

    /// Refusals of a kind since the start or CONFIG RESETSTAT.
    pub(crate) fn count(&self, kind: RefusalKind) -> u64 {
        self.counts[kind as usize].load(Relaxed)
    }

    pub(crate) fn reset_counts(&self) {
        self.counts.iter().for_each(|count| count.store(0, Relaxed));
    }

    /// The latest entries, the latest first.
    pub(crate) fn latest(&self, most: usize) -> Vec<LogEntry> {
        self.locked().iter().take(most).cloned().collect()
    }

    pub(crate) fn clear(&self) {
        self.locked().clear();
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<LogEntry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

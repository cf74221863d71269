//! The state of KEYS or SCAN between two pieces. The commands are in `keys_in_pieces`.

use std::time::Duration;

use crate::protocol::resp::Reply;

/// Bytes of a page, about.
const PAGE: usize = 32 << 10;

/// A walk over many keys, between two pieces.
pub(crate) struct KeyWalk {
    /// The store's position behind the keys that were looked at.
    pub(super) cursor: u64,
    /// Keys that are still to be looked at, if there are so many.
    pub(super) left: usize,
    pub(super) found: FoundKeys,
    /// The time that the pieces took.
    pub(super) time: Duration,
}

impl KeyWalk {
    /// Bytes that have been collected.
    pub(super) fn bytes(&self) -> usize {
        self.found.bytes
    }
}

/// Keys that were found, as the bulk strings of a reply.
#[derive(Default)]
pub(super) struct FoundKeys {
    pub(super) pages: Vec<Vec<u8>>,
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl FoundKeys {
    pub(super) fn push(&mut self, key: &[u8]) {
        if self.pages.last().is_none_or(|page| page.len() >= PAGE) {
            self.pages.push(Vec::new());
        }
        let Some(page) = self.pages.last_mut() else {
            return;
        };
        let before = page.len();
        Reply::new(page, false, usize::MAX).bulk(key);
        self.bytes += page.len() - before;
        self.count += 1;
    }
}

//! A command that reads all children of an item in pieces: HGETALL and its like, and `getch`.
//!
//! The command stays in its connection's input and runs again in each turn; its session keeps a [`LargeRead`] meanwhile. If the
//! item is removed, the read ends. If another item with children is at the path then, the command begins another read. After
//! [`MOST_READS`] of them it reads the children at once, so that it ends.

use std::time::{Duration, Instant};

use crate::store::ChildrenRead;

/// Reads in pieces that a command begins, at most.
const MOST_READS: u8 = 3;

/// The state of a command between two pieces.
pub(crate) struct LargeRead {
    pub(crate) children: ChildrenRead,
    pub(crate) past: PastReads,
}

/// The reads in pieces of one command until now.
#[derive(Clone, Copy, Default)]
pub(crate) struct PastReads {
    /// The number of those that were begun.
    count: u8,
    /// The time that their pieces took.
    pub(crate) time: Duration,
}

impl PastReads {
    /// Whether the command may begin another one.
    pub(crate) fn may_begin_another(self) -> bool {
        self.count < MOST_READS
    }
}

impl LargeRead {
    /// A read that was begun after others.
    pub(crate) fn new(children: ChildrenRead, past: PastReads) -> LargeRead {
        let count = past.count + 1;
        LargeRead {
            children,
            past: PastReads { count, ..past },
        }
    }

    /// Adds the time of a piece.
    pub(crate) fn add_piece(&mut self, began: Instant) {
        self.past.time += began.elapsed();
    }
}

//! How many connections do what, for people who watch a server.

use std::sync::atomic::Ordering::Relaxed;

use super::connections::Connections;

/// The number of open connections by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionStates {
    /// Nothing of a request or a reply is under way.
    pub(crate) quiet: usize,
    /// A part of a value or of a large request has arrived.
    pub(crate) receiving: usize,
    /// The client has not read its reply.
    pub(crate) unread: usize,
    /// The reply waits for memory.
    pub(crate) parked: usize,
}

impl Connections {
    /// Counts them, under the lock that accepting and closing take.
    pub(crate) fn states(&self) -> ConnectionStates {
        let mut states = ConnectionStates::default();
        self.for_each_record(|connection| {
            let share = &connection.replies;
            let state = if share.wanted.load(Relaxed) > 0 {
                &mut states.parked
            } else if share.bytes.load(Relaxed) > 0 {
                &mut states.unread
            } else if connection.awaits_value() || share.request.load(Relaxed) > 0 {
                &mut states.receiving
            } else {
                &mut states.quiet
            };
            *state += 1;
        });
        states
    }
}

//! The states and the memory of connections, for metrics, `INFO`, `stats` and CLIENT LIST.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;

use super::connections::{Connection, Connections};
use super::turns::CLIENT_RECORD;

/// The number of open connections by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ConnectionStates {
    /// No part of a request or of a reply is on its way.
    pub(crate) quiet: usize,
    /// A part of a value or of a large request has arrived.
    pub(crate) receiving: usize,
    /// The client has not read its reply.
    pub(crate) unread: usize,
    /// The reply waits for memory.
    pub(crate) parked: usize,
}

/// The buffers of a connection between its turns, in bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionBuffers {
    /// Bytes that have arrived, and that no session has consumed yet.
    pub(crate) unread: usize,
    /// Free memory behind those bytes.
    pub(crate) spare: usize,
    /// Bytes of replies that the client has not read, or of a large one that is made now.
    pub(crate) unsent: usize,
}

impl Connection {
    /// Memory of a connection without its buffers and its session.
    pub(crate) const RECORDS: usize = size_of::<Connection>() + CLIENT_RECORD;

    /// The buffers at the end of the connection's last turn.
    pub(crate) fn buffers(&self) -> ConnectionBuffers {
        let unread = self.replies.request.load(Relaxed);
        let room = self.replies.request_room.load(Relaxed);
        ConnectionBuffers {
            unread,
            spare: room.saturating_sub(unread),
            unsent: self.replies.bytes.load(Relaxed),
        }
    }

    /// The descriptor of its socket; `None` without one, or when it is closed.
    pub(crate) fn descriptor(&self) -> Option<RawFd> {
        let stream = self.stream.upgrade()?;
        Some(stream.as_raw_fd())
    }
}

impl Connections {
    /// Counts the connections in each state, under the lock that accepting and closing take.
    pub(crate) fn states(&self) -> ConnectionStates {
        let mut states = ConnectionStates::default();
        self.for_each_record(|connection| {
            let share = &connection.replies;
            let state = if share.wanted.load(Relaxed) > 0 {
                &mut states.parked
            } else if share.bytes.load(Relaxed) > 0 {
                &mut states.unread
            } else if connection.awaits_value() || share.counted_request() > 0 {
                &mut states.receiving
            } else {
                &mut states.quiet
            };
            *state += 1;
        });
        states
    }
}

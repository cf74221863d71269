//! What connections do, and what each of them holds, for people who watch a server.

use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;

use super::connections::{Connection, Connections};
use super::turns::CLIENT_RECORD;

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

/// Bytes that a connection holds between its turns.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ConnectionBuffers {
    /// Have arrived, and no session has consumed them yet.
    pub(crate) unread: usize,
    /// Free memory behind them.
    pub(crate) spare: usize,
    /// Of replies that the client has not read, or of a large one that is made now.
    pub(crate) unsent: usize,
}

impl Connection {
    /// Memory of a connection without its buffers and its session.
    pub(crate) const RECORDS: usize = size_of::<Connection>() + CLIENT_RECORD;

    /// What the connection held at the end of its last turn.
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
    /// Counts them, under the lock that accepting and closing take.
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

//! The effect of a request, and the meaning of its reply, in any protocol.

/// The effect of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Set,
    Delete,
}

/// The meaning of a complete reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reply<'a> {
    /// The value of the key that was asked for.
    Value(&'a [u8]),
    /// The key doesn't exist.
    Miss,
    /// Stored, deleted, or echoed.
    Done,
    /// An error of the server, or a reply that doesn't fit the request: its first line.
    Refused(&'a [u8]),
}

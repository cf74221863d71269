//! The kinds of requests to an upstream, and of its replies.

/// The purpose of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DeliveryRequest {
    /// The check that the upstream is up.
    Ping,
    /// The deletion of all keys.
    Flush,
    /// The deletion of the key of the change of this number.
    Change(usize),
    /// The deletion of a key, after the upstream couldn't execute the first request.
    Delete,
}

/// The meaning of a reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyMeaning {
    /// The request was executed.
    Done,
    /// The upstream can't execute it; the key has to be deleted instead.
    Delete,
    /// The reply doesn't fit the request.
    Unexpected,
}

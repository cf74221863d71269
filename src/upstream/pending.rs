//! A request under way on a connection that many clients share: its owner, and its properties.

use crate::protocol::framing::reply::ReplyShape;

/// The receiver of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyOwner {
    /// The proxy itself: if it is an error, the connection can't be used.
    Proxy,
    /// It is dropped.
    Discarded,
    /// The proxy itself: any answer but an error shows that the upstream supports meta commands.
    MetaProbe,
    /// A part of a client's request.
    Client {
        key: usize,
        id: u64,
        sequence: u64,
        part: usize,
    },
}

/// Whether an upstream supports meta commands, as far as known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaSupport {
    Unasked,
    Asked,
    Yes,
    No,
}

/// A request under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingRequest {
    pub(crate) owner: ReplyOwner,
    pub(crate) shape: ReplyShape,
    /// The time at which it was appended, in the worker's microseconds.
    pub(crate) since: u64,
    /// The number of times that it has been redirected, in a cluster.
    pub(crate) hops: u8,
    /// It may change something, so that a read in front of it can't be sent again behind it.
    pub(crate) may_change: bool,
    /// It may be sent again if the connection breaks, for it changes nothing.
    pub(crate) is_repeatable: bool,
    /// Its bytes in `out`; [`push`](crate::upstream::UpstreamConnection::push) sets them.
    pub(crate) length: usize,
    /// The bytes up to the next request, which include bytes behind it and requests without a
    /// reply.
    pub(crate) span: usize,
}

impl PendingRequest {
    pub(crate) fn new(owner: ReplyOwner, shape: ReplyShape, since: u64) -> PendingRequest {
        PendingRequest {
            owner,
            shape,
            since,
            hops: 0,
            may_change: true,
            is_repeatable: false,
            length: 0,
            span: 0,
        }
    }
}

//! A command and [peers](crate::peers): which peer has sent it or owns its key, and where it is executed.

use crate::origin::PeerReply;
use crate::peers::PeerMark;

/// The current command's relation to peers.
#[derive(Default)]
pub(in crate::service::memcached) struct PeerState {
    /// The mark of a request that comes from a peer.
    pub(in crate::service::memcached) mark: Option<PeerMark>,
    /// The command runs here, no matter which node owns its key.
    pub(in crate::service::memcached) runs_here: bool,
    /// The command is one that this node has sent to a peer. It is not executed.
    pub(in crate::service::memcached) is_loop: bool,
    /// The command waits for a peer. Its reply is dropped, and it is done again.
    pub(in crate::service::memcached) waits: bool,
    /// No peer has executed the command, or none has answered. This error replaces the reply.
    pub(in crate::service::memcached) failure: Option<String>,
    /// The keys that the command changes here.
    pub(in crate::service::memcached) changed: Vec<Box<[u8]>>,
}

/// Where a change is made.
pub(in crate::service::memcached) enum Place {
    /// In this node's store.
    Here,
    /// By a peer, which has not answered, or failed. The reply is dropped.
    Elsewhere,
    /// By a peer, which has answered this.
    Done(PeerReply),
}

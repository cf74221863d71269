//! The peers as the services see them.

use std::fmt::Debug;
use std::sync::Arc;

use crate::origin::{Exchange, PeerRequest, ReadThrough};

use super::mark::PeerMark;

/// The larders that form one cache with this one. None of these methods waits.
pub(crate) trait Peers: Debug + Send + Sync {
    /// Whether a peer owns a key, and not this node. An unavailable peer owns none: the next node on the ring does.
    fn owns(&self, key: &[u8]) -> bool;

    /// The address of the peer that owns a key.
    fn owner(&self, key: &[u8]) -> Option<String>;

    /// The read-through of keys that a peer owns.
    fn reads(&self) -> &Arc<ReadThrough>;

    /// Sends a command to the owner of its key.
    fn forward(&self, request: PeerRequest) -> Arc<Exchange>;

    /// Has the peers drop their copies of a key that was changed here, except for the one that asked for the change.
    fn tell_changed(&self, key: &[u8], except: Option<&str>);

    /// Has the peers remove everything. The answer comes when all that are available have done so.
    fn flush(&self) -> Arc<Exchange>;

    /// Notes a request with a mark, for the statistics and for a look at the sender's list. The key is one that this node
    /// should own. Whether the request is to be executed: one that this node has sent is not.
    fn note_request(&self, mark: &PeerMark, key: Option<&[u8]>) -> bool;

    /// Notes a command that was refused because its key is a peer's.
    fn note_refusal(&self);

    /// Lines of statistics: a name, and a number.
    fn statistics(&self) -> Vec<(&'static str, u64)>;
}

//! Peers: several larders that form one cache.
//!
//! ```text
//!   client ── get ──▶ node: in its store? ── no, and a peer owns the key ──▶ ReadThrough ──▶ PeerSource ── mg … Pr ──▶ owner
//!                       ▲                                                        │                                      │
//!                       └──────────── a copy, for a short time ◀─────────────────┘◀──── from its store or its origin ◀──┘
//!
//!   client ── set ──▶ node ── ms … Po ──▶ owner: stores it, answers ── md … Pc ──▶ the other nodes: drop their copies
//! ```
//!
//! Each key has one owner, by the ring that clients and `larder proxy` have, from the first name of its path. Only database 0 is
//! shared. In reading order: `settings`, `members` (the ring and the peers), `mark` (what tells a peer's request from a client's),
//! `group` (one request to a peer), `source` (reads, as an [`Origin`](crate::origin::Origin)), `forward` (changes), `pending`,
//! `mailbox` and `courier` (news of changes, and whether a peer answers), `link` (all of it, as the services see it), `running`.
//! The services decide in `service/memcached/operations/elsewhere` and `service/resp/peers` what is done where.
//!
//! # No loops
//!
//! Each request of a peer has a [mark](PeerMark), the flag `P` of meta commands, which memcached accepts and ignores. A request with a
//! mark is executed by the node that gets it, from its store or its origin. It is never sent to another peer, whatever that node's
//! list says. So a request travels over one link at most, and nodes whose lists differ don't send it around. A node that gets a
//! request with its own name in the mark answers an error.
//!
//! # Reads
//!
//! A read of what this node doesn't have asks the owner, once for all clients that wait. The owner fetches from its origin, once for
//! all nodes. The value stays here as a copy for [`PeerSettings::copy_ttl`], no longer than its item, with the owner's
//! cas unique. That the owner doesn't have a key is remembered as long.
//!
//! # Changes
//!
//! A change is executed by the owner, and the client gets the owner's answer. Then this node drops its copy, so that a client reads
//! its own write on the node to which it wrote. The owner sends the key to all other nodes, which drop their copies. That takes a moment
//! and is not waited for: until then, and if it is lost until its end, another node may answer its copy. Each change costs the owner
//! one line to every peer, many in one write.
//!
//! A command waits as for an origin: its connection is parked, and the command runs again when the answer is there. No worker waits.
//! A change is sent at most once. If no answer comes, the client gets an error that says so, because the change may have been made.
//!
//! # A peer that is unavailable
//!
//! One request without an answer, or without a connection, ejects the peer; so does one of the heartbeats, which are sent every half second. The next
//! node on the ring then has its keys, until a probe is answered. The changes that the peer has missed are sent with that probe, so it
//! has dropped these keys when this node uses it again. If there are too many, it is flushed. The nodes notice at different times,
//! so meanwhile a key may have two owners, be fetched twice, or be read as it was before a change that another node sent elsewhere. The node that
//! stood in keeps what it has until it is changed or expires.
//!
//! | what a peer does | answer | line in the log | statistic |
//! |---|---|---|---|
//! | refuses the connection, or loses it | a read: of the next node. A change: of the next node if nothing was sent, else an error | `… the next node on the ring stands in for it` | `peer_unavailable` |
//! | doesn't answer in time | a read: of the next node; a change: an error | the same, `did not answer within` | `peer_timeouts` |
//! | answers nonsense, another request or for another key | the same | the same, `doesn't fit the request` | `peer_wrong_replies` |
//! | announces a value over the limit of an item | a read: a miss | `over the limit of an item` | that of an origin |
//! | answers with an error | a read: a miss; a change: this error | of a read: the error | `peer_errors` |
//! | sends a request of this node back | an error | `came back to it` | `peer_loops` |
//! | has another list | as always | `has another list of peers` | `peer_lists_differ`, `peer_not_mine` |
//!
//! A peer that answers the right key with a wrong value can't be noticed: peers trust one another.
//!
//! Bounds: 16 threads for reads and 16 for changes, a queue for each, a thread and a list of changes for each peer.

mod link;
mod mark;

#[cfg(feature = "proxy")]
mod courier;
#[cfg(feature = "proxy")]
mod forward;
#[cfg(feature = "proxy")]
mod group;
#[cfg(feature = "proxy")]
mod mailbox;
#[cfg(feature = "proxy")]
mod members;
#[cfg(feature = "proxy")]
mod path_word;
#[cfg(feature = "proxy")]
mod pending;
#[cfg(feature = "proxy")]
mod running;
#[cfg(feature = "proxy")]
mod settings;
#[cfg(feature = "proxy")]
mod source;
#[cfg(feature = "proxy")]
mod statistics;

pub(crate) use link::Peers;
pub(crate) use mark::{PeerMark, PeerPurpose};
#[cfg(feature = "proxy")]
pub(crate) use running::{PeerStartError, RunningPeers};
#[cfg(feature = "proxy")]
pub(crate) use settings::PeerSettings;

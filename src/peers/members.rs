//! The list of peers at a time: the ring, and what this node has of each peer.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{self, Client};
use crate::pool::{Placement, Pool, ServerList};

use super::mailbox::Mailbox;

/// Errors in a row after which a peer is skipped. A probe brings it back soon if it was an accident.
const FAILURES: u32 = 1;

/// Another node.
#[derive(Debug)]
pub(super) struct Peer {
    /// It shares its health with the ring.
    pub(super) client: Client,
    /// The changes that it has yet to be sent.
    pub(super) mailbox: Mailbox,
}

/// All nodes. Replaced as a whole when the list changes.
pub(super) struct Members {
    pool: Pool,
    /// In the order of the list; `None` is this node.
    peers: Vec<Option<Arc<Peer>>>,
    pub(super) fingerprint: u32,
}

impl Members {
    /// The nodes of a list that has `own`. A peer that `before` has as well keeps its state.
    pub(super) fn new(
        list: &ServerList,
        own: &str,
        timeout: Duration,
        before: Option<&Members>,
    ) -> Members {
        let pool = Pool::new(
            list,
            Placement::Ketama,
            false,
            before.map(|before| &before.pool),
        );
        let settings = client::Settings::default()
            .connect_deadline(timeout)
            .read_deadline(timeout)
            .write_deadline(timeout)
            .max_idle_connections(usize::MAX)
            .failures_until_ejected(FAILURES);
        let settings = Arc::new(settings);
        let peers = pool.upstreams.iter().map(|upstream| {
            let address = &upstream.address;
            if address == own {
                return None;
            }
            let known = before.and_then(|before| before.peer(address));
            Some(known.cloned().unwrap_or_else(|| {
                Arc::new(Peer {
                    client: Client::of(Arc::clone(upstream), Arc::clone(&settings)),
                    mailbox: Mailbox::default(),
                })
            }))
        });
        Members {
            peers: peers.collect(),
            pool,
            fingerprint: list.fingerprint(),
        }
    }

    /// The peer that owns a key; `None` if this node does. The next node on the ring has the keys of a peer that is unavailable.
    pub(super) fn owner(&self, key: &[u8]) -> Option<&Arc<Peer>> {
        self.peers[self.pool.locate(key, true)].as_ref()
    }

    /// The other nodes.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        self.peers.iter().flatten()
    }

    /// The number of nodes, this one included.
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    fn peer(&self, address: &str) -> Option<&Arc<Peer>> {
        self.peers().find(|peer| peer.client.address() == address)
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses = self.peers().map(|peer| peer.client.address());
        f.debug_list().entries(addresses).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(list: &str, own: &str, before: Option<&Members>) -> Members {
        let list = list.parse().expect("a list");
        Members::new(&list, own, Duration::from_secs(1), before)
    }

    fn owner<'m>(members: &'m Members, own: &'m str, key: &str) -> &'m str {
        let owner = members.owner(key.as_bytes());
        owner.map_or(own, |peer| peer.client.address())
    }

    #[test]
    fn all_nodes_agree_on_the_owner_of_each_key() {
        let list = "a:1 1\nb:1 1\nc:1 2\n";
        let nodes = ["a:1", "b:1", "c:1"].map(|own| (own, members(list, own, None)));
        for number in 0..1000 {
            let key = format!("key:{number}");
            let owners = nodes.each_ref().map(|(own, it)| owner(it, own, &key));
            assert!(owners.iter().all(|it| *it == owners[0]), "{key} {owners:?}");
        }
    }

    #[test]
    fn a_peer_that_stays_in_the_list_keeps_its_state() {
        let before = members("a:1 1\nb:1 1\n", "a:1", None);
        let after = members("a:1 1\nb:1 3\nc:1 1\n", "a:1", Some(&before));
        assert_eq!((after.len(), after.peers().count()), (3, 2));
        let (old, new) = (before.peer("b:1"), after.peer("b:1"));
        assert!(Arc::ptr_eq(
            old.expect("it is listed"),
            new.expect("it is listed")
        ));
    }
}

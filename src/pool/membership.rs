//! The present upstreams, and the placement of keys among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::pool::ServerList;
use crate::pool::Upstream;
use crate::pool::slots::{SlotMap, slot};
use crate::pool::tag;
use crate::pool::{Placement, Ring};

/// A list of servers, each with its state that the workers share. Replaced as a whole when the list
/// changes.
pub(crate) struct Pool {
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    places: KeyPlacement,
}

/// The rule that assigns keys to upstreams.
enum KeyPlacement {
    /// With `hash_tags`, only the part of a key between `{` and `}` is hashed, if there is one.
    Ring { ring: Ring, hash_tags: bool },
    /// The servers of the map are the upstreams, by the same numbers.
    Cluster(SlotMap),
}

impl Pool {
    /// The pool of a list. An upstream that `before` has as well keeps its state.
    pub(crate) fn new(
        list: &ServerList,
        placement: Placement,
        hash_tags: bool,
        before: Option<&Pool>,
    ) -> Pool {
        let addresses = list.servers().iter().map(|server| &server.address[..]);
        Pool {
            upstreams: upstreams(addresses, before),
            places: KeyPlacement::Ring {
                ring: Ring::new(list, placement),
                hash_tags,
            },
        }
    }

    /// A cluster with these slots. An upstream that `before` has as well keeps its state.
    pub(crate) fn cluster(map: SlotMap, before: Option<&Pool>) -> Pool {
        let addresses = map.servers().iter().map(|address| &address[..]);
        Pool {
            upstreams: upstreams(addresses, before),
            places: KeyPlacement::Cluster(map),
        }
    }

    /// The slots, if this is a cluster.
    pub(crate) fn slots(&self) -> Option<&SlotMap> {
        match &self.places {
            KeyPlacement::Ring { .. } => None,
            KeyPlacement::Cluster(map) => Some(map),
        }
    }

    /// Whether this is a cluster.
    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self.places, KeyPlacement::Cluster(_))
    }

    /// The cluster with a correction of its map, if `correct` changes it.
    pub(crate) fn corrected(&self, correct: impl FnOnce(&mut SlotMap) -> bool) -> Option<Pool> {
        let mut map = self.slots()?.clone();
        correct(&mut map).then(|| Pool::cluster(map, Some(self)))
    }

    /// Whether there is only one upstream.
    pub(crate) fn is_single(&self) -> bool {
        self.upstreams.len() == 1
    }

    /// The number of the upstream that a key belongs to. With `skip_ejected` the next one on the
    /// ring takes over from one that is ejected, unless all are.
    pub(crate) fn locate(&self, key: &[u8], skip_ejected: bool) -> usize {
        if self.is_single() {
            return 0;
        }
        let (ring, hash_tags) = match &self.places {
            KeyPlacement::Cluster(_) => return self.serves(slot(key)),
            KeyPlacement::Ring { ring, hash_tags } => (ring, *hash_tags),
        };
        let key = if hash_tags { tag(key) } else { key };
        let home = ring.server(key);
        if !skip_ejected || !self.upstreams[home].health.is_ejected() {
            return home;
        }
        let mut others = ring.successors(key);
        others
            .find(|number| !self.upstreams[*number].health.is_ejected())
            .unwrap_or(home)
    }

    /// The number of the upstream that serves a slot. If the map has none, any upstream: it redirects
    /// to the slot's server, or answers that the slot has none.
    pub(crate) fn serves(&self, slot: u16) -> usize {
        let known = self.slots().and_then(|map| map.server(slot));
        known.unwrap_or_else(|| self.any())
    }

    /// The number of an upstream that is not ejected, if there is one.
    pub(crate) fn any(&self) -> usize {
        let usable = |upstream: &Arc<Upstream>| !upstream.health.is_ejected();
        self.upstreams.iter().position(usable).unwrap_or(0)
    }
}

/// An upstream for each address; those that `before` has keep their state.
fn upstreams<'a>(
    addresses: impl Iterator<Item = &'a str>,
    before: Option<&Pool>,
) -> Vec<Arc<Upstream>> {
    static IDS: AtomicU64 = AtomicU64::new(1);
    let known = |address: &str| {
        let mut upstreams = before.into_iter().flat_map(|pool| &pool.upstreams);
        upstreams.find(|upstream| upstream.address == address)
    };
    let upstream = |address: &str| match known(address) {
        Some(upstream) => Arc::clone(upstream),
        None => Arc::new(Upstream::new(address, IDS.fetch_add(1, Relaxed))),
    };
    addresses.map(upstream).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_ejected_upstream_move_to_the_next_and_come_back() {
        let list: ServerList = "a:1 1\nb:1 1\nc:1 1\n".parse().expect("a list");
        let pool = Pool::new(&list, Placement::Ketama, false, None);
        let home = pool.locate(b"key", true);
        pool.upstreams[home].health.failed(1, 1);
        let other = pool.locate(b"key", true);
        assert_ne!(other, home);
        assert_eq!(pool.locate(b"key", false), home);
        pool.upstreams[home].health.succeeded();
        assert_eq!(pool.locate(b"key", true), home);
    }

    #[test]
    fn an_upstream_that_stays_in_the_list_keeps_its_state() {
        let before: ServerList = "a:1 1\nb:1 1\n".parse().expect("a list");
        let after: ServerList = "b:1 5\nc:1 1\n".parse().expect("a list");
        let before = Pool::new(&before, Placement::Ketama, false, None);
        let after = Pool::new(&after, Placement::Ketama, false, Some(&before));
        assert!(Arc::ptr_eq(&before.upstreams[1], &after.upstreams[0]));
    }

    #[test]
    fn a_cluster_is_corrected_slot_by_slot_and_its_upstreams_stay() {
        let mut map = SlotMap::default();
        map.assign(0, 16383, "a:1");
        let before = Pool::cluster(map, None);
        let place = |pool: &Pool| {
            let number = pool.locate(b"foo", false);
            pool.upstreams[number].address.clone()
        };
        assert_eq!(place(&before), "a:1");
        assert!(before.corrected(|_| false).is_none());
        let moved = |map: &mut SlotMap| {
            map.assign(12182, 12182, "b:1");
            true
        };
        let after = before.corrected(moved).expect("a correction");
        assert_eq!(place(&after), "b:1");
        assert_eq!(after.upstreams[after.locate(b"bar", false)].address, "a:1");
        assert!(Arc::ptr_eq(&before.upstreams[0], &after.upstreams[0]));
    }
}

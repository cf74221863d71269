//! The upstreams as they are now, and where a key belongs among them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::ring::{Placement, Ring};
use super::servers::{Server, ServerList};
use super::tag::tag;
use super::upstream::Upstream;

/// A list of servers, each with what the workers share of it. Replaced as a whole when the list
/// changes.
pub(super) struct Pool {
    pub(super) upstreams: Vec<Arc<Upstream>>,
    ring: Ring,
    hash_tags: bool,
}

impl Pool {
    /// The pool of a list. An upstream that `before` has as well goes on as it is. `hash_tags` says
    /// that of a key with `{…}` in it only what is between them decides.
    pub(super) fn new(
        list: &ServerList,
        placement: Placement,
        hash_tags: bool,
        before: Option<&Pool>,
    ) -> Pool {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let known = |server: &Server| {
            let mut upstreams = before.into_iter().flat_map(|pool| &pool.upstreams);
            upstreams.find(|upstream| upstream.address == server.address)
        };
        let upstreams = list.servers().iter().map(|server| match known(server) {
            Some(upstream) => Arc::clone(upstream),
            None => Arc::new(Upstream::new(&server.address, IDS.fetch_add(1, Relaxed))),
        });
        Pool {
            upstreams: upstreams.collect(),
            ring: Ring::new(list, placement),
            hash_tags,
        }
    }

    /// Whether there is only one upstream.
    pub(super) fn is_single(&self) -> bool {
        self.upstreams.len() == 1
    }

    /// The number of the upstream that a key belongs to. With `skip_ejected` the next one on the
    /// ring takes over from one that is ejected, unless all are.
    pub(super) fn locate(&self, key: &[u8], skip_ejected: bool) -> usize {
        if self.is_single() {
            return 0;
        }
        let key = if self.hash_tags { tag(key) } else { key };
        let home = self.ring.server(key);
        if !skip_ejected || !self.upstreams[home].health.is_ejected() {
            return home;
        }
        let mut others = self.ring.successors(key);
        others
            .find(|number| !self.upstreams[*number].health.is_ejected())
            .unwrap_or(home)
    }

    /// The number of an upstream that is not ejected, if there is one.
    pub(super) fn any(&self) -> usize {
        let usable = |upstream: &Arc<Upstream>| !upstream.health.is_ejected();
        self.upstreams.iter().position(usable).unwrap_or(0)
    }
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
    fn an_upstream_that_stays_in_the_list_stays_what_it_is() {
        let before: ServerList = "a:1 1\nb:1 1\n".parse().expect("a list");
        let after: ServerList = "b:1 5\nc:1 1\n".parse().expect("a list");
        let before = Pool::new(&before, Placement::Ketama, false, None);
        let after = Pool::new(&after, Placement::Ketama, false, Some(&before));
        assert!(Arc::ptr_eq(&before.upstreams[1], &after.upstreams[0]));
    }
}

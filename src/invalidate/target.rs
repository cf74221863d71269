//! From a client's key to the upstreams that may hold it, and its name there.

use std::borrow::Cow;

use crate::invalidate::rings::{RingHistory, RingList};
use crate::invalidate::settings::{ForgetMethod, Target, TargetKind};
use crate::pool::{PoolServer, Ring};
use crate::protocol::memcached::text::KEY_LIMIT;
use crate::proxy::Protocol;

/// A target with its ring or list of servers.
pub(crate) struct TargetRoutes {
    pub(crate) target: Target,
    ring: Option<Ring>,
    earlier: Vec<EarlierRing>,
    /// All servers may hold old values of any key.
    everywhere: bool,
    before: Vec<u8>,
    after: Vec<u8>,
}

/// A remembered ring.
struct EarlierRing {
    /// `None` if each server could hold each key.
    ring: Option<Ring>,
    /// The number of each of its servers in the present list; `None` for one that has left.
    numbers: Vec<Option<usize>>,
}

impl EarlierRing {
    fn new(earlier: &RingList, present: &Target) -> EarlierRing {
        let present = present.servers.servers();
        let numbers = earlier.servers.servers().iter().map(|server| {
            let same = |other: &PoolServer| other.address == server.address;
            present.iter().position(same)
        });
        EarlierRing {
            ring: earlier.ring(),
            numbers: numbers.collect(),
        }
    }
}

impl TargetRoutes {
    pub(crate) fn new(target: Target, history: &RingHistory) -> TargetRoutes {
        let (before, after) = target.template.split_once("{key}").unwrap_or_default();
        let earlier = history.earlier();
        TargetRoutes {
            ring: RingList::of(&target).ring(),
            earlier: earlier.map(|it| EarlierRing::new(it, &target)).collect(),
            everywhere: history.is_everywhere(),
            before: before.as_bytes().to_vec(),
            after: after.as_bytes().to_vec(),
            target,
        }
    }

    /// The key's name at this target; `None` when it can't be there.
    pub(crate) fn name<'k>(&self, key: &'k [u8]) -> Option<Cow<'k, [u8]>> {
        let target = &self.target;
        if !key.starts_with(&target.prefix)
            || target.pattern.as_ref().is_some_and(|it| !it.is_match(key))
        {
            return None;
        }
        let name = match self.before.is_empty() && self.after.is_empty() {
            true => Cow::Borrowed(key),
            false => Cow::Owned([&self.before, key, &self.after].concat()),
        };
        let possible = target.kind == TargetKind::Redis || (1..=KEY_LIMIT).contains(&name.len());
        possible.then_some(name)
    }

    /// Whether the target can be sent a delete of a key that has this name there.
    pub(crate) fn takes(&self, name: &[u8]) -> bool {
        self.target.kind == TargetKind::Redis || self.target.binary || can_be_deleted(name)
    }

    /// Puts the numbers of the servers that may hold the item of this name into `servers`, each once. Returns the number of
    /// those to which it belongs by the present list; they come first.
    pub(crate) fn servers(&self, name: &[u8], servers: &mut Vec<usize>) -> usize {
        let all = 0..self.target.servers.servers().len();
        servers.clear();
        let Some(ring) = &self.ring else {
            servers.extend(all);
            return servers.len();
        };
        servers.push(ring.server(name));
        let mut add = |number: usize| {
            if !servers.contains(&number) {
                servers.push(number);
            }
        };
        if self.everywhere {
            all.for_each(&mut add);
        }
        for earlier in &self.earlier {
            match &earlier.ring {
                Some(ring) => earlier.numbers[ring.server(name)]
                    .into_iter()
                    .for_each(&mut add),
                None => earlier.numbers.iter().flatten().copied().for_each(&mut add),
            }
        }
        1
    }

    /// Whether it needs the values of changes.
    pub(crate) fn wants_values(&self) -> bool {
        self.target.forget == ForgetMethod::Update
    }
}

/// Bytes of the longest name that fits a line of memcached in base64.
pub(crate) const BASE64_LIMIT: usize = KEY_LIMIT / 4 * 3;

/// Whether a line of memcached's text protocol can contain this name. Clients of the binary protocol, and keys in base64,
/// make items with other names.
pub(crate) fn is_text_name(name: &[u8]) -> bool {
    !name
        .iter()
        .any(|byte| matches!(byte, b' ' | b'\r' | b'\n' | 0))
}

/// Whether memcached can be sent a delete of this name, as it is or in base64.
pub(crate) fn can_be_deleted(name: &[u8]) -> bool {
    let limit = match is_text_name(name) {
        true => KEY_LIMIT,
        false => BASE64_LIMIT,
    };
    (1..=limit).contains(&name.len())
}

/// The delivery of a key: always the same, so that the changes of a key are sent in order.
pub(crate) fn delivery(key: &[u8], deliveries: u16) -> u16 {
    if deliveries <= 1 {
        return 0;
    }
    // FNV-1a; its order is kept in the spool, so it must not change with the process.
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    ((hash >> 32) % u64::from(deliveries)) as u16
}

/// Checks that these targets fit together.
///
/// # Errors
/// A sentence for a person.
pub(super) fn check(targets: &[Target]) -> Result<(), String> {
    if targets.is_empty() {
        return Err("no servers to deliver to; name them with --servers servers.txt".into());
    }
    for (number, target) in targets.iter().enumerate() {
        target.check()?;
        if targets[..number]
            .iter()
            .any(|other| other.name == target.name)
        {
            return Err(format!("two targets have the name {}", target.name));
        }
    }
    Ok(())
}

/// Whether one of them needs the values of changes.
pub(super) fn wants_values(targets: &[Target]) -> bool {
    targets
        .iter()
        .any(|target| target.forget == ForgetMethod::Update)
}

/// The target that reads of a protocol are sent to.
pub(super) fn readable(protocol: Protocol, targets: &[Target]) -> Option<&Target> {
    let kind = match protocol {
        Protocol::Memcached => TargetKind::Memcached,
        Protocol::Resp => TargetKind::Redis,
    };
    targets.iter().find(|target| target.kind == kind)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::invalidate::settings::TargetMode;

    fn routes(change: impl FnOnce(&mut Target)) -> TargetRoutes {
        let mut target = Target::new("t", "a:1 1\nb:1 1\n".parse().expect("a list"));
        change(&mut target);
        let history = RingHistory::new(RingList::of(&target));
        TargetRoutes::new(target, &history)
    }

    /// The servers of a key, of which the first are the owners.
    fn servers(routes: &TargetRoutes, key: &str) -> (Vec<usize>, usize) {
        let mut servers = Vec::new();
        let owners = routes.servers(key.as_bytes(), &mut servers);
        (servers, owners)
    }

    #[test]
    fn a_key_is_called_by_the_template_of_a_target_that_it_concerns() {
        let all = routes(|_| {});
        assert_eq!(all.name(b"user:1").as_deref(), Some(&b"user:1"[..]));
        let some = routes(|target| {
            target.prefix = b"user:".to_vec();
            target.template = "app:{key}:v2".to_owned();
        });
        assert_eq!(some.name(b"user:1").as_deref(), Some(&b"app:user:1:v2"[..]));
        assert_eq!(some.name(b"item:1"), None);
        let pattern = regex::bytes::Regex::new("^[a-z]+:[0-9]+$").ok();
        let some = routes(|target| target.pattern = pattern);
        assert!(some.name(b"user:1").is_some());
        assert_eq!(some.name(b"user:x"), None);
    }

    #[test]
    fn keys_that_memcached_can_not_have_are_not_requested() {
        let memcached = routes(|_| {});
        for key in [&b""[..], &[b'k'; 251], &[b' '; 251]] {
            assert_eq!(memcached.name(key), None, "{key:?}");
        }
        for key in [
            &[b'k'; 250][..],
            &[b' '; 186],
            b"a b",
            b"a\n",
            b"a\tb\x01\xff",
        ] {
            let name = memcached.name(key).expect("it may be there");
            assert!(memcached.takes(&name), "{key:?}");
        }
        let name = memcached.name(&[b' '; 187]).expect("it may be there");
        assert!(!memcached.takes(&name));
        let redis = routes(|target| target.kind = TargetKind::Redis);
        assert!(redis.name(b"a b\r\n\0").is_some());
        assert!(redis.takes(&[b' '; 1000]));
        let long = routes(|target| target.template = "app:{key}".to_owned());
        assert!(long.name(&[b'k'; 246]).is_some());
        assert_eq!(long.name(&[b'k'; 247]), None);
    }

    #[test]
    fn a_pool_has_one_server_for_a_key_and_replicas_all() {
        let pool = routes(|_| {});
        assert_eq!(servers(&pool, "key").1, 1);
        assert_eq!(servers(&pool, "key").0.len(), 1);
        let replicas = routes(|target| target.mode = TargetMode::Replicas);
        assert_eq!(servers(&replicas, "key"), (vec![0, 1], 2));
        assert!(
            (0..100u8)
                .map(|n| delivery(&[n], 3))
                .all(|delivery| delivery < 3)
        );
        assert!((0..100u8).any(|n| delivery(&[n], 3) != delivery(&[0], 3)));
    }

    #[test]
    fn a_key_may_be_where_it_was_by_a_remembered_list() {
        const LONG: Duration = Duration::from_secs(60);
        let target = |list: &str| Target::new("t", list.parse().expect("a list"));
        let [one, two, three] = ["a:1 1\n", "c:1 1\nb:1 1\na:1 1\n", "b:1 1\na:1 1\n"].map(target);
        let mut history = RingHistory::new(RingList::of(&one));
        history.replace(RingList::of(&two), LONG);
        history.replace(RingList::of(&three), LONG);
        let routes = TargetRoutes::new(three.clone(), &history);
        let (mut found, mut both) = (Vec::new(), 0);
        for key in (0..100).map(|number| format!("key{number}")) {
            let owner = |target: &Target| {
                let ring = RingList::of(target).ring().expect("a ring");
                target.servers.servers()[ring.server(key.as_bytes())]
                    .address
                    .clone()
            };
            let mut expected = Vec::new();
            for address in [&three, &one, &two].map(owner) {
                // `c` has left.
                if address != "c:1" && !expected.contains(&address) {
                    expected.push(address);
                }
            }
            let owners = routes.servers(key.as_bytes(), &mut found);
            let names = found
                .iter()
                .map(|it| three.servers.servers()[*it].address.clone());
            assert_eq!((owners, names.collect::<Vec<_>>()), (1, expected), "{key}");
            both += usize::from(found.len() == 2);
        }
        assert!((20..80).contains(&both), "{both}");
        // Each server could hold each key.
        let mut replicas = two.clone();
        replicas.mode = TargetMode::Replicas;
        history.replace(RingList::of(&replicas), LONG);
        history.replace(RingList::of(&three), LONG);
        let routes = TargetRoutes::new(three, &history);
        for key in 0..100 {
            assert_eq!(servers(&routes, &key.to_string()).0.len(), 2);
        }
    }
}

//! From a client's key to the upstreams that may hold it, and its name there.

use std::borrow::Cow;

use crate::invalidate::settings::{ForgetMethod, Target, TargetKind, TargetMode};
use crate::pool::Ring;
use crate::protocol::memcached::text::KEY_LIMIT;
use crate::proxy::Protocol;

/// A target with its ring or list of servers.
pub(crate) struct TargetRoutes {
    pub(crate) target: Target,
    ring: Option<Ring>,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl TargetRoutes {
    pub(crate) fn new(target: Target) -> TargetRoutes {
        let (before, after) = target.template.split_once("{key}").unwrap_or_default();
        TargetRoutes {
            ring: (target.mode == TargetMode::Pool)
                .then(|| Ring::new(&target.servers, target.placement)),
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

    /// The numbers of the servers that may hold the item of this name.
    pub(crate) fn servers(&self, name: &[u8]) -> std::ops::Range<usize> {
        match &self.ring {
            None => 0..self.target.servers.servers().len(),
            Some(ring) => {
                let number = ring.server(name);
                number..number + 1
            }
        }
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
    use super::*;

    fn routes(change: impl FnOnce(&mut Target)) -> TargetRoutes {
        let mut target = Target::new("t", "a:1 1\nb:1 1\n".parse().expect("a list"));
        change(&mut target);
        TargetRoutes::new(target)
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
        assert_eq!(pool.servers(b"key").len(), 1);
        let replicas = routes(|target| target.mode = TargetMode::Replicas);
        assert_eq!(replicas.servers(b"key"), 0..2);
        assert!(
            (0..100u8)
                .map(|n| delivery(&[n], 3))
                .all(|delivery| delivery < 3)
        );
        assert!((0..100u8).any(|n| delivery(&[n], 3) != delivery(&[0], 3)));
    }
}

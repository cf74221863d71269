//! The binary protocol: any requests, however they arrive.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Memcached, Settings};
use super::{all_at_once, converse, session};
use crate::protocol::memcached::binary::{HEADER_LENGTH, Header};
use crate::server::{Connections, Peer, Service};
use crate::service::delivery::{cut, deliver};
use crate::store::{Clock, Config, Store};

/// A request about one of two keys.
#[derive(Debug, Clone)]
struct Request {
    opcode: u8,
    key: u8,
    cas: u64,
    value: usize,
    flags: u8,
}

impl Request {
    /// The bytes, with the extras and the parts that the opcode has.
    fn write(&self, out: &mut Vec<u8>) {
        let (flags, far) = (
            u32::from(self.flags).to_be_bytes(),
            100_000u32.to_be_bytes(),
        );
        let number = u64::from(self.flags).to_be_bytes();
        let extras = match self.opcode {
            0x01..=0x03 | 0x11..=0x13 => [flags, far].concat(),
            0x05 | 0x06 | 0x15 | 0x16 => [&number[..], &number, &far].concat(),
            0x1c..=0x1e | 0x23 | 0x24 => far.to_vec(),
            _ => Vec::new(),
        };
        let bare = matches!(self.opcode, 0x08 | 0x0a | 0x0b | 0x18);
        let has_value =
            matches!(self.opcode, 0x01..=0x03 | 0x11..=0x13 | 0x0e | 0x0f | 0x19 | 0x1a);
        let key: &[u8] = if bare { b"" } else { &[self.key] };
        let value = vec![b'0' + self.flags % 10; if has_value { self.value } else { 0 }];
        let header = Header {
            opaque: u32::from(self.flags),
            cas: self.cas,
            ..Header::request(self.opcode, extras.len(), key.len(), value.len())
        };
        for part in [&header.to_bytes()[..], &extras, key, &value] {
            out.extend_from_slice(part);
        }
    }
}

fn requests() -> impl Strategy<Value = Vec<Request>> {
    // Not quit and quitq; 0x1f and 0x25 are unknown.
    let opcode = (0x00u8..=0x25).prop_filter("closes", |code| *code != 0x07 && *code != 0x17);
    let value = prop_oneof![4 => 0usize..9, 1 => 30_000..70_000usize, 1 => 199_990..200_010usize];
    let request = (opcode, b'a'..=b'b', 0u64..6, value, any::<u8>()).prop_map(
        |(opcode, key, cas, value, flags)| Request {
            opcode,
            key,
            // Mostly none.
            cas: cas.saturating_sub(3),
            value,
            flags,
        },
    );
    proptest::collection::vec(request, 1..20)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn requests_have_the_same_replies_however_they_arrive(
        requests in requests(),
        cuts in proptest::collection::vec(prop_oneof![1..40usize, 1..80_000usize], 0..30),
    ) {
        let mut input = Vec::new();
        for request in requests.iter().filter(|request| request.opcode != 0x10) {
            request.write(&mut input);
        }
        let pieces = cut(&input, &cuts);
        let whole = all_at_once(&input);
        // Not printed: they may be long.
        prop_assert!(converse(&mut *session(true), &pieces) == whole);
        prop_assert!(deliver(&mut *session(true), &pieces) == (whole.0, whole.1));
    }
}

/// The bytes of a set of the item `k`, without its value.
fn set_of(length: usize) -> Vec<u8> {
    let header = Header::request(0x01, 8, 1, length);
    [&header.to_bytes()[..], &[0; 8], b"k"].concat()
}

#[test]
fn a_value_for_which_others_on_their_way_leave_no_memory_is_refused_and_discarded() {
    let config = Config {
        memory: 8 << 20,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(1_000)));
    let service = Memcached::new(Arc::clone(&store), Connections::new(), Settings::default());
    let begin = [&set_of(1_000_000)[..], &[b'x'; 900_000]].concat();
    let mut sessions: Vec<_> = (0..6).map(|_| service.open(Peer::detached())).collect();
    for session in &mut sessions {
        assert_eq!(deliver(&mut **session, &[&begin]).0, b"");
    }
    assert!(store.used() <= 5 << 20, "{}", store.used());
    let rest = [b'x'; 100_000];
    let refused = deliver(&mut **sessions.last_mut().unwrap(), &[&rest]).0;
    assert_eq!(frames(&refused), [(String::new(), 0x82)]);
    // The others complete theirs.
    let stored = deliver(&mut *sessions[0], &[&rest]).0;
    assert_eq!(frames(&stored), [(String::new(), 0)]);
    drop(sessions);
    assert!(store.used() < 2 << 20, "{}", store.used());
}

/// A session asks for memory of the store only when bytes of the value arrive.
#[test]
fn an_announced_length_takes_no_memory() {
    let (store, mut session) = super::with_store(true);
    let before = store.used();
    let (output, closed) = deliver(&mut *session, &[&set_of(190_000)]);
    assert_eq!((output, closed, store.used()), (Vec::new(), false, before));
}

/// The keys of the frames of a reply, and their statuses.
fn frames(mut bytes: &[u8]) -> Vec<(String, u16)> {
    let mut frames = Vec::new();
    while let Some(header) = Header::read(bytes) {
        let body = &bytes[HEADER_LENGTH..];
        let key = &body[usize::from(header.extras_length)..][..usize::from(header.key_length)];
        frames.push((String::from_utf8_lossy(key).into_owned(), header.status));
        bytes = &body[header.body_length as usize..];
    }
    assert_eq!(bytes, b"");
    frames
}

/// The names in the answer of the text protocol.
fn names(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().filter_map(|line| line.strip_prefix("STAT "));
    lines
        .filter_map(|line| Some(line.split_once(' ')?.0.to_owned()))
        .collect()
}

#[test]
fn statistics_have_the_names_of_the_text_protocol() {
    for group in ["", "settings", "items", "slabs", "sizes"] {
        let (_, mut session) = super::with_store(true);
        let mut input = b"set a 0 0 1\r\nx\r\n".to_vec();
        input.extend_from_slice(format!("stats {group}\r\n").as_bytes());
        let text = names(&converse(&mut *session, &[&input]).0);
        assert!(!text.is_empty());

        let mut input = [&set_of(1)[..], b"x"].concat();
        input.extend_from_slice(&Header::request(0x10, 0, group.len(), 0).to_bytes());
        input.extend_from_slice(group.as_bytes());
        let (_, mut session) = super::with_store(true);
        let mut answer = frames(&converse(&mut *session, &[&input]).0);
        assert_eq!(answer.remove(0), (String::new(), 0), "the set");
        assert_eq!(answer.pop(), Some((String::new(), 0)), "the end of {group}");
        let (keys, statuses): (Vec<_>, Vec<_>) = answer.into_iter().unzip();
        assert_eq!(keys, text, "{group}");
        assert!(statuses.iter().all(|status| *status == 0));
    }
}

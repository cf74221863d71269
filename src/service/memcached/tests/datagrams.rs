//! Datagrams: their replies are those of a connection, cut into frames, and never more than a bounded number.

use super::*;
use crate::protocol::memcached::binary::{Header, Status};
use crate::protocol::memcached::udp::{DATAGRAM_LENGTH, HEADER_LENGTH, MAX_REPLY, TOO_LARGE};
use crate::server::{DatagramService, DatagramSession};

const ID: [u8; 2] = [0xab, 0xcd];

/// A service on a store of its own, a connection to it, and a socket.
struct Both {
    store: Arc<Store>,
    connection: Box<dyn Session>,
    socket: Box<dyn DatagramSession>,
}

impl Both {
    fn new() -> Both {
        let config = Config {
            memory: 8 << 20,
            max_item_size: 1 << 20,
            // One, so that cas uniques count through all keys.
            shards: 1,
            ..Config::default()
        };
        let store = Arc::new(Store::new(config, Clock::manual(1_700_000_000_000)));
        let service = Memcached::new(Arc::clone(&store), Connections::new(), Settings::default());
        Both {
            store,
            connection: service.open(Peer::detached()),
            socket: service.open_socket(Peer::detached()),
        }
    }

    /// The reply over the connection.
    fn converse(&mut self, commands: &[u8]) -> Vec<u8> {
        converse(&mut *self.connection, &[commands]).0
    }

    fn store(&mut self, key: &str, length: usize) {
        let set = format!("set {key} 0 0 {length}\r\n{}\r\n", "v".repeat(length));
        assert_eq!(self.converse(set.as_bytes()), b"STORED\r\n");
    }

    /// The reply to commands in a datagram, put together; empty if there is none.
    fn ask(&mut self, commands: &[u8]) -> Vec<u8> {
        let datagram = [&ID, &[0, 0, 0, 1, 0, 0][..], commands].concat();
        let mut sent: Vec<Vec<u8>> = Vec::new();
        let mut send = |datagram: &[u8]| sent.push(datagram.to_vec());
        self.socket.answer(&datagram, &mut send);
        let total = u16::try_from(sent.len()).expect("a few datagrams");
        let mut reply = Vec::new();
        for (number, datagram) in (0_u16..).zip(&sent) {
            let (header, part) = datagram.split_at(HEADER_LENGTH);
            let fields = [u16::from_be_bytes(ID), number, total, 0];
            assert_eq!(header, fields.map(u16::to_be_bytes).concat());
            assert!(datagram.len() == DATAGRAM_LENGTH || number + 1 == total);
            assert!(!part.is_empty());
            reply.extend_from_slice(part);
        }
        assert!(reply.len() <= MAX_REPLY);
        reply
    }
}

proptest! {
    #[test]
    fn the_replies_are_those_of_a_connection(
        datagrams in proptest::collection::vec(conversation(), 1..4),
    ) {
        let (mut served, mut reference) = (Both::new(), Both::new());
        for commands in datagrams {
            // Each is a connection of its own, which ends with it.
            let service = Memcached::new(
                Arc::clone(&reference.store),
                Connections::new(),
                Settings::default(),
            );
            reference.connection = service.open(Peer::detached());
            let expected = reference.converse(&commands);
            let reply = served.ask(&commands);
            prop_assert_eq!(
                String::from_utf8_lossy(&reply),
                String::from_utf8_lossy(&expected)
            );
        }
    }

    #[test]
    fn a_longer_reply_is_an_error_and_ends_the_datagram(
        lengths in proptest::collection::vec(0..9_000usize, 1..6),
    ) {
        let mut both = Both::new();
        let mut commands = Vec::new();
        for (key, length) in lengths.iter().enumerate() {
            both.store(&key.to_string(), *length);
            commands.extend_from_slice(format!("get {key}\r\n").as_bytes());
        }
        let expected = both.converse(&commands);
        commands.extend_from_slice(b"add after 0 0 1 noreply\r\nx\r\n");
        let reply = both.ask(&commands);
        let after = both.converse(b"get after\r\n");
        if expected.len() <= MAX_REPLY {
            prop_assert!(reply == expected);
            prop_assert_eq!(after, b"VALUE after 0 1\r\nx\r\nEND\r\n");
        } else {
            prop_assert_eq!(reply, TOO_LARGE);
            prop_assert_eq!(after, b"END\r\n");
        }
    }
}

#[test]
fn the_longest_reply_has_sixteen_datagrams() {
    assert_eq!(MAX_REPLY, 16 * 1392);
    let mut both = Both::new();
    let around = b"VALUE k 0 22248\r\n\r\nEND\r\n".len();
    both.store("k", MAX_REPLY - around);
    assert_eq!(both.ask(b"get k\r\n").len(), MAX_REPLY);
    both.store("k", MAX_REPLY - around + 1);
    assert_eq!(both.ask(b"get k\r\n"), TOO_LARGE);
    assert_eq!(both.ask(b"get other\r\n"), b"END\r\n");
}

#[test]
fn a_value_of_any_size_costs_one_datagram() {
    let mut both = Both::new();
    for length in [30_000, 255 << 10, 256 << 10, 1_000_000] {
        both.store("k", length);
        for get in [&b"get k\r\n"[..], b"get k k k\r\n", b"mg k v\r\n"] {
            assert_eq!(both.ask(get), TOO_LARGE);
        }
        let get = [
            &[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3, 4][..],
            &[0; 8],
            b"k",
        ];
        let reply = both.ask(&get.concat());
        let header = Header::read(&reply).expect("a header");
        assert_eq!(header.status, Status::TooLarge.code());
        assert_eq!((header.opcode, header.opaque), (0, 0x0102_0304));
        assert_eq!(&reply[24..], b"Too large.");
    }
    // Lists that are written in pieces.
    for key in 0..2000 {
        both.store(&format!("key{key}"), 1);
    }
    for list in [
        &b"lru_crawler metadump all\r\n"[..],
        b"stats cachedump 1 0\r\n",
    ] {
        assert_eq!(both.ask(list), TOO_LARGE);
    }
}

#[test]
fn a_command_that_is_cut_off_has_no_effect() {
    let mut both = Both::new();
    // The memory is full, so memory for another value would evict items.
    let mut key = 0;
    while both.store.stats().evictions == 0 {
        both.store(&format!("key{key}"), 5000);
        key += 1;
    }
    both.store("k", 3);
    let before = both.store.stats();
    for commands in [
        &b"get k"[..],
        b"set k 0 0 3\r\n",
        b"set k 0 0 3\r\nne",
        b"set k 0 0 3\r\nnew",
        b"set k 0 0 3\r\nnew\r",
        b"ms k 1000000\r\nab",
        // No memory is taken for the announced length.
        b"set k 0 0 1000000\r\nab",
        &[0x80, 1, 0, 1, 8, 0, 0, 0, 0, 15, 0, 0, 1, 2, 3, 4],
    ] {
        assert_eq!(both.ask(commands), b"", "{commands:?}");
    }
    // The commands before it are run.
    assert_eq!(both.ask(b"touch k 0\r\nset k 0 0 9\r\nnew"), b"TOUCHED\r\n");
    assert_eq!(both.ask(b"get k\r\n"), b"VALUE k 0 3\r\nvvv\r\nEND\r\n");
    let after = both.store.stats();
    assert_eq!(
        (after.items, after.bytes, after.evictions),
        (before.items, before.bytes, before.evictions)
    );
}

#[test]
fn a_large_value_in_one_datagram_is_stored() {
    let mut both = Both::new();
    let value = "v".repeat(60_000);
    let set = format!("set k 0 0 {}\r\n{value}\r\n", value.len());
    assert_eq!(both.ask(set.as_bytes()), b"STORED\r\n");
    let expected = format!("VALUE k 0 {}\r\n{value}\r\nEND\r\n", value.len());
    assert!(both.converse(b"get k\r\n") == expected.as_bytes());
}

#[test]
fn a_datagram_that_is_no_request_gets_nothing() {
    let mut both = Both::new();
    let mut ignored = |datagram: &[u8]| {
        let mut send = |reply: &[u8]| panic!("{datagram:?} got {reply:?}");
        both.socket.answer(datagram, &mut send);
    };
    for length in 0..HEADER_LENGTH + 1 {
        ignored(&[0, 1, 0, 0, 0, 1, 0, 0][..length.min(HEADER_LENGTH)]);
    }
    for total in [0_u16, 2, 256, 257, u16::MAX] {
        let header = [1, 0, total, 0].map(u16::to_be_bytes).concat();
        ignored(&[&header, &b"flush_all\r\n"[..]].concat());
    }
    // `quit` ends the conversation without a reply.
    assert_eq!(both.ask(b"quit\r\nversion\r\n"), b"");
}

//! Values that are received into memory of the store.

use std::sync::Arc;

use proptest::prelude::*;

use super::super::{Memcached, Settings};
use super::{all_at_once, converse, session};
use crate::server::{Connections, Next, Peer, Service};
use crate::service::delivery::{cut, deliver};
use crate::store::{Clock, Config, Store};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Large values are received into memory of the store, and clients see the same replies: for any command, any item
    /// stored before, any bytes behind the value, and any cuts of the input.
    #[test]
    fn a_large_value_is_stored_however_it_arrives(
        commands in proptest::collection::vec((0..7usize, 0..3usize, 30_000..90_000usize, any::<bool>(), any::<bool>()), 1..6),
        cuts in proptest::collection::vec(1..80_000usize, 0..12),
    ) {
        let mut input = Vec::new();
        for (verb, key, length, noreply, good) in commands {
            let verb = ["set", "add", "replace", "append", "prepend", "cas", "ms"][verb];
            let unique = if verb == "cas" { " 5" } else { "" };
            let noreply = if noreply { " noreply" } else { "" };
            let line = match (verb, noreply) {
                ("ms", "") => format!("ms k{key} {length} T{key} s O1 k\r\n"),
                ("ms", _) => format!("ms k{key} {length} q MA N{key}\r\n"),
                _ => format!("{verb} k{key} 7 {key} {length}{unique}{noreply}\r\n"),
            };
            input.extend_from_slice(line.as_bytes());
            input.resize(input.len() + length, b'a' + key as u8);
            input.extend_from_slice(if good { b"\r\n" } else { b"xx" });
            input.extend_from_slice(b"get k0 k1 k2\r\nmg k0 v s t\r\n");
        }
        let pieces = cut(&input, &cuts);
        let whole = all_at_once(&input);
        // Not printed: they are long.
        prop_assert!(converse(&mut *session(true), &pieces) == whole);
        prop_assert!(deliver(&mut *session(true), &pieces) == (whole.0, whole.1));
    }
}

/// A session that may insert large values into its output, and the bytes of its replies to these pieces.
fn with_insertions(pieces: &[&[u8]]) -> Vec<u8> {
    let mut session = session(true);
    session.allow_insertions();
    let (mut input, mut replies) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        let mut next = Next::Again;
        while matches!(next, Next::Again | Next::Send) {
            let mut output = Vec::new();
            let turn = session.turn(&input, &mut output);
            input.drain(..turn.consumed);
            next = turn.next;
            let insertions = session.insertions();
            for insertion in insertions.iter().rev() {
                let bytes = (*insertion.bytes).as_ref().iter().copied();
                output.splice(insertion.at..insertion.at, bytes);
            }
            replies.append(&mut output);
        }
    }
    assert_eq!(input, b"");
    replies
}

/// The part of the line that was searched for its end must not count for the command behind it.
#[test]
fn a_line_in_pieces_is_answered_with_a_large_value_and_the_next_line_too() {
    let value = vec![b'x'; 100_000];
    let set = [&b"set big 0 0 100000\r\n"[..], &value, b"\r\n"].concat();
    let replies = with_insertions(&[&set, b"get big", b"\r\nmn\r\n"]);
    let expected = [
        &b"STORED\r\nVALUE big 0 100000\r\n"[..],
        &value,
        b"\r\nEND\r\nMN\r\n",
    ]
    .concat();
    assert!(replies == expected, "{} bytes", replies.len());
}

#[test]
fn a_value_for_which_others_on_their_way_leave_no_memory_is_refused_and_discarded() {
    let config = Config {
        memory: 8 << 20,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(1_000)));
    let service = Memcached::new(Arc::clone(&store), Connections::new(), Settings::default());
    let begin = [b"set big 0 0 1000000\r\n", &[b'x'; 900_000][..]].concat();
    let mut sessions: Vec<_> = (0..6).map(|_| service.open(Peer::detached())).collect();
    let outputs: Vec<_> = sessions
        .iter_mut()
        .map(|session| deliver(&mut **session, &[&begin]).0)
        .collect();
    assert!(outputs.iter().all(|output| output.is_empty()));
    assert!(store.used() <= 5 << 20, "{}", store.used());
    let rest = [&[b'x'; 100_000][..], b"\r\nget big\r\n"].concat();
    let last = sessions.last_mut().unwrap();
    let (output, closed) = deliver(&mut **last, &[&rest]);
    assert_eq!(
        output,
        b"SERVER_ERROR out of memory storing object\r\nEND\r\n"
    );
    assert!(!closed);
    // The others complete theirs.
    let (output, _) = deliver(&mut *sessions[0], &[&rest[..100_002]]);
    assert_eq!(output, b"STORED\r\n");
    drop(sessions);
    assert!(store.used() < 2 << 20, "{}", store.used());
}

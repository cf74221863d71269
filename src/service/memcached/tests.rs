//! The service through its session, without sockets: cases that transcripts can't show, and any
//! delivery of any input.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Memcached, Settings};
use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{Connections, Next, Peer, Service, Session};
use crate::store::{Clock, Config, Entry, Store};

mod authentication;
mod binary;
mod datagrams;
mod large_listings;
mod large_values;

/// A session on an empty store of its own, at a fixed time.
fn session(nested: bool) -> Box<dyn Session> {
    with_store(nested).1
}

fn with_store(nested: bool) -> (Arc<Store>, Box<dyn Session>) {
    let config = Config {
        max_item_size: 200_000,
        // One, so that cas uniques count through all keys: each shard takes them in blocks of its own.
        shards: 1,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, Clock::manual(1_700_000_000_000)));
    let settings = Settings {
        nested,
        ..Settings::default()
    };
    let service = Memcached::new(Arc::clone(&store), Connections::new(), settings);
    (store, service.open(Peer::detached()))
}

/// The output for an input that arrives in pieces; whether the session closed; the unconsumed bytes.
fn converse(session: &mut dyn Session, pieces: &[&[u8]]) -> (Vec<u8>, bool, Vec<u8>) {
    let (mut output, mut input) = (Vec::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            let before = output.len();
            let turn = session.turn(&input, &mut output);
            input.drain(..turn.consumed);
            match turn.next {
                Next::Read | Next::Later | Next::Receive => break,
                Next::AwaitMemory | Next::Send | Next::Delay | Next::Wait => unreachable!(),
                Next::Continue => {}
                Next::Again => assert!(turn.consumed > 0 || output.len() > before),
                Next::Close => return (output, true, input),
            }
        }
    }
    (output, false, input)
}

fn all_at_once(input: &[u8]) -> (Vec<u8>, bool, Vec<u8>) {
    converse(&mut *session(true), &[input])
}

#[test]
fn a_get_of_many_keys_stops_when_the_output_is_full_and_goes_on() {
    let mut session = session(true);
    let value = "v".repeat(100_000);
    let set = format!("set big 7 0 {}\r\n{value}\r\n", value.len());
    assert_eq!(converse(&mut *session, &[set.as_bytes()]).0, b"STORED\r\n");

    let get = format!("get{}  \r\nget missing\r\n", " big none".repeat(50));
    let mut input = get.as_bytes();
    let mut whole = Vec::new();
    let mut turns = 0;
    loop {
        let mut output = Vec::new();
        let turn = session.turn(input, &mut output);
        assert!(output.len() < OUTPUT_SOFT_LIMIT + value.len() + 100);
        whole.extend_from_slice(&output);
        input = &input[turn.consumed..];
        turns += 1;
        if turn.next == Next::Read {
            break;
        }
        assert_eq!(turn.next, Next::Again);
    }
    assert!(turns >= 50 * value.len() / (OUTPUT_SOFT_LIMIT + value.len()));
    assert!(input.is_empty());
    let one = format!("VALUE big 7 {}\r\n{value}\r\n", value.len());
    assert_eq!(whole, (one.repeat(50) + "END\r\nEND\r\n").into_bytes());
}

#[test]
fn a_pipeline_stops_when_the_output_is_full() {
    let mut session = session(true);
    let set = format!("set big 0 0 100000\r\n{}\r\n", "v".repeat(100_000));
    let mut output = Vec::new();
    session.turn(set.as_bytes(), &mut output);
    let gets = b"get big\r\n".repeat(10);
    output.clear();
    let turn = session.turn(&gets, &mut output);
    assert_eq!(
        (turn.next, turn.consumed),
        (Next::Again, 3 * b"get big\r\n".len())
    );
}

#[test]
fn a_value_that_is_too_large_is_counted_off_and_never_held() {
    let mut session = session(true);
    let mut output = Vec::new();
    assert_eq!(
        session.turn(b"set a 0 0 1\r\n1\r\n", &mut output).next,
        Next::Read
    );
    output.clear();
    let turn = session.turn(b"set a 0 0 2000000000\r\n", &mut output);
    assert_eq!(turn.consumed, 22);
    // The old value is removed at once, the reply comes when the value has passed.
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..2000 {
        assert_eq!(
            session.turn(&megabyte, &mut output).consumed,
            megabyte.len()
        );
    }
    assert!(output.is_empty());
    session.turn(b"\r\nget a\r\n", &mut output);
    assert_eq!(
        output,
        b"SERVER_ERROR object too large for cache\r\nEND\r\n"
    );
}

#[test]
fn the_item_size_holds_at_the_limit_and_one_beyond() {
    for (length, reply) in [
        (199_999, &b"STORED\r\n"[..]),
        (200_000, b"SERVER_ERROR object too large for cache\r\n"),
    ] {
        let mut input = format!("set a 0 0 {length}\r\n").into_bytes();
        input.resize(input.len() + length, b'x');
        input.extend_from_slice(b"\r\n");
        assert_eq!(all_at_once(&input), (reply.to_vec(), false, Vec::new()));
    }
}

#[test]
fn an_unfinished_value_stays_in_the_input() {
    let mut session = session(true);
    let mut output = Vec::new();
    for input in [
        &b"set a 0 0 5"[..],
        b"set a 0 0 5\r\n",
        b"set a 0 0 5\r\nhello\r",
    ] {
        let turn = session.turn(input, &mut output);
        assert_eq!((turn.consumed, turn.next), (0, Next::Read));
    }
    assert_eq!(
        session
            .turn(b"set a 0 0 5\r\nhello\r\n", &mut output)
            .consumed,
        20
    );
    assert_eq!(output, b"STORED\r\n");
}

#[test]
fn a_deep_path_is_walked_without_recursion() {
    let mut session = session(true);
    let mut input = Vec::new();
    let mut path = String::new();
    for _ in 0..900 {
        path += " k";
        input.extend_from_slice(format!("set{path} 0 0 1\r\nx\r\n").as_bytes());
    }
    input.extend_from_slice(format!("getn{path}\r\ndelete k\r\ngetn{path}\r\n").as_bytes());
    let (output, ..) = converse(&mut *session, &[&input]);
    let found = format!("VALUE{path} 0 1\r\nx\r\nEND\r\nDELETED\r\nEND\r\n");
    assert_eq!(output, ("STORED\r\n".repeat(900) + &found).into_bytes());
}

#[test]
fn a_redis_hash_holds_no_data_but_has_children() {
    let (store, mut session) = with_store(true);
    let mut tree = store.lock(0, b"user");
    let hash = tree.put(&[b"user"], Entry::default()).expect("stored");
    let name = Entry {
        value: Some(&[b"Ada"]),
        ..Entry::default()
    };
    tree.put_child(hash, b"name", name).expect("stored");
    drop(tree);
    let table = [
        ("get user", "END"),
        ("getn user", "END"),
        ("gat 0 user", "END"),
        ("getn user name", "VALUE user name 0 3\r\nAda\r\nEND"),
        ("getch user", "VALUE user 0 8\r\n[\"name\"]\r\nEND"),
        ("add user 0 0 1\r\nx", "NOT_STORED"),
        ("replace user 0 0 1\r\nx", "NOT_STORED"),
        ("append user 0 0 1\r\nx", "NOT_STORED"),
        ("cas user 0 0 1 1\r\nx", "NOT_FOUND"),
        ("incr user 1", "NOT_FOUND"),
        ("set user age 0 0 2\r\n36", "STORED"),
        ("touch user 100", "TOUCHED"),
        ("delete user name", "DELETED"),
        ("getch user", "VALUE user 0 7\r\n[\"age\"]\r\nEND"),
        // A hash without fields doesn't exist, as in Redis.
        ("delete user age", "DELETED"),
        ("getch user", "END"),
    ];
    for (sent, expected) in table {
        let sent = format!("{sent}\r\n");
        let (output, ..) = converse(&mut *session, &[sent.as_bytes()]);
        assert_eq!(
            String::from_utf8_lossy(&output),
            format!("{expected}\r\n"),
            "{sent}"
        );
    }
}

#[test]
fn a_list_of_all_keys_is_written_in_pieces_that_fit_the_output() {
    let (store, mut session) = with_store(true);
    let names: Vec<String> = (0..20_000).map(|number| format!("key:{number}")).collect();
    // Values that a Redis client stored under keys that no command can name, not even in base64.
    let unnamed = [&[b' '; 187][..], b"", &[b'k'; 251]];
    for name in names.iter().map(String::as_bytes).chain(unnamed) {
        let entry = Entry {
            value: Some(&[b"x"]),
            ..Entry::default()
        };
        store.lock(0, name).put(&[name], entry).expect("stored");
    }
    for list in [
        "lru_crawler metadump all",
        "lru_crawler mgdump hash",
        "stats cachedump 1 0",
    ] {
        let mut input = format!("{list}\r\nmn\r\n").into_bytes();
        let mut whole = Vec::new();
        let mut turns = 0;
        loop {
            let mut output = Vec::new();
            let turn = session.turn(&input, &mut output);
            assert!(output.len() < OUTPUT_SOFT_LIMIT + 64 * 1024, "{list}");
            whole.extend_from_slice(&output);
            input.drain(..turn.consumed);
            turns += 1;
            if turn.next == Next::Read {
                break;
            }
        }
        let whole = String::from_utf8(whole).expect("text");
        let end = if list.contains("mgdump") {
            "EN\r\nMN\r\n"
        } else {
            "END\r\nMN\r\n"
        };
        assert!(whole.ends_with(end), "{list}");
        let mut found: Vec<String> = whole
            .lines()
            .filter_map(|line| {
                let start = line.find("key")?;
                let name = line[start..].split(' ').next()?;
                Some(name.replace("key=", "").replace("%3A", ":"))
            })
            .collect();
        found.sort_unstable();
        let mut expected = names.clone();
        expected.sort_unstable();
        assert_eq!(found, expected, "{list}");
        assert!(
            turns >= whole.len() / (OUTPUT_SOFT_LIMIT + 64 * 1024),
            "{list}"
        );
    }
}

#[test]
fn cache_memlimit_evicts_items_that_no_longer_fit() {
    let (store, mut session) = with_store(true);
    let mut input = Vec::new();
    for number in 0..200 {
        input.extend_from_slice(format!("set {number} 0 0 100000 noreply\r\n").as_bytes());
        input.extend_from_slice(&[b'x'; 100_000]);
        input.extend_from_slice(b"\r\n");
    }
    input.extend_from_slice(b"cache_memlimit 8\r\n");
    assert_eq!(converse(&mut *session, &[&input]).0, b"OK\r\n");
    assert_eq!(store.memory(), 8 << 20);
    assert!(store.used() <= 8 << 20, "{} bytes are left", store.used());
    assert!(store.stats().items > 0);
}

#[test]
fn a_session_is_small() {
    assert!(size_of::<super::connection_session::ConnectionSession>() <= 96);
}

/// Conversations similar to those of real clients.
fn conversation() -> impl Strategy<Value = Vec<u8>> {
    let key = "[ab]|a b|a b c|b 1";
    let value = "[0-9a\r\n]{0,6}";
    let verb = prop_oneof![
        Just("set"),
        Just("add"),
        Just("replace"),
        Just("append"),
        Just("prepend"),
        Just("cas"),
    ];
    let exptime = prop_oneof![4 => Just("0"), 1 => Just("-1"), 1 => Just("100")];
    let noreply = prop_oneof![3 => Just(""), 1 => Just(" noreply")];
    let stored = (verb, key, exptime, value, noreply, -1i8..2).prop_map(
        |(verb, key, exptime, value, noreply, off)| {
            let unique = if verb == "cas" { " 1" } else { "" };
            let length = (value.len() as i64 + i64::from(off)).max(0);
            format!("{verb} {key} 5 {exptime} {length}{unique}{noreply}\r\n{value}\r\n")
        },
    );
    let line = prop_oneof![
        "get [ab]( [ab])?( missing)?\r?\n",
        "gets [ab]\r\n",
        "gat (0|-1|x|100) [ab]\r\n",
        "(incr|decr) ([ab]|a b) ([0-9]{1,3}|x)( noreply)?\r\n",
        "touch ([ab]|a b) (0|-1|x)( noreply)?\r\n",
        "delete ([ab]|a b)( 0)?( noreply)?\r\n",
        "(getn|getns|getch|deln) (a|a b|a b c)\r\n",
        "flush_all( noreply)?\r\n",
        "[a-z]{0,5} ?\r\n",
        "set big 0 0 200001\r\n",
        "(set|add) [ab] (0 x|x 0|-1 0) 9( noreply)?\r\nflush_all\r\n",
        "cas [ab] 0 0 9( x| \\+1)?( noreply)?\r\nflush_all\r\n",
        "quit\r\n",
    ];
    let part = prop_oneof![2 => stored, 3 => line];
    proptest::collection::vec(part, 0..24).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    /// Parts of values used to be run as commands. No part of a refused value may be.
    #[test]
    fn commands_behind_a_refused_value_are_read_in_step(
        verb in prop::sample::select(vec!["set", "add", "replace", "append", "prepend", "cas"]),
        bad in prop::sample::select(vec!["0 x", "x 0", "-1 0", "0 99999999999999999999"]),
        path in prop::sample::select(vec!["k", "kept k"]),
        noreply in any::<bool>(),
        value in "(flush_all\r\n|[a-z \r\n]){0,20}",
        cut in any::<prop::sample::Index>(),
        nested in any::<bool>(),
    ) {
        let path = if nested { path } else { "k" };
        let unique = if verb == "cas" { " 1" } else { "" };
        let silent = if noreply { " noreply" } else { "" };
        let input = format!(
            "set kept 0 0 1\r\nx\r\n{verb} {path} {bad} {}{unique}{silent}\r\n{value}\r\nget kept\r\n",
            value.len(),
        );
        let (first, second) = input.as_bytes().split_at(cut.index(input.len()));
        let (output, closed, left) = converse(&mut *session(nested), &[first, second]);
        let error = if noreply { "" } else { "CLIENT_ERROR bad command line format\r\n" };
        let expected = format!("STORED\r\n{error}VALUE kept 0 1\r\nx\r\nEND\r\n");
        prop_assert_eq!(String::from_utf8_lossy(&output), expected);
        prop_assert!(!closed && left.is_empty());
    }

    #[test]
    fn any_cutting_of_a_conversation_gets_the_same_answers(
        input in conversation(),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..6),
        nested in any::<bool>(),
    ) {
        let whole = converse(&mut *session(nested), &[&input]);
        let bytes: Vec<&[u8]> = input.chunks(1).collect();
        let single = converse(&mut *session(nested), &bytes);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        at.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in at {
            pieces.push(&input[from..cut]);
            from = cut;
        }
        pieces.push(&input[from..]);
        let cut = converse(&mut *session(nested), &pieces);
        prop_assert_eq!(&single.0, &whole.0);
        prop_assert_eq!(single.1, whole.1);
        prop_assert_eq!(&cut.0, &whole.0);
        prop_assert_eq!(cut.1, whole.1);
        if !whole.1 {
            prop_assert_eq!(single.2, whole.2.clone());
            prop_assert_eq!(cut.2, whole.2);
        }
    }
}

//! KEYS and SCAN over many keys.

use super::stepped::{at_once, stepped};
use super::*;

/// So many keys in the first database, and a hash in the second.
fn fill(session: &mut dyn Session, keys: usize) {
    for first in (0..keys).step_by(100) {
        let pairs = (first..keys.min(first + 100)).map(|number| format!(" key{number} v"));
        let line = format!("MSET{}\r\n", pairs.collect::<String>());
        assert_eq!(converse(session, line.as_bytes(), 1 << 20).0, b"+OK\r\n");
    }
    let other = b"SELECT 1\r\nHSET elsewhere field v\r\nSELECT 0\r\n";
    converse(session, other, 1 << 20);
}

/// The elements of an array of keys, sorted.
fn sorted(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(reply);
    let mut lines = text.split("\r\n").skip_while(|line| !line.starts_with('*'));
    let head = lines.next().unwrap_or_default();
    let mut keys: Vec<String> = lines.skip(1).step_by(2).map(str::to_owned).collect();
    keys.retain(|key| !key.is_empty());
    assert_eq!(head, format!("*{}", keys.len()));
    keys.sort();
    keys
}

#[test]
fn keys_in_pieces_are_the_same_as_at_once_and_other_clients_are_answered_between_them() {
    for (keys, least) in [(0, 0), (1, 0), (4000, 0), (5000, 8), (20_000, 38)] {
        let service = service(Settings::default());
        let [mut one, mut other] = clients(&service);
        fill(&mut *one, keys);
        for pattern in ["*", "key*", "*9", "nothing"] {
            let expected = sorted(&at_once(&mut *other, &format!("KEYS {pattern}")));
            let mut reader = stepped(&mut *one, &format!("KEYS {pattern}\r\n"));
            let pieces = reader.pieces(|| {
                let (reply, _) = converse(&mut *other, b"GET key1\r\n", 4096);
                assert_eq!(reply, b"$1\r\nv\r\n");
            });
            reader.rest();
            assert!(pieces >= least, "{pieces} for {keys}");
            assert!(sorted(&reader.output) == expected, "{pattern} of {keys}");
        }
    }
}

#[test]
fn keys_that_stay_are_found_while_others_come_and_go() {
    let service = service(Settings::default());
    let [mut one, mut other] = clients(&service);
    fill(&mut *one, 10_000);
    let mut number = 0;
    let mut reader = stepped(&mut *one, "KEYS *\r\nPING\r\n");
    reader.pieces(|| {
        number += 1;
        // Of the first ten keys, none is changed.
        let line = format!("DEL key{}\r\nSET new{number} v\r\n", 10 + number);
        converse(&mut *other, line.as_bytes(), 4096);
    });
    reader.rest();
    let reply = reader.output.strip_suffix(b"+PONG\r\n").unwrap();
    let found = sorted(reply);
    let stayed = (0..10).chain(10 + number + 1..10_000);
    for key in stayed.map(|number| format!("key{number}")) {
        assert!(found.binary_search(&key).is_ok(), "{key}");
    }
    assert!(found.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn a_scan_with_a_large_count_takes_as_many_pieces_and_ends_at_the_same_cursor() {
    let mut session = session();
    fill(&mut *session, 20_000);
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for steps in 1.. {
        let command = format!("SCAN {cursor} COUNT 8192 MATCH key* TYPE string\r\n");
        let mut reader = stepped(&mut *session, &command);
        let pieces = reader.pieces(|| {});
        assert!(pieces <= 16, "{pieces}");
        reader.rest();
        let text = String::from_utf8_lossy(&reader.output).into_owned();
        cursor = text.split("\r\n").nth(2).unwrap().to_owned();
        let keys = text.split_once(&format!("\r\n{cursor}\r\n")).unwrap().1;
        found.extend(sorted(keys.as_bytes()));
        if cursor == "0" {
            assert!(steps > 1, "it ended at once");
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 20_000);
}

#[test]
fn keys_over_the_limit_of_a_reply_end_the_connection() {
    let settings = Settings {
        max_reply: Some(50_000),
        ..Settings::default()
    };
    let service = service(settings);
    let mut one = service.open(Peer::detached());
    fill(&mut *one, 10_000);
    let (reply, closed) = converse(&mut *one, b"KEYS *\r\n", 4096);
    assert!(closed && reply.is_empty());
}

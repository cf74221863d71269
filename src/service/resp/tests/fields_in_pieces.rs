//! HGETALL, HKEYS and HVALS in pieces, while other clients' commands run between them.

use super::stepped::{at_once, stepped, write_to_big};
use super::*;

/// A hash of so many fields, with values of so many bytes.
pub(super) fn fill(session: &mut dyn Session, key: &str, fields: usize, value: usize) {
    let value = "v".repeat(value);
    for first in (0..fields).step_by(100) {
        let end = fields.min(first + 100);
        let pairs = (first..end).map(|number| format!(" field{number} {value}{number}"));
        let line = format!("HSET {key}{}\r\n", pairs.collect::<String>());
        let (reply, _) = converse(session, line.as_bytes(), 1 << 20);
        assert_eq!(reply, format!(":{}\r\n", end - first).into_bytes());
    }
}

const READS: [&str; 3] = ["HGETALL big", "HKEYS big", "HVALS big"];

#[test]
fn the_reply_in_pieces_has_the_same_bytes_as_at_once() {
    for (fields, value) in [
        (1, 1),
        (512, 1),
        (513, 1),
        (5000, 10),
        (100, 5000),
        (2, 300_000),
    ] {
        let mut session = session();
        fill(&mut *session, "big", fields, value);
        for hello in ["HELLO 2", "HELLO 3"] {
            converse(&mut *session, format!("{hello}\r\n").as_bytes(), 4096);
            for read in READS {
                let (reply, closed) = converse(&mut *session, format!("{read}\r\n").as_bytes(), 64);
                assert!(!closed);
                assert!(reply == at_once(&mut *session, read), "{read} of {fields}");
            }
        }
    }
}

#[test]
fn other_connections_are_answered_between_the_pieces_and_the_reply_is_the_state_at_the_first() {
    let service = service(Settings::default());
    let [mut one, mut other] = clients(&service);
    fill(&mut *one, "big", 5000, 3);
    let expected = at_once(&mut *other, "HGETALL big");
    let mut number = 0;
    let mut reader = stepped(&mut *one, "HGETALL big\r\nPING\r\nHLEN big\r\n");
    let pieces = reader.pieces(|| {
        number += 1;
        let line = format!("{}\r\n", write_to_big(number));
        let (reply, _) = converse(&mut *other, line.as_bytes(), 4096);
        assert!(reply.starts_with(b":"));
    });
    assert!(pieces >= 19, "{pieces}");
    assert!(at_once(&mut *other, "HGETALL big") != expected);
    reader.rest();
    let (length, _) = converse(&mut *other, b"HLEN big\r\n", 4096);
    assert!(reader.output == [&expected[..], b"+PONG\r\n", &length].concat());
}

#[test]
fn a_hash_that_is_removed_or_replaced_all_the_time_is_read_in_the_end() {
    let service = service(Settings::default());
    let [mut one, mut other] = clients(&service);
    fill(&mut *one, "big", 2000, 3);
    fill(&mut *one, "other", 2000, 3);
    let mut reader = stepped(&mut *one, "HKEYS big\r\n");
    let pieces = reader.pieces(|| {
        let swap = b"RENAME big third\r\nRENAME other big\r\nRENAME third other\r\n";
        converse(&mut *other, swap, 4096);
    });
    assert!(pieces < 10, "{pieces}");
    let expected = at_once(&mut *other, "HKEYS big");
    reader.rest();
    assert!(reader.output == expected);

    for (change, expected) in [
        ("DEL big", "*0\r\n"),
        (
            "SET big x",
            "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
        ),
        ("FLUSHALL", "*0\r\n"),
    ] {
        converse(&mut *other, b"DEL big\r\n", 4096);
        fill(&mut *other, "big", 2000, 3);
        let mut reader = stepped(&mut *one, "HKEYS big\r\n");
        assert_eq!(reader.turn().next, Next::Continue);
        converse(&mut *other, format!("{change}\r\n").as_bytes(), 4096);
        reader.pieces(|| {});
        reader.rest();
        assert_eq!(
            String::from_utf8_lossy(&reader.output),
            expected,
            "{change}"
        );
    }
}

#[test]
fn a_command_in_pieces_counts_as_one_call_and_one_hit_and_is_shown_once() {
    let service = service(Settings::default());
    let [mut one, mut other, mut monitor] = clients(&service);
    fill(&mut *one, "big", 3000, 3);
    converse(
        &mut *one,
        b"CONFIG RESETSTAT\r\nCONFIG SET slowlog-log-slower-than 0\r\n",
        4096,
    );
    converse(&mut *monitor, b"MONITOR\r\n", 4096);
    let mut reader = stepped(&mut *one, "HGETALL big\r\n");
    assert!(reader.pieces(|| {}) > 5);
    reader.rest();
    let (info, _) = converse(
        &mut *other,
        b"INFO commandstats\r\nINFO stats\r\nSLOWLOG GET -1\r\n",
        4096,
    );
    let info = String::from_utf8_lossy(&info).into_owned();
    assert!(info.contains("cmdstat_hgetall:calls=1,"), "{info}");
    assert!(info.contains("\r\nkeyspace_hits:1\r\n"), "{info}");
    assert_eq!(info.matches("\r\n$7\r\nHGETALL\r\n").count(), 1, "{info}");
    let mut shown = Vec::new();
    monitor.turn(b"", &mut shown);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    assert_eq!(shown.matches("\"HGETALL\" \"big\"").count(), 1, "{shown}");
}

#[test]
fn a_reply_over_its_limit_ends_the_connection_before_all_is_read() {
    let settings = Settings {
        max_reply: Some(100_000),
        ..Settings::default()
    };
    let service = service(settings);
    let mut one = service.open(Peer::detached());
    fill(&mut *one, "big", 10_000, 20);
    let mut reader = stepped(&mut *one, "HGETALL big\r\n");
    for pieces in 0.. {
        match reader.turn().next {
            Next::Continue => assert!(pieces < 20),
            next => {
                assert_eq!(next, Next::Close);
                break;
            }
        }
    }
    assert!(reader.output.is_empty());
}

#[test]
fn a_reply_that_the_client_does_not_want_is_dropped_and_those_behind_it_are_not() {
    let mut session = session();
    fill(&mut *session, "big", 3000, 3);
    let (reply, _) = converse(
        &mut *session,
        b"CLIENT REPLY SKIP\r\nHGETALL big\r\nPING\r\n",
        4096,
    );
    assert_eq!(reply, b"+PONG\r\n");
}

#[test]
fn a_pause_lets_a_command_end_that_has_begun() {
    let service = service(Settings::default());
    let [mut one, mut other] = clients(&service);
    fill(&mut *one, "big", 3000, 3);
    let expected = at_once(&mut *other, "HVALS big");
    let mut reader = stepped(&mut *one, "HVALS big\r\nPING\r\n");
    assert_eq!(reader.turn().next, Next::Continue);
    converse(&mut *other, b"CLIENT PAUSE 100000 ALL\r\n", 4096);
    reader.pieces(|| {});
    while reader.turn().next != Next::Later {}
    assert!(reader.output == expected);
}

#[test]
fn a_client_that_may_no_longer_read_gets_an_error_in_the_middle() {
    let service = service(Settings::default());
    let [mut one, mut other] = clients(&service);
    fill(&mut *one, "big", 3000, 3);
    converse(
        &mut *other,
        b"ACL SETUSER reader on nopass ~* +@all\r\n",
        4096,
    );
    converse(&mut *one, b"AUTH reader x\r\n", 4096);
    let mut reader = stepped(&mut *one, "HGETALL big\r\nPING\r\nHGETALL small\r\n");
    assert_eq!(reader.turn().next, Next::Continue);
    converse(&mut *other, b"ACL SETUSER reader -hgetall\r\n", 4096);
    reader.pieces(|| {});
    reader.rest();
    let text = String::from_utf8_lossy(&reader.output).into_owned();
    assert!(text.starts_with("-NOPERM "), "{text}");
    assert!(text.contains("\r\n+PONG\r\n-NOPERM "), "{text}");
}

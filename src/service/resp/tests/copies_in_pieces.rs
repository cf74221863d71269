//! COPY of a large hash, while other clients' commands run between its pieces.

use super::fields_in_pieces::fill;
use super::stepped::{stepped, write_to_big};
use super::*;

/// Sends a line to a session, and returns its replies.
fn ask(session: &mut dyn Session, line: &str) -> String {
    let (reply, closed) = converse(session, format!("{line}\r\n").as_bytes(), 1 << 20);
    assert!(!closed);
    String::from_utf8(reply).expect("text")
}

/// The fields of a hash with their values, sorted.
fn fields(session: &mut dyn Session, key: &str) -> Vec<String> {
    let reply = ask(session, &format!("MULTI\r\nHGETALL {key}\r\nEXEC"));
    let mut words = reply.lines().skip(4).filter(|line| !line.starts_with('$'));
    let mut fields = Vec::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        fields.push(format!("{name} {value}"));
    }
    fields.sort();
    fields
}

/// Two sessions of one service, with a hash of so many fields.
fn two_sessions(count: usize) -> (Box<dyn Session>, Box<dyn Session>) {
    let service = service(Settings::default());
    let open = || service.open(Peer::detached());
    let (mut one, other) = (open(), open());
    fill(&mut *one, "big", count, 3);
    (one, other)
}

#[test]
fn the_copy_is_the_hash_at_the_last_piece_and_nobody_sees_a_part_of_it() {
    let (mut one, mut other) = two_sessions(5000);
    ask(&mut *other, "SET copy old\r\nPEXPIRE big 60000");
    let mut number = 0;
    let mut copy = stepped(&mut *one, "COPY big copy REPLACE\r\nPING\r\n");
    let pieces = copy.pieces(|| {
        number += 1;
        assert!(ask(&mut *other, &write_to_big(number)).starts_with(':'));
        assert_eq!(ask(&mut *other, "GET copy"), "$3\r\nold\r\n");
        assert_eq!(ask(&mut *other, "DBSIZE"), ":2\r\n");
    });
    assert!(pieces >= 39, "{pieces}");
    assert_eq!(copy.output, b":1\r\n+PONG\r\n");
    let expected = fields(&mut *other, "big");
    assert!(expected.iter().any(|field| field.contains("changed")));
    assert!(fields(&mut *other, "copy") == expected);
    assert_eq!(ask(&mut *other, "PTTL copy"), ":60000\r\n");
    ask(&mut *other, "DEL big");
    assert!(fields(&mut *other, "copy") == expected);
}

#[test]
fn a_key_that_comes_while_it_is_copied_is_kept_without_replace() {
    let (mut one, mut other) = two_sessions(5000);
    let mut copy = stepped(&mut *one, "COPY big copy\r\n");
    let mut came = false;
    copy.pieces(|| {
        if !std::mem::replace(&mut came, true) {
            ask(&mut *other, "SET copy new");
        }
    });
    assert_eq!(copy.output, b":0\r\n");
    assert_eq!(ask(&mut *other, "GET copy"), "$3\r\nnew\r\n");
}

#[test]
fn a_hash_that_goes_away_while_it_is_copied_is_not_copied() {
    let (mut one, mut other) = two_sessions(5000);
    let mut copy = stepped(&mut *one, "COPY big copy DB 3\r\nHLEN big\r\n");
    copy.pieces(|| _ = ask(&mut *other, "DEL big"));
    assert_eq!(copy.output, b":0\r\n:0\r\n");
    assert_eq!(ask(&mut *other, "SELECT 3\r\nDBSIZE"), "+OK\r\n:0\r\n");
}

#[test]
fn in_a_transaction_a_large_hash_is_copied_at_once() {
    let (mut one, _) = two_sessions(5000);
    let reply = ask(
        &mut *one,
        "MULTI\r\nCOPY big copy\r\nHLEN copy\r\nCOPY big copy\r\nEXEC",
    );
    let queued = "+QUEUED\r\n".repeat(3);
    assert_eq!(reply, format!("+OK\r\n{queued}*3\r\n:1\r\n:5000\r\n:0\r\n"));
}

#[test]
fn a_transaction_that_watches_the_copys_key_fails_after_the_last_piece() {
    let (mut one, mut other) = two_sessions(5000);
    assert_eq!(ask(&mut *other, "WATCH copy"), "+OK\r\n");
    stepped(&mut *one, "COPY big copy\r\n").pieces(|| {});
    assert_eq!(
        ask(&mut *other, "MULTI\r\nPING\r\nEXEC"),
        "+OK\r\n+QUEUED\r\n*-1\r\n"
    );
}

#[test]
fn a_copy_does_not_end_while_writes_are_paused_and_counts_as_one_call() {
    let (mut one, mut other) = two_sessions(5000);
    let mut copy = stepped(&mut *one, "COPY big copy\r\n");
    for _ in 0..10 {
        assert_eq!(copy.turn().next, Next::Continue);
    }
    ask(&mut *other, "CLIENT PAUSE 1000000 WRITE");
    for _ in 0..100 {
        assert_eq!(copy.turn().next, Next::Later);
    }
    assert_eq!(ask(&mut *other, "EXISTS copy"), ":0\r\n");
    ask(&mut *other, "CLIENT UNPAUSE");
    copy.pieces(|| {});
    assert_eq!(copy.output, b":1\r\n");
    let statistics = ask(&mut *other, "INFO commandstats");
    assert!(statistics.contains("cmdstat_copy:calls=1,"), "{statistics}");
}

#[test]
fn a_client_that_leaves_while_it_copies_leaves_no_copy() {
    let (mut one, mut other) = two_sessions(5000);
    let mut copy = stepped(&mut *one, "COPY big copy\r\n");
    for _ in 0..10 {
        assert_eq!(copy.turn().next, Next::Continue);
    }
    drop(one);
    assert_eq!(ask(&mut *other, "EXISTS copy\r\nDBSIZE"), ":0\r\n:1\r\n");
}

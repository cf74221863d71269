//! Hashes of which some fields have expired and aren't removed yet.

use std::time::Duration;

use super::fields_in_pieces::fill;
use super::stepped::{at_once, stepped};
use super::*;

/// Sessions on a store, in which a hash has 5,000 fields: each fiftieth expires in a second, and
/// the one behind it in an hour.
fn expiring() -> (Arc<Store>, Box<dyn Session>, Box<dyn Session>) {
    let store = Store::new(Config::default(), Clock::manual(1_000_000_000_000));
    let store = Arc::new(store);
    let service = Resp::new(Arc::clone(&store), Connections::new(), Settings::default());
    let open = || service.open(Peer::detached());
    let (mut one, other) = (open(), open());
    fill(&mut *one, "big", 5000, 1);
    let mut tree = store.lock(0, b"big");
    for number in (0..5000).step_by(50) {
        for (number, seconds) in [(number, 1), (number + 1, 3600)] {
            let name = format!("field{number}");
            let node = tree.peek(&[b"big", name.as_bytes()]).unwrap();
            tree.set_expiry(node, Some(1_000_000_000_000 + 1000 * seconds));
        }
    }
    drop(tree);
    (store, one, other)
}

/// The reply of HLEN, and the number of its pieces.
fn length(session: &mut dyn Session, between: impl FnMut()) -> (String, usize) {
    let mut hlen = stepped(session, "HLEN big\r\n");
    let pieces = hlen.pieces(between);
    hlen.rest();
    (String::from_utf8(hlen.output).unwrap(), pieces)
}

#[test]
fn the_number_of_fields_is_counted_in_pieces_while_expired_ones_are_stored() {
    let (store, mut one, mut other) = expiring();
    assert_eq!(length(&mut *one, || {}), (":5000\r\n".to_owned(), 0));
    store.clock().advance(Duration::from_secs(2));
    let mut number = 0;
    let (reply, pieces) = length(&mut *one, || {
        number += 1;
        let line = format!(
            "HDEL big field{}\r\nHSET big new{number} v\r\n",
            51 * number
        );
        converse(&mut *other, line.as_bytes(), 4096);
    });
    assert!(pieces >= 19, "{pieces}");
    assert_eq!(reply, ":4900\r\n");

    // When they are removed, all are looked at once more.
    store.sweep(usize::MAX);
    let (reply, pieces) = length(&mut *one, || {});
    assert!((19..40).contains(&pieces));
    assert_eq!(reply, ":4900\r\n");
    assert_eq!(length(&mut *one, || {}), (":4900\r\n".to_owned(), 0));
    assert_eq!(at_once(&mut *one, "HLEN big"), b":4900\r\n");
    store.check();
}

#[test]
fn fields_that_have_expired_are_looked_for_in_pieces_by_exec_and_not_at_all_by_watch() {
    let (store, mut one, mut other) = expiring();
    let ask = |session: &mut dyn Session, line: &str| {
        let (reply, closed) = converse(session, format!("{line}\r\n").as_bytes(), 1 << 20);
        assert!(!closed);
        String::from_utf8(reply).unwrap()
    };
    let begin = "WATCH big\r\nMULTI\r\nHGET big field2";
    let queued = "+OK\r\n+OK\r\n+QUEUED\r\n";
    store.clock().advance(Duration::from_secs(2));
    assert_eq!(ask(&mut *one, begin), queued);
    assert_eq!(store.stats().expired, 0);
    let mut exec = stepped(&mut *one, "EXEC\r\nPING\r\n");
    let pieces = exec.pieces(|| {
        assert_eq!(ask(&mut *other, "HGET big field2"), "$2\r\nv2\r\n");
    });
    assert!((9..20).contains(&pieces), "{pieces}");
    assert_eq!(exec.output, b"*1\r\n$2\r\nv2\r\n+PONG\r\n");
    let statistics = ask(&mut *one, "INFO commandstats");
    assert!(statistics.contains("cmdstat_exec:calls=1,"), "{statistics}");

    // The next fields expire after the watch began.
    assert_eq!(ask(&mut *one, begin), queued);
    store.clock().advance(Duration::from_secs(3600));
    let mut exec = stepped(&mut *one, "EXEC\r\nPING\r\n");
    exec.pieces(|| {});
    assert_eq!(exec.output, b"*-1\r\n+PONG\r\n");
    assert_eq!(ask(&mut *one, "DISCARD"), "-ERR DISCARD without MULTI\r\n");
}

#[test]
fn a_change_while_exec_looks_for_expired_fields_is_noticed() {
    let (store, mut one, mut other) = expiring();
    store.clock().advance(Duration::from_secs(2));
    converse(&mut *one, b"WATCH big\r\nMULTI\r\nPING\r\n", 4096);
    let mut exec = stepped(&mut *one, "EXEC\r\n");
    let mut writes = 0;
    let pieces = exec.pieces(|| {
        writes += 1;
        if writes == 3 {
            converse(&mut *other, b"HSET big field4999 new\r\n", 4096);
        }
    });
    assert_eq!(pieces, 3);
    assert_eq!(exec.output, b"*-1\r\n");
}

#[test]
fn an_expired_field_is_not_returned_by_commands_that_look_at_some_of_them() {
    let (store, mut one, _) = expiring();
    store.clock().advance(Duration::from_secs(2));
    let is_expired = |name: &str| {
        let number = name
            .strip_prefix("field")
            .and_then(|number| number.parse().ok());
        number.is_some_and(|number: usize| number.is_multiple_of(50))
    };
    let mut replies = String::new();
    for line in [
        "HRANDFIELD big -2000",
        "HRANDFIELD big 2000",
        "HSCAN big 0 COUNT 1000",
    ] {
        let mut command = stepped(&mut *one, &format!("{line}\r\n"));
        command.pieces(|| {});
        command.rest();
        replies.push_str(std::str::from_utf8(&command.output).unwrap());
    }
    let input = "HRANDFIELD big\r\n".repeat(1000);
    let (reply, _) = converse(&mut *one, input.as_bytes(), 1 << 20);
    replies.push_str(std::str::from_utf8(&reply).unwrap());
    let names: Vec<&str> = replies
        .lines()
        .filter(|line| line.starts_with("field"))
        .collect();
    assert!(names.len() > 5500, "{}", names.len());
    assert!(!names.into_iter().any(is_expired));
    assert_eq!(store.stats().expired, 0, "none was looked for");
}

//! SCAN and HSCAN over many keys that change; and replies that would be too large.

use std::collections::BTreeSet;
use std::sync::Arc;

use larder::server::{Connections, Next, Peer, Service, Session};
use larder::service::resp::{Resp, Settings};
use larder::store::{Clock, Config, Store};

fn session(settings: Settings) -> Box<dyn Session> {
    let store = Store::new(Config::default(), Clock::manual(1_795_000_000_000));
    Resp::new(Arc::new(store), Connections::new(), settings).open(Peer::detached())
}

/// Sends an inline command and returns the reply, and whether the connection is closed after it.
fn ask(session: &mut dyn Session, line: &str) -> (String, bool) {
    let input = format!("{line}\r\n").into_bytes();
    let mut output = Vec::new();
    let mut turn = session.turn(&input, &mut output);
    while turn.next == Next::Continue {
        turn = session.turn(&input, &mut output);
    }
    let reply = String::from_utf8(output).expect("these replies are text");
    (reply, turn.next == Next::Close)
}

/// Walks with `SCAN cursor …` or `HSCAN h cursor …`, calling `between` after each step; every `step`-th element is
/// kept, because a field's value comes behind it.
fn walk(
    session: &mut dyn Session,
    command: &str,
    options: &str,
    step: usize,
    mut between: impl FnMut(&mut dyn Session, usize),
) -> Vec<String> {
    let mut found = Vec::new();
    let mut cursor = "0".to_owned();
    for steps in 1.. {
        assert!(steps < 10_000, "the walk doesn't end");
        let (reply, _) = ask(session, &format!("{command} {cursor} {options}"));
        // *2, $length, cursor, *count, then $length and bytes of each element.
        let lines: Vec<&str> = reply.split("\r\n").collect();
        cursor = lines[2].to_owned();
        let elements = lines[4..].chunks_exact(2).map(|pair| pair[1].to_owned());
        found.extend(elements.step_by(step));
        if cursor == "0" {
            break;
        }
        between(session, steps);
    }
    found
}

fn names(range: std::ops::Range<usize>) -> BTreeSet<String> {
    range.map(|number| format!("n{number}")).collect()
}

#[test]
fn a_scan_sees_every_key_that_is_there_throughout() {
    let mut session = session(Settings::default());
    for number in 0..2_000 {
        ask(&mut *session, &format!("SET n{number} x"));
    }
    let found = walk(&mut *session, "SCAN", "COUNT 50", 1, |session, step| {
        // Half of the keys go, one by one, and others come.
        ask(session, &format!("DEL n{}", 1_000 + step % 1_000));
        ask(session, &format!("SET other{step} x"));
    });
    let seen: BTreeSet<String> = found.into_iter().collect();
    assert!(names(0..1_000).is_subset(&seen));
}

#[test]
fn a_walk_over_a_quiet_store_sees_everything_once() {
    let mut session = session(Settings::default());
    for number in 0..2_000 {
        ask(&mut *session, &format!("SET n{number} x"));
        ask(&mut *session, &format!("HSET h n{number} x"));
    }
    ask(&mut *session, "SELECT 1");
    ask(&mut *session, "SET elsewhere x");
    ask(&mut *session, "SELECT 0");
    for (command, options, step) in [
        ("SCAN", "COUNT 7 MATCH n*", 1),
        ("SCAN", "TYPE string", 1),
        ("HSCAN h", "COUNT 7", 2),
        ("HSCAN h", "MATCH n*", 2),
    ] {
        let found = walk(&mut *session, command, options, step, |_, _| {});
        assert_eq!(found.len(), 2_000, "{command} {options}");
        assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), names(0..2_000));
    }
    assert_eq!(
        walk(&mut *session, "SCAN", "TYPE hash", 1, |_, _| {}),
        ["h"]
    );
}

#[test]
fn an_hscan_sees_every_field_that_is_there_throughout() {
    let mut session = session(Settings::default());
    for number in 0..2_000 {
        ask(&mut *session, &format!("HSET h n{number} x"));
    }
    let found = walk(&mut *session, "HSCAN h", "COUNT 20", 2, |session, step| {
        for number in 0..5 {
            ask(
                session,
                &format!("HDEL h n{}", 1_000 + (7 * step + number) % 1_000),
            );
        }
        ask(session, &format!("HSET h other{step} x"));
    });
    let seen: BTreeSet<String> = found.into_iter().collect();
    assert!(names(0..1_000).is_subset(&seen));
}

#[test]
fn hrandfield_with_a_count_draws_different_fields() {
    let mut session = session(Settings::default());
    for number in 0..200 {
        ask(&mut *session, &format!("HSET h n{number} x"));
    }
    let (reply, _) = ask(&mut *session, "HRANDFIELD h 150");
    let drawn: BTreeSet<String> = reply
        .split("\r\n")
        .skip(2)
        .step_by(2)
        .map(str::to_owned)
        .collect();
    assert_eq!(drawn.iter().filter(|name| !name.is_empty()).count(), 150);
    assert!(
        drawn
            .iter()
            .all(|name| name.is_empty() || names(0..200).contains(name))
    );
}

#[test]
fn a_reply_over_the_bound_is_dropped_and_closes_the_connection() {
    for command in [
        "HRANDFIELD h -9223372036854775807",
        "HRANDFIELD h -4611686018427387903 WITHVALUES",
        "HGETALL h",
        "HVALS h",
        "HMGET h f g f g f g",
        "MGET a a a a a a",
        "KEYS *",
        "SCAN 0 COUNT 9223372036854775807",
        "HSCAN h 0",
        "GETRANGE big 0 -1",
        "LCS big big",
    ] {
        let mut session = session(Settings {
            max_reply: Some(1_000),
            ..Settings::default()
        });
        let value = "x".repeat(300);
        ask(
            &mut *session,
            &format!("MSET a {value} big {value}{value}{value}{value}"),
        );
        ask(
            &mut *session,
            &format!("HSET h f {value} g {value} h {value} i {value}"),
        );
        for number in 0..100 {
            ask(&mut *session, &format!("SET a-key-with-a-name-{number} x"));
        }
        let (reply, closed) = ask(&mut *session, command);
        assert!(closed, "{command}: {} bytes came", reply.len());
        assert_eq!(reply, "", "{command}");
    }
}

/// The room for a moved tree was estimated with two segments of memory for each field, so a hash with more than 262,143
/// fields did not fit, neither under the new name nor back under the old one.
#[test]
fn a_hash_of_300_000_fields_can_be_renamed_and_copied() {
    const FIELDS: usize = 300_000;
    let mut session = session(Settings::default());
    for start in (0..FIELDS).step_by(1000) {
        let fields = (start..start + 1000).map(|number| format!(" {number} v"));
        let fields: String = fields.collect();
        let (reply, _) = ask(&mut *session, &format!("HSET a{fields}"));
        assert_eq!(reply, ":1000\r\n");
    }
    for (command, reply) in [
        ("RENAME a b", "+OK\r\n"),
        ("HLEN b", ":300000\r\n"),
        ("MOVE b 1", ":1\r\n"),
        ("COPY b c", ":0\r\n"),
        ("SELECT 1", "+OK\r\n"),
        ("HGET b 299999", "$1\r\nv\r\n"),
        ("COPY b c", ":1\r\n"),
        ("HLEN c", ":300000\r\n"),
    ] {
        assert_eq!(ask(&mut *session, command).0, reply, "{command}");
    }
}

//! Reads: each key is fetched once, and hot keys are answered by any node.

use crate::group::{Group, LONG, found, get, set};
use crate::run::{FREE, Place, until};

#[test]
fn each_key_is_fetched_from_the_origin_once_whichever_nodes_are_asked() {
    const KEYS: usize = 300;
    let place = Place::new();
    let origin = place.serve(&FREE, 2);
    let mut behind = origin.memcached();
    for number in 0..KEYS {
        let key = format!("key:{number}");
        behind.ask(set(&key, &format!("value of {key}")), "STORED\r\n");
    }
    let options = ["--origin-memcached", origin.address("memcached")];
    let times = ["--origin-timeout", "60s", "--peer-timeout", LONG];
    let group = Group::start(&[&options[..], &times, &["--fresh", "0"]].concat());
    let mut talks = [0, 1, 2].map(|node| group.talk(node));
    for number in 0..KEYS {
        let key = format!("key:{number}");
        // At the same time, and the first one is another node each time.
        for turn in 0..3 {
            talks[(number + turn) % 3].say(get(&key));
        }
        for talk in &mut talks {
            talk.hear(&found(&key, &format!("value of {key}")));
        }
    }
    assert_eq!(behind.stat("cmd_get"), KEYS as u64);
    let fetches = talks.each_mut().map(|talk| talk.stat("origin_fetches"));
    assert_eq!(fetches.iter().sum::<u64>(), KEYS as u64);
    for (node, fetches) in fetches.into_iter().enumerate() {
        let own = (0..KEYS).filter(|number| group.owner(&format!("key:{number}")) == node);
        assert_eq!(fetches, own.count() as u64, "node {node}");
    }
}

#[test]
fn a_hot_key_is_answered_from_the_copy_for_its_time() {
    let group = Group::start(&["--peer-copy-ttl", LONG, "--peer-timeout", LONG]);
    let key = group.key_of(1);
    let (mut owner, mut other) = (group.talk(1), group.talk(0));
    owner.ask(format!("set {key} 7 0 5\r\nvalue\r\n"), "STORED\r\n");
    // The news of it would drop the copy.
    until("both peers have the news", || {
        owner.stat("peer_changes_sent") == 2
    });
    for _ in 0..5 {
        other.ask(get(&key), &format!("VALUE {key} 7 5\r\nvalue\r\nEND\r\n"));
    }
    assert_eq!(other.stat("peer_fetches"), 1);
    assert_eq!(other.stat("peer_found"), 1);
    // A key that the owner doesn't have is remembered for as long.
    let missing = &group.keys_of(1, 2)[1];
    for _ in 0..5 {
        other.ask(get(missing), "END\r\n");
    }
    assert_eq!(other.stat("peer_fetches"), 2);
    assert_eq!(other.stat("peer_missing"), 1);
}

#[test]
fn a_copy_is_read_again_after_its_time() {
    let group = Group::start(&["--peer-copy-ttl", "100ms", "--peer-timeout", LONG]);
    let key = group.key_of(1);
    let (mut owner, mut other) = (group.talk(1), group.talk(0));
    owner.ask(set(&key, "value"), "STORED\r\n");
    until("a copy expires", || {
        other.ask(get(&key), &found(&key, "value"));
        other.stat("peer_fetches") >= 2
    });
}

#[test]
fn an_item_of_the_owner_that_expires_is_no_longer_a_copy() {
    let group = Group::start(&["--peer-copy-ttl", LONG, "--peer-timeout", LONG]);
    let key = group.key_of(2);
    let mut other = group.talk(0);
    other.ask(format!("set {key} 0 2 5\r\nvalue\r\n"), "STORED\r\n");
    crate::group::wait_for_value(&mut other, &key, None);
}

#[test]
fn a_key_that_changes_all_the_time_is_not_taken_for_missing() {
    let group = Group::start(&["--peer-copy-ttl", LONG, "--peer-timeout", LONG]);
    let key = group.key_of(1);
    let (mut writer, mut reader) = (group.talk(1), group.talk(0));
    writer.ask(set(&key, "0"), "STORED\r\n");
    let mut number = 0;
    for _ in 0..200 {
        reader.say(get(&key));
        // It changes while it is read.
        number += 1;
        writer.ask(format!("incr {key} 1\r\n"), &format!("{number}\r\n"));
        let read = reader.until_end("END\r\n");
        assert!(read.starts_with("VALUE "), "{read}");
    }
}

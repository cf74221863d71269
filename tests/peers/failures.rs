//! Peers that are killed, frozen and come back.

use crate::group::{Group, found, get, set, wait_for_value};
use crate::run::until;

#[test]
fn the_next_node_stands_in_for_a_peer_that_was_killed_until_it_returns() {
    let mut group = Group::start(&["--peer-copy-ttl", "100ms", "--peer-timeout", "60s"]);
    let key = group.key_of(1);
    let mut talks = [group.talk(0), group.talk(2)];
    talks[0].ask(set(&key, "before"), "STORED\r\n");
    group.nodes[1] = None;
    for number in 0..20 {
        let value = format!("v{number}");
        let [writer, reader] = &mut talks;
        // The first write may find a connection that is lost in the middle.
        until("the peer is skipped", || {
            writer.say(set(&key, &value));
            match writer.until_end("\r\n") {
                stored if stored == "STORED\r\n" => true,
                error => {
                    assert!(error.contains("may have been executed"), "{error}");
                    false
                }
            }
        });
        writer.ask(get(&key), &found(&key, &value));
        wait_for_value(reader, &key, Some(&value));
    }
    let address = group.addresses[1].clone();
    group.node(0).logs(&format!("{address} "));
    for talk in &mut talks {
        until("it is skipped", || talk.stat("peer_nodes_skipped") == 1);
    }
    group.start_node(1);
    group.wait_until_all_answer();
    group
        .node(0)
        .logs(&format!("{address} answers again and is used"));
    // It is empty, and owns the key again; the node that stood in keeps what it has until the next change.
    group.talk(1).ask(get(&key), "END\r\n");
    for (writer, value) in [(0, "after"), (1, "later")] {
        talks[writer].ask(set(&key, value), "STORED\r\n");
        for talk in [0, 1, 2].map(|node| group.talk(node)).iter_mut() {
            wait_for_value(talk, &key, Some(value));
        }
    }
}

#[test]
fn a_frozen_peer_is_skipped_and_has_dropped_what_changed_when_it_is_used_again() {
    let mut group = Group::start(&["--peer-copy-ttl", "100ms", "--peer-timeout", "5s"]);
    let key = group.key_of(1);
    let other = group.key_of(2);
    let (mut first, mut second) = (group.talk(0), group.talk(2));
    first.ask(set(&key, "old"), "STORED\r\n");
    second.ask(set(&other, "there"), "STORED\r\n");
    group.node(1).signal("STOP");
    // Keys of other nodes are answered meanwhile.
    second.ask(get(&other), &found(&other, "there"));
    first.ask(get(&other), &found(&other, "there"));
    for talk in [&mut first, &mut second] {
        until("it is skipped", || talk.stat("peer_nodes_skipped") == 1);
        // A read that misses is answered by the node that stands in.
        talk.ask(get(&key), "END\r\n");
    }
    first.ask(set(&key, "new"), "STORED\r\n");
    first.ask(get(&key), &found(&key, "new"));
    wait_for_value(&mut second, &key, Some("new"));
    group.node(1).signal("CONT");
    group.wait_until_all_answer();
    for talk in [&mut first, &mut second, &mut group.talk(1)] {
        until("the old value is gone everywhere", || {
            talk.say(get(&key));
            talk.until_end("END\r\n") != found(&key, "old")
        });
    }
    first.ask(set(&key, "last"), "STORED\r\n");
    for talk in [&mut first, &mut second, &mut group.talk(1)] {
        wait_for_value(talk, &key, Some("last"));
    }
}

#[test]
fn a_node_without_any_peer_that_answers_serves_all_keys_itself() {
    let mut group = Group::prepare(3, &["--peer-timeout", "60s"]);
    group.start_node(0);
    let mut talk = group.talk(0);
    until("both are skipped", || talk.stat("peer_nodes_skipped") == 2);
    for node in 0..3 {
        let key = group.key_of(node);
        talk.ask(get(&key), "END\r\n");
        talk.ask(set(&key, "v"), "STORED\r\n");
        talk.ask(get(&key), &found(&key, "v"));
    }
}

#[test]
fn larder_ends_at_once_while_a_peer_is_down() {
    let mut group = Group::prepare(2, &[]);
    group.start_node(0);
    let mut talk = group.talk(0);
    until("it is skipped", || talk.stat("peer_nodes_skipped") == 1);
    drop(talk);
    group.node(0).signal("TERM");
    assert!(group.node(0).ended().success());
}

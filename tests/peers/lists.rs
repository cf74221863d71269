//! The list of peers: one that is wrong, that changes, and that differs between the nodes.

use crate::group::{Group, LONG, found, get, owner, set, wait_for_value};
use crate::run::{FREE, until};

#[test]
fn settings_that_can_not_work_are_refused_at_the_start() {
    let group = Group::prepare(2, &[]);
    let place = &group.place;
    let own = &group.addresses[0];
    place.write("wrong.txt", "127.0.0.1:7 1\n127.0.0.1:8\n");
    let cases = [
        (&["--peers", "peers.txt"][..], "--peers needs --peer-self ADDR".to_owned()),
        (&["--peer-self", own], "--peer-self needs --peers FILE".into()),
        (&["--peers", "none.txt", "--peer-self", own], "--peers none.txt: can't be read".into()),
        (&["--peers", "wrong.txt", "--peer-self", own], "--peers wrong.txt: line 2".into()),
        (
            &["--peers", "peers.txt", "--peer-self", "127.0.0.1:1"],
            "--peers peers.txt: 127.0.0.1:1 is not in the list; add it, or give --peer-self ADDR as the list has it".into(),
        ),
        (
            &["--peers", "peers.txt", "--peer-self", own, "--origin-memcached", own, "--peer-timeout", "1s"],
            "--peer-timeout has to be more than 1s".into(),
        ),
    ];
    for (arguments, problem) in cases {
        let printed = place.run(&[&FREE[..], arguments].concat());
        assert_eq!(printed.code, Some(1), "{arguments:?}");
        assert!(
            printed.err.contains(&problem),
            "{arguments:?}: {}",
            printed.err
        );
    }
    place.write("users", "user:pass\n");
    let arguments = [
        "--peers",
        "peers.txt",
        "--peer-self",
        own,
        "--auth-file",
        "users",
    ];
    let printed = place.run(&[&FREE[..], &arguments].concat());
    assert!(
        printed.err.contains("peers can't log in"),
        "{}",
        printed.err
    );
}

#[test]
fn a_reload_adds_and_removes_peers_and_keeps_the_old_list_when_the_new_one_is_wrong() {
    let mut group = Group::start(&["--peer-copy-ttl", "100ms", "--peer-timeout", LONG]);
    let all = group.list();
    let (two, _) = all.trim_end().rsplit_once('\n').expect("three lines");
    // A key that the third node owns now, and the second one then.
    let key = (0..).map(|number| format!("moved:{number}"));
    let mut key = key.filter(|key| owner(&all, key) == 2 && owner(two, key) == 1);
    let key = key.next().expect("there are some");
    group.place.write("peers.txt", two);
    for node in [0, 1] {
        group.node(node).signal("HUP");
        let mut talk = group.talk(node);
        until("the list is read", || talk.stat("peer_nodes") == 2);
    }
    let mut first = group.talk(0);
    first.ask(set(&key, "v"), "STORED\r\n");
    first.ask(get(&key), &found(&key, "v"));
    wait_for_value(&mut group.talk(1), &key, Some("v"));
    assert!(first.stat("peer_forwards") >= 1);
    group.place.write("peers.txt", "127.0.0.1:1 1\n");
    group.node(0).signal("HUP");
    group
        .node(0)
        .logs("the peers were not reloaded, the old ones stay: --peers peers.txt:");
    assert_eq!(first.stat("peer_nodes"), 2);
    group.place.write("peers.txt", &all);
    for node in 0..3 {
        group.node(node).signal("HUP");
        let mut talk = group.talk(node);
        until("the list is read", || talk.stat("peer_nodes") == 3);
    }
    group.wait_until_all_answer();
    first.ask(set(&key, "w"), "STORED\r\n");
    for node in 0..3 {
        wait_for_value(&mut group.talk(node), &key, Some("w"));
    }
}

#[test]
fn nodes_with_different_lists_answer_all_the_same_count_it_and_log_it() {
    let mut group = Group::prepare(3, &["--peer-copy-ttl", LONG, "--peer-timeout", LONG]);
    let all = group.list();
    let lines: Vec<&str> = all.lines().collect();
    let first_two = format!("{}\n{}\n", lines[0], lines[1]);
    let last_two = format!("{}\n{}\n", lines[1], lines[2]);
    group.place.write("first.txt", &first_two);
    group.place.write("last.txt", &last_two);
    group.start_node_with(0, "first.txt");
    group.start_node_with(1, "last.txt");
    group.start_node_with(2, "last.txt");
    group.wait_until_all_answer();
    // The first node takes it for the second's, which takes it for the third's.
    let key = (0..).map(|number| format!("disputed:{number}"));
    let mut key = key.filter(|key| owner(&first_two, key) == 1 && owner(&last_two, key) == 1);
    let key = key.next().expect("there are some");
    let (mut first, mut second, mut third) = (group.talk(0), group.talk(1), group.talk(2));
    first.ask(set(&key, "v"), "STORED\r\n");
    first.ask(get(&key), &found(&key, "v"));
    // The second node runs it, although it would ask the third one for its own clients.
    third.ask(get(&key), "END\r\n");
    assert!(second.stat("peer_lists_differ") >= 1);
    assert!(second.stat("peer_not_mine") >= 1);
    assert_eq!(third.stat("peer_lists_differ"), 0);
    let address = group.addresses[0].clone();
    group
        .node(1)
        .logs(&format!("peer {address} has another list of peers"));
}

#[test]
fn a_node_that_is_in_its_list_twice_gets_its_own_requests_and_says_so() {
    let mut group = Group::prepare(1, &["--peer-copy-ttl", LONG, "--peer-timeout", LONG]);
    let (_, port) = group.addresses[0].rsplit_once(':').expect("a port");
    let again = format!("localhost:{port}");
    let list = format!("{} 1\n{again} 1\n", group.addresses[0]);
    group.place.write("peers.txt", &list);
    group.start_node(0);
    let key = (0..).map(|number| format!("looped:{number}"));
    let key = key
        .into_iter()
        .find(|key| owner(&list, key) == 1)
        .expect("there are some");
    let mut talk = group.talk(0);
    let error = "SERVER_ERROR a request of this node came back to it\r\n";
    talk.ask(set(&key, "v"), error);
    talk.ask(get(&key), "END\r\n");
    talk.ask(format!("delete {key}\r\n"), error);
    assert!(talk.stat("peer_loops") >= 3);
    group
        .node(0)
        .logs("a request of this node came back to it and gets an error");
}

//! Servers of a cluster that redirect requests: in circles, to a server that is down, in pieces, or while a client has a
//! connection of its own.

mod cluster_support;
mod proxy_support;
mod scripted_cluster;
mod support;

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use cluster_support::{Said, Talk};
use larder::pool::slot;
use larder::proxy::{Protocol, Settings};
use proxy_support::{eventually, free_port, settings};
use scripted_cluster::{ALL, Nodes, PIECES, error, narrow, narrow_with, nodes};

#[test]
fn servers_that_send_a_request_in_circles_are_given_up() {
    let (nodes, _) = nodes(2, |node, words| match words {
        ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, 0)]),
        ["GET", "fine"] => "+fine\r\n".into(),
        ["GET", key] => node.moved(key, 1 - node.me),
        ["ASKING"] => "+OK\r\n".into(),
        _ => "-ERR what?\r\n".into(),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    let said = client.call(&["GET", "a"]);
    let expected = format!(
        "ERR upstream {} sends the request elsewhere, as 8 have done before: the servers of the \
         cluster don't agree where it belongs",
        nodes[0]
    );
    assert_eq!(said, error(expected));
    assert_eq!(client.must("GET fine"), Said::from("fine"));
    assert_eq!(client.must("PING"), Said::from("PONG"));
}

#[test]
fn a_request_that_is_sent_to_a_dead_server_names_that_server() {
    let dead = free_port();
    let (nodes, _) = nodes(1, move |node, words| match words {
        ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, 0)]),
        ["GET", "asked"] => format!("-ASK {} {dead}\r\n", slot(b"asked")),
        ["GET", "moved"] => format!("-MOVED {} {dead}\r\n", slot(b"moved")),
        _ => "+fine\r\n".into(),
    });
    let proxy = narrow(&nodes);
    let mut client = proxy.talk();
    for key in ["asked", "moved"] {
        let expected = format!("ERR upstream {dead} refused the connection");
        assert_eq!(client.call(&["GET", key]), error(expected), "{key}");
    }
    assert_eq!(client.must("GET a"), Said::from("fine"));
}

#[test]
fn a_reply_that_is_almost_a_redirection_goes_to_the_client() {
    let answers = [
        "-MOVED 1 nowhere",
        "-MOVED 99999 127.0.0.1:1",
        "-MOVEDABOUT 1 127.0.0.1:1",
        "-ASK",
        "-TRYAGAIN Multiple keys request during rehashing of slot",
        "-CLUSTERDOWN Hash slot not served",
        "-WRONGTYPE no",
    ];
    let (nodes, _) = nodes(1, move |node, words| match words {
        ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, 0)]),
        ["GET", number] => format!("{}\r\n", answers[number.parse::<usize>().unwrap_or(0)]),
        _ => format!("-MOVED 1 {}:1\r\n", "x".repeat(10_000)),
    });
    let proxy = narrow(&nodes);
    let mut client = proxy.talk();
    for (number, answer) in answers.iter().enumerate() {
        let said = client.call(&["GET", &number.to_string()]);
        assert_eq!(said, error(&answer[1..]));
    }
    let long = client.call(&["STRLEN", "a"]);
    assert_eq!(long.text().len(), "MOVED 1 :1".len() + 10_000);
}

#[test]
fn a_redirection_in_pieces_is_followed_and_another_error_in_pieces_is_whole() {
    let (nodes, _) = nodes(2, |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.map(&[(ALL.0, ALL.1, 0)]),
        (0, [_, "moved"]) => format!("{PIECES}{}", node.moved("moved", 1)),
        (0, [_, "almost"]) => format!("{PIECES}-MOVED here and there\r\n"),
        (0, [_, "other"]) => format!("{PIECES}-ASKED too much\r\n"),
        _ => "+there\r\n".into(),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    assert_eq!(
        client.call(&["GET", "almost"]),
        error("MOVED here and there")
    );
    assert_eq!(client.call(&["GET", "other"]), error("ASKED too much"));
    assert_eq!(client.must("GET moved"), Said::from("there"));
}

#[test]
fn asking_stands_directly_before_the_request_and_the_map_stays() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let (nodes, _) = nodes(2, move |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.map(&[(ALL.0, ALL.1, 0)]),
        (0, ["GET", key]) => format!("-ASK {} {}\r\n", slot(key.as_bytes()), node.nodes[1]),
        _ => {
            ears.lock().expect("no thread panics").push(words.join(" "));
            format!("+{}\r\n", words.join(" "))
        }
    });
    let proxy = narrow(&nodes[..1]);
    let mut clients: Vec<Talk> = (0..10).map(|_| proxy.talk()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        for _ in 0..3 {
            client.send(&["GET", &number.to_string()]);
        }
    }
    for (number, client) in clients.iter_mut().enumerate() {
        for _ in 0..3 {
            assert_eq!(client.read(), Said::from(&format!("GET {number}")[..]));
        }
    }
    let heard = heard.lock().expect("no thread panics");
    assert_eq!(heard.len(), 60);
    for pair in heard.chunks(2) {
        assert!(
            pair[0] == "ASKING" && pair[1].starts_with("GET "),
            "{pair:?}"
        );
    }
}

#[test]
fn a_later_request_does_not_overtake_one_that_was_sent_elsewhere() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&heard);
    let go = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&go);
    let (nodes, _) = nodes(2, move |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.moving_map(),
        (0, ["SET", key, value]) => {
            // The second answer comes when the first has long been followed.
            if *value == "2" {
                eventually("the third request", || gate.load(SeqCst));
            }
            node.moved(key, 1)
        }
        (1, ["SET", _, value]) => {
            ears.lock()
                .expect("no thread panics")
                .push(value.to_string());
            "+OK\r\n".into()
        }
        _ => "+fine\r\n".into(),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    client.send(&["SET", "k", "1"]);
    client.send(&["SET", "k", "2"]);
    assert_eq!(client.read(), Said::from("OK"));
    client.send(&["SET", "k", "3"]);
    // The map is right by now, so this goes to where the key is; the client's third could, too.
    assert_eq!(proxy.talk().must("GET k"), Said::from("fine"));
    go.store(true, SeqCst);
    assert_eq!([client.read(), client.read()], ["OK", "OK"].map(Said::from));
    assert_eq!(*heard.lock().expect("no thread panics"), ["1", "2", "3"]);
}

/// Two servers that answer commands about a client's own connection with their numbers; the first
/// answers that all slots have moved to the second.
fn moving_house() -> Nodes {
    nodes(2, |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.moving_map(),
        (0, ["BLPOP" | "WATCH" | "INCR", key, ..]) => node.moved(key, 1),
        (_, ["EXEC"]) => "-EXECABORT Transaction discarded because of previous errors.\r\n".into(),
        (_, ["MULTI"]) => "+OK\r\n".into(),
        (me, [name, ..]) => format!("+{name} at {me}\r\n"),
        _ => String::new(),
    })
}

#[test]
fn a_client_with_a_connection_of_its_own_is_moved_with_its_first_request() {
    for (first, then) in [("BLPOP a 0", "GET a"), ("WATCH a", "GET a")] {
        let (nodes, open) = moving_house();
        let proxy = narrow(&nodes[..1]);
        let mut client = proxy.talk();
        for command in [first, then] {
            let name = command.split(' ').next().unwrap_or_default();
            assert_eq!(
                client.must(command),
                Said::from(&format!("{name} at 1")[..])
            );
        }
        eventually("the end of the first server's connections", || {
            open[0].load(SeqCst) == 0
        });
    }
}

#[test]
fn a_transaction_that_begins_at_the_wrong_server_is_aborted_and_the_next_one_is_right() {
    let (nodes, _) = moving_house();
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    client.must("MULTI");
    let again =
        "TRYAGAIN The slot is being moved; send the request, or its whole transaction, again";
    assert_eq!(client.call(&["INCR", "c"]), error(again));
    assert!(client.call(&["EXEC"]).text().starts_with("EXECABORT"));
    client.must("MULTI");
    assert_eq!(client.must("INCR c"), Said::from("INCR at 1"));
}

#[test]
fn a_streamed_request_that_would_have_to_be_sent_again_is_answered_with_try_again() {
    let (nodes, _) = nodes(2, |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.moving_map(),
        (0, ["SET", key, _]) => node.moved(key, 1),
        _ => "+OK\r\n".into(),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    let large = "x".repeat(3 << 20);
    let said = client.call(&["SET", "a", &large]);
    assert!(said.text().starts_with("TRYAGAIN "), "{said:?}");
    assert_eq!(client.call(&["SET", "a", &large]), Said::from("OK"));
    assert_eq!(client.must("SET a small"), Said::from("OK"));
}

#[test]
fn clients_whose_redirected_answers_wait_for_each_other_do_not_wait_for_ever() {
    support::with_growing_deadlines(one_of_two_that_wait_for_each_other_is_answered);
}

/// The wait of the two ends by the deadline, and nothing else may take so long.
fn one_of_two_that_wait_for_each_other_is_answered(deadline: Duration) {
    // Four servers with a quarter of the slots each. Requests to the second and the fourth are
    // redirected to the third, and all values are more than a part may hold back.
    let keys: Vec<String> = (0..4u16)
        .map(|node| {
            let is_there = |key: &String| slot(key.as_bytes()) / 4096 == node;
            let mut names = (0..).map(|n| format!("k{n}"));
            names.find(is_there).expect("some key is")
        })
        .collect();
    let value = "x".repeat(300_000);
    let later = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&later);
    let (nodes, _) = nodes(4, move |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.map(&[
            (0, 4095, 0),
            (4096, 8191, 1),
            (8192, 12287, 2),
            (12288, 16383, 3),
        ]),
        (1, ["MGET", key]) => {
            eventually("the other client's part", || gate.load(SeqCst));
            node.moved(key, 2)
        }
        (3, ["MGET", key]) => node.moved(key, 2),
        (me, ["MGET", _]) => {
            if me == 2 {
                gate.store(true, SeqCst);
            }
            format!("*1\r\n${}\r\n{value}\r\n", value.len())
        }
        _ => "+OK\r\n".into(),
    });
    let deadlines = Settings {
        read_timeout: deadline,
        write_timeout: deadline,
        ..settings(Protocol::Resp)
    };
    let proxy = narrow_with(deadlines, &nodes[..1]);
    let (mut one, mut two) = (proxy.talk(), proxy.talk());
    // One waits for its first key, which comes to the third server behind the second key of the
    // other; that waits for its first key, which is behind the second key of one.
    one.send(&["MGET", &keys[1], &keys[0]]);
    assert_eq!(proxy.talk().must("PING"), Said::from("PONG"));
    two.send(&["MGET", &keys[0], &keys[3]]);
    let ends = [one, two].map(|mut client| thread::spawn(move || client.comes(600_000)));
    let ends = ends.map(|end| end.join().expect("it ends"));
    assert!(ends.contains(&true), "one of them gets its answer");
    assert_eq!(proxy.talk().must("SET a 1"), Said::from("OK"));
}

// A second WATCH went to the server that has the slot now, the first had gone to another: the proxy took one key for two
// in different slots.
#[test]
fn a_key_that_is_watched_again_after_its_slot_has_moved_counts_as_changed() {
    let (nodes, _) = nodes(2, |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => node.moving_map(),
        (0, ["GET", key]) => node.moved(key, 1),
        (_, ["MULTI" | "WATCH", ..]) => "+OK\r\n".into(),
        (1, ["SET", ..]) => "+QUEUED\r\n".into(),
        (me, words) => format!("+{} at {me}\r\n", words[0]),
    });
    let proxy = narrow(&nodes[..1]);
    let (mut client, mut other) = (proxy.talk(), proxy.talk());
    assert_eq!(client.call(&["WATCH", "a"]), Said::from("OK"));
    assert_eq!(other.call(&["GET", "a"]), Said::from("GET at 1"));
    // Until the map says so.
    eventually("the slot has moved", || {
        other.call(&["GET", "a"]) == Said::from("GET at 1")
    });
    assert_eq!(client.call(&["WATCH", "a"]), Said::from("OK"));
    assert_eq!(client.call(&["MULTI"]), Said::from("OK"));
    assert_eq!(client.call(&["SET", "a", "1"]), Said::from("QUEUED"));
    client.send(&["EXEC"]);
    assert_eq!(client.read(), Said::Nil);
    assert_eq!(client.call(&["GET", "a"]), Said::from("GET at 1"));
}

//! Peers that are no larder: each has its answer, its line in the log and its statistic.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::group::{Group, LONG, found, get, set};
use crate::run::until;

/// Starts a node whose one peer is a program that serves each connection with `serve`; and a key of that peer.
fn beside(
    timeout: &str,
    serve: impl Fn(TcpStream, &str) + Clone + Send + 'static,
) -> (Group, String) {
    let mut group = Group::prepare(2, &["--peer-copy-ttl", "100ms", "--peer-timeout", timeout]);
    let listener = TcpListener::bind(&group.addresses[1]).expect("the port is free");
    let node = group.addresses[0].clone();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (serve, node) = (serve.clone(), node.clone());
            thread::spawn(move || serve(stream, &node));
        }
    });
    group.start_node(0);
    let key = group.key_of(1);
    (group, key)
}

/// Answers each line that arrives. The request that shows whether the peer answers gets its own reply.
fn answer_lines(mut stream: TcpStream, answer: impl Fn(&str) -> String) {
    let mut received = Vec::new();
    let mut some = [0; 4096];
    while let Ok(more @ 1..) = stream.read(&mut some) {
        received.extend_from_slice(&some[..more]);
        while let Some(end) = received.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = received.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let reply = match line.as_str() {
                "mn" => "MN\r\n".to_owned(),
                line => answer(line),
            };
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// The opaque of a request.
fn opaque(line: &str) -> &str {
    let mut words = line.split(' ');
    words.find(|word| word.starts_with('O')).unwrap_or_default()
}

/// Reads the key, which this node then answers itself: a miss.
fn is_skipped(group: &mut Group, key: &str, statistic: &str, log: &str) {
    let mut talk = group.talk(0);
    talk.ask(get(key), "END\r\n");
    assert!(talk.stat(statistic) >= 1, "{statistic}");
    group.node(0).logs(log);
    // A value that is stored while the peer is skipped is stored here.
    until("a write is stored here", || {
        talk.say(set(key, "v"));
        talk.until_end("\r\n") == "STORED\r\n"
    });
}

#[test]
fn a_peer_that_answers_nonsense_is_skipped() {
    let (mut group, key) = beside(LONG, |stream, _| {
        answer_lines(stream, |_| "HTTP/1.1 200 OK\r\n".into());
    });
    is_skipped(&mut group, &key, "peer_wrong_replies", "peer 127.0.0.1:");
}

#[test]
fn a_peer_that_answers_for_another_key_is_skipped() {
    let (mut group, key) = beside(LONG, |stream, _| {
        answer_lines(stream, |line| {
            format!("VA 3 f0 c5 t-1 {} kanother\r\nbad\r\n", opaque(line))
        });
    });
    is_skipped(
        &mut group,
        &key,
        "peer_wrong_replies",
        "sent a reply that doesn't fit the request; the next node on the ring stands in",
    );
}

#[test]
fn a_peer_that_answers_another_request_is_skipped() {
    let (mut group, key) = beside(LONG, |stream, _| {
        answer_lines(stream, |line| {
            let key = line.split(' ').nth(1).unwrap_or_default();
            format!("VA 3 f0 c5 t-1 O999999 k{key}\r\nbad\r\n")
        });
    });
    is_skipped(
        &mut group,
        &key,
        "peer_wrong_replies",
        "sent a reply that doesn't fit the request; the next node on the ring stands in",
    );
}

#[test]
fn a_peer_that_announces_gigabytes_is_an_error_and_nothing_is_read() {
    let (mut group, key) = beside(LONG, |stream, _| {
        answer_lines(stream, |line| {
            let key = line.split(' ').nth(1).unwrap_or_default();
            format!("VA 5000000000 f0 c5 t-1 {} k{key}\r\n", opaque(line))
        });
    });
    let mut talk = group.talk(0);
    talk.ask(get(&key), "END\r\n");
    group.node(0).logs("is over the limit of an item");
}

#[test]
fn an_error_of_the_peer_is_the_answer_to_a_write_and_a_miss_for_a_read() {
    let (mut group, key) = beside(LONG, |stream, _| {
        answer_lines(stream, |line| match line.starts_with('m') {
            true => "SERVER_ERROR out of order\r\n".into(),
            false => String::new(),
        });
    });
    let mut talk = group.talk(0);
    talk.ask(get(&key), "END\r\n");
    talk.ask(format!("delete {key}\r\n"), "SERVER_ERROR out of order\r\n");
    talk.ask(set(&key, "v"), "SERVER_ERROR out of order\r\n");
    assert!(talk.stat("peer_errors") >= 3);
    group.node(0).logs("SERVER_ERROR out of order");
}

#[test]
fn a_peer_that_closes_each_connection_is_skipped() {
    let (mut group, key) = beside(LONG, |stream, _| drop(stream));
    is_skipped(&mut group, &key, "peer_nodes_skipped", "127.0.0.1:");
}

#[test]
fn a_peer_that_never_answers_is_skipped_after_the_timeout_and_the_write_that_noticed_it_gets_an_error()
 {
    let (group, key) = beside("500ms", |stream, _| {
        thread::park();
        drop(stream);
    });
    let mut talk = group.talk(0);
    talk.say(set(&key, "v"));
    let reply = talk.until_end("\r\n");
    // The request that looks after the peer may have noticed it before.
    assert!(
        reply == "STORED\r\n"
            || reply.contains("did not answer within") && reply.contains("may have been executed"),
        "{reply}"
    );
    until("it is skipped", || talk.stat("peer_nodes_skipped") == 1);
    talk.ask(set(&key, "w"), "STORED\r\n");
    talk.ask(get(&key), &found(&key, "w"));
}

#[test]
fn a_request_that_a_peer_sends_back_gets_an_error_and_goes_no_further() {
    // It forwards all that it gets to the node, whose requests they are.
    let (mut group, key) = beside(LONG, |mut stream, node| {
        let mut back = TcpStream::connect(node).expect("it listens");
        let (mut from, mut to) = (
            back.try_clone().expect("a copy"),
            stream.try_clone().expect("a copy"),
        );
        thread::spawn(move || std::io::copy(&mut from, &mut to));
        let _ = std::io::copy(&mut stream, &mut back);
    });
    let mut talk = group.talk(0);
    talk.ask(get(&key), "END\r\n");
    let error = "SERVER_ERROR a request of this node came back to it\r\n";
    talk.ask(set(&key, "v"), error);
    assert!(talk.stat("peer_loops") >= 2);
    group.node(0).logs("a request of this node came back to it");
}

//! The proxy's search for a cluster's servers and slots: seeds, passwords, and maps that are late, incomplete, or
//! change.

mod cluster_support;
mod proxy_support;
mod scripted_cluster;
mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

use cluster_support::Said;
use larder::pool::slot;
use larder::proxy::{Protocol, Proxy};
use larder::server::Listen;
use proxy_support::{TestProxy, eventually, free_port, list, settings};
use scripted_cluster::{ALL, error, narrow, nodes};

#[test]
fn seeds_that_are_down_or_malformed_are_skipped() {
    let bad = [
        "$5\r\nslots\r\n",
        "*1\r\n*3\r\n:0\r\n:99999\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*0\r\n",
        "what?\r\n",
        "-ERR This instance has cluster support disabled\r\n",
        "",
    ];
    let count = bad.len();
    let (nodes, _) = nodes(count + 1, move |node, words| match words {
        ["CLUSTER", ..] if node.me < count => bad[node.me].into(),
        ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, count)]),
        _ => format!("+{}\r\n", node.me),
    });
    let mut seeds = vec![free_port()];
    seeds.extend_from_slice(&nodes);
    let proxy = narrow(&seeds);
    let mut client = proxy.talk();
    assert_eq!(client.must("GET a"), Said::from(&count.to_string()[..]));
}

#[test]
fn a_cluster_that_starts_late_is_found() {
    let ready = Arc::new(AtomicBool::new(false));
    let gate = Arc::clone(&ready);
    let (nodes, _) = nodes(2, move |node, words| match words {
        ["CLUSTER", ..] if gate.load(SeqCst) => node.map(&[(ALL.0, ALL.1, 1)]),
        ["CLUSTER", ..] => "*0\r\n".into(),
        _ if gate.load(SeqCst) => format!("+{}\r\n", node.me),
        _ => "-CLUSTERDOWN Hash slot not served\r\n".into(),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    assert_eq!(
        client.call(&["GET", "a"]),
        error("CLUSTERDOWN Hash slot not served")
    );
    ready.store(true, SeqCst);
    eventually("the other server", || {
        client.must("GET a") == Said::from("1")
    });
}

#[test]
fn the_password_is_sent_before_any_request() {
    let (nodes, _) = nodes(2, |node, words| {
        let admitted = node.admitted.swap(true, SeqCst);
        match words {
            ["AUTH", "secret"] => "+OK\r\n".into(),
            _ if !admitted => "-NOAUTH Authentication required.\r\n".into(),
            ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, 1)]),
            _ => format!("+{}\r\n", node.me),
        }
    });
    let (running, control) = Proxy::cluster(settings(Protocol::Resp), list(&nodes[..1]))
        .password(Some("secret".into()))
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    let proxy = TestProxy { running, control };
    let mut client = proxy.talk();
    assert_eq!(client.must("AUTH secret"), Said::from("OK"));
    assert_eq!(client.must("GET a"), Said::from("1"));
}

#[test]
fn servers_that_the_map_no_longer_has_lose_their_connections() {
    let turn = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&turn);
    let (nodes, open) = nodes(2, move |node, words| match words {
        ["CLUSTER", ..] => node.map(&[(ALL.0, ALL.1, now.load(SeqCst))]),
        _ => format!("+{}\r\n", node.me),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    for (number, other) in [(0, 1), (1, 0), (0, 1)] {
        turn.store(number, SeqCst);
        proxy.control.look_again();
        eventually("the server", || {
            client.must("GET a") == Said::from(&number.to_string()[..])
        });
        eventually("the end of the connections", || {
            open[other].load(SeqCst) == 0
        });
    }
}

// In a failover a server may report for a moment that slots have no master. By this map, the proxy sent requests to a
// server that has never had the slots, and clients got CLUSTERDOWN.
#[test]
fn slots_without_a_master_in_an_answer_keep_their_server() {
    let looks = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&looks);
    let middle = slot(b"a").min(slot(b"b"));
    let (low, high) = ((0, middle, 0), (middle + 1, ALL.1, 1));
    let (nodes, _) = nodes(2, move |node, words| match words {
        ["CLUSTER", ..] => match asked.fetch_add(1, SeqCst) {
            0 => node.map(&[low, high]),
            _ => node.map(&[high]),
        },
        ["GET", key] if *key == "look" || (slot(key.as_bytes()) <= middle) != (node.me == 0) => {
            "-CLUSTERDOWN Hash slot not served\r\n".into()
        }
        _ => "+fine\r\n".into(),
    });
    let proxy = narrow(&nodes);
    let mut client = proxy.talk();
    // After this answer it looks again, and soon again, because slots are missing.
    client.call(&["GET", "look"]);
    eventually("two more looks", || looks.load(SeqCst) >= 3);
    for key in ["a", "b"] {
        assert_eq!(client.call(&["GET", key]), Said::from("fine"), "{key}");
    }
}

#[test]
fn a_server_without_a_host_is_at_the_address_that_was_asked() {
    let (nodes, _) = nodes(2, |node, words| match (node.me, words) {
        (_, ["CLUSTER", ..]) => {
            let port = node.nodes[0].port();
            format!("*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$0\r\n\r\n:{port}\r\n$2\r\nid\r\n")
        }
        (0, [_, "moved"]) => format!("-MOVED {} :{}\r\n", slot(b"moved"), node.nodes[1].port()),
        (me, _) => format!("+{me}\r\n"),
    });
    let proxy = narrow(&nodes[..1]);
    let mut client = proxy.talk();
    assert_eq!(client.must("GET a"), Said::from("0"));
    assert_eq!(client.must("GET moved"), Said::from("1"));
}

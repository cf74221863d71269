//! A forwarder whose steps the test does one by one.

use std::sync::Arc;

use crate::pool::{Placement, Pool, Protocol, ServerList, UpstreamFailure};
use crate::proxy::forwarder::{Command, Forwarder};
use crate::proxy::settings::Settings;
use crate::proxy::shared::Shared;
use crate::server::{Connection, Connections};

/// A forwarder to the servers 10.0.0.1 to `servers`, and the key of its client.
fn forwarder(protocol: Protocol, servers: usize) -> (Forwarder, usize) {
    let list: String = (1..=servers)
        .map(|n| format!("10.0.0.{n}:7000 1\n"))
        .collect();
    let list: ServerList = list.parse().expect("a list");
    let pool = Pool::new(&list, Placement::Ketama, true, None);
    let settings = Settings::new(protocol);
    let shared = Shared::new(settings, None, pool, Connections::new(), None, None);
    let mut forwarder = Forwarder::new(Arc::new(shared), 1, None);
    forwarder.set_time(1, 1000);
    let client = forwarder.client_opened(1, Arc::new(Connection::detached()));
    (forwarder, client)
}

/// The client sends this.
fn send(forwarder: &mut Forwarder, client: usize, bytes: &[u8]) {
    forwarder.client_readable(client);
    assert_eq!(forwarder.next_client(), Some(client));
    forwarder.client_received(client, bytes, false);
}

/// Makes the connections that the forwarder asks for, and sends their output. Returns their keys.
fn connect(forwarder: &mut Forwarder) -> Vec<usize> {
    let mut keys = Vec::new();
    while let Some(command) = forwarder.next_command() {
        if let Command::Connect { key, .. } = command {
            forwarder.connected(key);
            keys.push(key);
        }
    }
    while let Some((key, output)) = forwarder.next_connection_output() {
        let count = output.len();
        forwarder.connection_sent(key, count);
    }
    keys
}

/// The next bytes that the client reads.
fn answer(forwarder: &mut Forwarder) -> String {
    let output = forwarder.next_client_output();
    let output = output.map(|(_, bytes)| bytes).unwrap_or_default();
    String::from_utf8_lossy(output).into_owned()
}

#[test]
fn a_slow_round_counts_against_no_upstream() {
    for (round, expected) in [
        (
            0,
            "-ERR upstream 10.0.0.1:7000 did not answer within 5s\r\n",
        ),
        (600_000, "$1\r\nx\r\n"),
    ] {
        let (mut forwarder, client) = forwarder(Protocol::Resp, 1);
        send(&mut forwarder, client, b"GET a\r\n");
        let connection = connect(&mut forwarder)[0];
        forwarder.extend_deadlines(round);
        forwarder.set_time(600_001, 600_001_000);
        forwarder.sweep();
        forwarder.connection_received(connection, b"$1\r\nx\r\n", false);
        assert_eq!(answer(&mut forwarder), expected);
    }
}

#[test]
fn exec_ends_a_transaction_that_no_server_can_execute() {
    let (mut forwarder, client) = forwarder(Protocol::Resp, 2);
    for upstream in &forwarder.pool.upstreams {
        upstream.health.failed(1, 1);
    }
    send(
        &mut forwarder,
        client,
        b"MULTI\r\nPING\r\nEXEC\r\nMULTI\r\n",
    );
    let read = answer(&mut forwarder);
    let lines: Vec<&str> = read.lines().collect();
    assert_eq!(lines[..2], ["+OK", "+QUEUED"]);
    assert!(lines[2].contains("is ejected"), "{read}");
    assert_eq!(lines[3..], ["+OK"]);
}

#[test]
fn nothing_follows_an_answer_that_broke_off() {
    let (mut forwarder, client) = forwarder(Protocol::Memcached, 2);
    let keys: Vec<String> = (0..16).map(|number| format!("k{number}")).collect();
    let request = format!(
        "get {}\r\n{}",
        keys.join(" "),
        "set k0 0 0 1\r\nx\r\n".repeat(2)
    );
    send(&mut forwarder, client, request.as_bytes());
    let connections = connect(&mut forwarder);
    assert_eq!(connections.len(), 2);
    // One server has none of its keys; the answer of the other ends in the middle of the first value.
    forwarder.connection_received(connections[1], b"END\r\n", false);
    forwarder.connection_received(connections[0], b"VALUE k0 0 9\r\nab", false);
    assert_eq!(answer(&mut forwarder), "VALUE k0 0 9\r\nab");
    forwarder.client_sent(client, 16);
    forwarder.connection_failed(connections[0], UpstreamFailure::Closed);
    assert_eq!(answer(&mut forwarder), "");
}

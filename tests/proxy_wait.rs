//! `WAIT` through the proxy: it counts replicas that have the client's earlier writes.

mod proxy_support;
mod support;

use larder::proxy::Protocol;
use proxy_support::{Client, Real, eventually, free_port, proxy, settings};
use support::skip;

// On a connection that has sent nothing yet, Redis counts every replica: it waits for the connection's last write, and
// the proxy opens a connection for WAIT.
#[test]
fn wait_does_not_count_a_replica_that_lacks_the_last_write() {
    let Some(master) = Real::start("redis-server") else {
        skip!("there is no redis-server");
    };
    let port = master.address.port().to_string();
    let more = [
        "--replicaof",
        "127.0.0.1",
        &port,
        "--repl-diskless-sync-delay",
        "0",
    ];
    let replica = Real::start_with("redis-server", free_port(), &more).expect("it is installed");
    let mut direct = Client::connect(master.address);
    eventually("the replica", || {
        direct.send("SET ready 1\r\nWAIT 1 100\r\n");
        direct.line();
        direct.line() == ":1"
    });
    let proxy = proxy(settings(Protocol::Resp), &[master.address]);
    let mut client = proxy.connect();
    client.ask("SET a 1\r\n", "+OK\r\n");
    client.ask("WAIT 1 0\r\n", ":1\r\n");
    replica.signal("-STOP");
    client.ask("SET a 2\r\n", "+OK\r\n");
    client.ask("WAIT 1 200\r\n", ":0\r\n");
    replica.signal("-CONT");
    client.ask("WAIT 1 0\r\n", ":1\r\n");
    client.ask("GET a\r\n", "$1\r\n2\r\n");
}

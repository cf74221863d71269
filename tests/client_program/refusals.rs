//! Bad input: keys, values and options that can't be sent, and servers that are down, silent or lying. Each is one sentence with the
//! server's address, and the exit code 2.

use std::io::Write;

use larder::Server;

use crate::proxy_support::{answerer, free_port, peer, sleeper};
use crate::support::{Kind, Peer, skip, with_growing_deadlines};
use crate::{larder, with_input};

/// An address with no server, for commands that don't ask one.
const NOWHERE: &str = "127.0.0.1:1";

#[test]
fn keys_that_no_command_can_name_are_refused() {
    let long = "k".repeat(251);
    for (key, part) in [
        (
            "a b",
            "has a space or a control character; give such a key in base64, with --base64",
        ),
        (
            "a\nflush_all",
            "has a space or a control character; give such a key",
        ),
        (&long, "has more than 250 bytes\n"),
        ("", "is empty\n"),
    ] {
        for command in ["get", "incr", "delete"] {
            let ran = larder(&[command, key, "--server", NOWHERE]);
            ran.fails(&format!("larder {command}: a key for {NOWHERE} {part}"));
        }
    }
    for key in ["YQ", "YQ==\n", "a b", "===="] {
        larder(&["get", key, "--base64", "--server", NOWHERE]).fails("is no base64");
    }
    // 187 spaces are more than 250 bytes in base64.
    let long = "ICAg".repeat(62) + "IA==";
    let ran = larder(&["get", &long, "--base64", "--server", NOWHERE]);
    ran.fails("such a key has at most 186 bytes");
}

#[test]
fn options_that_make_no_sense_are_refused() {
    for (arguments, part) in [
        (
            &["get", "k", "--server", "localhost"][..],
            "--server: `localhost` is not host:port",
        ),
        (
            &["get", "k", "--server", "a:0"],
            "is not host:port with a port from 1 to 65535",
        ),
        (
            &["get", "k", "--servers", "/nowhere/servers.txt"],
            "--servers /nowhere/servers.txt: can't be read",
        ),
    ] {
        larder(arguments).fails(part);
    }
    // clap's messages have several lines.
    for (arguments, part) in [
        (&["get"][..], "<KEY>"),
        (&["touch", "k"], "--ttl <SPAN>"),
        (
            &["set", "k", "v", "--ttl", "soon"],
            "not a span of time; write 500ms, 30s",
        ),
        (&["set", "k", "v", "--flags", "4294967296"], "4294967295"),
        (&["incr", "k", "-1"], "'-1'"),
        (
            &["get", "k", "--timeout", "0"],
            "0 leaves no time for a reply",
        ),
        (
            &["get", "k", "--server", NOWHERE, "--servers", "f"],
            "cannot be used with",
        ),
    ] {
        let ran = larder(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}");
        assert!(ran.error.contains(part), "{}", ran.error);
    }
}

#[test]
fn a_value_above_the_limit_of_the_server_is_refused() {
    let value = vec![b'x'; 2 << 20];
    let refused = |address: &str| {
        let ran = with_input(&["set", "k", "--server", address], &value);
        ran.fails(&format!(
            "larder set: {address} answered `SERVER_ERROR object too large for cache`"
        ));
        larder(&["get", "k", "--server", address]).gives(1, "");
    };
    let server = Server::start().expect("free ports");
    refused(&server.memcached_addr().to_string());
    let Some(peer) = Peer::start(Kind::Memcached, &[]).expect("it starts") else {
        skip!("memcached is not installed");
    };
    refused(peer.socket().to_str().expect("text"));
}

#[test]
fn a_number_that_is_none_is_refused() {
    let server = Server::start().expect("free ports");
    let address = server.memcached_addr().to_string();
    larder(&["set", "k", "v", "--server", &address]).gives(0, "");
    let refused = "answered `CLIENT_ERROR cannot increment or decrement non-numeric value`";
    let ran = larder(&["incr", "k", "--server", &address]);
    ran.fails(&format!("larder incr: {address} {refused}"));
    let ran = larder(&["decr", "aw==", "--base64", "--server", &address]);
    ran.fails(&format!("larder decr: {address} {refused}"));
}

#[test]
fn a_server_that_is_down_is_named() {
    let address = free_port().to_string();
    for command in [
        &["get", "k"][..],
        &["set", "k", "v"],
        &["touch", "k", "--ttl", "1"],
    ] {
        let ran = larder(&[command, &["--server", &address]].concat());
        ran.fails(&format!("{address} refused the connection"));
    }
    let ran = larder(&["get", "k", "--server", "unix:/nowhere/socket"]);
    ran.fails("unix:/nowhere/socket can't be connected to: No such file or directory");
}

#[test]
fn a_server_that_does_not_answer_as_a_cache_is_named() {
    for (reply, closes, part) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            false,
            "sent bytes that don't follow the protocol",
        ),
        (
            b"-ERR unknown command 'get'\r\n",
            false,
            "sent bytes that don't follow the protocol",
        ),
        (
            b"VALUE other 0 1\r\nx\r\nEND\r\n",
            false,
            "sent a reply that doesn't fit the request",
        ),
        (
            b"VALUE k 0 9999999999\r\n",
            false,
            "sent a value of more than 1073741824 bytes",
        ),
        (
            b"VALUE k 0 5\r\nab",
            true,
            "closed the connection before it had answered",
        ),
        (
            b"ERROR Too many open connections\r\n",
            true,
            "answered `ERROR Too many open connections`",
        ),
    ] {
        let address = answerer(reply, closes).to_string();
        let ran = larder(&["get", "k", "--server", &address]);
        ran.fails(&format!("larder get: {address} {part}"));
    }
    let endless = peer(|mut stream| while stream.write_all(&[b'x'; 1000]).is_ok() {});
    let ran = larder(&["delete", "k", "--server", &endless.to_string()]);
    ran.fails("sent bytes that don't follow the protocol");
}

#[test]
fn a_server_that_is_silent_is_named_with_the_deadline() {
    with_growing_deadlines(|limit| {
        let address = sleeper().to_string();
        let timeout = format!("{}ms", limit.as_millis());
        let ran = larder(&["get", "k", "--timeout", &timeout, "--server", &address]);
        ran.fails(&format!(
            "larder get: {address} did not answer within {limit:?}"
        ));
    });
}

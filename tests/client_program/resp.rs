//! The commands in RESP, against larder and redis-server.

use larder::Server;
use serde_json::{Value, json};

use crate::support::{Kind, Peer, skip};
use crate::{larder, with_input};

/// Runs a test with a larder, by host and port, and with a redis-server, by Unix socket.
fn with_each_server(test: impl Fn(&str)) {
    let server = Server::start().expect("free ports");
    test(&server.resp_addr().to_string());
    let Some(peer) = Peer::start(Kind::Redis, &[]).expect("it starts") else {
        skip!("redis-server is not installed");
    };
    test(peer.socket().to_str().expect("text"));
}

#[test]
fn commands_about_a_key_work_in_resp() {
    with_each_server(|address| {
        let at =
            |arguments: &[&str]| larder(&[arguments, &["--resp", "--server", address]].concat());
        at(&["get", "k"]).gives(1, "");
        at(&["replace", "k", "x"]).gives(1, "");
        at(&["delete", "k"]).gives(1, "");
        at(&["touch", "k", "--ttl", "60"]).gives(1, "");
        at(&["add", "k", "b"]).gives(0, "");
        at(&["add", "k", "c"]).gives(1, "");
        at(&["append", "k", "c"]).gives(0, "");
        at(&["get", "k"]).gives(0, "bc");
        at(&["replace", "k", "-41"]).gives(0, "");
        at(&["incr", "k", "40"]).gives(0, "-1\n");
        at(&["decr", "k"]).gives(0, "-2\n");
        at(&["incr", "new"]).gives(0, "1\n");
        at(&["append", "another", "x"]).gives(0, "");
        at(&["set", "k", "v", "--ttl", "100h"]).gives(0, "");
        let read = at(&["get", "k", "--json"]).object();
        let ttl = read["ttl"].as_u64().expect("it expires");
        assert!((300_000..=360_100).contains(&ttl), "{ttl}");
        at(&["touch", "k", "--ttl", "0"]).gives(0, "");
        let read = at(&["get", "k", "--json"]).object();
        let expected =
            json!({"key": "k", "result": "found", "value": "v", "flags": 0, "ttl": null});
        assert_eq!(read, expected);
        at(&["delete", "k"]).gives(0, "");
        at(&["get", "k", "--json"]).gives(1, "{\"key\":\"k\",\"result\":\"missing\"}\n");

        // Any bytes are a key.
        at(&["set", "a b", "plain"]).gives(0, "");
        at(&["get", "YSBi", "--base64"]).gives(0, "plain");
        let bytes: Vec<u8> = (0..=255).collect();
        let long = "k".repeat(1000);
        let arguments = ["set", &long, "--resp", "--server", address];
        with_input(&arguments, &bytes).gives(0, "");
        at(&["get", &long]).gives(0, &bytes);
    });
}

#[test]
fn refusals_in_resp_name_the_server() {
    with_each_server(|address| {
        let at =
            |arguments: &[&str]| larder(&[arguments, &["--resp", "--server", address]].concat());
        let asked = format!("{address} is asked in RESP, where this client has no");
        at(&["prepend", "k", "x"]).fails(&format!("larder prepend: {asked} prepend"));
        at(&["set", "k", "x", "--flags", "1"]).fails(&format!("larder set: {asked} flags"));
        at(&["set", "k", "x"]).gives(0, "");
        let refused = format!("{address} answered `ERR value is not an integer or out of range`");
        at(&["incr", "k"]).fails(&format!("larder incr: {refused}"));
        at(&["decr", "k", "18446744073709551615"]).fails(&format!("larder decr: {refused}"));
    });
    let server = Server::start().expect("free ports");
    let memcached = server.memcached_addr().to_string();
    larder(&["get", "k", "--resp", "--server", &memcached]).fails(&memcached);
    let resp = server.resp_addr().to_string();
    larder(&["get", "k", "--server", &resp]).fails(&resp);
}

#[test]
fn keys_are_listed_by_scan() {
    with_each_server(|address| {
        let at =
            |arguments: &[&str]| larder(&[arguments, &["--resp", "--server", address]].concat());
        at(&["keys"]).gives(0, "");
        for number in 0..40 {
            at(&["set", &format!("key:{number}"), "x", "--ttl", "100h"]).gives(0, "");
        }
        at(&["set", "a b", &"x".repeat(1000)]).gives(0, "");
        let ran = at(&["keys", "--json"]);
        let lines = ran
            .out
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty());
        let found: Vec<Value> = lines
            .map(|line| serde_json::from_slice(line).expect("JSON"))
            .collect();
        assert_eq!(found.len(), 41);
        for entry in &found {
            let size = entry["size"].as_u64().expect("a size");
            if entry["key"] == "a b" {
                assert!(entry["ttl"].is_null() && size > 1000, "{entry}");
            } else {
                let ttl = entry["ttl"].as_u64().expect("it expires");
                assert!((300_000..=360_100).contains(&ttl) && size > 5, "{entry}");
            }
        }
        let ran = at(&["keys", "--prefix", "a "]);
        assert!(
            ran.out.ends_with(b" - a\\x20b\n"),
            "{}",
            ran.out.escape_ascii()
        );
    });
}

#[test]
fn strings_and_hashes_are_copied_between_servers_of_resp() {
    with_each_server(|from| {
        with_each_server(|to| {
            if from == to {
                return;
            }
            let resp = |address: &str, words: &[&str]| crate::resp_of(address, words);
            let large = "x".repeat(1_000_000);
            resp(from, &["SET", "string", &large]);
            resp(from, &["SET", "short", "v", "PX", "360000000"]);
            resp(from, &["HSET", "user", "name", "Ada", "born", "1815"]);
            resp(from, &["EXPIRE", "user", "360000"]);
            resp(to, &["SET", "user", "old"]);
            let ran = larder(&["cp", from, to, "--resp", "--json"]);
            let summary = ran.object();
            let counted = ["copied", "vanished", "kept", "refused"].map(|name| &summary[name]);
            assert_eq!(
                counted,
                [&json!(3), &json!(0), &json!(0), &json!(0)],
                "{summary}"
            );
            assert_eq!(ran.code, Some(0));
            let expected = format!("${}\r\n{large}\r\n", large.len());
            assert_eq!(resp(to, &["GET", "string"]), expected);
            assert_eq!(resp(to, &["HGET", "user", "name"]), "$3\r\nAda\r\n");
            assert_eq!(resp(to, &["HLEN", "user"]), ":2\r\n");
            for key in ["short", "user"] {
                let ttl = resp(to, &["TTL", key]);
                let ttl: u64 = ttl.trim_start_matches(':').trim().parse().expect("seconds");
                assert!((300_000..=360_100).contains(&ttl), "{key}: {ttl}");
            }
            let ran = larder(&["cp", from, to, "--resp", "--no-overwrite"]);
            ran.gives(0, "0 items copied, 0 bytes\n3 were kept as TO has them\n");
        });
    });
}

#[test]
fn strings_are_copied_between_protocols_and_other_types_refused() {
    let memcached = Server::start().expect("free ports");
    let memcached = memcached.memcached_addr().to_string();
    with_each_server(|redis| {
        crate::resp_of(redis, &["SET", "plain", "v", "EX", "360000"]);
        crate::resp_of(redis, &["SET", "a b", "spaced"]);
        crate::resp_of(redis, &["SET", &"k".repeat(300), "v"]);
        crate::resp_of(redis, &["HSET", "user", "name", "Ada"]);
        let ran = larder(&["cp", redis, &memcached, "--from-resp", "--json"]);
        assert_eq!(ran.code, Some(1), "{}", ran.error);
        let summary = ran.object();
        let counted = ["copied", "refused", "reasons"].map(|name| &summary[name]);
        let reasons = json!(["memcached has no hashes", "the key has more than 250 bytes"]);
        assert_eq!(counted, [&json!(2), &json!(2), &reasons]);
        let read = larder(&["get", "plain", "--json", "--server", &memcached]).object();
        let ttl = read["ttl"].as_u64().expect("it expires");
        assert!((300_000..=360_100).contains(&ttl), "{ttl}");
        larder(&["get", "YSBi", "--base64", "--server", &memcached]).gives(0, "spaced");

        crate::resp_of(redis, &["FLUSHALL"]);
        let ran = larder(&["cp", &memcached, redis, "--to-resp"]);
        ran.gives(0, "2 items copied, 7 bytes\n");
        assert_eq!(crate::resp_of(redis, &["GET", "a b"]), "$6\r\nspaced\r\n");
        let ttl = crate::resp_of(redis, &["TTL", "plain"]);
        let ttl: u64 = ttl.trim_start_matches(':').trim().parse().expect("seconds");
        assert!((300_000..=360_100).contains(&ttl), "{ttl}");
        crate::resp_of(redis, &["FLUSHALL"]);
    });
}

#[test]
fn all_types_are_copied_from_one_redis_to_another() {
    let start = || Peer::start(Kind::Redis, &[]).expect("it starts");
    let (Some(first), Some(second)) = (start(), start()) else {
        skip!("redis-server is not installed");
    };
    let [from, to] = [&first, &second].map(|peer| peer.socket().to_str().expect("text"));
    crate::resp_of(from, &["RPUSH", "list", "a", "b"]);
    crate::resp_of(from, &["ZADD", "scores", "1", "Ada"]);
    crate::resp_of(from, &["PEXPIRE", "scores", "360000000"]);
    crate::resp_of(from, &["SET", "string", "v"]);
    crate::resp_of(to, &["SET", "list", "old"]);
    let ran = larder(&["cp", from, to, "--resp", "--no-overwrite"]);
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    assert!(
        ran.out.starts_with(b"2 items copied, "),
        "{}",
        ran.out.escape_ascii()
    );
    assert!(ran.out.ends_with(b"\n1 were kept as TO has them\n"));
    assert_eq!(crate::resp_of(to, &["GET", "list"]), "$3\r\nold\r\n");
    let ran = larder(&["cp", from, to, "--resp"]);
    assert_eq!(ran.code, Some(0), "{}", ran.error);
    assert_eq!(crate::resp_of(to, &["LLEN", "list"]), ":2\r\n");
    assert_eq!(
        crate::resp_of(to, &["ZSCORE", "scores", "Ada"]),
        "$1\r\n1\r\n"
    );
    assert_ne!(crate::resp_of(to, &["TTL", "scores"]), ":-1\r\n");

    // larder has no lists.
    let server = Server::start().expect("free ports");
    let ran = larder(&["cp", from, &server.resp_addr().to_string(), "--resp"]);
    assert_eq!(ran.code, Some(1), "{}", ran.error);
    let text = String::from_utf8(ran.out).expect("text");
    assert!(
        text.starts_with("1 items copied, 1 bytes\n2 were refused by TO\n"),
        "{text}"
    );
    assert!(
        text.contains("  list: a list is only copied from one Redis to another\n"),
        "{text}"
    );
}

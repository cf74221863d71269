//! The options of an origin: a program or another cache, its failures in the log, and settings that make no sense.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use super::run::{FREE, Place};
use crate::origin_support::{Client, resp};

/// Prints the number of the fetch and the key; keys with their own meaning fail.
const LOOKUP: &str = "#!/bin/sh
echo x >> calls
case $1 in
missing) exit 1 ;;
broken) exit 3 ;;
hanging) sleep 1000 ;;
huge) head -c 5000000 /dev/zero ;;
*) printf '%s of %s' \"$(wc -l < calls | tr -d ' ')\" \"$1\" ;;
esac
";

fn place(table: &str) -> Place {
    let place = Place::new();
    place.write("lookup.sh", LOOKUP);
    let table = format!("[origin]\ncommand = \"sh lookup.sh {{key}}\"\n{table}");
    place.write("larder.toml", &table);
    place
}

fn client(address: &str) -> Client {
    let address: SocketAddr = address.parse().expect("an address");
    Client::connect(address)
}

#[test]
fn a_program_is_asked_once_for_what_the_cache_does_not_have() {
    for model in ["turns", "threads"] {
        let place = place("fresh = \"5m\"\ntimeout = \"60s\"\n");
        let larder = place.serve(&[&FREE[..], &["--model", model]].concat(), 2);
        let mut memcached = client(larder.address("memcached"));
        memcached.ask(
            "get user:42\r\n",
            "VALUE user:42 0 12\r\n1 of user:42\r\nEND\r\n",
        );
        memcached.ask(
            "get user:42\r\n",
            "VALUE user:42 0 12\r\n1 of user:42\r\nEND\r\n",
        );
        let mut redis = client(larder.address("resp"));
        redis.ask(resp(&["GET", "user:42"]), "$12\r\n1 of user:42\r\n");
        redis.ask(resp(&["HGET", "a", "b"]), "$8\r\n2 of a:b\r\n");
        memcached.ask("getn a b\r\n", "VALUE a b 0 8\r\n2 of a:b\r\nEND\r\n");
        memcached.ask("get missing\r\n", "END\r\n");
        assert_eq!(memcached.stat("origin_fetches"), 3);
        assert_eq!(memcached.stat("origin_missing"), 1);
    }
}

#[test]
fn a_program_that_fails_is_a_miss_a_statistic_and_a_line_in_the_log() {
    for (key, timeout, statistic, line) in [
        ("broken", "60s", "origin_errors", "exit status: 3"),
        ("hanging", "200ms", "origin_timeouts", "timed out"),
        (
            "huge",
            "60s",
            "origin_too_large",
            "over the limit of an item",
        ),
    ] {
        let place = place(&format!("timeout = \"{timeout}\"\n"));
        let mut larder = place.serve(&FREE, 2);
        let mut memcached = client(larder.address("memcached"));
        memcached.ask(format!("get {key}\r\n"), "END\r\n");
        assert_eq!(memcached.stat(statistic), 1, "{key}");
        let logged = larder.logs(&format!("origin command sh: the key \"{key}\""));
        assert!(logged.contains(line), "{logged}");
        memcached.ask("set there 0 0 1\r\n1\r\n", "STORED\r\n");
        memcached.ask("get there\r\n", "VALUE there 0 1\r\n1\r\nEND\r\n");
    }
}

#[test]
fn an_item_is_refreshed_after_a_restart_with_its_snapshot() {
    let place = place("timeout = \"60s\"\n");
    let arguments = [&FREE[..], &["--snapshot", "cache.snapshot"]].concat();
    let mut larder = place.serve(&[&arguments[..], &["--fresh", "10h"]].concat(), 2);
    client(larder.address("memcached")).ask("get k\r\n", "VALUE k 0 6\r\n1 of k\r\nEND\r\n");
    larder.signal("TERM");
    assert_eq!(larder.ended().code(), Some(0));
    let times = ["--fresh", "1ms", "--stale", "20h"];
    let larder = place.serve(&[&arguments[..], &times].concat(), 2);
    let mut memcached = client(larder.address("memcached"));
    // Its ten hours are among the last twenty, so it is stale: it is answered at once.
    memcached.ask("get k\r\n", "VALUE k 0 6\r\n1 of k\r\nEND\r\n");
    memcached.wait_for_stat("origin_found", 1);
    assert_eq!(memcached.stat("origin_waits"), 0);
    memcached.ask("get k\r\n", "VALUE k 0 6\r\n2 of k\r\nEND\r\n");
}

#[test]
fn a_program_that_is_missing_is_named_in_the_log() {
    let place = Place::new();
    let options = ["--origin-command", "/nowhere/lookup {key}"];
    let mut larder = place.serve(&[&FREE[..], &options].concat(), 2);
    let mut redis = client(larder.address("resp"));
    redis.ask(resp(&["GET", "k"]), "$-1\r\n");
    larder.logs("origin command /nowhere/lookup: the key \"k\" is unavailable: /nowhere/lookup can't be started");
    redis.send(resp(&["INFO", "origin"]));
    redis.expect_line("# Origin");
    redis.expect_line("origin_unavailable:1");
}

#[test]
fn another_cache_is_asked_and_an_option_replaces_the_origin_of_the_file() {
    let behind = Place::new().serve(&FREE, 2);
    client(behind.address("memcached")).ask("set k 5 0 5\r\nvalue\r\n", "STORED\r\n");
    let (memcached, redis) = (behind.address("memcached"), behind.address("resp"));
    let place = place("timeout = \"60s\"\n");
    let options = ["--origin-memcached", memcached];
    let by_option = place.serve(&[&FREE[..], &options].concat(), 2);
    client(by_option.address("memcached")).ask("get k\r\n", "VALUE k 5 5\r\nvalue\r\nEND\r\n");
    place.write(
        "larder.toml",
        &format!("[origin]\nredis = \"{redis}\"\ntimeout = \"60s\"\n"),
    );
    let by_file = place.serve(&FREE, 2);
    client(by_file.address("memcached")).ask("get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n");
}

#[test]
fn a_server_that_is_down_is_named_in_the_log() {
    for (option, address, described) in [
        ("--origin-memcached", "127.0.0.1:1", "memcached 127.0.0.1:1"),
        ("--origin-redis", "127.0.0.1:1", "redis 127.0.0.1:1"),
        (
            "--origin-http",
            "http://127.0.0.1:1/{key}",
            "http http://127.0.0.1:1/{key}",
        ),
    ] {
        let options = [option, address];
        let mut larder = Place::new().serve(&[&FREE[..], &options].concat(), 2);
        client(larder.address("memcached")).ask("get k\r\n", "END\r\n");
        larder.logs(&format!(
            "origin {described}: the key \"k\" is unavailable: 127.0.0.1:1 refused the connection"
        ));
    }
}

#[test]
fn an_http_server_is_asked_and_its_failures_are_in_the_log() {
    let answer = |status: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}")
    };
    for (key, said, timeout, statistic, line) in [
        (
            "k",
            answer("500 Oops", ""),
            "60s",
            "origin_errors",
            "answered with an error: status 500",
        ),
        ("k", String::new(), "200ms", "origin_timeouts", "timed out"),
        (
            "k",
            answer("200 OK", &"x".repeat(2_000_000)),
            "60s",
            "origin_too_large",
            "over the limit of an item",
        ),
        (
            "there",
            answer("200 OK", "value"),
            "60s",
            "origin_found",
            "",
        ),
    ] {
        let address = answering(said, After::Keeps);
        let place = Place::new();
        let url = format!("http://{address}/items/{{key}}");
        place.write(
            "larder.toml",
            &format!("[origin]\nhttp = \"{url}\"\ntimeout = \"{timeout}\"\n"),
        );
        let mut larder = place.serve(&FREE, 2);
        let mut memcached = client(larder.address("memcached"));
        if line.is_empty() {
            memcached.ask("get there\r\n", "VALUE there 0 5\r\nvalue\r\nEND\r\n");
        } else {
            memcached.ask(format!("get {key}\r\n"), "END\r\n");
            let logged = larder.logs(&format!("origin http {url}: the key \"{key}\""));
            assert!(logged.contains(line), "{logged}");
        }
        assert_eq!(memcached.stat(statistic), 1, "{line}");
    }
}

#[test]
fn an_http_server_that_sends_gigabytes_or_nothing_is_in_the_log() {
    let endless = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
        + &format!("100000\r\n{}\r\n", "x".repeat(1 << 20)).repeat(3);
    for (said, statistic, line) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 4294967296\r\n\r\nx".to_owned(),
            "origin_too_large",
            "over the limit of an item",
        ),
        (endless, "origin_too_large", "over the limit of an item"),
        (String::new(), "origin_unavailable", "is unavailable"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf".to_owned(),
            "origin_unavailable",
            "is unavailable",
        ),
    ] {
        let url = format!("http://{}/{{key}}", answering(said, After::Closes));
        let place = Place::new();
        place.write(
            "larder.toml",
            &format!("[origin]\nhttp = \"{url}\"\ntimeout = \"60s\"\n"),
        );
        let mut larder = place.serve(&FREE, 2);
        let mut memcached = client(larder.address("memcached"));
        memcached.ask("get k\r\n", "END\r\n");
        let logged = larder.logs(&format!("origin http {url}: the key \"k\""));
        assert!(logged.contains(line), "{logged}");
        assert_eq!(memcached.stat(statistic), 1, "{line}");
    }
}

/// The fate of a connection after the server's answer.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Keeps,
    Closes,
}

/// A server that answers the first request of each connection with these bytes.
fn answering(bytes: String, after: After) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(bytes.as_bytes());
            if after == After::Keeps {
                kept.push(stream);
            }
        }
    });
    address
}

#[test]
fn two_origins_in_the_file_are_refused() {
    let place = place("redis = \"127.0.0.1:1\"\n");
    let printed = place.run(&["serve"]);
    assert_ne!(printed.code, Some(0));
    assert!(
        printed.err.contains("there are command and redis"),
        "{}",
        printed.err
    );
}

#[test]
fn a_change_needs_a_restart_and_settings_that_make_no_sense_are_refused() {
    let place = place("");
    let mut larder = place.serve(&FREE, 2);
    place.write("larder.toml", "[origin]\ncommand = \"other\"\n");
    larder.signal("HUP");
    larder.logs("[WARN] these settings changed too and need a restart: origin");
    for (options, problem) in [
        (
            &["--origin-command", "x", "--origin-timeout", "0"][..],
            "--origin-timeout 0 leaves no time",
        ),
        (&["--origin-command", " "], "has no word"),
        (&["--origin-http", "http://a/"], "has to have {key}"),
        (&["--on-failure", "retry"], "neither stale nor miss"),
        (
            &["--origin-memcached", "11211"],
            "not the address of a server",
        ),
        (
            &["--origin-redis", "127.0.0.1:0"],
            "not the address of a server",
        ),
        (
            &["--origin-memcached", "a:1", "--origin-redis", "b:1"],
            "there are memcached and redis",
        ),
    ] {
        let printed = place.run(&[&["serve"][..], options].concat());
        assert_ne!(printed.code, Some(0));
        assert!(printed.err.contains(problem), "{}", printed.err);
    }
}

//! Commands about one key.

use larder::Server;
use serde_json::json;

use crate::proxy_support::{self, settings};
use crate::{larder, with_each_server, with_input};

#[test]
fn every_command_works_with_each_server() {
    with_each_server(|address| {
        let at = |arguments: &[&str]| larder(&[arguments, &["--server", address]].concat());
        at(&["get", "k"]).gives(1, "");
        at(&["replace", "k", "x"]).gives(1, "");
        at(&["append", "k", "x"]).gives(1, "");
        at(&["prepend", "k", "x"]).gives(1, "");
        at(&["delete", "k"]).gives(1, "");
        at(&["touch", "k", "--ttl", "60"]).gives(1, "");
        at(&["incr", "k"]).gives(1, "");
        at(&["decr", "k"]).gives(1, "");

        at(&["add", "k", "b"]).gives(0, "");
        at(&["add", "k", "c"]).gives(1, "");
        at(&["get", "k"]).gives(0, "b");
        at(&["append", "k", "c"]).gives(0, "");
        at(&["prepend", "k", "a"]).gives(0, "");
        at(&["get", "k"]).gives(0, "abc");
        at(&["replace", "k", "-41"]).gives(0, "");
        at(&["get", "k"]).gives(0, "-41");
        at(&["set", "k", "41"]).gives(0, "");
        at(&["incr", "k"]).gives(0, "42\n");
        at(&["decr", "k", "12"]).gives(0, "30\n");
        at(&["decr", "k", "31"]).gives(0, "0\n");
        at(&["delete", "k"]).gives(0, "");
        at(&["get", "k"]).gives(1, "");
    });
}

#[test]
fn a_value_has_flags_and_a_lifetime() {
    with_each_server(|address| {
        let at = |arguments: &[&str]| larder(&[arguments, &["--server", address]].concat());
        let get = || at(&["get", "k", "--json"]).object();
        at(&["set", "k", "v", "--flags", "7"]).gives(0, "");
        let expected =
            json!({"key": "k", "result": "found", "value": "v", "flags": 7, "ttl": null});
        assert_eq!(get(), expected);
        at(&["set", "k", "v", "--ttl", "100h"]).gives(0, "");
        let ttl = get()["ttl"].as_u64().expect("it expires");
        assert!((300_000..=360_100).contains(&ttl), "{ttl}");
        at(&["touch", "k", "--ttl", "0"]).gives(0, "");
        assert!(get()["ttl"].is_null());
        // Beyond a month, an exptime of memcached is a time of day.
        at(&["touch", "k", "--ttl", "1000h"]).gives(0, "");
        let ttl = get()["ttl"].as_u64().expect("it expires");
        assert!((3_000_000..=3_600_100).contains(&ttl), "{ttl}");
    });
}

#[test]
fn results_are_json_if_asked_for() {
    with_each_server(|address| {
        for (arguments, code, expected) in [
            (
                &["get", "k"][..],
                1,
                json!({"key": "k", "result": "missing"}),
            ),
            (
                &["set", "k", "1"],
                0,
                json!({"key": "k", "result": "stored"}),
            ),
            (
                &["add", "k", "1"],
                1,
                json!({"key": "k", "result": "exists"}),
            ),
            (
                &["incr", "k", "2"],
                0,
                json!({"key": "k", "result": "found", "value": 3}),
            ),
            (
                &["touch", "k", "--ttl", "1h"],
                0,
                json!({"key": "k", "result": "touched"}),
            ),
            (
                &["delete", "k"],
                0,
                json!({"key": "k", "result": "deleted"}),
            ),
            (
                &["append", "k", "1"],
                1,
                json!({"key": "k", "result": "missing"}),
            ),
        ] {
            let ran = larder(&[arguments, &["--json", "--server", address]].concat());
            assert_eq!((ran.object(), ran.code), (expected, Some(code)));
        }
    });
}

#[test]
fn a_value_from_standard_input_has_all_of_its_bytes() {
    with_each_server(|address| {
        let bytes: Vec<u8> = (0..=255).cycle().take(100_000).chain(*b"\r\n").collect();
        with_input(&["set", "k", "--server", address], &bytes).gives(0, "");
        larder(&["get", "k", "--server", address]).gives(0, &bytes);
        with_input(&["append", "k", "--server", address], b"end").gives(0, "");
        let longer = [&bytes[..], b"end"].concat();
        larder(&["get", "k", "--server", address]).gives(0, &longer);
        with_input(&["set", "k", "--server", address], b"").gives(0, "");
        larder(&["get", "k", "--server", address]).gives(0, "");
        with_input(&["set", "k", "--server", address], b"\xff").gives(0, "");
        let read = larder(&["get", "k", "--json", "--server", address]).object();
        assert_eq!(read["value_base64"], "/w==");
    });
}

#[test]
fn a_key_in_base64_has_any_bytes() {
    with_each_server(|address| {
        // A space, a line feed and a byte that is no text.
        let key = "YSBiCv8=";
        let at =
            |arguments: &[&str]| larder(&[arguments, &["--base64", "--server", address]].concat());
        at(&["get", key]).gives(1, "");
        at(&["delete", key]).gives(1, "");
        at(&["touch", key, "--ttl", "1h"]).gives(1, "");
        at(&["incr", key]).gives(1, "");
        at(&["append", key, "1"]).gives(1, "");
        at(&["replace", key, "1"]).gives(1, "");
        at(&["add", key, "1"]).gives(0, "");
        at(&["add", key, "2"]).gives(1, "");
        at(&["append", key, "2"]).gives(0, "");
        at(&["prepend", key, "3"]).gives(0, "");
        at(&["get", key]).gives(0, "312");
        at(&["incr", key]).gives(0, "313\n");
        at(&["decr", key, "400"]).gives(0, "0\n");
        at(&["set", key, "v", "--ttl", "1h", "--flags", "9"]).gives(0, "");
        let read = at(&["get", key, "--json"]).object();
        assert_eq!(
            (&read["key_base64"], &read["flags"]),
            (&json!(key), &json!(9))
        );
        assert!(read["ttl"].as_u64() > Some(3000), "{read}");
        at(&["touch", key, "--ttl", "0"]).gives(0, "");
        assert!(at(&["get", key, "--json"]).object()["ttl"].is_null());
        at(&["delete", key]).gives(0, "");
        // Keys of letters are the same in both forms.
        at(&["set", "cGxhaW4=", "v"]).gives(0, "");
        larder(&["get", "plain", "--server", address]).gives(0, "v");
    });
}

#[test]
fn a_pool_is_that_of_the_proxy() {
    let servers: Vec<Server> = (0..3).map(|_| Server::start().expect("ports")).collect();
    let addresses: Vec<_> = servers.iter().map(Server::memcached_addr).collect();
    let lines: String = addresses.iter().map(|a| format!("{a} 1\n")).collect();
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), lines).expect("a file");
    let file = file.path().to_str().expect("text");
    let named: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let named: Vec<&str> = named.iter().flat_map(|a| ["--server", a]).collect();
    let settings = settings(larder::proxy::Protocol::Memcached);
    let proxy = proxy_support::proxy(settings, &addresses);
    let mut through_proxy = proxy.connect();
    for number in 0..12 {
        let key = format!("key:{number}");
        larder(&["set", &key, "v", "--servers", file]).gives(0, "");
        larder(&[&["get", &key][..], &named].concat()).gives(0, "v");
        let value = format!("VALUE {key} 0 1\r\nv\r\nEND\r\n");
        through_proxy.ask(format!("get {key}\r\n"), value);
    }
    // No key is on two of them.
    let counts: Vec<usize> = servers.iter().map(|server| server.store().len(0)).collect();
    assert_eq!(counts.iter().sum::<usize>(), 12, "{counts:?}");
}

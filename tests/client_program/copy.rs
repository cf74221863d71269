//! `larder cp`.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use larder::Server;
use serde_json::json;

use crate::proxy_support::{Client, answer_lines, answerer, free_port, peer};
use crate::{larder, with_each_server};

/// Copies, and returns the summary.
#[track_caller]
fn copied(arguments: &[&str], code: i32) -> serde_json::Value {
    let ran = larder(&[&["cp", "--json"][..], arguments].concat());
    assert_eq!((ran.code, ran.error.as_str()), (Some(code), ""));
    ran.object()
}

fn larders(count: usize) -> (Vec<Server>, Vec<String>) {
    let servers: Vec<Server> = (0..count)
        .map(|_| Server::start().expect("ports"))
        .collect();
    let addresses = servers.iter().map(Server::memcached_addr);
    let addresses = addresses.map(|address| address.to_string()).collect();
    (servers, addresses)
}

/// A file with a list of servers.
fn list_of(addresses: &[String]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let lines: String = addresses.iter().map(|a| format!("{a} 1\n")).collect();
    std::fs::write(file.path(), lines).expect("a file");
    file
}

#[test]
fn values_flags_and_lifetimes_are_kept_from_and_to_each_server() {
    with_each_server(|first| {
        with_each_server(|second| {
            if first == second {
                return;
            }
            let at = |address: &str, arguments: &[&str]| {
                larder(&[arguments, &["--server", address]].concat())
            };
            let large = "x".repeat(1_000_000);
            at(first, &["set", "plain", "v", "--flags", "4294967295"]).gives(0, "");
            at(first, &["set", "short", "v", "--ttl", "100h"]).gives(0, "");
            at(first, &["set", "long", "v", "--ttl", "1000h"]).gives(0, "");
            crate::with_input(&["set", "large", "--server", first], large.as_bytes()).gives(0, "");
            at(first, &["set", "empty", ""]).gives(0, "");
            at(first, &["set", "YSBiCv8=", "any bytes", "--base64"]).gives(0, "");
            at(second, &["set", "plain", "old", "--flags", "1"]).gives(0, "");
            let summary = copied(&[first, second], 0);
            let bytes = large.len() + "v".len() * 3 + "any bytes".len();
            let expected = json!({
                "copied": 6, "bytes": bytes, "vanished": 0, "kept": 0, "refused": 0, "reasons": [],
            });
            assert_eq!(summary, expected);
            let get = |key| at(second, &["get", key, "--json"]).object();
            let plain = get("plain");
            assert_eq!(
                (&plain["value"], &plain["flags"]),
                (&json!("v"), &json!(u32::MAX))
            );
            assert!(plain["ttl"].is_null());
            let ttl = get("short")["ttl"].as_u64().expect("it expires");
            assert!((300_000..=360_100).contains(&ttl), "{ttl}");
            let ttl = get("long")["ttl"].as_u64().expect("it expires");
            assert!((3_000_000..=3_600_100).contains(&ttl), "{ttl}");
            at(second, &["get", "large"]).gives(0, &large);
            at(second, &["get", "empty"]).gives(0, "");
            at(second, &["get", "YSBiCv8=", "--base64"]).gives(0, "any bytes");
        });
    });
}

#[test]
fn a_pool_is_copied_to_another_with_each_key_in_its_place() {
    let (from_servers, from) = larders(2);
    let (to_servers, to) = larders(3);
    let (from, to) = (list_of(&from), list_of(&to));
    let [from_file, to_file] = [&from, &to].map(|file| file.path().to_str().expect("text"));
    let connect = |server: &Server| Client::connect(server.memcached_addr());
    let mut connections: Vec<Client> = from_servers.iter().map(connect).collect();
    // More than one batch from each server.
    for number in 0..1000 {
        let connection = &mut connections[number % 2];
        connection.ask(format!("set key:{number} 0 0 1\r\nx\r\n"), "STORED\r\n");
    }
    let [from_name, to_name] = [from_file, to_file].map(|file| format!("@{file}"));
    let summary = copied(&[&from_name, &to_name], 0);
    assert_eq!(
        (&summary["copied"], &summary["bytes"]),
        (&json!(1000), &json!(1000))
    );
    let counts: Vec<usize> = to_servers
        .iter()
        .map(|server| server.store().len(0))
        .collect();
    assert_eq!(counts.iter().sum::<usize>(), 1000);
    assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    for key in ["key:0", "key:517", "key:999"] {
        larder(&["get", key, "--servers", to_file]).gives(0, "x");
    }
}

#[test]
fn items_of_to_are_kept_if_asked_for_and_a_prefix_chooses_keys() {
    let (_servers, addresses) = larders(2);
    let [from, to] = [&addresses[0], &addresses[1]].map(String::as_str);
    for key in ["user:1", "user:2", "page:1"] {
        larder(&["set", key, "old", "--server", from]).gives(0, "");
    }
    larder(&["set", "user:2", "newer", "--server", to]).gives(0, "");
    let arguments = [from, to, "--no-overwrite", "--prefix", "user:"];
    let ran = larder(&[&["cp"][..], &arguments].concat());
    ran.gives(0, "1 items copied, 3 bytes\n1 were kept as TO has them\n");
    larder(&["get", "user:1", "--server", to]).gives(0, "old");
    larder(&["get", "user:2", "--server", to]).gives(0, "newer");
    larder(&["get", "page:1", "--server", to]).gives(1, "");
    copied(&[from, to], 0);
    larder(&["get", "user:2", "--server", to]).gives(0, "old");
}

#[test]
fn items_that_to_refuses_are_counted_and_the_others_copied() {
    let (_servers, addresses) = larders(1);
    let small = Server::builder()
        .max_item_size(10_000)
        .start()
        .expect("ports");
    let to = small.memcached_addr().to_string();
    for number in 0..5 {
        let (key, value) = (format!("key:{number}"), "x".repeat(1 + 5_000 * number));
        larder(&["set", &key, &value, "--server", &addresses[0]]).gives(0, "");
    }
    let summary = copied(&[&addresses[0], &to], 1);
    let counted = ["copied", "refused", "reasons"].map(|name| &summary[name]);
    let reasons = json!(["SERVER_ERROR object too large for cache"]);
    assert_eq!(counted, [&json!(2), &json!(3), &reasons]);
    let ran = larder(&["cp", &addresses[0], &to]);
    let text = String::from_utf8(ran.out).expect("text");
    assert!(
        text.starts_with("2 items copied, 5002 bytes\n3 were refused by TO\n  key:"),
        "{text}"
    );
    assert!(
        text.ends_with(": SERVER_ERROR object too large for cache\n"),
        "{text}"
    );
}

/// A memcached with a list of the keys `a` and `b`, of which only `b` is there when it is read.
fn forgetful() -> SocketAddr {
    peer(|stream: TcpStream| {
        answer_lines(stream, |line| {
            let list = |key: &str| format!("key={key} exp=-1 la=0 cas=0 fetch=no cls=1 size=60\n");
            match line.split(' ').next().unwrap_or_default() {
                "stats" => "STAT curr_items 2\r\nEND\r\n".to_owned(),
                "lru_crawler" => list("a") + &list("b") + "END\r\n",
                "mg" if line.starts_with("mg a ") => "EN\r\n".to_owned(),
                "mg" => {
                    let opaque = line.split(' ').find(|word| word.starts_with('O'));
                    format!("VA 1 f0 t-1 {}\r\nx\r\n", opaque.expect("an opaque"))
                }
                _ => panic!("{line}"),
            }
        });
    })
}

#[test]
fn keys_that_vanish_meanwhile_are_counted() {
    let (_servers, addresses) = larders(1);
    let from = forgetful().to_string();
    let ran = larder(&["cp", &from, &addresses[0]]);
    ran.gives(
        0,
        "1 items copied, 1 bytes\n1 expired or were deleted meanwhile\n",
    );
}

#[test]
fn an_item_in_its_last_second_does_not_live_forever() {
    let from = Server::builder().manual_clock().start().expect("ports");
    let to = Server::builder().manual_clock().start().expect("ports");
    let [from_address, to_address] = [&from, &to].map(|server| server.memcached_addr().to_string());
    larder(&["set", "k", "v", "--ttl", "2", "--server", &from_address]).gives(0, "");
    from.advance(Duration::from_millis(1500));
    assert_eq!(copied(&[&from_address, &to_address], 0)["copied"], 1);
    larder(&["get", "k", "--server", &to_address]).gives(0, "v");
    to.advance(Duration::from_secs(3));
    larder(&["get", "k", "--server", &to_address]).gives(1, "");
}

#[test]
fn a_server_that_fails_ends_the_copy_with_its_address() {
    let (_servers, addresses) = larders(1);
    let up = addresses[0].as_str();
    larder(&["set", "k", "v", "--server", up]).gives(0, "");
    let down = free_port().to_string();
    for (from, to) in [(up, down.as_str()), (&down, up)] {
        let ran = larder(&["cp", from, to]);
        ran.fails(&format!(
            "larder cp: {down} refused the connection; copied before: 0 items\n"
        ));
    }
    let garbage = answerer(b"nonsense\r\n", false).to_string();
    let ran = larder(&["cp", up, &garbage]);
    ran.fails(&format!(
        "larder cp: {garbage} answered `nonsense`; copied before: 0 items\n"
    ));
    let ran = larder(&["cp", &garbage, up]);
    ran.fails(&format!(
        "larder cp: {garbage} answered `nonsense`; copied before: 0 items\n"
    ));
    larder(&["cp", up, up]).fails(&format!("larder cp: FROM and TO are the same: {up}"));
    larder(&["cp", up, "@/nowhere/list"]).fails("TO: /nowhere/list: can't be read");
    larder(&["cp", up, "localhost"]).fails("TO: `localhost` is not host:port");
}

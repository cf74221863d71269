//! `larder keys`.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use larder::Server;
use serde_json::{Value, json};

use crate::proxy_support::{answer_lines, answerer, end_of, free_port, peer, sleeper};
use crate::support::with_growing_deadlines;
use crate::{larder, with_each_server};

/// The objects that `larder keys --json` printed, by key.
fn objects(out: &[u8]) -> Vec<Value> {
    let lines = out
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let mut objects: Vec<Value> = lines
        .map(|line| serde_json::from_slice(line).expect("JSON"))
        .collect();
    objects.sort_by_key(|object| object["key"].to_string());
    objects
}

#[test]
fn keys_have_sizes_and_remaining_lifetimes() {
    with_each_server(|address| {
        let at = |arguments: &[&str]| larder(&[arguments, &["--server", address]].concat());
        at(&["keys"]).gives(0, "");
        at(&["set", "b", &"x".repeat(1000)]).gives(0, "");
        at(&["set", "a:1", "x", "--ttl", "100h"]).gives(0, "");
        // A space and a byte that is no text.
        at(&["set", "YSD/", "x", "--base64"]).gives(0, "");
        let ran = at(&["keys", "--json"]);
        let found = objects(&ran.out);
        let [first, second, binary] = &found[..] else {
            panic!("three keys: {found:?}");
        };
        assert_eq!(binary["key_base64"], "YSD/");
        assert_eq!(
            (&first["key"], &second["key"]),
            (&json!("a:1"), &json!("b"))
        );
        let ttl = first["ttl"].as_u64().expect("it expires");
        assert!((300_000..=360_100).contains(&ttl), "{ttl}");
        assert!(second["ttl"].is_null());
        let size = second["size"].as_u64().expect("a size");
        assert!((1001..1200).contains(&size), "{size}");
        assert_eq!(second["server"], address);

        let ran = at(&["keys", "--prefix", "b"]);
        let line = format!("{size:>9} {:>9} b\n", "-");
        ran.gives(0, line);
        let ran = at(&["keys", "--prefix", "a "]);
        assert!(
            ran.out.ends_with(b" a\\x20\\xff\n"),
            "{}",
            ran.out.escape_ascii()
        );
        let ran = at(&["keys", "--prefix", "a ", "--base64"]);
        assert!(ran.out.ends_with(b" YSD/\n"), "{}", ran.out.escape_ascii());
    });
}

#[test]
fn a_long_list_is_whole_and_a_reader_may_stop_early() {
    with_each_server(|address| {
        let mut connection = crate::connect(address);
        let mut expected = BTreeSet::new();
        let mut requests = Vec::new();
        for number in 0..20_000 {
            let key = format!("key:{number:05}");
            requests.extend(format!("set {key} 0 0 1 noreply\r\nx\r\n").bytes());
            expected.insert(key);
        }
        requests.extend(b"mn\r\n");
        connection.write_all(&requests).expect("send");
        let mut end = [0; 4];
        connection.read_exact(&mut end).expect("a reply");
        assert_eq!(&end, b"MN\r\n");
        let ran = larder(&["keys", "--server", address]);
        assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""));
        let printed = String::from_utf8(ran.out).expect("text");
        let keys = printed
            .lines()
            .filter_map(|line| line.split(' ').next_back());
        let keys: BTreeSet<String> = keys.map(str::to_owned).collect();
        assert_eq!(keys.len(), expected.len());
        assert_eq!(keys, expected);

        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["keys", "--server", address])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        out.read_line(&mut line).expect("a line");
        drop(out);
        assert!(end_of(&mut child).success());
    });
}

#[test]
fn each_server_of_a_pool_is_asked() {
    let servers: Vec<Server> = (0..3).map(|_| Server::start().expect("ports")).collect();
    let addresses: Vec<String> = servers
        .iter()
        .map(|server| server.memcached_addr().to_string())
        .collect();
    for address in &addresses {
        larder(&["set", address, "x", "--server", address]).gives(0, "");
    }
    let named: Vec<&str> = addresses.iter().flat_map(|a| ["--server", a]).collect();
    let ran = larder(&[&["keys", "--json"][..], &named].concat());
    let found = objects(&ran.out);
    assert_eq!(found.len(), 3);
    for object in found {
        assert_eq!(object["key"], object["server"]);
    }
}

/// A server that answers each request for a list with the next of these.
fn lists(answers: &'static [&'static str]) -> (String, &'static AtomicUsize) {
    let asked: &'static AtomicUsize = Box::leak(Box::default());
    let address = peer(move |stream: TcpStream| {
        answer_lines(stream, |line| {
            assert!(line.starts_with("lru_crawler metadump "), "{line}");
            let number = asked.fetch_add(1, SeqCst);
            answers[number.min(answers.len() - 1)].to_owned()
        });
    });
    (address.to_string(), asked)
}

#[test]
fn a_server_that_is_busy_with_another_list_is_asked_again() {
    let line = "key=a exp=-1 la=0 cas=0 fetch=no cls=1 size=5\n";
    let list = &*Box::leak(format!("OK\r\n{line}END\r\n").into_boxed_str());
    let answers: Vec<&str> = vec![
        "BUSY currently processing crawler request\r\n",
        "ERROR locked try again later\r\n",
        list,
    ];
    let (address, asked) = lists(Box::leak(answers.into_boxed_slice()));
    let ran = larder(&["keys", "--timeout", "60s", "--server", &address]);
    ran.gives(0, "        5         - a\n");
    assert_eq!(asked.load(SeqCst), 3);
}

#[test]
fn a_list_that_can_not_be_made_is_an_error() {
    for (reply, closes, part) in [
        (&b"ERROR\r\n"[..], false, "answered `ERROR`"),
        (b"BADCLASS x\r\n", false, "answered `BADCLASS x`"),
        (b"VERSION 1\r\n", false, "answered `VERSION 1`"),
        (
            b"key=a size=x\n",
            false,
            "sent bytes that don't follow the protocol",
        ),
        (
            b"key=%zz exp=-1 size=1\n",
            false,
            "sent bytes that don't follow the protocol",
        ),
        (
            b"key=a exp=-1 size=1\nkey=b",
            true,
            "closed the connection before it had answered",
        ),
    ] {
        let address = answerer(reply, closes).to_string();
        let ran = larder(&["keys", "--server", &address]);
        let sentence = format!("larder keys: {address} ");
        assert_eq!(ran.code, Some(2), "{}", ran.error);
        assert!(
            ran.error.starts_with(&sentence) && ran.error.contains(part),
            "{}",
            ran.error
        );
    }
    let address = free_port().to_string();
    let ran = larder(&["keys", "--server", &address]);
    ran.fails(&format!("larder keys: {address} refused the connection"));
    let endless = peer(|mut stream| while stream.write_all(&[b'x'; 1000]).is_ok() {});
    let ran = larder(&["keys", "--server", &endless.to_string()]);
    ran.fails("sent bytes that don't follow the protocol");
    with_growing_deadlines(|limit| {
        let address = sleeper().to_string();
        let timeout = format!("{}ms", limit.as_millis());
        let ran = larder(&["keys", "--timeout", &timeout, "--server", &address]);
        ran.fails(&format!("{address} did not answer within {limit:?}"));
    });
}

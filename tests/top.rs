//! `larder top` beside larder, memcached, redis-server and proxies, by its plain table, its JSON and its screen.

#[path = "top/admin.rs"]
mod admin;
mod support;
#[path = "top/terminal.rs"]
mod terminal;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder::Server;
use serde_json::Value;
use support::{Kind, Peer, reserved_port};

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// A command's end.
struct Ran {
    code: Option<i32>,
    out: String,
    error: String,
}

fn top(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.arg("top");
    for (option, value) in [("--interval", "100ms"), ("--timeout", "60s")] {
        if !arguments.contains(&option) {
            command.args([option, value]);
        }
    }
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    Ran {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        error: String::from_utf8(output.stderr).expect("text"),
    }
}

/// The figures of the servers, all of which are up.
#[track_caller]
fn figures(arguments: &[&str]) -> Vec<Value> {
    let ran = top(&[&["--json"], arguments].concat());
    assert_eq!((ran.code, &*ran.error), (Some(0), ""), "{}", ran.out);
    let printed: Value = serde_json::from_str(&ran.out).expect("JSON");
    printed["servers"].as_array().expect("a list").clone()
}

/// Sends lines that are answered by one line each.
fn send(stream: impl Read + Write, lines: &[&str]) {
    let mut stream = BufReader::new(stream);
    for line in lines {
        let request = format!("{line}\r\n");
        stream
            .get_mut()
            .write_all(request.as_bytes())
            .expect("sent");
        let mut reply = String::new();
        assert!(stream.read_line(&mut reply).expect("a reply") > 0, "{line}");
    }
}

/// Two items and three reads, one of which misses.
const MEMCACHED: [&str; 5] = [
    "set a 0 0 1\r\nx",
    "set b 0 0 1\r\nx",
    "get missing",
    "touch a 0",
    "delete missing",
];
const RESP: [&str; 3] = ["SET a x", "SET b x", "GET missing"];

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

#[test]
fn larder_is_shown_over_both_protocols() {
    let server = Server::start().expect("free ports");
    let addresses = [server.memcached_addr(), server.resp_addr()].map(|it| it.to_string());
    send(connect(&addresses[0]), &MEMCACHED);
    for figures in figures(&[&addresses[0], &addresses[1]]) {
        assert_eq!(figures["program"], "larder");
        assert_eq!(figures["items"], 2);
        assert_eq!(figures["hit_ratio_since_start"], 0.0);
        assert_eq!(figures["memory_limit_bytes"], 64 << 20);
        assert!(figures["requests_per_second"].is_number());
        assert!(figures["probe_median_ms"].as_f64() > Some(0.0));
    }
}

#[test]
fn real_servers_are_shown() {
    for (kind, program, requests) in [
        (Kind::Memcached, "memcached", &MEMCACHED[..]),
        (Kind::NewMemcached, "memcached", &MEMCACHED),
        (Kind::Redis, "redis", &RESP),
    ] {
        let Some(peer) = Peer::start(kind, &[]).expect("it starts") else {
            support::skipped_without(kind, "the test was made without it");
            continue;
        };
        let stream = std::os::unix::net::UnixStream::connect(peer.socket()).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        send(stream, requests);
        let socket = peer.socket().to_str().expect("text");
        let figures = &figures(&[socket])[0];
        assert_eq!(figures["program"], program);
        assert_eq!(figures["items"], 2);
        assert_eq!(figures["hit_ratio_since_start"], 0.0);
        assert!(figures["memory_bytes"].as_u64() > Some(0));
        assert!(figures["bytes_out_per_second"].as_f64() > Some(0.0));
        assert_eq!(figures["evictions_per_second"], 0.0);
    }
}

/// A `larder proxy`. It ends when this is dropped.
struct Proxy(Child, String);

impl Proxy {
    fn start(protocol: &str, upstreams: &[&str]) -> Proxy {
        let mut child = Command::new(env!("CARGO_BIN_EXE_larder"))
            .args(["proxy", "--protocol", protocol, "--listen", "127.0.0.1:0"])
            .args(
                upstreams
                    .iter()
                    .flat_map(|upstream| ["--upstream", *upstream]),
            )
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let mut ready = String::new();
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        out.read_line(&mut ready).expect("a line");
        let address = ready.split_whitespace().last().expect("an address");
        Proxy(child, address.to_owned())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_proxy_is_shown_with_its_servers() {
    let servers = [Server::start(), Server::start()].map(|it| it.expect("free ports"));
    for (protocol, requests) in [("memcached", &MEMCACHED[..]), ("resp", &RESP)] {
        let upstreams = servers.each_ref().map(|server| match protocol {
            "resp" => server.resp_addr().to_string(),
            _ => server.memcached_addr().to_string(),
        });
        for count in [1, 2] {
            let upstreams: Vec<&str> = upstreams[..count].iter().map(String::as_str).collect();
            let proxy = Proxy::start(protocol, &upstreams);
            send(connect(&proxy.1), requests);
            let figures = &figures(&[&proxy.1])[0];
            assert_eq!(figures["program"], "proxy");
            assert!(figures["items"].as_u64() >= Some(2));
            let shown = figures["upstreams"].as_array().expect("a list");
            let shown: HashMap<&str, &Value> = shown
                .iter()
                .map(|it| (it["address"].as_str().expect("an address"), it))
                .collect();
            assert_eq!(shown.len(), count);
            assert!(upstreams.iter().all(|it| shown[it]["state"] == "up"));
        }
    }
}

#[test]
fn a_proxy_whose_servers_are_down_is_up() {
    let nobody = format!("127.0.0.1:{}", reserved_port());
    for protocol in ["memcached", "resp"] {
        let proxy = Proxy::start(protocol, &[&nobody, "127.0.0.1:1"]);
        let figures = &figures(&[&proxy.1])[0];
        assert_eq!(
            (&figures["program"], &figures["items"]),
            (&"proxy".into(), &Value::Null)
        );
        assert_eq!(figures["upstreams"][0]["address"], *nobody);
    }
}

#[test]
fn servers_of_a_list_are_shown_and_one_that_is_down_has_its_reason() {
    let server = Server::start().expect("free ports");
    let nobody = format!("127.0.0.1:{}", reserved_port());
    let list = tempfile::NamedTempFile::new().expect("a file");
    let lines = format!("# pool\n{} 1\n{nobody} 2\n", server.memcached_addr());
    std::fs::write(list.path(), lines).expect("written");
    let ran = top(&["--servers", list.path().to_str().expect("text")]);
    assert_eq!((ran.code, &*ran.error), (Some(1), ""));
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("SERVER"), "{}", ran.out);
    assert!(
        lines[1].starts_with(&server.memcached_addr().to_string()),
        "{}",
        ran.out
    );
    assert_eq!(
        lines[2].split_whitespace().collect::<Vec<_>>()[..2],
        [&*nobody, "DOWN:"]
    );
    assert!(lines[2].ends_with("refused the connection"), "{}", ran.out);
    assert!(lines[3].starts_with("total, 1/2 up"), "{}", ran.out);
}

#[test]
fn a_silent_server_and_one_with_another_protocol_are_down() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let web = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addresses = [&silent, &web].map(|it| it.local_addr().expect("bound").to_string());
    std::thread::spawn(move || {
        for stream in web.incoming().map_while(Result::ok) {
            let mut stream = stream;
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\x1b[2J\r\n\r\n");
        }
    });
    let ran = top(&["--timeout", "1s", &addresses[0], &addresses[1]]);
    assert_eq!((ran.code, &*ran.error), (Some(1), ""));
    assert!(
        ran.out.contains("DOWN: did not answer within 1s"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains('\x1b'), "{}", ran.out.escape_debug());
    assert_eq!(ran.out.matches("DOWN: ").count(), 2, "{}", ran.out);
}

#[test]
fn a_password_is_sent_to_redis_and_only_to_a_memcached_that_requires_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let password = directory.path().join("password");
    std::fs::write(&password, "secret\n").expect("written");
    let password = password.to_str().expect("text");
    let users = directory.path().join("users");
    std::fs::write(&users, "app:secret\n").expect("written");
    let users = users.to_str().expect("text");
    let plain = Server::start().expect("free ports");
    let redis = Peer::start(Kind::Redis, &["--requirepass".into(), "secret".into()]);
    let memcached = Peer::start(Kind::Memcached, &["-Y".into(), users.into()]);
    let started = [redis, memcached].map(|peer| peer.expect("it starts"));
    let [Some(redis), Some(memcached)] = started else {
        support::skip!("redis-server or memcached is not installed");
    };
    let redis = redis.socket().to_str().expect("text").to_owned();
    let memcached = memcached.socket().to_str().expect("text").to_owned();
    let ran = top(&[&redis, &memcached]);
    assert_eq!(
        (ran.code, ran.out.matches("DOWN: ").count()),
        (Some(1), 2),
        "{}",
        ran.out
    );
    let of_default = ["--password-file", password];
    assert_eq!(
        figures(&[&of_default[..], &[&redis]].concat())[0]["program"],
        "redis"
    );
    let plain_address = plain.memcached_addr().to_string();
    let of_app = ["--user", "app", "--password-file", password];
    let shown = figures(&[&of_app[..], &[&memcached, &plain_address]].concat());
    assert_eq!(
        (&shown[0]["program"], &shown[1]["program"]),
        (&"memcached".into(), &"larder".into())
    );
    assert_eq!(shown[1]["items"], 0, "the login was not stored as a value");
}

#[test]
fn wrong_arguments_are_refused() {
    for (arguments, part) in [
        (
            &["--servers", "/nowhere"][..],
            "--servers /nowhere: can't be read",
        ),
        (&["--interval", "1ms"], "the shortest time is 100ms"),
        (&["--user", "app"], "--password-file"),
    ] {
        let ran = top(arguments);
        assert_eq!((ran.code, &*ran.out), (Some(2), ""));
        assert!(ran.error.contains(part), "{}", ran.error);
    }
}

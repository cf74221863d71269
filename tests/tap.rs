//! `larder tap` between clients and larder, memcached and redis-server: all bytes pass, every frame is explained, and
//! recordings are replayed.

#[path = "support/mod.rs"]
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use larder::Server;
use larder::tools::transcript::{InProcess, Outcome, Run, Side, TranscriptDelivery, parse};
use serde_json::Value;
use support::{Kind, Peer};

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tap on a free port. It ends when this is dropped.
struct Tap {
    child: Child,
    lines: Receiver<String>,
    address: String,
}

impl Drop for Tap {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(upstream: &str, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_larder"));
    command.args(["tap", "--listen", "127.0.0.1:0", "--upstream", upstream]);
    command.args(more).stdin(Stdio::null());
    command
}

impl Tap {
    fn start(upstream: &str, more: &[&str]) -> Tap {
        let mut child = command(upstream, more)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("it is piped"));
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let mut tap = Tap {
            child,
            lines,
            address: String::new(),
        };
        let ready = tap.line();
        let place = ready
            .find("127.0.0.1:")
            .unwrap_or_else(|| panic!("{ready}"));
        tap.address = ready[place..]
            .trim_end_matches(['"', '}'])
            .split('"')
            .next()
            .expect("a piece")
            .to_owned();
        tap
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// Sends each request on a connection of its own kind and reads exactly its reply.
    fn talk(&self, exchanges: &[(&str, &str)]) {
        let mut stream = TcpStream::connect(&self.address).expect("connect");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        for (request, reply) in exchanges {
            stream.write_all(request.as_bytes()).expect("send");
            let mut got = vec![0; reply.len()];
            stream.read_exact(&mut got).expect("a reply");
            assert_eq!(String::from_utf8_lossy(&got), *reply);
        }
    }
}

const MEMCACHED: [(&str, &str); 4] = [
    ("set a 5 0 7\r\nx\r\ny${z\r\n", "STORED\r\n"),
    ("get a missing\r\n", "VALUE a 5 7\r\nx\r\ny${z\r\nEND\r\n"),
    (
        "incr a 1\r\n",
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    ),
    (
        "delete a noreply\r\nget a\r\nnonsense a\r\n",
        "END\r\nERROR\r\n",
    ),
];

const RESP: [(&str, &str); 3] = [
    ("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4\r\nx\r\ny\r\n", "+OK\r\n"),
    (
        "*2\r\n$3\r\nGET\r\n$1\r\na\r\nHGET a b\r\n",
        "$4\r\nx\r\ny\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    ),
    (
        "*3\r\n$4\r\nMGET\r\n$1\r\na\r\n$1\r\nb\r\n",
        "*2\r\n$4\r\nx\r\ny\r\n$-1\r\n",
    ),
];

/// The replies and the requests that a tap printed as JSON, each as its name.
fn frames(tap: &Tap, count: usize) -> Vec<Value> {
    let lines = (0..count).map(|_| serde_json::from_str(&tap.line()).expect("it is JSON"));
    lines.collect()
}

/// Sends requests through a tap; the recording is then replayed on larder, in every delivery.
#[track_caller]
fn passes_and_is_replayed(upstream: &str, exchanges: &[(&str, &str)], named: &[(&str, &str)]) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("recorded.txt");
    let tap = Tap::start(
        upstream,
        &["--json", "--record", file.to_str().expect("a path")],
    );
    tap.talk(exchanges);
    let mut names = Vec::new();
    let mut bytes = [0, 0];
    for frame in frames(&tap, named.len()) {
        let direction = frame["direction"].as_str().expect("a text").to_owned();
        let fields = frame["fields"].as_array().expect("a list");
        let lengths = fields
            .iter()
            .map(|field| field["length"].as_u64().expect("a number"));
        assert_eq!(
            lengths.sum::<u64>(),
            frame["bytes"].as_u64().expect("a number")
        );
        bytes[usize::from(direction == "reply")] += frame["bytes"].as_u64().expect("a number");
        names.push((
            direction,
            frame["name"].as_str().expect("a text").to_owned(),
        ));
    }
    let sum = |texts: &mut dyn Iterator<Item = &str>| texts.map(str::len).sum::<usize>() as u64;
    assert_eq!(
        bytes[0],
        sum(&mut exchanges.iter().map(|exchange| exchange.0))
    );
    assert_eq!(
        bytes[1],
        sum(&mut exchanges.iter().map(|exchange| exchange.1))
    );
    let of = |wanted: &str| {
        let found = names.iter().filter(|(direction, _)| direction == wanted);
        found.map(|(_, name)| name.clone()).collect::<Vec<_>>()
    };
    let expected = |wanted: &str| {
        let found = named.iter().filter(|(direction, _)| *direction == wanted);
        found
            .map(|(_, name)| (*name).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (of("request"), of("reply")),
        (expected("request"), expected("reply"))
    );
    drop(tap);

    let text = std::fs::read_to_string(&file).expect("it was recorded");
    let transcript =
        parse("recorded", "recorded.txt", &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    for delivery in [
        TranscriptDelivery::AsWritten,
        TranscriptDelivery::ByteByByte,
        TranscriptDelivery::InOneWrite,
    ] {
        let larder = support::larder::larder(&transcript).expect("a service");
        let run = Run {
            transcript: &transcript,
            side: Side::Larder,
            delivery,
            patience: Duration::ZERO,
        };
        let outcome = run.against(&InProcess::new(larder.service, &larder.clock));
        assert!(
            matches!(outcome, Outcome::Passed),
            "{delivery:?}: {outcome:?}\n{text}"
        );
    }
}

const MEMCACHED_FRAMES: [(&str, &str); 11] = [
    ("request", "set"),
    ("reply", "STORED"),
    ("request", "get"),
    ("reply", "VALUE"),
    ("request", "incr"),
    ("reply", "CLIENT_ERROR"),
    ("request", "delete"),
    ("request", "get"),
    ("request", "nonsense"),
    ("reply", "END"),
    ("reply", "ERROR"),
];

const RESP_FRAMES: [(&str, &str); 8] = [
    ("request", "set"),
    ("reply", "simple string"),
    ("request", "get"),
    ("request", "hget"),
    ("reply", "bulk string"),
    ("reply", "error"),
    ("request", "mget"),
    ("reply", "array"),
];

#[test]
fn conversations_with_larder_pass_and_are_replayed() {
    let server = Server::builder().start().expect("free ports");
    passes_and_is_replayed(
        &server.memcached_addr().to_string(),
        &MEMCACHED,
        &MEMCACHED_FRAMES,
    );
    let server = Server::builder().start().expect("free ports");
    passes_and_is_replayed(&server.resp_addr().to_string(), &RESP, &RESP_FRAMES);
}

#[test]
fn answers_of_memcached_and_redis_are_replayed_on_larder() {
    let peers = [
        (Kind::Memcached, &MEMCACHED[..], &MEMCACHED_FRAMES[..]),
        (Kind::Redis, &RESP[..], &RESP_FRAMES[..]),
    ];
    for (kind, exchanges, named) in peers {
        match Peer::start(kind, &[]).expect("it starts") {
            Some(peer) => passes_and_is_replayed(&peer.address().to_string(), exchanges, named),
            None => support::skipped(&format!(
                "{} is not installed, so it was not tapped",
                kind.program()
            )),
        }
    }
}

#[test]
fn filters_leave_out_frames_that_do_not_match() {
    let server = Server::builder().start().expect("free ports");
    let upstream = server.memcached_addr().to_string();
    let tap = Tap::start(&upstream, &["--command", "GET", "--key", "^user:"]);
    tap.talk(&[
        ("set user:1 0 0 1\r\nx\r\n", "STORED\r\n"),
        ("get other\r\n", "END\r\n"),
        ("get user:1\r\n", "VALUE user:1 0 1\r\nx\r\nEND\r\n"),
    ]);
    let shown: Vec<String> = (0..14).map(|_| tap.line()).collect();
    let heads: Vec<&str> = shown
        .iter()
        .filter_map(|line| line.split_once(" ms  "))
        .map(|(_, head)| head)
        .collect();
    assert_eq!(heads.len(), 2, "{shown:?}");
    assert_eq!(heads[0], "#1 ─▶ get, 12 bytes");
    assert!(
        heads[1].starts_with("#1 ◀─ VALUE, 26 bytes, ") && heads[1].ends_with(" ms after get"),
        "{heads:?}"
    );
    let fields = [
        ("0  verb", "get"),
        ("4  key", "user:1"),
        ("10  end of line", "\\r\\n"),
    ];
    for (line, (name, text)) in shown[1..].iter().zip(fields) {
        assert!(
            line.trim_start().starts_with(name) && line.ends_with(text),
            "{line}"
        );
    }
}

#[test]
fn a_tap_that_can_not_be_set_up_ends_with_its_reason() {
    let server = Server::builder().start().expect("free ports");
    let upstream = server.memcached_addr().to_string();
    let taken = ["tap", "--listen", &upstream, "--upstream", &upstream];
    let mut busy = Command::new(env!("CARGO_BIN_EXE_larder"));
    busy.args(taken);
    for (mut command, reason) in [
        (
            command("127.0.0.1:1", &[]),
            "no server answers at 127.0.0.1:1",
        ),
        (
            command(&upstream, &["--key", "("]),
            "--key: regex parse error",
        ),
        (
            command(&upstream, &["--record", "/nowhere/at/all"]),
            "--record /nowhere/at/all: ",
        ),
        (busy, "in use"),
    ] {
        let output = command.output().expect("it starts");
        let error = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

//! Random commands of memcached's three protocols: what several watchers get of them, beside memcached 1.6.45.

use std::collections::HashMap;
use std::io::Read;
use std::sync::LazyLock;

use fastrand::Rng;
use regex::Regex;

use super::support::Kind;
use super::support::binary::conditional_binary_request;
use super::support::compared::ComparedServer;
use super::{Client, well_formed};

/// Figures that follow from the clock and from the sizes of memcached's classes.
static FIGURES: LazyLock<Regex> = LazyLock::new(|| well_formed("(ttl|clsid)=[1-9][0-9]*"));

/// Commands of the text protocol whose lines are compared, well-formed and not; `K` is a key. Left out, with the reason:
///
/// - `flush_all`: memcached keeps flushed items until they are looked up, and calls that look-up `flushed`. larder removes them at once.
/// - `ma` that makes an item, and `md` with `x`: memcached looks the item up a second time while it stores it.
/// - Items that have expired: larder's sweeper may have removed one before it is looked up.
/// - Ends of watchers, in `connevents`: memcached's reason is always `error`, larder's is `normal` for one that has closed.
/// - Items that are too large: memcached's line has a number of no connection.
const SHAPES: &[&str] = &[
    "get K",
    "gets K K nothing",
    "gat 100 K K",
    "gats 100 K",
    "touch K 100",
    "set K 0 0 2\r\nab",
    "set K 5 100 1\r\n7",
    "add K 0 0 1\r\n7",
    "replace K 0 0 1\r\n8",
    "append K 0 0 1\r\n9",
    "prepend K 0 0 1\r\n1",
    "cas K 0 0 1 999999999\r\nx",
    "set K 0 0 1 noreply\r\nx",
    "incr K 3",
    "decr K 1",
    "incr K 1 noreply",
    "delete K",
    "delete K noreply",
    "mg K",
    "mg K v t f s k",
    "mg K v q",
    "mg K T100",
    "mg K E77 v",
    "mg K N30 v",
    "mg K R200 v",
    "ms K 1\r\n5",
    "ms K 2 T100 F5 c\r\nab",
    "ms K 1 I\r\nx",
    "ms K 1 ME\r\nx",
    "ms K 1 MR\r\nx",
    "ms K 1 MA\r\nx",
    "ms K 1 MP\r\nx",
    "ms K 1 MA N30\r\nx",
    "ms K 1 C999999999\r\nx",
    "ms K 1 q\r\nx",
    "md K",
    "md K q",
    "md K C999999999",
    "md K I T30",
    "ma K",
    "ma K MD D2 v",
    "mn",
    "get",
    "set K 0 0",
    "set K 0 0 1\r\nxyz",
    "incr K x",
    "touch K",
    "mg",
    "ms K 1 MX\r\nx",
    "ma K Dx",
    "nothing",
];

/// Commands of the binary protocol: opcode, extras, value and cas unique. Each has a key. Left out, with the reason:
///
/// - Malformed ones: they end the connection.
/// - Deletes that succeed: memcached does not report them to watchers of deletions, and larder does.
const FRAMES: &[(u8, &[u8], &[u8], u64)] = &[
    // get, and its quiet forms and those that return the key
    (0x00, b"", b"", 0),
    (0x09, b"", b"", 0),
    (0x0c, b"", b"", 0),
    (0x0d, b"", b"", 0),
    // set, add and replace: flags and exptime
    (0x01, b"\0\0\0\0\0\0\0\0", b"ab", 0),
    (0x01, b"\0\0\0\x05\0\0\0\x64", b"7", 0),
    (0x01, b"\0\0\0\0\0\0\0\0", b"x", 999_999_999),
    (0x11, b"\0\0\0\0\0\0\0\0", b"8", 0),
    (0x02, b"\0\0\0\0\0\0\0\0", b"7", 0),
    (0x12, b"\0\0\0\0\0\0\0\0", b"7", 0),
    (0x03, b"\0\0\0\0\0\0\0\0", b"8", 0),
    (0x13, b"\0\0\0\0\0\0\0\x64", b"8", 0),
    // append and prepend
    (0x0e, b"", b"9", 0),
    (0x19, b"", b"9", 0),
    (0x0f, b"", b"1", 0),
    (0x1a, b"", b"1", 0),
    (0x0e, b"", b"9", 999_999_999),
    // delete
    (0x04, b"", b"", 999_999_999),
    (0x14, b"", b"", 999_999_999),
    // increment and decrement: the amount, the first value, and the exptime that makes no item
    (0x05, ADDS_THREE, b"", 0),
    (0x15, ADDS_THREE, b"", 0),
    (0x06, ADDS_THREE, b"", 0),
    (0x16, ADDS_THREE, b"", 0),
    // touch, and its forms that return the item: exptime
    (0x1c, b"\0\0\0\x64", b"", 0),
    (0x1d, b"\0\0\0\x64", b"", 0),
    (0x1e, b"\0\0\0\x64", b"", 0),
    (0x23, b"\0\0\0\x64", b"", 0),
    (0x24, b"\0\0\0\x64", b"", 0),
];

const ADDS_THREE: &[u8] = b"\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\0\x05\xff\xff\xff\xff";

/// The opcode of a request whose answer shows that all before it were answered.
const NOOP: u8 = 0x0a;

/// Watchers, and the end of the last line that each gets.
const WATCHERS: &[(&str, &str)] = &[
    ("watch", "key=last status=found"),
    ("watch fetchers", "key=last status=found"),
    ("watch mutations", "type=item_store key=last"),
    ("watch deletions", "type=deleted key=last"),
    ("watch mutations deletions", "type=deleted key=last"),
    (
        "watch fetchers mutations deletions",
        "type=deleted key=last",
    ),
];

/// A frame of the binary protocol.
fn frame(opcode: u8, extras: &[u8], key: &str, value: &[u8], unique: u64) -> Vec<u8> {
    conditional_binary_request(opcode, extras, key.as_bytes(), value, unique)
}

impl Client {
    /// Sends a line, and reads until it is answered.
    fn say_line(&mut self, request: &str) {
        // The rest of a malformed request is answered with an error, and `mn` is answered last.
        self.send(format!("{request}\r\nmn\r\n").as_bytes());
        let answers = if request == "mn" { 2 } else { 1 };
        (0..answers).for_each(|_| while self.line() != "MN\r\n" {});
    }

    /// Sends a frame, and reads until it is answered.
    fn say_frame(&mut self, request: &[u8]) {
        self.send(&[request, &frame(NOOP, b"", "", b"", 0)].concat());
        loop {
            let mut header = [0; 24];
            self.0.read_exact(&mut header).expect("a header");
            let length = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
            let mut body = vec![0; length as usize];
            self.0.read_exact(&mut body).expect("a body");
            if header[1] == NOOP {
                return;
            }
        }
    }
}

/// The lines that several watchers get of the same random commands.
fn lines_of_random_commands(server: &ComparedServer, seed: u64) -> Vec<Vec<String>> {
    let watch = |(command, _): &(&str, &str)| {
        let mut watcher = Client::connect(server);
        watcher.ask(command, &["OK"]);
        watcher
    };
    let watchers: Vec<Client> = WATCHERS.iter().map(watch).collect();
    let (mut client, mut binary) = (Client::connect(server), Client::connect(server));
    let mut random = Rng::with_seed(seed);
    for _ in 0..300 {
        let key = format!("k{seed}\u{1}{}", random.u8(0..5));
        if random.bool() {
            let shape = SHAPES[random.usize(0..SHAPES.len())];
            client.say_line(&shape.replace('K', &key));
        } else {
            let (opcode, extras, value, unique) = FRAMES[random.usize(0..FRAMES.len())];
            binary.say_frame(&frame(opcode, extras, &key, value, unique));
        }
    }
    client.ask("set last 0 0 1\r\nx", &["STORED"]);
    client.ask("delete last", &["DELETED"]);
    let lines = |(mut watcher, (_, end)): (Client, &(&str, &str))| {
        let mut connections = HashMap::new();
        let mut lines: Vec<String> = Vec::new();
        while !lines.last().is_some_and(|line| line.contains(end)) {
            lines.push(settled(&watcher.event(&mut connections)));
        }
        lines
    };
    watchers.into_iter().zip(WATCHERS).map(lines).collect()
}

/// A line without its [`FIGURES`].
fn settled(line: &str) -> String {
    FIGURES.replace_all(line, "$1=#").into_owned()
}

#[test]
fn random_commands_are_reported_to_several_watchers_as_memcached_reports_them() {
    // With one thread, because memcached's log has the lines of several threads in no order.
    let servers = ComparedServer::all_with(Kind::NewMemcached, "watch", &["-t", "1"]);
    for seed in 1..=10 {
        let mut reports = servers
            .iter()
            .map(|server| lines_of_random_commands(server, seed));
        let first = reports.next().expect("larder is there");
        assert!(first[1].len() > 200, "{} lines", first[1].len());
        for other in reports {
            for ((ours, theirs), (command, _)) in first.iter().zip(&other).zip(WATCHERS) {
                let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
                assert!(
                    ours == theirs,
                    "seed {seed}, {command}, line {same}:\n{:#?}\n{:#?}",
                    &ours[same.saturating_sub(3)..(same + 3).min(ours.len())],
                    &theirs[same.saturating_sub(3)..(same + 3).min(theirs.len())]
                );
            }
        }
    }
}

#[test]
fn a_delete_of_the_binary_protocol_is_reported_to_watchers_of_deletions_by_larder_alone() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch deletions", &["OK"]);
        client.ask("set a 0 0 1\r\nx", &["STORED"]);
        client.ask("set b 0 0 1\r\nx", &["STORED"]);
        Client::connect(&server).say_frame(&frame(0x04, b"", "a", b"", 0));
        client.ask("delete b", &["DELETED"]);
        let [a, b] =
            ["a", "b"].map(|key| format!("type=deleted key={key} cmd=delete clsid=1 size=1"));
        match server {
            ComparedServer::Larder { .. } => watcher.events(&[&a, &b]),
            ComparedServer::Real(_) => watcher.events(&[&b]),
        }
    }
}

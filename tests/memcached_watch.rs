//! `watch`: the lines of memcached's log, under both models, and the same of memcached 1.6.45 if `LARDER_MEMCACHED` is the
//! path of its program.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::sync::LazyLock;
use std::time::Instant;

use larder::server::Model;
use regex::Regex;
use support::Kind;
use support::compared::{ComparedServer, PATIENCE};

/// A line of the log.
static SHAPE: LazyLock<Regex> =
    LazyLock::new(|| well_formed(r"\Ats=[0-9]+\.[0-9]+ gid=[0-9]+ (.*)\n\z"));
static CONNECTION: LazyLock<Regex> = LazyLock::new(|| well_formed(" cfd=([0-9]+)"));
/// Figures that follow from the clock and from the sizes of memcached's classes.
static FIGURES: LazyLock<Regex> = LazyLock::new(|| well_formed("(ttl|clsid)=[1-9][0-9]*"));

fn well_formed(expression: &str) -> Regex {
    Regex::new(expression).expect("well formed")
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(server: &ComparedServer) -> Client {
        Client(server.connect("memcached"))
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("it takes bytes");
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.0.read_until(b'\n', &mut line).expect("a line");
        String::from_utf8(line).expect("text")
    }

    /// Sends a request and reads the lines of its reply.
    fn ask(&mut self, request: &str, reply: &[&str]) {
        self.send(format!("{request}\r\n").as_bytes());
        for expected in reply {
            assert_eq!(self.line(), format!("{expected}\r\n"), "{request}");
        }
    }

    /// The next line of the log without what differs from run to run: time, number, and the connections, which are
    /// counted in the order in which they occur.
    fn event(&mut self, connections: &mut HashMap<String, usize>) -> String {
        let line = self.line();
        let rest = &SHAPE.captures(&line).unwrap_or_else(|| panic!("{line:?}"))[1];
        let Some(number) = CONNECTION.captures(rest) else {
            return rest.to_owned();
        };
        let next = connections.len() + 1;
        let number = connections.entry(number[1].to_owned()).or_insert(next);
        CONNECTION
            .replace(rest, format!(" cfd={number}"))
            .into_owned()
    }

    fn events(&mut self, expected: &[&str]) {
        let mut connections = HashMap::new();
        for expected in expected {
            assert_eq!(&self.event(&mut connections), expected);
        }
    }
}

#[test]
fn reads_and_writes_of_the_text_protocol_are_reported() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch fetchers mutations", &["OK"]);
        client.ask("set a\u{1} 0 100 3\r\nabc", &["STORED"]);
        client.ask("get a\u{1} b", &["VALUE a\u{1} 0 3", "abc", "END"]);
        client.ask("append a\u{1} 0 0 1\r\nd", &["STORED"]);
        client.ask("cas a\u{1} 0 0 1 0\r\nx", &["EXISTS"]);
        client.ask("incr b 1", &["NOT_FOUND"]);
        client.ask("delete a\u{1}", &["DELETED"]);
        watcher.events(&[
            "type=item_get key=a%01 status=not_found clsid=0 cfd=1 size=0",
            "type=item_store key=a%01 status=stored cmd=set ttl=100 clsid=1 cfd=1 size=3",
            "type=item_get key=a%01 status=found clsid=1 cfd=1 size=3",
            "type=item_get key=b status=not_found clsid=0 cfd=1 size=0",
            "type=item_get key=a%01 status=found clsid=1 cfd=1 size=3",
            "type=item_store key=a%01 status=stored cmd=append ttl=100 clsid=1 cfd=1 size=4",
            "type=item_get key=a%01 status=found clsid=1 cfd=1 size=4",
            "type=item_store key=a%01 status=exists cmd=cas ttl=0 clsid=1 cfd=1 size=1",
            "type=item_get key=b status=not_found clsid=0 cfd=1 size=0",
            "type=item_get key=a%01 status=found clsid=1 cfd=1 size=4",
        ]);
    }
}

#[test]
fn meta_commands_and_deletions_are_reported() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch mutations deletions", &["OK"]);
        client.ask("ms m 1 T30\r\nx", &["HD"]);
        client.ask("ms m 1 ME\r\nx", &["NS"]);
        client.ask("ms n 1 MP N60\r\ny", &["HD"]);
        client.ask("ma o N0 v", &["VA 1", "0"]);
        client.ask("md m I", &["HD"]);
        client.ask("md n x", &["HD"]);
        client.ask("md m", &["HD"]);
        client.ask("md m", &["NF"]);
        client.ask("delete n", &["DELETED"]);
        watcher.events(&[
            "type=item_store key=m status=stored cmd=set ttl=30 clsid=1 cfd=1 size=1",
            "type=item_store key=m status=not_stored cmd=add ttl=0 clsid=1 cfd=1 size=1",
            "type=item_store key=n status=stored cmd=prepend ttl=60 clsid=1 cfd=1 size=1",
            "type=item_store key=o status=stored cmd=add ttl=0 clsid=1 cfd=1 size=1",
            "type=item_store key=n status=stored cmd=set ttl=0 clsid=1 cfd=1 size=0",
            "type=deleted key=n cmd=md clsid=1 size=0",
            "type=deleted key=m cmd=md clsid=1 size=1",
            "type=deleted key=n cmd=delete clsid=1 size=0",
        ]);
    }
}

#[test]
fn connections_are_reported() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let mut watcher = Client::connect(&server);
        watcher.ask("watch connevents", &["OK"]);
        let mut quits = Client::connect(&server);
        quits.send(b"quit\r\n");
        watcher.line();
        let quit = watcher.line();
        let reason = " transport=local reason=normal cfd=";
        assert!(
            quit.contains("type=conn_close") && quit.contains(reason),
            "{quit}"
        );
        let mut speaks_http = Client::connect(&server);
        speaks_http.send(b"GET / HTTP/1.1\r\n");
        let begin = watcher.line();
        assert!(
            begin.contains("type=conn_new") && begin.contains(" transport=local "),
            "{begin}"
        );
        let refused = watcher.line();
        let reason = " transport=local reason=error cfd=";
        assert!(
            refused.contains("type=conn_close") && refused.contains(reason),
            "{refused}"
        );
    }
}

#[test]
fn a_watcher_may_name_its_events_and_send_nothing_more() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch fetchers x", &["ERROR"]);
        watcher.send(b"get a\r\nwatch\r\n");
        for reply in ["END", "ERROR cannot pipeline other commands before watch"] {
            assert_eq!(watcher.line(), format!("{reply}\r\n"));
        }
        watcher.ask("watch raw sys prox f", &["OK"]);
        watcher.send(b"get nothing\r\nquit\r\n");
        client.ask("get b", &["END"]);
        watcher.events(&["type=item_get key=b status=not_found clsid=0 cfd=1 size=0"]);
    }
}

#[test]
fn watchers_are_counted_until_they_have_gone() {
    for server in ComparedServer::all(Kind::NewMemcached, "watch") {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch", &["OK"]);
        let deadline = Instant::now() + PATIENCE;
        while statistic(&mut client, "log_watchers") != "1" {
            assert!(Instant::now() < deadline, "the watcher is not counted");
        }
        drop(watcher);
        while statistic(&mut client, "log_watchers") != "0" {
            assert!(Instant::now() < deadline, "the watcher is still counted");
        }
    }
}

/// Commands whose lines are compared, well-formed and not; `K` is a key. Left out, with the reason:
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

/// The lines that several watchers get of the same random commands.
fn lines_of_random_commands(server: &ComparedServer, seed: u64) -> Vec<Vec<String>> {
    let watch = |(command, _): &(&str, &str)| {
        let mut watcher = Client::connect(server);
        watcher.ask(command, &["OK"]);
        watcher
    };
    let watchers: Vec<Client> = WATCHERS.iter().map(watch).collect();
    let mut client = Client::connect(server);
    let mut state = seed;
    let mut below = |most: usize| {
        // Steele and others' SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize % most
    };
    for _ in 0..300 {
        let shape = SHAPES[below(SHAPES.len())];
        let request = shape.replace('K', &format!("k{seed}\u{1}{}", below(5)));
        // The rest of a malformed request is answered with an error, and `mn` is answered last.
        client.send(format!("{request}\r\nmn\r\n").as_bytes());
        let answers = if request == "mn" { 2 } else { 1 };
        (0..answers).for_each(|_| while client.line() != "MN\r\n" {});
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
    let servers = ComparedServer::all(Kind::NewMemcached, "watch");
    for seed in 1..=5 {
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

fn statistic(client: &mut Client, name: &str) -> String {
    client.send(b"stats\r\n");
    let mut value = String::new();
    loop {
        let line = client.line();
        let line = line.trim_end();
        if line == "END" {
            return value;
        }
        if let Some(found) = line.strip_prefix(&format!("STAT {name} ")) {
            value = found.to_owned();
        }
    }
}

/// Evictions differ from memcached's in what is evicted, and when, but not in form.
#[test]
fn evictions_are_reported() {
    for server in [Model::Turns, Model::Threads].map(ComparedServer::larder) {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch evictions", &["OK"]);
        let value = "v".repeat(50_000);
        for number in 0..40 {
            client.ask(&format!("set k{number} 0 0 50000\r\n{value}"), &["STORED"]);
        }
        let shape = "type=eviction key=k[0-9]+ fetch=no ttl=-1 la=[0-9]+ clsid=1 size=50000";
        let shape = Regex::new(&format!(r"\A{shape}\z")).expect("well formed");
        let line = watcher.event(&mut HashMap::new());
        assert!(shape.is_match(&line), "{line}");
    }
}

/// A watcher that doesn't read has lines skipped, and delays no other client.
#[test]
fn a_watcher_that_does_not_read_has_lines_skipped() {
    for server in [Model::Turns, Model::Threads].map(ComparedServer::larder) {
        let (mut watcher, mut client) = (Client::connect(&server), Client::connect(&server));
        watcher.ask("watch fetchers", &["OK"]);
        let keys = vec!["k".repeat(200); 100].join(" ");
        let deadline = Instant::now() + PATIENCE;
        while statistic(&mut client, "log_watcher_skipped") == "0" {
            client.ask(&format!("get {keys}"), &["END"]);
            assert!(Instant::now() < deadline, "no line is skipped");
        }
        while !watcher.line().starts_with("skipped=") {
            // Lines that come later show how many are missing.
            client.ask("get k", &["END"]);
            assert!(
                Instant::now() < deadline,
                "the skipped lines are not counted"
            );
        }
        watcher.event(&mut HashMap::new());
    }
}

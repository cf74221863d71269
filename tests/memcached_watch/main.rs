//! `watch`: the lines of memcached's log, under both models, and the same of memcached 1.6.45 if `LARDER_MEMCACHED` is the
//! path of its program.

mod random;
#[path = "../support/mod.rs"]
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

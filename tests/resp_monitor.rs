//! MONITOR, CLIENT PAUSE, the slow log and the latency monitor over sockets: larder under both models, and redis-server with the same requests.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use larder::server::Model;
use regex::Regex;
use support::Kind;
use support::compared::ComparedServer;

struct Client(BufReader<UnixStream>);

impl Client {
    fn connect(server: &ComparedServer) -> Client {
        Client(server.connect("resp"))
    }

    fn send(&mut self, text: &str) {
        let bytes = format!("{text}\r\n");
        self.0
            .get_mut()
            .write_all(bytes.as_bytes())
            .expect("it takes bytes");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line comes in time");
        line.trim_end().to_owned()
    }

    /// Sends a line and returns the first line of the answer.
    fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.line()
    }
}

/// A line of MONITOR without its time and address.
fn without_time(line: &str) -> String {
    let form = Regex::new(r"^\+\d{10}\.\d{6} \[(\d+) unix:[^\]]+\]").expect("it is an expression");
    form.replace(line, "[$1]").into_owned()
}

#[test]
fn a_monitor_sees_the_commands_of_all_clients_until_it_resets() {
    for server in ComparedServer::all(Kind::Redis, "MONITOR") {
        let (mut monitor, mut other) = (Client::connect(&server), Client::connect(&server));
        assert_eq!(monitor.ask("MONITOR"), "+OK");
        for request in [
            r#"SET a "x \"\\ \r\n\t\x01""#,
            "SELECT 1",
            "CONFIG GET nothing",
            "HELLO 2 AUTH someone secret",
            "AUTH secret",
            "NOPE",
            "GET",
            "MULTI",
            "GET a b",
            "DISCARD",
            "CLIENT ID",
        ] {
            other.ask(request);
        }
        let expected = [
            r#"[0] "SET" "a" "x \"\\ \r\n\t\x01""#,
            r#"[1] "SELECT" "1""#,
            r#"[1] "HELLO" "2" "AUTH" "(redacted)" "(redacted)""#,
            r#"[1] "AUTH" "(redacted)""#,
            r#"[1] "MULTI""#,
            r#"[1] "DISCARD""#,
            r#"[1] "CLIENT" "ID""#,
        ];
        for line in expected {
            assert_eq!(without_time(&monitor.line()), line);
        }
        // A transaction is shown when it runs.
        other.send("MULTI\r\nINCR n\r\nMONITOR\r\nEXEC");
        for line in ["MULTI", "INCR\" \"n", "EXEC"] {
            assert_eq!(without_time(&monitor.line()), format!("[1] \"{line}\""));
        }
        let answers: Vec<_> = (0..6).map(|_| other.line()).collect();
        let refused = "-ERR MONITOR isn't allowed for DENY BLOCKING client";
        assert_eq!(answers[4..], [":1", refused]);
        let refused = "-ERR Replica can't interact with the keyspace";
        assert_eq!(monitor.ask("GET a"), refused);
        assert_eq!(monitor.ask("RESET"), "+RESET");
        other.ask("GET a");
        assert_eq!(monitor.ask("GET nothing"), "$-1");
    }
}

#[test]
fn writes_wait_while_clients_are_paused() {
    for server in ComparedServer::all(Kind::Redis, "MONITOR") {
        let (mut one, mut other) = (Client::connect(&server), Client::connect(&server));
        assert_eq!(one.ask("CLIENT PAUSE 600000 WRITE"), "+OK");
        other.send("PING\r\nSET x 1\r\nINCR x");
        assert_eq!(other.line(), "+PONG");
        assert_eq!(one.ask("GET x"), "$-1");
        assert_eq!(one.ask("CLIENT UNPAUSE"), "+OK");
        assert_eq!(other.line(), "+OK");
        assert_eq!(other.line(), ":2");
        // Without a mode all commands wait, up to the time.
        assert_eq!(one.ask("CLIENT PAUSE 50"), "+OK");
        assert_eq!(other.ask("INCR x"), ":3");
    }
}

#[test]
fn requests_of_both_protocols_are_in_one_slow_log() {
    for model in [Model::Turns, Model::Threads] {
        let server = ComparedServer::larder(model);
        let mut resp = Client::connect(&server);
        let mut memcached = Client(server.connect("memcached"));
        assert_eq!(resp.ask("CONFIG SET slowlog-log-slower-than 0"), "+OK");
        assert_eq!(memcached.ask("set key 0 0 6\r\nsecret"), "STORED");
        assert_eq!(resp.ask("CONFIG SET slowlog-log-slower-than -1"), "+OK");
        let mut lines = vec![memcached.ask("stats slowlog")];
        while lines.last().is_some_and(|line| line != "END") {
            lines.push(memcached.line());
        }
        let value = |name: &str| {
            let name = format!("STAT {name} ");
            let line = lines.iter().find_map(|line| line.strip_prefix(&name));
            line.map(str::to_owned)
                .unwrap_or_else(|| panic!("{lines:?}"))
        };
        assert_eq!(value("slowlog_log_slower_than"), "-1");
        assert_eq!(value("slowlog_max_len"), "128");
        let of_set = lines
            .iter()
            .find_map(|line| line.strip_suffix(":request set%20key%200%200%206"))
            .unwrap_or_else(|| panic!("{lines:?}"));
        let id = of_set.strip_prefix("STAT slowlog:").expect("its number");
        assert!(value(&format!("slowlog:{id}:time")).parse::<u64>().is_ok());
        assert!(value(&format!("slowlog:{id}:usec")).parse::<u64>().is_ok());
        let client = value(&format!("slowlog:{id}:client"));
        assert!(client.ends_with("memcached"), "{client}");
        assert!(!lines.concat().contains("secret"), "{lines:?}");
    }
}

/// The numbers of the event `command` in LATENCY LATEST: time, milliseconds of the last sample and of the longest one.
fn latest_of_command(client: &mut Client) -> Option<Vec<u64>> {
    let events: usize = client.ask("LATENCY LATEST")[1..].parse().expect("a number");
    let mut found = None;
    for _ in 0..events {
        let lines: Vec<String> = (0..6).map(|_| client.line()).collect();
        assert_eq!(lines[0], "*4");
        if lines[2] == "command" {
            let number = |line: &String| line[1..].parse().expect("a number");
            found = Some(lines[3..].iter().map(number).collect());
        }
    }
    found
}

#[test]
fn a_command_that_takes_long_is_an_event_of_the_latency_monitor() {
    let form = |text: &str| Regex::new(text).expect("it is an expression");
    let title = form(r"^command - high \d+ ms, low \d+ ms \(all time high \d+ ms\)$");
    let event = form(
        r"^\d\. command: \d+ latency spikes \(average \d+ms, mean deviation \d+ms, period \d+\.\d\d sec\)",
    );
    for server in ComparedServer::all(Kind::Redis, "LATENCY") {
        let mut client = Client::connect(&server);
        for key in ["a", "b"] {
            let value = key.repeat(3000);
            assert_eq!(client.ask(&format!("SET {key} {value}")), "+OK");
        }
        // Nine million comparisons take more than a millisecond anywhere.
        assert_eq!(client.ask("LCS a b LEN"), ":0");
        assert_eq!(latest_of_command(&mut client), None, "it is off");
        assert_eq!(client.ask("CONFIG SET latency-monitor-threshold 1"), "+OK");
        assert_eq!(client.ask("LCS a b LEN"), ":0");
        assert_eq!(client.ask("CONFIG SET latency-monitor-threshold 0"), "+OK");
        let latest = latest_of_command(&mut client).expect("an event");
        assert!(latest[0] > 1_700_000_000 && latest[1] >= 1 && latest[2] >= latest[1]);
        assert_ne!(client.ask("LATENCY HISTORY command"), "*0");
        let lines: Vec<String> = (0..3).map(|_| client.line()).collect();
        assert_eq!(lines[0], "*2");
        assert!(lines[1].starts_with(':') && lines[2].starts_with(':'));
        let mut other = Client::connect(&server);
        assert!(other.ask("LATENCY GRAPH command").starts_with('$'));
        let line = other.line();
        assert!(title.is_match(&line), "{line}");
        assert_eq!(other.line(), "-".repeat(80));
        let mut other = Client::connect(&server);
        assert!(other.ask("LATENCY DOCTOR").starts_with('$'));
        while !event.is_match(&other.line()) {}
        let mut other = Client::connect(&server);
        assert_eq!(other.ask("LATENCY RESET COMMAND nothing"), ":1");
        assert_eq!(latest_of_command(&mut other), None);
    }
}

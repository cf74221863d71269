//! `larder bench` against larder, memcached and redis-server, and against servers that are wrong in one place.

#[path = "support/mod.rs"]
mod support;
mod tls_support;

mod bench {
    mod requests;
    mod tls;
}

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use larder::Server;
use serde_json::Value;
use support::{Kind, Peer, skip};

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(60);

/// The output of a run, and its exit code.
struct Ran {
    code: Option<i32>,
    out: String,
    error: String,
}

fn bench(arguments: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_larder"))
        .arg("bench")
        .args(arguments)
        .output()
        .expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Ran {
        code: output.status.code(),
        out: text(output.stdout),
        error: text(output.stderr),
    }
}

impl Ran {
    /// The report of a run in which every reply was right.
    #[track_caller]
    fn report(&self) -> Value {
        assert_eq!(
            (self.code, self.error.as_str()),
            (Some(0), ""),
            "{}",
            self.out
        );
        serde_json::from_str(&self.out).expect("it is JSON")
    }

    /// The report of a run in which replies were wrong.
    #[track_caller]
    fn report_of_faults(&self) -> Value {
        self.fails(1, "errors or wrong values");
        serde_json::from_str(&self.out).expect("it is JSON")
    }

    #[track_caller]
    fn fails(&self, code: i32, error: &str) {
        assert_eq!(self.code, Some(code), "{}{}", self.out, self.error);
        assert!(self.error.contains(error), "{}", self.error);
    }
}

/// A small load whose counts are certain.
const COUNTED: [&str; 11] = [
    "--requests",
    "1000",
    "--warm-up",
    "0",
    "--keys",
    "100",
    "--connections",
    "5",
    "--timeout",
    "60",
    "--json",
];

fn counted(address: &str, more: &[&str]) -> Ran {
    bench(&[&[address], COUNTED.as_slice(), more].concat())
}

/// All keys are set, then come 900 gets and 100 sets.
#[track_caller]
fn counts_are_exact(address: &str, protocol: &str) {
    let several: &[&[&str]] = &[
        &[],
        &["--threads", "2", "--pipeline", "7", "--zipf", "0.99"],
        &[
            "--protocol",
            protocol,
            "--value-size",
            "0-70000",
            "--seed",
            "5",
        ],
        &["--rate", "100000", "--threads", "3"],
    ];
    for more in several {
        let report = counted(address, more).report();
        let count = |name: &str| report[name]["requests"].clone();
        assert_eq!(report["protocol"], protocol);
        assert_eq!(
            (count("get"), count("set"), count("all")),
            (900.into(), 100.into(), 1000.into())
        );
        assert_eq!(
            (&report["hits"], &report["misses"]),
            (&900.into(), &0.into()),
            "{more:?}"
        );
        assert_eq!(
            (&report["wrong_values"], &report["unsent"]),
            (&0.into(), &0.into())
        );
        assert_eq!(report["errors"], serde_json::json!({}));
    }
}

/// The answer to a request, up to a line that is `last`, or the server's silence.
fn ask(address: std::net::SocketAddr, request: &str, last: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(request.as_bytes()).expect("send");
    let mut answer = String::new();
    let mut lines = BufReader::new(stream);
    while !answer.ends_with(last) {
        assert_ne!(
            lines.read_line(&mut answer).expect("an answer"),
            0,
            "{answer}"
        );
    }
    answer
}

#[test]
fn the_server_counts_the_same_requests() {
    for protocol in ["memcached", "meta", "binary"] {
        let server = Server::builder().start().expect("free ports");
        let address = server.memcached_addr();
        let more = ["--protocol", protocol, "--value-size", "0-70000"];
        let report = counted(&address.to_string(), &more).report();
        assert_eq!(report["protocol"], protocol);
        assert_eq!(
            (&report["hits"], &report["wrong_values"], &report["errors"]),
            (&900.into(), &0.into(), &serde_json::json!({}))
        );
        let stats = ask(address, "stats\r\n", "END\r\n");
        for line in [
            "STAT cmd_get 900\r\n",
            "STAT get_hits 900\r\n",
            "STAT cmd_set 200\r\n",
        ] {
            assert!(stats.contains(line), "{line}{stats}");
        }
    }
}

#[test]
fn counts_are_exact_against_larder() {
    let server = Server::builder().start().expect("free ports");
    counts_are_exact(&server.memcached_addr().to_string(), "memcached");
    counts_are_exact(&server.resp_addr().to_string(), "resp");
}

#[test]
fn counts_are_exact_against_memcached() {
    let Some(peer) = Peer::start(Kind::Memcached, &[]).expect("it starts") else {
        skip!("memcached is not installed, so it was not loaded");
    };
    let address = peer.address().to_string();
    counts_are_exact(&address, "memcached");
    for protocol in ["meta", "binary"] {
        let report = counted(&address, &["--protocol", protocol]).report();
        assert_eq!(
            (&report["hits"], &report["wrong_values"]),
            (&900.into(), &0.into())
        );
        let several = ["--protocol", protocol, "--multi-get", "2"];
        counted(&address, &several).fails(2, "has no get of several keys");
    }
}

#[test]
fn counts_are_exact_against_redis() {
    let Some(peer) = Peer::start(Kind::Redis, &[]).expect("it starts") else {
        skip!("redis-server is not installed, so it was not loaded");
    };
    counts_are_exact(&peer.address().to_string(), "resp");
}

#[test]
fn keys_that_were_never_set_are_misses() {
    let server = Server::builder().start().expect("free ports");
    let address = server.resp_addr().to_string();
    let report = counted(&address, &["--no-fill", "--ratio", "1:0"]).report();
    assert_eq!(
        (&report["hits"], &report["misses"]),
        (&0.into(), &1000.into())
    );
    assert_eq!(report["hit_ratio"], 0.0);
    assert_eq!(report["set"], Value::Null);
    let report = counted(&address, &["--ratio", "0:1"]).report();
    assert_eq!(
        (&report["hit_ratio"], &report["get"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn the_table_has_all_that_was_measured() {
    let server = Server::builder().start().expect("free ports");
    let address = server.memcached_addr().to_string();
    let pid = std::process::id().to_string();
    let load = [
        "--seconds",
        "0.2",
        "--warm-up",
        "0.1",
        "--timeout",
        "60",
        "--pid",
        &pid,
    ];
    let ran = bench(&[&[address.as_str()], load.as_slice()].concat());
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{}", ran.out);
    let begins = [
        "127.0.0.1:",
        "",
        "µs ",
        "get ",
        "set ",
        "all ",
        "",
        "hit ratio     100.00%: ",
        "values        all ",
    ];
    let rest = ["traffic ", "server ", "this tool "];
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), begins.len() + rest.len(), "{}", ran.out);
    for (line, begin) in lines.iter().zip(begins.iter().chain(&rest)) {
        assert!(line.starts_with(begin), "{}", ran.out);
    }
}

#[test]
fn a_load_that_is_impossible_is_refused_with_its_reason() {
    let server = Server::builder().start().expect("free ports");
    let address = server.memcached_addr().to_string();
    for (more, reason) in [
        (["--key-size", "1"], "10000 keys need from 4 to 250 bytes"),
        (["--threads", "51"], "needs as many --connections"),
        (["--pid", "4294967295"], "--pid 4294967295: "),
        (["--ratio", "1"], "write 9:1"),
        (["--value-size", "x"], "write 100, 16KiB"),
    ] {
        bench(&[&[address.as_str()], more.as_slice()].concat()).fails(2, reason);
    }
}

/// A memcached server for as many connections as come, whose reply to a request line comes from `reply`. The reply to
/// a set comes after its value was read. An empty reply closes the connection.
fn planted(reply: fn(&str) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.expect("a connection"), reply));
        }
    });
    address
}

fn serve(mut stream: TcpStream, reply: fn(&str) -> String) {
    let mut input = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut line = String::new();
    while matches!(input.read_line(&mut line), Ok(count) if count > 0) {
        if let Some(length) = line
            .strip_prefix("set ")
            .and_then(|rest| rest.split_whitespace().nth(3))
        {
            let mut value = vec![0; length.parse::<usize>().expect("a length") + 2];
            input.read_exact(&mut value).expect("a value");
        }
        let reply = reply(line.trim_end());
        if reply.is_empty() || stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// A load for a planted server.
fn load(address: &str, more: &[&str]) -> Ran {
    counted(address, &[&["--protocol", "memcached"], more].concat())
}

#[test]
fn a_wrong_value_is_found_and_the_key_is_named() {
    let address = planted(|line| match line.strip_prefix("get ") {
        Some(key) => format!("VALUE {key} 0 3\r\nabc\r\nEND\r\n"),
        None => "STORED\r\n".into(),
    });
    let ran = load(&address, &["--value-size", "3"]);
    let report = ran.report_of_faults();
    assert_eq!(
        (&report["hits"], &report["wrong_values"]),
        (&900.into(), &900.into())
    );
    let first = report["first_wrong_value"].as_str().expect("a text");
    assert!(first.starts_with("key:0000000000"), "{first}");
    assert!(
        first.contains(": it differs from the value that was set at byte "),
        "{first}"
    );
}

#[test]
fn the_value_of_another_key_is_an_error() {
    let address = planted(|line| match line.starts_with("get ") {
        true => "VALUE other 0 3\r\nabc\r\nEND\r\n".into(),
        false => "STORED\r\n".into(),
    });
    let ran = load(&address, &[]);
    let report = ran.report_of_faults();
    assert_eq!(
        report["errors"],
        serde_json::json!({"VALUE other 0 3": 900})
    );
}

#[test]
fn errors_of_the_server_are_counted_by_their_text() {
    let address = planted(|line| match line.starts_with("get ") {
        true => "SERVER_ERROR busy\r\n".into(),
        false => "STORED\r\n".into(),
    });
    let ran = load(&address, &[]);
    let report = ran.report_of_faults();
    assert_eq!(
        report["errors"],
        serde_json::json!({"SERVER_ERROR busy": 900})
    );
    let full = planted(|_| "SERVER_ERROR out of memory storing object\r\n".into());
    load(&full, &[]).fails(
        2,
        "100 of 100 keys can't be set: SERVER_ERROR out of memory storing object",
    );
}

#[test]
fn a_run_that_can_not_be_made_ends_with_its_reason() {
    let nobody = format!("127.0.0.1:{}", support::reserved_port());
    load(&nobody, &[]).fails(2, "no server answers at 127.0.0.1:");

    let closing = planted(|line| match line.starts_with("get ") {
        true => String::new(),
        false => "STORED\r\n".into(),
    });
    load(&closing, &[]).fails(
        2,
        "the server closed a connection with 1 unanswered requests",
    );

    let silent = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = silent.local_addr().expect("an address").to_string();
    let impatient = [&address, "--protocol", "memcached", "--timeout", "0.2"];
    bench(&impatient).fails(2, "no reply for 200ms");

    let garbage = planted(|_| "HELLO\r\n".into());
    load(&garbage, &[]).fails(2, "a malformed reply: \"HELLO");
}

/// The server stops for 300 ms at its first get. At 1,000 requests a second 100 requests are due before it goes on, so
/// the quickest of them has waited for 200 ms, although each reply follows its sending at once.
#[test]
fn an_open_loop_shows_the_requests_that_a_slow_server_keeps_from_being_sent() {
    let address = planted(|line| {
        static FIRST: std::sync::Once = std::sync::Once::new();
        if line.starts_with("get ") {
            FIRST.call_once(|| std::thread::sleep(Duration::from_millis(300)));
            return "END\r\n".into();
        }
        "STORED\r\n".into()
    });
    let open = [
        "--requests",
        "100",
        "--warm-up",
        "0",
        "--connections",
        "1",
        "--rate",
        "1000",
    ];
    let rest = [
        "--ratio",
        "1:0",
        "--protocol",
        "memcached",
        "--timeout",
        "60",
        "--json",
    ];
    let ran = bench(&[&[address.as_str()], open.as_slice(), rest.as_slice()].concat());
    let report = ran.report();
    let micros = |of: &str, what: &str| report[of][what].as_f64().expect("a number");
    assert!(micros("all", "max_us") >= 300_000.0, "{report:#}");
    assert!(micros("all", "p50_us") >= 200_000.0, "{report:#}");
    assert!(micros("all", "mean_us") >= 200_000.0, "{report:#}");
    assert_eq!(report["tool"]["sent_late"]["requests"], 100);
    // On a machine of any speed, the server kept all requests but the first for at least 200 ms.
    let late = report["tool"]["sent_late"]["mean_us"]
        .as_f64()
        .expect("a number");
    let kept = micros("all", "mean_us") - micros("from_sending", "mean_us") - late;
    assert!(kept >= 190_000.0, "{report:#}");
    assert!(
        micros("from_sending", "mean_us") < micros("all", "mean_us"),
        "{report:#}"
    );
}

#[test]
fn two_servers_are_loaded_in_turn_and_compared() {
    let servers = [(); 2].map(|()| Server::builder().start().expect("free ports"));
    let first = servers[0].memcached_addr().to_string();
    let second = servers[1].resp_addr().to_string();
    let load = [
        "--seconds",
        "0.4",
        "--slice",
        "0.1",
        "--warm-up",
        "0",
        "--keys",
        "100",
        "--timeout",
        "60",
    ];
    let own = std::process::id().to_string();
    let more = [
        "--versus",
        &second,
        "--json",
        "--pid",
        &own,
        "--versus-pid",
        &own,
    ];
    let report = bench(&[&[first.as_str()], load.as_slice(), more.as_slice()].concat()).report();
    assert_eq!(
        (&report["first"]["protocol"], &report["second"]["protocol"]),
        (&"memcached".into(), &"resp".into())
    );
    for figure in ["rate", "p50", "p99", "p99.9"] {
        let ratio = |what: &str| report["ratio"][figure][what].as_f64().expect("a number");
        assert_eq!(ratio("pairs"), 4.0);
        assert!(
            ratio("lower_quartile") <= ratio("median")
                && ratio("median") <= ratio("upper_quartile")
        );
        assert!(ratio("lower_quartile") > 0.0);
    }
    for side in ["first", "second"] {
        assert!(
            report[side]["requests"].as_u64().expect("a number") >= 4,
            "{report:#}"
        );
        assert!(
            report[side]["server"]["resident_bytes"]
                .as_u64()
                .expect("a number")
                > 0
        );
    }

    let directory = tempfile::tempdir().expect("a directory");
    let plot = directory.path().join("plot.svg");
    let more = [
        "--versus",
        &second,
        "--plot",
        plot.to_str().expect("a path"),
    ];
    let ran = bench(&[&[first.as_str()], load.as_slice(), more.as_slice()].concat());
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{}", ran.out);
    let title = format!("{first} / {second}, median of 4 pairs");
    assert!(ran.out.contains(&title), "{}", ran.out);
    let plot = std::fs::read_to_string(plot).expect("it was written");
    assert_eq!(plot.matches("class=\"plot-line\"").count(), 2, "{plot}");

    let more = ["--versus", &second, "--requests", "5"];
    bench(&[&[first.as_str()], more.as_slice()].concat())
        .fails(2, "use --seconds instead of --requests");
}

/// A trace with a key that is set before it is read, two that miss first, one that is deleted, and one that no server of
/// memcached accepts.
const TRACE: &str = "time,key,size,op,ttl\n\
    1,a,10,set,0\n1,a,10,get,0\n2,b,7,get,0\n2,b,7,get,0\n2,b,7,get,0\n3,c,9,get,60\n3,a,0,delete,0\n4,a,5,get,0\n\
    4,a b,5,get,0\n5,c,9,get,0\n5,a,5,get,0\n";

#[test]
fn a_trace_is_replayed_with_a_set_after_each_miss() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("trace.csv");
    std::fs::write(&path, TRACE).expect("it can be written");
    let trace = path.to_str().expect("a path");
    let server = Server::builder().start().expect("free ports");
    let mut addresses = vec![server.memcached_addr().to_string()];
    let peers =
        [Kind::Memcached, Kind::Redis].map(|kind| Peer::start(kind, &[]).expect("it starts"));
    addresses.extend(
        peers
            .iter()
            .flatten()
            .map(|peer| peer.address().to_string()),
    );
    for address in &addresses {
        let report = bench(&[address, "--replay", trace, "--timeout", "60", "--json"]).report();
        assert_eq!(
            (&report["hits"], &report["misses"]),
            (&5.into(), &3.into()),
            "{address}"
        );
        // The set and the delete of the trace, and a set for each miss.
        assert_eq!(report["set"]["requests"], 5);
        assert_eq!(report["wrong_values"], 0);
    }

    let other = server.resp_addr().to_string();
    let both = [
        addresses[0].as_str(),
        "--versus",
        &other,
        "--replay",
        trace,
        "--requests",
        "3",
        "--timeout",
        "60",
    ];
    let ran = bench(&both);
    assert_eq!((ran.code, ran.error.as_str()), (Some(0), ""), "{}", ran.out);
    assert!(ran.out.contains("+0.00 points"), "{}", ran.out);

    std::fs::write(&path, "1,a,10,jump,0\n").expect("it can be written");
    bench(&[&addresses[0], "--replay", trace])
        .fails(2, "trace.csv: line 1: `jump` is not a known operation");
    bench(&[&addresses[0], "--replay", trace, "--zipf", "1"]).fails(2, "cannot be used with");
}

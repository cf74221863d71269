//! `larder probe` against servers that are right, servers that are wrong in one place, and no
//! server at all.

#[path = "../support/mod.rs"]
mod support;

mod other_languages;
mod planted;

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;

use clap::{Parser, ValueEnum};
use larder::pool::Placement;
use larder::proxy::{self, Proxy};
use larder::server::Listen;
use larder::tools::probe::{self, Args, Suite};
use larder::tools::transcript::Protocol;
use support::{Kind, Peer, skip};

/// The command line as the binary has it.
#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: Args,
}

/// Runs `larder probe` with `arguments`: returns whether nothing failed, and the output.
fn probe(arguments: &[&str]) -> Result<(bool, String), String> {
    let line = std::iter::once(&"probe").chain(arguments);
    let line = Line::try_parse_from(line).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let passed = probe::probe(&line.arguments, &mut out)?;
    Ok((passed, String::from_utf8(out).expect("it prints text")))
}

/// A report in JSON, read again.
fn report(arguments: &[&str]) -> serde_json::Value {
    let all = [arguments, &["--format", "json"]].concat();
    let (_, printed) = probe(&all).expect("the probe is made");
    serde_json::from_str(&printed).expect("it is JSON")
}

/// The names of the transcripts that a report has as failed.
fn failed(report: &serde_json::Value) -> Vec<String> {
    let all = report["transcripts"]
        .as_array()
        .expect("a list of transcripts");
    let failed = all.iter().filter(|entry| entry["result"] == "failed");
    failed
        .map(|entry| entry["name"].as_str().expect("a name").to_owned())
        .collect()
}

#[track_caller]
fn passes_whole(address: &str, suite: &str) {
    // A machine that is busy with other tests may leave a server waiting for longer than a person would.
    let arguments = [address, "--suite", suite, "--timeout", "20"];
    let (passed, table) = probe(&arguments).expect("the probe is made");
    assert!(passed, "{table}");
    assert!(table.contains(" 0 failed"), "{table}");
    assert!(!table.contains("\n0 passed"), "{table}");
}

#[test]
fn real_memcached_passes_whole() {
    let Some(peer) = Peer::start(Kind::Memcached, &[]).expect("it starts") else {
        skip!("memcached is not installed, so the probe was not tried on it");
    };
    passes_whole(&peer.address().to_string(), "memcached");
}

#[test]
fn real_memcached_passes_udp_whole() {
    let Some(peer) = Peer::start_with_udp(Kind::Memcached, &[]).expect("it starts") else {
        skip!("memcached is not installed, so the probe was not tried on it");
    };
    passes_whole(&peer.address().to_string(), "udp");
}

#[test]
fn without_udp_no_server_answers() {
    let unused = std::net::UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = unused.local_addr().expect("bound").to_string();
    let error = probe(&[&address, "--suite", "udp", "--timeout", "0.1"]).expect_err("it is silent");
    assert_eq!(
        error,
        format!("no server answers at {address}: no datagram came back")
    );
    let path = ["/tmp/x", "--suite", "udp"];
    let error = probe(&path).expect_err("a path has no UDP");
    assert!(error.ends_with("UDP needs an address host:port"), "{error}");
    let both = [&address[..], "--only", "udp/get", "--only", "memcached/add"];
    let error = probe(&both).expect_err("they can't be mixed");
    assert!(error.contains("need different ports"), "{error}");
}

#[test]
fn real_redis_passes_whole() {
    let Some(peer) = Peer::start(Kind::Redis, &[]).expect("it starts") else {
        skip!("redis-server is not installed, so the probe was not tried on it");
    };
    passes_whole(&peer.address().to_string(), "resp");
}

#[test]
fn larder_passes_whole() {
    for suite in Suite::value_variants() {
        let server = match suite {
            Suite::Udp => support::larder::plain_udp(),
            _ => support::larder::plain(suite.protocol(), |service| service),
        };
        passes_whole(&server.address().to_string(), suite.name());
    }
}

#[test]
fn larder_behind_a_proxy_passes_the_binary_suite_whole() {
    let server = larder::Server::start().expect("it starts on free ports");
    let list = format!("{} 1\n", server.memcached_addr());
    let settings = proxy::Settings::new(proxy::Protocol::Memcached);
    let proxy = Proxy::new(settings, list.parse().expect("a list"), Placement::Ketama);
    let (running, _control) = proxy
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    passes_whole(&running.addresses()[0].to_string(), Suite::Binary.name());
}

#[test]
fn the_protocol_of_a_server_is_detected() {
    for (suite, stage) in [
        (Suite::Echo, "1"),
        (Suite::Memcached, "3"),
        (Suite::Resp, "6"),
    ] {
        let server = support::larder::plain(suite.protocol(), |service| service);
        let address = server.address().to_string();
        let report = report(&[&address, "--stage", stage, "--wait", "0"]);
        let suites = report["transcripts"].as_array().expect("a list").iter();
        let mut suites: Vec<_> = suites.map(|entry| entry["suite"].clone()).collect();
        suites.dedup();
        assert_eq!(suites, [suite.name()]);
    }
}

#[test]
fn every_transcript_is_in_the_binary() {
    let embedded = probe::transcripts().expect("they can be read");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let files = support::files(&root);
    let mut names: Vec<_> = files
        .iter()
        .map(|file| support::name(&root, file))
        .collect();
    names.sort();
    let embedded: Vec<_> = embedded
        .into_iter()
        .map(|transcript| transcript.name)
        .collect();
    assert_eq!(embedded, names);
}

#[test]
fn a_list_needs_no_server() {
    let (_, list) = probe(&["--list"]).expect("a list");
    assert_eq!(
        list.lines().count(),
        probe::transcripts().expect("they can be read").len()
    );
    let (_, list) = probe(&["--list", "--suite", "resp", "--only", "resp/watch"]).expect("a list");
    assert_eq!(list.lines().count(), 1);
    assert!(list.starts_with("resp/watch  resp       stage "), "{list}");
    let (_, list) = probe(&["--list", "--stage", "1"]).expect("a list");
    assert!(
        list.lines().all(|line| line.contains("  stage 1   ")),
        "{list}"
    );
}

#[test]
fn a_probe_that_cannot_be_made_is_an_error() {
    let unused = tempfile::tempdir().expect("a directory");
    let unused = unused.path().join("socket").display().to_string();
    for (arguments, expected) in [
        (&[unused.as_str()][..], "no server answers at unix:"),
        (
            &[unused.as_str(), "--suite", "resp"],
            "no server answers at unix:",
        ),
        (
            &["--list", "--only", "resp/nothing"],
            "there is no transcript resp/nothing",
        ),
        (
            &["--list", "--suite", "resp", "--stage", "1"],
            "no transcript matches",
        ),
        (&[], "required arguments were not provided"),
        (&["x", "--timeout=-1"], "from 0 to 86400"),
        (&["x", "--timeout", "inf"], "from 0 to 86400"),
        (&["x", "--timeout", "0"], "try 0.1"),
    ] {
        let error = probe(arguments).expect_err(expected);
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_silent_server_is_reported_as_silent() {
    let server = planted::silent();
    let error = probe(&[&server, "--timeout", "0.1"]).expect_err("its protocol is unknown");
    assert!(error.contains("give --suite"), "{error}");
    let arguments = [&server, "--timeout", "0.1", "--only", "memcached/version"];
    let error = probe(&arguments).expect_err("it may hold anything");
    assert!(
        error.contains("doesn't report whether it is empty"),
        "{error}"
    );
    let (passed, table) =
        probe(&[&arguments[..], &["--erase"]].concat()).expect("the probe is made");
    assert!(!passed);
    assert!(table.contains("no more bytes came for 100ms"), "{table}");
    assert!(
        table.ends_with("0 passed, 1 failed, 0 skipped\n"),
        "{table}"
    );
}

#[test]
fn the_exit_code_is_the_result() {
    let server = support::larder::plain(Protocol::Echo, |service| service);
    let (right, silent) = (server.address().to_string(), planted::silent());
    let unused = tempfile::tempdir().expect("a directory");
    let unused = unused.path().join("socket").display().to_string();
    for (arguments, code, expected) in [
        (&["--list"][..], 0, "memcached/add"),
        (
            &[right.as_str(), "--timeout", "60"],
            0,
            " 0 failed, 0 skipped",
        ),
        (
            &[
                silent.as_str(),
                "--timeout",
                "0.1",
                "--erase",
                "--only",
                "memcached/add",
            ],
            1,
            "1 failed",
        ),
        (
            &[unused.as_str()],
            2,
            "larder probe: no server answers at unix:",
        ),
        (&["--only", "x"], 2, "required arguments"),
    ] {
        let larder = Command::new(env!("CARGO_BIN_EXE_larder"))
            .arg("probe")
            .args(arguments)
            .output();
        let larder = larder.expect("the binary runs");
        let printed = [larder.stdout, larder.stderr].concat();
        let printed = String::from_utf8_lossy(&printed);
        assert_eq!(larder.status.code(), Some(code), "{arguments:?}: {printed}");
        assert!(printed.contains(expected), "{arguments:?}: {printed}");
    }
}

/// Sends `request` to a server and reads to the end of the connection.
fn ask(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("it listens");
    stream
        .write_all(request.as_bytes())
        .expect("it reads a request");
    stream.shutdown(Shutdown::Write).expect("it can be shut");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers text");
    answer
}

/// A server is refused while it holds data, and holds none after a probe.
#[track_caller]
fn is_erased_only_on_demand(address: &str, only: &str, store: &str, read: [&str; 2], held: &str) {
    let socket = Path::new(address.trim_start_matches("unix:"));
    let arguments = [address, "--timeout", "20", "--only", only];
    // A probe of an empty server: its remains must not count as data.
    assert!(probe(&arguments).expect("an empty server is probed").0);
    ask(socket, store);
    let error = probe(&arguments).expect_err("it holds data");
    assert!(error.contains(held) && error.contains("--erase"), "{error}");
    assert!(ask(socket, read[0]).contains(read[1]), "the data is gone");
    assert!(
        probe(&[&arguments[..], &["--erase"]].concat())
            .expect("it may")
            .0
    );
    assert!(!ask(socket, read[0]).contains(read[1]), "the data is there");
    assert!(probe(&arguments).expect("it is empty again").0);
}

#[test]
fn a_server_with_data_is_erased_only_on_demand() {
    for protocol in [Protocol::Memcached, Protocol::Resp] {
        let (kind, only, store, read, held) = match protocol {
            Protocol::Resp => (
                Kind::Redis,
                "resp/strings-set",
                "SELECT 3\r\nSET mine precious\r\n",
                ["SELECT 3\r\nGET mine\r\n", "precious"],
                "db3:keys=1",
            ),
            _ => (
                Kind::Memcached,
                "memcached/add",
                "set mine 0 0 8\r\nprecious\r\n",
                ["get mine\r\n", "precious"],
                "1 items",
            ),
        };
        let larder = support::larder::plain(protocol, |service| service);
        is_erased_only_on_demand(&larder.address().to_string(), only, store, read, held);
        match Peer::start(kind, &[]).expect("it starts") {
            Some(peer) => {
                is_erased_only_on_demand(&peer.address().to_string(), only, store, read, held);
            }
            None => support::skipped(&format!("{} is not installed", kind.program())),
        }
    }
}

/// The settings of a server are the same before and after transcripts that change them.
#[track_caller]
fn settings_stay(kind: Kind, arguments: &[&str], question: &str, setting: &str, changing: &[&str]) {
    let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    let Some(peer) = Peer::start(kind, &arguments).expect("it starts") else {
        support::skipped(&format!("{} is not installed", kind.program()));
        return;
    };
    // The time of the last flush_all is listed among the settings.
    let settings = || {
        let answer = ask(peer.socket(), question);
        let lines = answer
            .lines()
            .filter(|line| !line.starts_with("STAT oldest"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = settings();
    assert!(before.iter().any(|line| line == setting), "{before:?}");
    let address = peer.address().to_string();
    for changing in changing {
        let (_, table) = probe(&[&address, "--timeout", "20", "--only", changing]).expect("empty");
        assert_eq!(settings(), before, "{table}");
    }
}

#[test]
fn settings_are_restored() {
    settings_stay(
        Kind::Memcached,
        &["-m", "32"],
        "stats settings\r\n",
        "STAT maxbytes 33554432",
        &["memcached/verbosity", "memcached/missing_in_larder"],
    );
    settings_stay(
        Kind::Redis,
        &["--maxmemory", "32mb"],
        "CONFIG GET maxmemory\r\n",
        "33554432",
        &["resp/server-config"],
    );
}

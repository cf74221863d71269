//! `--admin`: the pages about a program that runs, for programs that watch it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::run::{FREE, Larder, Place, Printed, Talk, until};
use crate::support;

/// The answer to a request: its status line, the other lines of its head, and its body.
pub(crate) struct Answer {
    pub(crate) status: String,
    head: String,
    pub(crate) body: String,
}

/// Sends a request and reads the answer until the connection is closed.
#[track_caller]
pub(crate) fn request(address: &str, request: &str) -> Answer {
    let mut talk = Talk::tcp(address);
    talk.say(request);
    let text = talk.rest();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let (status, head) = head.split_once("\r\n").expect("two lines at least");
    Answer {
        status: status.to_owned(),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

#[track_caller]
pub(crate) fn get(larder: &Larder, path: &str) -> String {
    let address = larder.address("admin");
    let text = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = request(address, &text);
    assert_eq!(answer.status, "HTTP/1.1 200 OK", "{}", answer.body);
    answer.body
}

/// The samples of a page of metrics by name and labels, after a check of its form: each family has its help and its type
/// once, before its samples, which stand together.
#[track_caller]
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let (mut found, mut families) = (BTreeMap::new(), BTreeSet::new());
    let mut family = ("", "");
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, help) = help.split_once(' ').expect("a name and a text");
            assert!(families.insert(name), "{name} has two helps");
            assert!(help.ends_with(['.', '1']), "{line}");
            let kind = lines.next().expect("its type");
            let kind = kind.strip_prefix(&format!("# TYPE {name} "));
            family = (name, kind.unwrap_or_else(|| panic!("no type of {name}")));
            continue;
        }
        let (sample, value) = line.rsplit_once(' ').expect("a sample and its value");
        let name = sample.split('{').next().expect("a name");
        let is_of_family = match family.1 {
            "histogram" => ["_bucket", "_sum", "_count"]
                .iter()
                .any(|end| name.strip_suffix(end) == Some(family.0)),
            _ => name == family.0,
        };
        assert!(is_of_family, "{line} is not of {family:?}");
        let value: f64 = value.parse().expect(line);
        assert!(value.is_finite() && value >= 0.0, "{line}");
        assert_eq!(found.insert(sample.to_owned(), value), None, "{line}");
    }
    found
}

/// Checks a page with the parser of Prometheus's client for Python, and with promtool where it is installed.
#[track_caller]
pub(crate) fn check(page: &str) {
    let parse = "import sys; from prometheus_client.parser import text_string_to_metric_families as parse\n\
                 assert len([s for f in parse(sys.stdin.read()) for s in f.samples]) > 30";
    match support::scripts::python("prometheus_client") {
        Some(python) => piped(Command::new(python).args(["-c", parse]), page),
        None => support::skipped("prometheus-client for Python is not installed"),
    }
    if let Some(promtool) = support::find("promtool") {
        piped(Command::new(promtool).args(["check", "metrics"]), page);
    }
}

/// Runs a program with this input, which must succeed and print nothing.
#[track_caller]
fn piped(command: &mut Command, input: &str) {
    use std::io::Write;
    let command = command.stdin(Stdio::piped());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    let printed = Printed {
        code: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    };
    let quiet = printed.out.is_empty() && printed.err.is_empty();
    assert!(printed.code == Some(0) && quiet, "{printed:?}");
}

pub(crate) const ADMIN: [&str; 2] = ["--admin", "127.0.0.1:0"];

#[test]
fn the_metrics_count_what_clients_do_under_larder_s_names_and_those_of_exporters() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let before = samples(&get(&larder, "/metrics"));
    let mut memcached = larder.memcached();
    memcached.ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    memcached.ask("get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n");
    memcached.ask("get l\r\n", "END\r\n");
    memcached.ask("mg k v\r\n", "VA 1\r\nv\r\n");
    let mut resp = larder.resp();
    resp.ask("GET k\r\n", "$1\r\nv\r\n");
    resp.ask("SELECT 3\r\n", "+OK\r\n");
    resp.ask("SET m 1 EX 1000\r\n", "+OK\r\n");
    resp.ask(
        "HGET m f\r\n",
        "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n",
    );

    // A turn is counted at its end, which may come after its reply.
    until("all is counted", || {
        samples(&get(&larder, "/metrics"))["larder_requests_total{protocol=\"resp\"}"] == 4.0
    });
    let page = get(&larder, "/metrics");
    check(&page);
    let after = samples(&page);
    for (sample, count) in [
        ("larder_requests_total{protocol=\"text\"}", 3.0),
        ("larder_requests_total{protocol=\"meta\"}", 1.0),
        ("larder_requests_total{protocol=\"binary\"}", 0.0),
        ("larder_reads_total{result=\"hit\"}", 4.0),
        ("larder_reads_total{result=\"miss\"}", 1.0),
        (
            "larder_request_duration_seconds_count{protocol=\"resp\"}",
            4.0,
        ),
        (
            "larder_command_duration_seconds_count{protocol=\"resp\",command=\"get\"}",
            1.0,
        ),
        (
            "larder_commands_total{protocol=\"text\",command=\"get\"}",
            2.0,
        ),
        (
            "larder_commands_total{protocol=\"text\",command=\"set\"}",
            1.0,
        ),
        (
            "larder_commands_total{protocol=\"meta\",command=\"mg\"}",
            1.0,
        ),
        (
            "larder_commands_total{protocol=\"resp\",command=\"hget\"}",
            1.0,
        ),
        ("larder_items", 2.0),
        (
            "larder_items_removed_total{reason=\"evicted\",read=\"no\"}",
            0.0,
        ),
        ("larder_connections_accepted_total", 2.0),
        ("larder_memory_limit_bytes", 64.0 * 1048576.0),
        ("memcached_up", 1.0),
        (
            "memcached_commands_total{command=\"get\",status=\"hit\"}",
            2.0,
        ),
        (
            "memcached_commands_total{command=\"get\",status=\"miss\"}",
            1.0,
        ),
        (
            "memcached_commands_total{command=\"set\",status=\"hit\"}",
            1.0,
        ),
        ("memcached_current_items", 2.0),
        ("memcached_limit_bytes", 64.0 * 1048576.0),
        ("redis_up", 1.0),
        ("redis_commands_total{cmd=\"get\"}", 1.0),
        ("redis_commands_failed_calls_total{cmd=\"hget\"}", 1.0),
        ("redis_errors_total{err=\"WRONGTYPE\"}", 1.0),
        ("redis_connected_clients", 1.0),
        ("redis_db_keys{db=\"db0\"}", 1.0),
        ("redis_db_keys{db=\"db3\"}", 1.0),
        ("redis_db_keys_expiring{db=\"db3\"}", 1.0),
        ("redis_db_keys{db=\"db15\"}", 0.0),
    ] {
        assert_eq!(after.get(sample), Some(&count), "{sample}\n{page}");
    }
    // Of memcached's commands only a sample is timed: the first turn of a connection, and then one of sixteen.
    let timed = after["larder_request_duration_seconds_count{protocol=\"memcached\"}"];
    let timed_sets =
        after["larder_command_duration_seconds_count{protocol=\"text\",command=\"set\"}"];
    assert_eq!((timed, timed_sets), (1.0, 1.0));
    for le in ["0.000001", "0.0001", "0.1", "+Inf"] {
        let within = |le| {
            after[&format!(
                "larder_request_duration_seconds_bucket{{protocol=\"resp\",le=\"{le}\"}}"
            )]
        };
        assert!(within(le) <= within("+Inf"), "{le}");
    }
    let states = after
        .iter()
        .filter(|(name, _)| name.starts_with("larder_connections{"));
    let open: f64 = states.map(|(_, count)| count).sum();
    assert_eq!(open, 2.0);
    for name in [
        "process_resident_memory_bytes",
        "process_open_fds",
        "redis_start_time_seconds",
    ] {
        assert!(after[name] > 0.0, "{name}");
    }
    // Only commands and errors come with their first use.
    for sample in before.keys() {
        assert!(after.contains_key(sample), "{sample} is gone");
    }
    for sample in after.keys().filter(|sample| !before.contains_key(*sample)) {
        let used = ["redis_commands_", "redis_errors_", "larder_command"];
        assert!(used.iter().any(|name| sample.starts_with(name)), "{sample}");
    }
}

#[test]
fn a_protocol_without_a_listener_has_no_metrics_under_its_exporter_s_names() {
    let place = Place::new();
    let arguments = ["--memcached", "127.0.0.1:0", "--resp", "off"];
    let larder = place.serve(&[&arguments[..], &ADMIN].concat(), 2);
    let page = get(&larder, "/metrics");
    assert!(
        page.contains("\nmemcached_up 1\n") && !page.contains("\nredis_"),
        "{page}"
    );
    let arguments = ["--memcached", "off", "--resp", "127.0.0.1:0"];
    let larder = place.serve(&[&arguments[..], &ADMIN].concat(), 2);
    let page = get(&larder, "/metrics");
    assert!(
        page.contains("\nredis_up 1\n") && !page.contains("\nmemcached_"),
        "{page}"
    );
}

#[test]
fn the_health_is_bad_while_larder_ends_and_the_listener_answers_until_then() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    assert_eq!(get(&larder, "/healthz"), "ok\n");
    // A request under way keeps larder from ending.
    let mut slow = larder.memcached();
    slow.say("set k 0 0 5\r\nab");
    until("the request has begun", || {
        get(&larder, "/metrics").contains("larder_connections{state=\"receiving\"} 1\n")
    });
    larder.signal("TERM");
    let address = larder.address("admin").to_owned();
    let healthz = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    until("it is not healthy", || {
        request(&address, &healthz).status == "HTTP/1.1 503 Service Unavailable"
    });
    let answer = request(&address, &healthz);
    assert_eq!(
        answer.body,
        "larder ends: requests in flight are answered, and no new clients are accepted\n"
    );
    slow.ask("cde\r\n", "STORED\r\n");
    assert_eq!(larder.printed().code, Some(0));
    assert!(TcpStream::connect(&address).is_err());
}

#[test]
fn it_answers_while_all_workers_are_busy() {
    let place = Place::new();
    let model = ["--model", "threads", "--workers", "1"];
    let larder = place.serve(&[&FREE[..], &ADMIN, &model].concat(), 3);
    // One connection holds the only worker.
    let mut first = larder.memcached();
    first.ask("mn\r\n", "MN\r\n");
    let mut second = larder.resp();
    second.say("PING\r\n");
    assert_eq!(get(&larder, "/healthz"), "ok\n");
    until("both connections are accepted", || {
        get(&larder, "/metrics").contains("\nlarder_connections_accepted_total 2\n")
    });
    first.say("quit\r\n");
    second.hear("+PONG\r\n");
}

#[test]
fn malformed_and_large_requests_get_an_error_and_the_listener_goes_on() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let address = larder.address("admin");
    let host = format!("Host: {address}\r\n");
    let long = "x".repeat(9000);
    for (text, status) in [
        ("\x16\x03\x01\x02".to_owned(), "400"),
        ("version\r\n".into(), "400"),
        ("GET / HTTP/9.9\r\n\r\n".into(), "400"),
        ("GET /metrics HTTP/1.1\r\n\r\n".into(), "400"),
        (
            "GET /metrics HTTP/1.1\r\nHost: example.com\r\n\r\n".into(),
            "421",
        ),
        (format!("GET /nothing HTTP/1.1\r\n{host}\r\n"), "404"),
        (format!("GET /{long} HTTP/1.1\r\n{host}\r\n"), "431"),
        (format!("GET / HTTP/1.1\r\nX: {long}"), "431"),
        (
            format!("POST /metrics HTTP/1.1\r\n{host}Content-Length: 99999999999999\r\n\r\n"),
            "405",
        ),
        (
            format!(
                "PUT /healthz HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"
            ),
            "405",
        ),
    ] {
        let answer = request(address, &text);
        let start = format!("HTTP/1.1 {status} ");
        let shown = &text[..text.len().min(60)];
        assert!(
            answer.status.starts_with(&start),
            "{shown}: {}",
            answer.status
        );
        assert!(answer.head.contains("Connection: close"), "{shown}");
        assert_eq!(answer.head.contains("Allow: GET, HEAD"), status == "405");
        assert_eq!(get(&larder, "/healthz"), "ok\n");
    }
}

#[test]
fn silent_clients_are_closed_and_further_ones_refused_meanwhile() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let address = larder.address("admin");
    let healthz = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let mut silent = Vec::new();
    // On a slow machine the first are closed before the last are open.
    until("one client too many is refused", || {
        silent = (0..32).map(|_| Talk::tcp(address)).collect();
        silent.iter_mut().for_each(|talk| talk.say("GET /hea"));
        let answer = request(address, &healthz);
        let refused = answer.status == "HTTP/1.1 503 Service Unavailable";
        assert!(refused || answer.body == "ok\n", "{}", answer.body);
        refused && answer.body == "too many connections to the admin listener\n"
    });
    for mut talk in silent {
        // They are closed without an answer, because nothing more arrives.
        let end = talk.rest();
        assert!(end.is_empty() || end.starts_with("HTTP/1.1 408 "), "{end}");
    }
    assert_eq!(get(&larder, "/healthz"), "ok\n");
    // The cache has connections of its own.
    larder.memcached().ask("mn\r\n", "MN\r\n");
}

#[test]
fn it_is_off_unless_asked_for_and_can_be_in_the_file_or_on_a_unix_socket() {
    let place = Place::new();
    let mut larder = place.serve(&FREE, 2);
    larder.signal("TERM");
    assert_eq!(larder.ended().code(), Some(0));
    assert_eq!(larder.printed().out, "");

    place.write("larder.toml", "[serve]\nadmin = \"./admin.sock\"\n");
    let larder = place.serve(&FREE, 3);
    assert_eq!(larder.address("admin"), "./admin.sock");
    let mut talk = Talk::unix(&place.path("admin.sock"));
    talk.say("GET /healthz HTTP/1.1\r\nHost: any\r\n\r\n");
    assert!(talk.rest().ends_with("\r\n\r\nok\n"));

    let printed = place.run(&["config"]).out;
    assert!(
        printed.contains("\nadmin = \"./admin.sock\"\n"),
        "{printed}"
    );
    let printed = place.run(&["config", "--admin", "off"]).out;
    assert!(printed.contains("\nadmin = \"off\"\n"), "{printed}");
}

#[test]
fn an_address_in_use_is_named_with_the_option() {
    let place = Place::new();
    let larder = place.serve(&[&FREE[..], &ADMIN].concat(), 3);
    let address = larder.address("admin");
    let printed = place.run(&[&FREE[..], &["--admin", address]].concat());
    let expected = format!(
        "larder: can't listen on {address}: another process already does; choose another with --admin ADDR\n"
    );
    assert_eq!(printed.code, Some(1));
    assert!(printed.err.ends_with(&expected), "{printed:?}");
}

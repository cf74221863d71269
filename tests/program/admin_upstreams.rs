//! `--admin` of `larder proxy` and `larder invalidate`, and of a larder with an origin: the figures of the servers behind them.

use super::admin::{ADMIN, check, get, request, samples};
use super::run::{FREE, Larder, Place, Talk, until};
use crate::support::binary::binary_request;

/// The answer to `/healthz`: its status and its line.
#[track_caller]
fn health(larder: &Larder) -> (String, String) {
    let address = larder.address("admin");
    let text = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = request(address, &text);
    (answer.status["HTTP/1.1 ".len()..].to_owned(), answer.body)
}

fn healthy() -> (String, String) {
    ("200 OK".into(), "ok\n".into())
}

#[test]
fn a_proxy_shows_each_server_and_is_unhealthy_without_any() {
    let place = Place::new();
    let [first, second] = [(); 2].map(|()| larder::Server::start().expect("it starts"));
    let names = [&first, &second].map(|server| server.memcached_addr().to_string());
    let mut arguments = vec!["proxy", "--protocol", "memcached", "--listen"];
    arguments.extend(["127.0.0.1:0", "--failures", "1", "--upstream"]);
    arguments.extend(names.iter().map(String::as_str));
    let proxy = place.serve(&[&arguments[..], &ADMIN].concat(), 2);
    assert_eq!(health(&proxy), healthy());
    let mut client = proxy.memcached();
    for key in 0..50 {
        client.ask(format!("set {key} 0 0 1\r\nv\r\n"), "STORED\r\n");
    }
    // The proxy refuses the first, a server the second.
    client.ask("nonsense\r\n", "ERROR\r\n");
    client.ask(
        "incr 7 1\r\n",
        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
    );
    let page = get(&proxy, "/metrics");
    check(&page);
    let figures = samples(&page);
    let of = |name: &str, server: &str| {
        let sample = format!("{name}{{server=\"{server}\"}}");
        *figures
            .get(&sample)
            .unwrap_or_else(|| panic!("{sample}\n{page}"))
    };
    let sum = |name: &str| names.iter().map(|server| of(name, server)).sum::<f64>();
    assert_eq!(sum("larder_upstream_up"), 2.0);
    assert_eq!(sum("larder_upstream_requests_total"), 51.0);
    assert_eq!(sum("larder_upstream_request_duration_seconds_count"), 51.0);
    for (sample, value) in [
        ("larder_requests_total{protocol=\"text\"}", 51.0),
        ("larder_requests_total{protocol=\"binary\"}", 0.0),
        (
            "larder_commands_total{protocol=\"text\",command=\"set\"}",
            50.0,
        ),
        (
            "larder_commands_total{protocol=\"text\",command=\"incr\"}",
            1.0,
        ),
        (
            "larder_request_errors_total{protocol=\"memcached\",source=\"proxy\"}",
            1.0,
        ),
        (
            "larder_request_errors_total{protocol=\"memcached\",source=\"server\"}",
            1.0,
        ),
        // One of 16 is timed.
        (
            "larder_request_duration_seconds_count{protocol=\"memcached\"}",
            4.0,
        ),
    ] {
        assert_eq!(figures.get(sample), Some(&value), "{sample}\n{page}");
    }
    assert_eq!(sum("larder_upstream_errors_total"), 0.0);
    for server in &names {
        let bucket = |le: &str| {
            let labels = format!("server=\"{server}\",le=\"{le}\"");
            figures[&format!("larder_upstream_request_duration_seconds_bucket{{{labels}}}")]
        };
        let count = of("larder_upstream_request_duration_seconds_count", server);
        assert_eq!(bucket("+Inf"), count);
        assert!(bucket("0.001") <= bucket("10") && bucket("10") <= count);
        assert!(count > 0.0 && of("larder_upstream_connections", server) > 0.0);
    }
    assert!(
        page.contains("\nlarder_connections_accepted_total 1\n"),
        "{page}"
    );

    // One server may fail.
    drop(first);
    fail(&proxy, &names[0]);
    assert_eq!(health(&proxy), healthy());
    drop(second);
    fail(&proxy, &names[1]);
    let unhealthy = "all 2 servers are ejected after errors\n";
    assert_eq!(
        health(&proxy),
        ("503 Service Unavailable".into(), unhealthy.into())
    );
    assert!(get(&proxy, "/metrics").contains("\nlarder_healthy 0\n"));
}

#[test]
fn a_miss_or_a_condition_that_does_not_hold_is_no_error_in_any_protocol() {
    let place = Place::new();
    let server = larder::Server::start().expect("it starts");
    let name = server.memcached_addr().to_string();
    let arguments = ["proxy", "--protocol", "memcached", "--upstream", &name];
    let listen = ["--listen", "127.0.0.1:0"];
    let proxy = place.serve(&[&arguments[..], &listen, &ADMIN].concat(), 2);
    let mut client = proxy.memcached();
    client.ask("add k 0 0 1\r\nv\r\n", "STORED\r\n");
    client.ask("add k 0 0 1\r\nv\r\n", "NOT_STORED\r\n");
    client.ask("cas k 0 0 1 7000000\r\nv\r\n", "EXISTS\r\n");
    let binary = [
        // add, replace, append, delete
        binary_request(0x02, &[0; 8], b"k", b"v"),
        binary_request(0x03, &[0; 8], b"none", b"v"),
        binary_request(0x0e, &[], b"none", b"v"),
        binary_request(0x04, &[], b"none", b""),
        // increment: not a number
        binary_request(0x05, &[0; 20], b"k", b""),
    ];
    proxy.memcached().rough(&binary.concat());
    let answered = format!("larder_upstream_request_duration_seconds_count{{server=\"{name}\"}}");
    until("all requests are answered", || {
        samples(&get(&proxy, "/metrics"))[&answered] == 8.0
    });
    let errors = "larder_request_errors_total{protocol=\"memcached\",source=\"server\"}";
    assert_eq!(samples(&get(&proxy, "/metrics"))[errors], 1.0);
}

/// Sends requests until the server, which has ended, is ejected.
#[track_caller]
fn fail(proxy: &Larder, server: &str) {
    let ejected = format!("\nlarder_upstream_up{{server=\"{server}\"}} 0\n");
    until("it is ejected", || {
        let mut client = proxy.memcached();
        (0..50).for_each(|key| client.say(format!("get {key}\r\n")));
        client.say("quit\r\n");
        client.rest();
        get(proxy, "/metrics").contains(&ejected)
    });
}

#[test]
fn an_invalidation_server_shows_what_was_delivered_and_what_waits() {
    let place = Place::new();
    let cache = larder::Server::start().expect("it starts");
    let address = cache.memcached_addr().to_string();
    // Nobody listens on the second address.
    let absent = format!("127.0.0.1:{}", crate::support::reserved_port());
    let file = format!(
        "[[target]]\nname = \"near\"\nservers = [\"{address}\"]\n\
         [[target]]\nname = \"far\"\nservers = [\"{absent}\"]\n"
    );
    place.write("larder.toml", &file);
    let mut arguments = vec!["invalidate", "--listen", "127.0.0.1:0", "--resp"];
    arguments.extend(["127.0.0.1:0", "--spool", "spool", "--reads", "forward"]);
    let larder = place.serve(&[&arguments[..], &ADMIN].concat(), 3);
    Talk::tcp(&address).ask("set k 0 0 1\r\nv\r\n", "STORED\r\n");
    let near = format!("{{target=\"near\",server=\"{address}\"}}");
    let readable = format!("{{protocol=\"memcached\",server=\"{address}\"}}");
    let far = format!("{{target=\"far\",server=\"{absent}\"}}");
    until("it is connected", || {
        samples(&get(&larder, "/metrics"))[&format!("larder_target_up_to_date{near}")] == 1.0
    });
    let mut client = larder.memcached();
    client.ask("get k\r\n", "VALUE k 0 1\r\nv\r\nEND\r\n");
    client.ask("delete k\r\n", "DELETED\r\n");
    client.ask("delete l\r\n", "DELETED\r\n");
    let waits = format!("larder_target_waiting{far}");
    until("one has both deletes, and two wait for the other", || {
        let figures = samples(&get(&larder, "/metrics"));
        let recorded = figures[&format!("larder_target_waiting{near}")] == 0.0;
        recorded
            && figures[&format!("larder_target_delivered_total{near}")] == 2.0
            && figures[&waits] == 2.0
    });
    Talk::tcp(&address).ask("get k\r\n", "END\r\n");
    let page = get(&larder, "/metrics");
    check(&page);
    let figures = samples(&page);
    for (sample, value) in [
        ("larder_invalidations_accepted_total".to_owned(), 2.0),
        ("larder_invalidations_refused_total".into(), 0.0),
        ("larder_spool_writable".into(), 1.0),
        ("larder_requests_total{protocol=\"text\"}".into(), 3.0),
        (
            "larder_commands_total{protocol=\"text\",command=\"delete\"}".into(),
            2.0,
        ),
        ("larder_requests_total{protocol=\"resp\"}".into(), 0.0),
        (
            "larder_request_errors_total{protocol=\"memcached\",source=\"proxy\"}".into(),
            0.0,
        ),
        (format!("larder_upstream_up{readable}"), 1.0),
        (format!("larder_upstream_requests_total{readable}"), 1.0),
        (format!("larder_upstream_errors_total{readable}"), 0.0),
        (
            format!("larder_upstream_request_duration_seconds_count{readable}"),
            1.0,
        ),
        (format!("larder_target_up{near}"), 1.0),
        (format!("larder_target_waiting{near}"), 0.0),
        (format!("larder_target_up{far}"), 0.0),
        (format!("larder_target_up_to_date{far}"), 0.0),
        (format!("larder_target_delivered_total{far}"), 0.0),
        (
            "larder_connections_accepted_total{protocol=\"memcached\"}".into(),
            1.0,
        ),
        (
            "larder_connections_accepted_total{protocol=\"resp\"}".into(),
            0.0,
        ),
    ] {
        assert_eq!(figures.get(&sample), Some(&value), "{sample}\n{page}");
    }
    // Changes that wait are safe, so this is no reason to send clients elsewhere.
    assert_eq!(health(&larder), healthy());
}

#[test]
fn an_origin_has_its_figures() {
    let place = Place::new();
    let origin = ["--origin-command", "printf %s {key}"];
    let larder = place.serve(&[&FREE[..], &ADMIN, &origin].concat(), 3);
    larder
        .memcached()
        .ask("get k\r\n", "VALUE k 0 1\r\nk\r\nEND\r\n");
    let page = get(&larder, "/metrics");
    check(&page);
    let figures = samples(&page);
    for (sample, value) in [
        ("larder_origin_fetches_total", 1.0),
        ("larder_origin_found_total", 1.0),
        ("larder_origin_timeouts_total", 0.0),
        ("larder_origin_queued", 0.0),
    ] {
        assert_eq!(figures.get(sample), Some(&value), "{sample}\n{page}");
    }
}

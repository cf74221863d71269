//! The figures of an admin listener: what is read of `/metrics`, and what the screen and JSON make of it.

use super::admin;
use super::app::Key;
use super::once;
use super::reading::{Counter, Reading};
use super::screen_tests::{app, shows};
use super::tests::watched;

/// `/metrics` of a server that has run for so many seconds, in each of which it had 1,000 gets and 100 sets.
fn serve(second: u64) -> Reading {
    let (gets, sets) = (second * 1000, second * 100);
    let text = format!(
        "larder_build_info{{version=\"0.1.0\",mode=\"serve\"}} 1
larder_healthy 1
larder_requests_total{{protocol=\"text\"}} {gets}
larder_requests_total{{protocol=\"resp\"}} {sets}
larder_commands_total{{protocol=\"text\",command=\"get\"}} {gets}
larder_commands_total{{protocol=\"resp\",command=\"set\"}} {sets}
larder_commands_total{{protocol=\"resp\",command=\"client|list\"}} 1
larder_request_duration_seconds_bucket{{protocol=\"memcached\",le=\"0.001\"}} {gets}
larder_request_duration_seconds_bucket{{protocol=\"memcached\",le=\"+Inf\"}} {gets}
larder_request_duration_seconds_bucket{{protocol=\"resp\",le=\"0.001\"}} 0
larder_request_duration_seconds_bucket{{protocol=\"resp\",le=\"+Inf\"}} {sets}
larder_command_duration_seconds_bucket{{protocol=\"text\",command=\"get\",le=\"0.001\"}} {gets}
larder_command_duration_seconds_bucket{{protocol=\"text\",command=\"get\",le=\"+Inf\"}} {gets}
larder_command_duration_seconds_bucket{{protocol=\"resp\",command=\"client|list\",le=\"0.001\"}} 1
larder_command_duration_seconds_bucket{{protocol=\"resp\",command=\"client|list\",le=\"+Inf\"}} 1
larder_reads_total{{result=\"hit\"}} {}
larder_reads_total{{result=\"miss\"}} {}
larder_items 1234
larder_items_removed_total{{reason=\"evicted\",read=\"yes\"}} {second}
larder_items_removed_total{{reason=\"evicted\",read=\"no\"}} {second}
larder_items_removed_total{{reason=\"expired\",read=\"no\"}} 0
larder_memory_used_bytes 1048576
larder_memory_limit_bytes 67108864
larder_connections{{state=\"quiet\"}} 9
larder_connections{{state=\"parked\"}} 1
larder_connections_max 1024
larder_received_bytes_total {}
larder_sent_bytes_total {}
process_start_time_seconds 1000.5
",
        gets - gets / 4,
        gets / 4,
        gets * 30,
        gets * 100,
    );
    admin::reading(&text, 1000.5 + second as f64).expect("larder's")
}

/// `/metrics` of a proxy with two servers, whose `[::1]` answers nothing.
fn proxy(second: u64) -> Reading {
    let gets = second * 1000;
    let text = format!(
        "larder_build_info{{version=\"0.1.0\",mode=\"proxy\"}} 1
larder_healthy 0
larder_requests_total{{protocol=\"text\"}} {gets}
larder_requests_total{{protocol=\"meta\"}} {second}
larder_commands_total{{protocol=\"text\",command=\"get\"}} {gets}
larder_commands_total{{protocol=\"meta\",command=\"mg\"}} {second}
larder_request_errors_total{{protocol=\"memcached\",source=\"proxy\"}} {second}
larder_request_errors_total{{protocol=\"memcached\",source=\"server\"}} {second}
larder_request_duration_seconds_bucket{{protocol=\"memcached\",le=\"0.001\"}} {gets}
larder_request_duration_seconds_bucket{{protocol=\"memcached\",le=\"+Inf\"}} {gets}
larder_connections{{state=\"quiet\"}} 3
larder_connections_max 1024
larder_received_bytes_total {gets}
larder_sent_bytes_total {gets}
larder_upstream_up{{server=\"10.0.0.1:11211\"}} 1
larder_upstream_up{{server=\"[::1]:11211\"}} 0
larder_upstream_requests_total{{server=\"10.0.0.1:11211\"}} {gets}
larder_upstream_requests_total{{server=\"[::1]:11211\"}} 7
larder_upstream_errors_total{{server=\"[::1]:11211\"}} 7
larder_upstream_requests_waiting{{server=\"10.0.0.1:11211\"}} 2
larder_upstream_connections{{server=\"10.0.0.1:11211\"}} 4
larder_upstream_request_duration_seconds_bucket{{server=\"10.0.0.1:11211\",le=\"0.0001\"}} {gets}
larder_upstream_request_duration_seconds_bucket{{server=\"10.0.0.1:11211\",le=\"+Inf\"}} {gets}
process_start_time_seconds 1000.5
",
    );
    admin::reading(&text, 1000.5 + second as f64).expect("larder's")
}

/// `/metrics` of an invalidation server with two caches, the second of which is down.
fn invalidate(second: u64) -> Reading {
    let sets = second * 100;
    let text = format!(
        "larder_build_info{{version=\"0.1.0\",mode=\"invalidate\"}} 1
larder_healthy 1
larder_requests_total{{protocol=\"text\"}} {sets}
larder_commands_total{{protocol=\"text\",command=\"set\"}} {sets}
larder_request_errors_total{{protocol=\"memcached\",source=\"proxy\"}} 0
larder_connections{{protocol=\"memcached\",state=\"quiet\"}} 3
larder_connections{{protocol=\"resp\",state=\"quiet\"}} 4
larder_target_up{{target=\"pool\",server=\"10.0.0.1:11211\"}} 1
larder_target_up{{target=\"pool\",server=\"10.0.0.2:11211\"}} 0
larder_target_up_to_date{{target=\"pool\",server=\"10.0.0.1:11211\"}} 1
larder_target_waiting{{target=\"pool\",server=\"10.0.0.2:11211\"}} 12345
larder_target_oldest_seconds{{target=\"pool\",server=\"10.0.0.2:11211\"}} 90
larder_target_delivered_total{{target=\"pool\",server=\"10.0.0.1:11211\"}} {sets}
process_start_time_seconds 1000.5
",
    );
    admin::reading(&text, 1000.5 + second as f64).expect("larder's")
}

#[test]
fn metrics_of_larder_are_a_reading_and_others_are_not() {
    let reading = serve(3);
    assert_eq!((reading.program, &*reading.version), ("larder", "0.1.0"));
    assert_eq!((reading.uptime, reading.healthy), (Some(3), Some(true)));
    for (counter, value) in [
        (Counter::Requests, Some(3300)),
        (Counter::Hits, Some(2250)),
        (Counter::Misses, Some(750)),
        (Counter::Evictions, Some(6)),
        (Counter::Expired, Some(0)),
        (Counter::Received, Some(90_000)),
        (Counter::Sent, Some(300_000)),
        (Counter::Errors, None),
    ] {
        assert_eq!(reading.counters.get(counter), value, "{counter:?}");
    }
    assert_eq!(reading.gauges.connections, Some(10));
    assert_eq!(admin::reading("redis_up 1\n", 0.0), None);
    let hostile = "larder_build_info{version=\"\\\"\x1b[2J\",mode=\"serve\"} 1\n";
    let reading = admin::reading(hostile, 0.0).expect("larder's");
    assert_eq!(reading.version, "\"\\u{1b}[2J");
    let many: String = (0..9000)
        .map(|number| format!("larder_commands_total{{command=\"x{number}\"}} 1\n"))
        .collect();
    let reading = admin::reading(&format!("{hostile}{many}"), 0.0).expect("larder's");
    assert_eq!(reading.commands.len(), 400);
    let twice: String = (0..9000)
        .map(|number| {
            format!(
                "larder_requests_total{{protocol=\"{number}\"}} 1e30\nlarder_requests_total{{protocol=\"{number}\"}} 1e30\n\
                 larder_commands_total{{command=\"a\"}} 1e30\n\
                 larder_request_duration_seconds_bucket{{le=\"NaN\"}} {number}\n"
            )
        })
        .collect();
    let reading = admin::reading(&format!("{hostile}{twice}"), 0.0).expect("larder's");
    assert_eq!(reading.protocols.len(), 400);
    assert_eq!(reading.protocols["0"], u64::MAX);
    assert_eq!(reading.counters.get(Counter::Requests), Some(u64::MAX));
    let calls = reading.commands.values().map(|it| it.requests);
    assert_eq!(calls.collect::<Vec<_>>(), [u64::MAX]);
    assert!(reading.latencies.is_empty());
}

#[test]
fn the_page_of_a_server_has_its_busiest_commands_with_their_latencies() {
    let mut app = app(vec![watched("127.0.0.1:9121", vec![serve(1), serve(2)])]);
    assert!(app.press(Key::Enter));
    shows(
        &app,
        (80, 24),
        "\
127.0.0.1:9121  larder 0.1.0, up 2s
  requests/s      1.10k                                                        █
  hit ratio %      75.0                                                        ▆
  evictions/s         2                                                        █
  expired/s           0                                                        ▁
  bytes in/s      29.3K                                                        █
  bytes out/s     97.7K                                                        █
  answers ms  0.55/1.00                                                        █
  memory 1.00M of 64.0M, 1.5%
  items 1.23k  connections 10 of 1.02k  hit ratio since start 75.0%
requests/s by protocol
  text 1.00k                resp 100
  COMMAND PROTOCOL  REQ/S    P50/P99 ms
  get     text      1.00k     0.50/0.99
  set     resp        100             -








q quit  up/down select  enter details  s sort  p pause  ? help",
    );
}

#[test]
fn the_page_of_a_proxy_has_its_clients_and_its_servers() {
    let mut app = app(vec![watched("127.0.0.1:9121", vec![proxy(1), proxy(2)])]);
    shows(
        &app,
        (80, 24),
        "\
larder top  every 1s, order: as given
 SERVER           PROGRAM REQ/S  HIT%      MEMORY ITEMS CONNS EVICT/S  PROBE ms
>127.0.0.1:9121     proxy 1.00k     -           -     -     3       -         -
127.0.0.1:9121, the last 3m:
                                                                               █
                                                                               █
                                                                               █
  requests/s      1.00k                                                        █
                                                                               █
                                                                               █
                                                                               █
  answers ms  0.50/0.99                                                        █
                                                                               █
                                                                               █
                                                                               █
  errors/s            2                                                        █







q quit  up/down select  enter details  s sort  p pause  ? help",
    );
    assert!(app.press(Key::Enter));
    shows(
        &app,
        (80, 24),
        "\
127.0.0.1:9121  proxy 0.1.0, up 2s
  NOT HEALTHY: its page /healthz has the reason
  requests/s      1.00k                                                        █
  bytes in/s      1000B                                                        █
  bytes out/s     1000B                                                        █
  errors/s            2                                                        █
  answers ms  0.50/0.99                                                        █
  connections 3 of 1.02k
requests/s by protocol
  text 1.00k                meta 1
requests/s by command
  text get 1.00k            meta mg 1
servers behind it
  SERVER         STATE     REQ/S CONNS ERRORS IN FLIGHT    P50/P99 ms
  10.0.0.1:11211 up        1.00k     4      0         2     0.05/0.10
  [::1]:11211    ejected       0     0      7         0             -







q quit  up/down select  enter details  s sort  p pause  ? help",
    );
}

/// They were those since the start of the proxy.
#[test]
fn latencies_of_a_proxys_servers_are_those_of_the_last_interval() {
    let reading = |second: u64, slow: u64| {
        let all = 1000 * second + slow;
        let text = format!(
            "larder_build_info{{version=\"0.1.0\",mode=\"proxy\"}} 1
larder_upstream_up{{server=\"a:1\"}} 1
larder_upstream_requests_total{{server=\"a:1\"}} {all}
larder_upstream_request_duration_seconds_bucket{{server=\"a:1\",le=\"0.0001\"}} {}
larder_upstream_request_duration_seconds_bucket{{server=\"a:1\",le=\"0.1\"}} {all}
larder_upstream_request_duration_seconds_bucket{{server=\"a:1\",le=\"+Inf\"}} {all}
process_start_time_seconds 1000
",
            all - slow
        );
        admin::reading(&text, 1000.0).expect("larder's")
    };
    let median_of = |readings: Vec<Reading>| {
        let view = watched("127.0.0.1:9121", readings);
        let upstream = &view.reading.as_ref().expect("it is up").upstreams[0];
        view.latencies_of(upstream).map(|[median, _]| median)
    };
    assert_eq!(median_of(vec![reading(9, 0)]), None);
    assert_eq!(
        median_of(vec![reading(9, 0), reading(10, 0)]),
        Some(0.00005)
    );
    let slow = vec![reading(9, 0), reading(9, 1000)];
    assert!(median_of(slow) > Some(0.04));
    assert_eq!(median_of(vec![reading(9, 0), reading(9, 0)]), None);
}

#[test]
fn the_page_of_an_invalidation_server_has_what_waits() {
    let readings = vec![invalidate(1), invalidate(2)];
    let mut app = app(vec![watched("127.0.0.1:9121", readings)]);
    assert!(app.press(Key::Enter));
    shows(
        &app,
        (80, 24),
        "\
127.0.0.1:9121  invalidate 0.1.0, up 2s
  requests/s        100                                                        █
  errors/s            0                                                        ▁
  connections 7
requests/s by protocol
  text 100
requests/s by command
  text set 100
servers that get deletes
  SERVER              STATE       WAITING  OLDEST DELIVERED/S RETRIES FLUSHES
  pool/10.0.0.1:11211 up to date        0      0s         100       0       0
  pool/10.0.0.2:11211 down          12.3k  1m 30s           0       0       0











q quit  up/down select  enter details  s sort  p pause  ? help",
    );
}

#[test]
fn commands_beyond_the_screen_are_counted() {
    let with_commands = |second: u64| {
        let mut reading = serve(second);
        let one = reading.commands.values().next().expect("a command").clone();
        let many = (0..30).map(|number| (("text".to_owned(), format!("c{number}")), one.clone()));
        reading.commands.extend(many);
        for it in reading.commands.values_mut() {
            it.requests *= second;
        }
        reading
    };
    let mut app = app(vec![watched(
        "127.0.0.1:9121",
        vec![with_commands(1), with_commands(2)],
    )]);
    assert!(app.press(Key::Enter));
    let shown = super::screen_tests::lines(&app, 80, 24);
    assert_eq!(shown[22], "  and 24 more");
}

#[test]
fn json_has_commands_and_targets() {
    let views = [
        watched("a:1", vec![serve(1), serve(3)]),
        watched("b:1", vec![invalidate(1), invalidate(2)]),
    ];
    let mut printed = Vec::new();
    once::json(&views, &mut printed).expect("it can be written");
    let printed: serde_json::Value = serde_json::from_slice(&printed).expect("JSON");
    let (server, other) = (&printed["servers"][0], &printed["servers"][1]);
    assert_eq!(server["healthy"], true);
    assert_eq!(server["median_ms"], 0.55);
    let get = &server["commands"][0];
    assert_eq!(
        (&get["protocol"], &get["command"]),
        (&"text".into(), &"get".into())
    );
    assert_eq!(
        (&get["requests_per_second"], &get["p99_ms"]),
        (&2000.0.into(), &0.99.into())
    );
    assert_eq!(server["commands"][1]["p99_ms"], serde_json::Value::Null);
    assert_eq!(other["targets"][1]["name"], "pool/10.0.0.2:11211");
    assert_eq!(other["targets"][1]["waiting"], 12_345);
}

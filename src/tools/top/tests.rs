//! Readings, rates and tables, from figures as servers report them.

use std::time::{Duration, Instant};

use super::columns::Columns;
use super::reading::{Counter, Latencies, Reading};
use super::row::Row;
use super::view::{HISTORY, Sampled, ServerView, State};
use super::{memcached, once, redis};

/// Names and values as the client reads them: `name value` or `name:value`, one pair in a line.
pub(super) fn pairs(text: &str, between: char) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = |line: &str| {
        let (name, value) = line.split_once(between).expect("a pair");
        (name.to_owned(), value.to_owned())
    };
    lines.map(pair).collect()
}

/// A memcached that runs for so many seconds and has served so many gets, each fourth a miss.
pub(super) fn memcached(uptime: u64, gets: u64) -> Reading {
    let stats = format!(
        "pid 7
         uptime {uptime}
         version 1.6.45
         cmd_get {gets}
         get_hits {}
         get_misses {}
         cmd_set {}
         cmd_flush 0
         delete_hits 0
         delete_misses 0
         evictions 5
         get_expired 1
         reclaimed 2
         bytes 1048576
         limit_maxbytes 67108864
         curr_items 1234
         curr_connections 10
         max_connections 1024
         bytes_read {}
         bytes_written {}",
        gets - gets / 4,
        gets / 4,
        gets / 10,
        gets * 30,
        gets * 100,
    );
    let mut reading = memcached::reading(&pairs(&stats, ' '), &[]);
    reading.latency = Some(Duration::from_micros(120));
    reading
}

/// A server that was read at each second.
pub(super) fn watched(address: &str, readings: Vec<Reading>) -> ServerView {
    let mut view = ServerView::new(address.to_owned());
    let begin = Instant::now();
    for (second, reading) in (0..).zip(readings) {
        let at = begin + Duration::from_secs(second);
        view.update(Sampled::Up(Box::new(reading)), at);
    }
    view
}

/// A server that refuses connections.
pub(super) fn refusing(address: &str) -> ServerView {
    let mut view = ServerView::new(address.to_owned());
    let reason = "refused the connection".to_owned();
    view.update(Sampled::Down(reason), Instant::now());
    view
}

#[test]
fn rates_are_those_of_the_last_interval() {
    let readings = vec![
        memcached(10, 4000),
        memcached(11, 4800),
        memcached(12, 5000),
    ];
    let view = watched("a:1", readings);
    assert_eq!(view.rate(Counter::Requests), Some(220.0));
    assert_eq!(view.rate(Counter::Received), Some(6000.0));
    let rates = view.rates.as_ref().expect("two readings");
    let kinds = [("get".to_owned(), 200.0), ("set".to_owned(), 20.0)];
    assert_eq!(rates.kinds, kinds);
    assert_eq!(rates.hit_ratio(), Some(0.75));
    let requests: Vec<_> = view.history.iter().map(|point| point.requests).collect();
    assert_eq!(requests, [None, Some(880.0), Some(220.0)]);
}

#[test]
fn one_reading_has_no_rates_and_no_reads_have_no_hit_ratio() {
    let view = watched("a:1", vec![memcached(10, 4000)]);
    assert_eq!(view.rates, None);
    assert_eq!(view.hit_ratio_since_start(), Some(0.75));
    let view = watched("a:1", vec![memcached(10, 4000), memcached(11, 4000)]);
    assert_eq!(view.rate(Counter::Requests), Some(0.0));
    assert_eq!(Row::of(&view).hit_ratio, None);
}

#[test]
fn a_restart_or_a_reset_makes_no_rate() {
    let mut other = memcached(11, 9000);
    other.process = "8".to_owned();
    for after in [memcached(2, 9000), memcached(11, 3999), other] {
        let view = watched("a:1", vec![memcached(10, 4000), after.clone()]);
        assert_eq!(view.rates, None);
        let mut next = after.clone();
        next.uptime = after.uptime.map(|seconds| seconds + 1);
        let view = watched("a:1", vec![memcached(10, 4000), after, next]);
        assert_eq!(
            view.rate(Counter::Requests),
            Some(0.0),
            "the next interval has rates"
        );
    }
}

#[test]
fn a_server_that_was_down_begins_anew() {
    let mut view = watched("a:1", vec![memcached(10, 4000), memcached(11, 5000)]);
    let later = Instant::now() + Duration::from_secs(100);
    view.update(Sampled::Down("did not answer within 2s".into()), later);
    assert_eq!(view.state, State::Down("did not answer within 2s".into()));
    assert_eq!((view.rates.clone(), view.latencies()), (None, None));
    let reading = Box::new(memcached(20, 90_000));
    view.update(Sampled::Up(reading), later + Duration::from_secs(1));
    assert_eq!((&view.state, view.rates.as_ref()), (&State::Up, None));
}

#[test]
fn history_is_bounded_and_latencies_are_those_of_the_last_replies() {
    let readings = (0..HISTORY as u64 + 50).map(|second| {
        let mut reading = memcached(second, second * 100);
        let slow = [10_000, 200, 100][(second % 3) as usize];
        reading.latency = Some(Duration::from_micros(if second < 60 {
            1 << 30
        } else {
            slow
        }));
        reading
    });
    let view = watched("a:1", readings.collect());
    assert_eq!(view.history.len(), HISTORY);
    let micros = Duration::from_micros;
    assert_eq!(view.latencies(), Some((micros(200), micros(10_000))));
}

#[test]
fn info_of_redis_is_read() {
    let info = pairs(
        "redis_version:7.0.15
         run_id:abc
         uptime_in_seconds:99
         connected_clients:3
         maxclients:10000
         used_memory:1000000
         maxmemory:0
         total_commands_processed:500
         keyspace_hits:30
         keyspace_misses:10
         db0:keys=7,expires=1,avg_ttl=0
         db1:keys=2,expires=0,avg_ttl=0
         db_of_modules:keys=1000",
        ':',
    );
    let commands = pairs(
        "cmdstat_get:calls=40,usec=3\ncmdstat_client|list:calls=2,usec=1",
        ':',
    );
    let reading = redis::reading(&info, &commands, &[]);
    assert_eq!((reading.program, &*reading.version), ("redis", "7.0.15"));
    assert_eq!(
        (reading.gauges.items, reading.gauges.memory_limit),
        (Some(9), None)
    );
    assert_eq!(reading.counters.get(Counter::Requests), Some(500));
    assert_eq!(reading.kinds["client|list"], 2);
    assert!(reading.protocols.is_empty());
    let valkey = [&info[..], &pairs("valkey_version:8.1.0", ':')].concat();
    let reading = redis::reading(&valkey, &[], &[]);
    assert_eq!((reading.program, &*reading.version), ("valkey", "8.1.0"));
    let larder = [
        &info[..],
        &pairs("larder_version:0.1.0\nmemcached_text_commands:8", ':'),
    ];
    let reading = redis::reading(&larder.concat(), &[], &[]);
    assert_eq!((reading.program, &*reading.version), ("larder", "0.1.0"));
    assert_eq!(
        (reading.protocols["text"], reading.protocols["resp"]),
        (8, 500)
    );
}

#[test]
fn a_proxy_counts_its_own_requests_and_names_its_servers() {
    let of_memcached = pairs(
        "a:1:state up\na:1:requests 60\na:1:errors 1\na:1:p50_us 120
         [::1]:2:state ejected\n[::1]:2:requests 40\n[::1]:2:errors 5",
        ' ',
    );
    let of_resp = pairs(
        "upstream0:address=a:1,state=up,requests=60,errors=1,p50_us=120
         upstream1:address=[::1]:2,state=ejected,requests=40,errors=5",
        ':',
    );
    for reading in [
        memcached::reading(&[], &of_memcached),
        redis::reading(&[], &[], &of_resp),
    ] {
        assert_eq!(reading.program, "proxy");
        assert_eq!(reading.counters.get(Counter::Requests), Some(100));
        assert_eq!(reading.counters.get(Counter::Errors), Some(6));
        let upstreams = reading.upstreams.iter();
        let upstreams: Vec<_> = upstreams
            .map(|it| (&*it.address, &*it.state, it.latencies.clone()))
            .collect();
        let median = |seconds| Latencies::SinceStart([seconds, 0.0]);
        assert_eq!(
            upstreams,
            [
                ("a:1", "up", median(0.00012)),
                ("[::1]:2", "ejected", median(0.0))
            ]
        );
    }
}

#[test]
fn servers_behind_a_proxy_of_resp_have_the_order_of_its_list() {
    let lines = (0..12).map(|number| format!("upstream{number}:address=a:{number},state=up\n"));
    let reading = redis::reading(&[], &[], &pairs(&lines.collect::<String>(), ':'));
    let addresses = reading.upstreams.iter().map(|it| it.address.clone());
    let expected = (0..12).map(|number| format!("a:{number}"));
    assert!(addresses.eq(expected));
}

#[test]
fn figures_of_hostile_servers_are_bounded_and_escaped() {
    let many: Vec<(String, String)> = (0..9000)
        .map(|number| {
            (
                format!("cmdstat_x{number}\x1b[2J"),
                "calls=18446744073709551615".into(),
            )
        })
        .collect();
    let reading = redis::reading(&pairs("redis_version:\x1b]0;title\x07", ':'), &many, &[]);
    assert_eq!(reading.version, r"\u{1b}]0;title\u{7}");
    assert_eq!(reading.kinds.len(), 400);
    assert!(reading.kinds.keys().all(|name| !name.contains('\x1b')));
    let stats =
        "cmd_get 18446744073709551615\ncmd_set 18446744073709551615\nbytes -1\ncurr_items x";
    let reading = memcached::reading(&pairs(stats, ' '), &[]);
    assert_eq!(reading.counters.get(Counter::Requests), Some(u64::MAX));
    assert_eq!((reading.gauges.memory, reading.gauges.items), (None, None));
}

fn rows() -> Vec<Row> {
    let busy = watched(
        "127.0.0.1:11211",
        vec![memcached(10, 4000), memcached(11, 16_000)],
    );
    let idle = watched(
        "cache-2.example:11211",
        vec![memcached(10, 8), memcached(11, 8)],
    );
    let mut rows: Vec<Row> = [busy, idle, refusing("127.0.0.1:6379")]
        .iter()
        .map(Row::of)
        .collect();
    rows.push(Row::total(&rows));
    rows
}

#[test]
fn the_table_has_a_line_for_each_server_and_the_total() {
    let views = [
        watched(
            "127.0.0.1:11211",
            vec![memcached(10, 4000), memcached(11, 16_000)],
        ),
        refusing("127.0.0.1:6379"),
    ];
    let mut printed = Vec::new();
    once::table(&views, &mut printed).expect("it can be written");
    assert_eq!(
        String::from_utf8(printed).expect("text"),
        "\
SERVER            PROGRAM REQ/S  HIT%      MEMORY ITEMS CONNS EVICT/S EXPIRE/S  IN/S OUT/S  PROBE ms
127.0.0.1:11211 memcached 13.2k  75.0 1.00M/64.0M 1.23k    10       0        0  352K 1.14M 0.12/0.12
127.0.0.1:6379  DOWN: refused the connection
total, 1/2 up           - 13.2k  75.0 1.00M/64.0M 1.23k    10       0        0  352K 1.14M 0.12/0.12
"
    );
}

#[test]
fn a_narrow_table_leaves_columns_out() {
    let rows = rows();
    let columns = Columns::within(80, &rows);
    let lines: Vec<String> = rows.iter().map(|row| columns.row(row)).collect();
    assert_eq!(
        [&[columns.titles()][..], &lines].concat().join("\n"),
        "\
SERVER             PROGRAM REQ/S  HIT%      MEMORY ITEMS CONNS EVICT/S  PROBE ms
127.0.0.1:11211  memcached 13.2k  75.0 1.00M/64.0M 1.23k    10       0 0.12/0.12
…2.example:11211 memcached     0     - 1.00M/64.0M 1.23k    10       0 0.12/0.12
127.0.0.1:6379   DOWN: refused the connection
total, 2/3 up            - 13.2k  75.0  2.00M/128M 2.47k    20       0 0.12/0.12"
    );
    for width in 0..200 {
        let columns = Columns::within(width, &rows);
        assert!(columns.titles().chars().count() <= width.max(1), "{width}");
    }
}

#[test]
fn json_has_the_figures_and_the_reason_of_a_server_that_is_down() {
    let views = [
        watched("a:1", vec![memcached(10, 4000), memcached(11, 4400)]),
        refusing("b:1"),
    ];
    let mut printed = Vec::new();
    once::json(&views, &mut printed).expect("it can be written");
    let printed: serde_json::Value = serde_json::from_slice(&printed).expect("JSON");
    let (up, down) = (&printed["servers"][0], &printed["servers"][1]);
    assert_eq!(up["requests_per_second"], 440.0);
    assert_eq!(up["kinds_per_second"]["set"], 40.0);
    assert_eq!(up["hit_ratio_since_start"], 0.75);
    assert_eq!(
        (&down["state"], &down["reason"]),
        (&"down".into(), &"refused the connection".into())
    );
    assert_eq!(printed["total"]["items"], 1234);
}

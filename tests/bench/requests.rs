//! Several keys in a get, a connection for each request, and lines for an echo server.

use larder::Server;
use serde_json::Value::Null;

use crate::support::{Kind, Peer, skip};
use crate::{Ran, ask, bench, counted, load, planted};

/// 900 gets of seven keys, all of which are stored, and 100 sets.
#[track_caller]
fn every_key_is_a_hit(address: &str) {
    for more in [
        ["--multi-get", "7", "--seed", "1"],
        ["--multi-get", "7", "--rate", "100000"],
        ["--multi-get", "7", "--value-size", "0-20000"],
    ] {
        let report = counted(address, &more).report();
        let count = |name: &str| report[name]["requests"].clone();
        assert_eq!((count("get"), count("set")), (900.into(), 100.into()));
        assert_eq!(
            (&report["hits"], &report["misses"], &report["wrong_values"]),
            (&6300.into(), &0.into(), &0.into()),
            "{more:?}"
        );
        assert_eq!(report["settings"]["multi_get"], 7);
    }
}

#[test]
fn a_multi_get_counts_each_key() {
    let server = Server::builder().start().expect("free ports");
    every_key_is_a_hit(&server.memcached_addr().to_string());
    every_key_is_a_hit(&server.resp_addr().to_string());
    for kind in [Kind::Memcached, Kind::Redis] {
        let Some(peer) = Peer::start(kind, &[]).expect("it starts") else {
            skip!("a real server is not installed, so it was not loaded");
        };
        every_key_is_a_hit(&peer.address().to_string());
    }
}

#[test]
fn the_server_counts_the_same_keys() {
    let server = Server::builder().start().expect("free ports");
    let address = server.memcached_addr();
    let gets = ["--ratio", "1:0", "--protocol", "memcached"];
    let all = counted(&address.to_string(), &gets).report();
    assert_eq!(all["hits"], 1000);
    let twice = [
        gets.as_slice(),
        &["--no-fill", "--keys", "200", "--multi-get", "10"],
    ]
    .concat();
    let report = larger(&address.to_string(), &twice).report();
    let number = |name: &str| report[name].as_u64().expect("a number");
    assert_eq!(number("hits") + number("misses"), 10_000);
    let stats = ask(address, "stats\r\n", "END\r\n");
    for line in [
        format!("STAT get_hits {}\r\n", 1000 + number("hits")),
        format!("STAT get_misses {}\r\n", number("misses")),
    ] {
        assert!(stats.contains(&line), "{line}{stats}");
    }
    let table = bench(&[
        &address.to_string(),
        "--requests",
        "100",
        "--multi-get",
        "10",
        "--warm-up",
        "0",
    ]);
    assert!(table.out.contains("10 keys a get"), "{}", table.out);
    assert!(table.out.contains("of 900 keys\n"), "{}", table.out);
}

/// A load of a thousand requests that may have other keys than `counted` has.
fn larger(address: &str, more: &[&str]) -> Ran {
    let load = ["--requests", "1000", "--warm-up", "0", "--timeout", "60"];
    bench(&[&[address, "--json"], load.as_slice(), more].concat())
}

#[test]
fn each_wrong_value_of_a_multi_get_is_found() {
    let address = planted(|line| match line.strip_prefix("get ") {
        Some(keys) => {
            let value = |key: &str| format!("VALUE {key} 0 3\r\nabc\r\n");
            keys.split(' ').map(value).collect::<String>() + "END\r\n"
        }
        None => "STORED\r\n".into(),
    });
    let ran = load(&address, &["--value-size", "3", "--multi-get", "4"]);
    let report = ran.report_of_faults();
    assert_eq!(
        (&report["hits"], &report["wrong_values"]),
        (&3600.into(), &3600.into())
    );

    let unasked = planted(|line| match line.starts_with("get ") {
        true => "VALUE other 0 3\r\nabc\r\nEND\r\n".into(),
        false => "STORED\r\n".into(),
    });
    let report = load(&unasked, &["--multi-get", "4"]).report_of_faults();
    assert_eq!(
        report["errors"],
        serde_json::json!({"VALUE other 0 3": 900})
    );
}

#[test]
fn each_packet_has_a_connection_of_its_own() {
    let server = Server::builder().start().expect("free ports");
    let address = server.memcached_addr();
    let packets = ["--reconnect", "--pipeline", "4", "--threads", "5"];
    let more = [packets.as_slice(), &["--protocol", "memcached"]].concat();
    let report = counted(&address.to_string(), &more).report();
    assert_eq!(
        (&report["hits"], &report["wrong_values"]),
        (&900.into(), &0.into())
    );
    // Five that fill the server, those of the load, and the one that asks. A thread's 200 requests are 50 packets.
    let stats = ask(address, "stats\r\n", "END\r\n");
    let line = format!("STAT total_connections {}\r\n", 5 + 250 + 1);
    assert!(stats.contains(&line), "{line}{stats}");

    for kind in [Kind::Memcached, Kind::Redis] {
        let Some(peer) = Peer::start(kind, &[]).expect("it starts") else {
            skip!("a real server is not installed, so it was not loaded");
        };
        let report = counted(&peer.address().to_string(), &["--reconnect"]).report();
        assert_eq!(report["hits"], 900);
        assert_eq!(report["settings"]["reconnect"], true);
    }

    let address = address.to_string();
    bench(&[&address, "--reconnect", "--rate", "10"]).fails(2, "cannot be used with");
    drop(server);
    let closing = planted(|line| match line.starts_with("get ") {
        true => String::new(),
        false => "STORED\r\n".into(),
    });
    load(&closing, &["--reconnect"]).fails(2, "the server closed a connection");
}

#[test]
fn an_echo_server_gets_lines_and_each_is_verified() {
    let echo = planted(|line| format!("{line}\r\n"));
    for more in [["--pipeline", "7"], ["--rate", "100000"]] {
        let report = counted(&echo, &more).report();
        assert_eq!(report["protocol"], "echo");
        assert_eq!(report["get"]["requests"], 1000);
        assert_eq!((&report["set"], &report["hit_ratio"]), (&Null, &Null));
    }
    bench(&[&echo, "--multi-get", "2"]).fails(2, "is an echo server: --multi-get needs a cache");
    bench(&[&echo, "--replay", "trace"]).fails(2, "is an echo server: --replay needs a cache");

    let wrong = planted(|_| "something else\r\n".into());
    let report = counted(&wrong, &["--protocol", "echo"]).report_of_faults();
    let errors = serde_json::json!({"something else": 1000});
    assert_eq!(report["errors"], errors);
}

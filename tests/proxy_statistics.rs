//! The proxy's statistics about its upstreams: `stats proxy` of memcached, the section `proxy` of
//! Redis's `INFO`.

mod proxy_support;
mod support;

use std::collections::HashMap;
use std::io::Read;
use std::net::SocketAddr;

use larder::proxy::{Protocol, Settings};
use proxy_support::{Client, eventually, free_port, impatient, proxy, settings, sleeper, upstream};

type Figures = HashMap<String, String>;

/// The statistics of one upstream.
fn figures(client: &mut Client, protocol: Protocol, upstream: SocketAddr) -> Figures {
    let pairs: Vec<(String, String)> = match protocol {
        Protocol::Memcached => {
            client.send("stats proxy\r\n");
            let lines = std::iter::from_fn(|| Some(client.line()).filter(|line| line != "END"));
            let start = format!("STAT {upstream}:");
            let of = |line: String| {
                let (name, value) = line.strip_prefix(&start)?.split_once(' ')?;
                Some((name.to_owned(), value.to_owned()))
            };
            lines.filter_map(of).collect()
        }
        Protocol::Resp => {
            client.send("INFO proxy\r\n");
            let length: usize = client.line()[1..].parse().expect("a length");
            let mut text = vec![0; length + 2];
            client.0.read_exact(&mut text).expect("the section");
            let text = String::from_utf8(text).expect("text");
            assert!(text.starts_with("# Proxy\r\n"), "{text}");
            let name = format!(":address={upstream},");
            let line = text.lines().find_map(|line| line.split_once(&name));
            let pairs = line.expect("the upstream").1.split(',');
            let pair = |pair: &str| pair.split_once('=').map(|(n, v)| (n.into(), v.into()));
            pairs.filter_map(pair).collect()
        }
    };
    pairs.into_iter().collect()
}

fn number(figures: &Figures, name: &str) -> u64 {
    let value = figures
        .get(name)
        .unwrap_or_else(|| panic!("no {name} in {figures:?}"));
    value.parse().expect("a number")
}

#[test]
fn requests_connections_and_latencies_are_reported_for_each_upstream() {
    for protocol in [Protocol::Resp, Protocol::Memcached] {
        let servers = [upstream(protocol), upstream(protocol)];
        let addresses = servers.each_ref().map(|server| server.address);
        let proxy = proxy(settings(protocol), &addresses);
        let mut client = proxy.connect();
        for at in 0..100 {
            client.send(format!("get key{at}\r\n"));
            client.line();
        }
        let both = addresses.map(|address| figures(&mut client, protocol, address));
        let requests = both.each_ref().map(|one| number(one, "requests"));
        assert_eq!(requests.iter().sum::<u64>(), 100, "{requests:?}");
        for one in &both {
            assert_eq!(one["state"], "up");
            assert!((1..=4).contains(&number(one, "connections")));
            for nothing in ["errors", "in_flight", "ejections"] {
                assert_eq!(number(one, nothing), 0, "{nothing}");
            }
            let quantiles = ["p50_us", "p99_us", "p999_us"].map(|name| number(one, name));
            assert!(quantiles[0] > 0 && quantiles.is_sorted(), "{quantiles:?}");
        }
    }
}

#[test]
fn requests_in_flight_are_reported_until_they_are_answered() {
    let redis = upstream(Protocol::Resp);
    if !redis.is_real() {
        support::skip!("larder has no lists to block on");
    }
    let proxy = proxy(settings(Protocol::Resp), &[redis.address]);
    let (mut client, mut waiting) = (proxy.connect(), proxy.connect());
    waiting.send("BLPOP list 0\r\n");
    let mut in_flight = || {
        let figures = figures(&mut client, Protocol::Resp, redis.address);
        number(&figures, "in_flight")
    };
    eventually("the request", || in_flight() == 1);
    Client::connect(redis.address).ask("RPUSH list x\r\n", ":1\r\n");
    waiting.expect("*2\r\n$4\r\nlist\r\n$1\r\nx\r\n");
    assert_eq!(in_flight(), 0);
}

#[test]
fn errors_and_ejections_are_reported() {
    for protocol in [Protocol::Resp, Protocol::Memcached] {
        for (address, named) in [(free_port(), "refused"), (sleeper(), "did not answer")] {
            let settings = Settings {
                failures: 2,
                ..impatient(protocol)
            };
            let proxy = proxy(settings, &[address]);
            let mut client = proxy.connect();
            for _ in 0..2 {
                client.send("get a\r\n");
                assert!(client.line().contains(named));
            }
            client.send("get a\r\n");
            assert!(client.line().contains("is ejected"));
            let figures = figures(&mut client, protocol, address);
            assert_eq!(figures["state"], "ejected");
            assert_eq!(number(&figures, "ejections"), 1);
            assert_eq!(number(&figures, "requests"), 3);
            assert_eq!(number(&figures, "errors"), 3);
            assert_eq!(number(&figures, "in_flight"), 0);
        }
    }
}

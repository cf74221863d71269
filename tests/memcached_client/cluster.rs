//! The client of a pool: its ring, its round trips, and servers of it that fail.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier};

use larder::client::{Cache, Cluster, ErrorKind, Item, Settings};
use larder::{Placement, Ring, Server};

use crate::proxy_support::{answer_lines, eventually, free_port, list, peer, sleeper};
use crate::support::with_growing_deadlines;
use crate::{patient, serve_at};

fn cluster(addresses: &[SocketAddr], settings: Settings) -> Cluster {
    Cluster::with_settings(&list(addresses), Placement::Ketama, settings)
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("key:{number}")).collect()
}

#[test]
fn keys_are_placed_as_the_proxy_places_them() {
    let addresses: Vec<SocketAddr> = (1..=5).map(|n| ([10, 0, 0, n], 11211).into()).collect();
    let list = list(&addresses);
    for placement in [
        Placement::Ketama,
        Placement::Libmemcached,
        Placement::Twemproxy,
    ] {
        let cluster = Cluster::with_settings(&list, placement, patient());
        let ring = Ring::new(&list, placement);
        for key in keys(500) {
            let server = &list.servers()[ring.server(key.as_bytes())];
            assert_eq!(cluster.client_of(&key).address(), server.address);
        }
    }
}

// Each server waits for the requests of all four before it answers, so a client that asked one after the other would wait
// in vain.
#[test]
fn all_servers_are_asked_at_once_each_with_one_request() {
    let all = Arc::new(Barrier::new(4));
    let requests = Arc::new(AtomicUsize::new(0));
    let servers: Vec<SocketAddr> = (0..4)
        .map(|_| {
            let (all, requests) = (Arc::clone(&all), Arc::clone(&requests));
            peer(move |stream| {
                answer_lines(stream, |line| {
                    requests.fetch_add(1, SeqCst);
                    all.wait();
                    let keys = line.strip_prefix("get ").expect("a get").split(' ');
                    let values =
                        keys.map(|key| format!("VALUE {key} 0 {}\r\n{key}\r\n", key.len()));
                    values.collect::<String>() + "END\r\n"
                });
            })
        })
        .collect();
    let cluster = cluster(&servers, patient());
    let keys = keys(100);
    let expected: Vec<_> = keys
        .iter()
        .map(|key| Some(Item::from(key.as_str())))
        .collect();
    assert_eq!(cluster.get_many(&keys).expect("answers"), expected);
    assert_eq!(requests.load(SeqCst), 4);
}

#[test]
fn a_server_that_stalls_takes_only_its_own_keys_along() {
    with_growing_deadlines(|limit| {
        let servers: Vec<Server> = (0..3).map(|_| Server::start().expect("ports")).collect();
        let mut addresses: Vec<_> = servers.iter().map(Server::memcached_addr).collect();
        let stalls = sleeper();
        // It is the first whose reply is awaited.
        addresses.insert(0, stalls);
        let impatient = patient().read_deadline(limit);
        let strict = cluster(&addresses, impatient.clone());
        let lenient = cluster(&addresses, impatient.miss_when_unavailable(true));
        let keys = keys(100);
        let is_of_the_staller =
            |key: &String| strict.client_of(key).address() == stalls.to_string();
        assert!(keys.iter().any(is_of_the_staller));
        for key in keys.iter().filter(|key| !is_of_the_staller(key)) {
            strict.set(key, "1", None).expect("stored");
        }
        let error = strict.get_many(&keys).expect_err("a server stalls");
        assert_eq!(
            (error.server(), error.kind()),
            (&stalls.to_string()[..], ErrorKind::Deadline)
        );
        assert!(
            error
                .to_string()
                .ends_with(&format!("did not answer within {limit:?}"))
        );
        let items = lenient.get_many(&keys).expect("no error");
        for (key, item) in keys.iter().zip(items) {
            assert_eq!(item.is_some(), !is_of_the_staller(key), "{key}");
        }
    });
}

#[test]
fn without_failover_the_keys_of_an_ejected_server_fail_at_once() {
    let other = Server::start().expect("free ports");
    let down = free_port();
    let settings = patient().failures_until_ejected(1);
    let cluster = cluster(&[down, other.memcached_addr()], settings);
    for key in keys(50) {
        let set = cluster.set(&key, "1", None);
        let is_down = cluster.client_of(&key).address() == down.to_string();
        assert_eq!(set.is_err(), is_down, "{key}: {set:?}");
    }
    let down = cluster
        .clients()
        .iter()
        .filter(|client| client.is_ejected());
    assert_eq!(down.count(), 1);
}

#[test]
fn with_failover_the_next_server_takes_over_until_the_ejected_one_returns() {
    let address = free_port();
    let server = serve_at(address);
    let other = Server::start().expect("free ports");
    let settings = patient().failures_until_ejected(1).failover(true);
    let cluster = cluster(&[address, other.memcached_addr()], settings);
    let keys: Vec<String> = keys(50);
    let of_first = |key: &&String| cluster.client_of(key).address() == address.to_string();
    let first: Vec<&String> = keys.iter().filter(of_first).collect();
    for key in &keys {
        cluster.set(key, "1", None).expect("stored");
    }
    server.stop();
    cluster.get(first[0]).expect_err("it is down");
    // One request now and then is a probe, which fails.
    for key in &first {
        eventually("the other server", || cluster.set(key, "2", None).is_ok());
    }
    eventually("all keys", || {
        let items = cluster.get_many(&keys);
        items.is_ok_and(|items| items.iter().all(Option::is_some))
    });
    let _server = serve_at(address);
    // It has lost its items.
    eventually("its return", || matches!(cluster.get(first[0]), Ok(None)));
    let items = cluster.get_many(&keys).expect("answers");
    for (key, item) in keys.iter().zip(items) {
        assert_eq!(item.is_none(), first.contains(&key), "{key}");
    }
}

//! A Redis Cluster with TLS through the proxy: the servers announce and redirect to their ports with TLS. With real servers.

mod cluster_support;
mod proxy_support;
mod support;
mod tls_support;

use std::net::SocketAddr;
use std::sync::Arc;

use cluster_support::{Cluster, Said};
use larder::pool::slot;
use larder::proxy::{Protocol, Proxy};
use larder::server::{ClientTls, Listen};
use proxy_support::{TestProxy, eventually, list, settings};
use tls_support::Authority;

/// A cluster of three masters and a replica of the first, and a proxy that trusts its authority.
fn start() -> Option<(Cluster, TestProxy)> {
    let authority = Authority::new();
    let files = authority.issue("redis");
    let files = [files.cert, files.key, authority.ca()];
    let cluster = Cluster::start_with(3, true, Some(&files))?;
    let tls = ClientTls::new(authority.ca(), None).expect("good files");
    let seed = with_tls(&cluster, 0);
    let (running, control) = Proxy::cluster(settings(Protocol::Resp), list(&[seed]))
        .upstream_tls(Some(Arc::new(tls)))
        .start(Listen::Tcp("127.0.0.1:0".into()))
        .expect("a free port");
    Some((cluster, TestProxy { running, control }))
}

fn with_tls(cluster: &Cluster, master: usize) -> SocketAddr {
    cluster.masters[master].tls.expect("it has TLS")
}

#[test]
fn clients_reach_all_servers_while_slots_move_and_a_server_fails() {
    let Some((mut cluster, proxy)) = start() else {
        support::skip!("there is no redis-server to make a cluster of");
    };
    let mut client = proxy.talk();
    let keys: Vec<String> = (0..60).map(|number| format!("key:{number}")).collect();
    for key in &keys {
        assert_eq!(client.call(&["SET", key, key]), Said::from("OK"));
    }
    for node in &cluster.masters {
        let Said::Number(count) = node.talk().must("DBSIZE") else {
            panic!("DBSIZE gives a number");
        };
        assert!(count > 0, "{} has no keys", node.address);
    }
    let read_all = |client: &mut cluster_support::Talk| {
        let said = client.call(&[&["MGET".to_owned()], &keys[..]].concat());
        said == Said::List(keys.iter().map(|key| Said::from(&key[..])).collect())
    };
    assert!(read_all(&mut client));

    // The map of the proxy is older than the move, so the old owner redirects to the new one.
    let moved = slot(b"key:7");
    let from = cluster.home(moved);
    let to = (from + 1) % 3;
    cluster.move_slot(moved, from, to);
    for _ in 0..3 {
        assert_eq!(client.must("GET key:7"), Said::from("key:7"));
    }
    assert!(read_all(&mut client));
    // While a slot moves, a key that is not at its owner any more is asked for at the new one.
    let (source, target) = (&cluster.masters[to], &cluster.masters[from]);
    let begin = |node: &cluster_support::Node, state: &str, id: &str| {
        node.talk()
            .must(&format!("CLUSTER SETSLOT {moved} {state} {id}"));
    };
    begin(target, "IMPORTING", &source.id);
    begin(source, "MIGRATING", &target.id);
    let tag = "{key:7}:new";
    assert_eq!(client.call(&["SET", tag, "1"]), Said::from("OK"));
    let mut asking = target.talk();
    asking.must("ASKING");
    assert_eq!(asking.call(&["GET", tag]), Said::from("1"));
    target
        .talk()
        .must(&format!("CLUSTER SETSLOT {moved} STABLE"));
    source
        .talk()
        .must(&format!("CLUSTER SETSLOT {moved} STABLE"));

    client.must("MULTI");
    client.must("SET key:1 other");
    client.must("GET key:1");
    let executed = Said::List(vec!["OK".into(), "other".into()]);
    assert_eq!(client.must("EXEC"), executed);
    client.must("SET key:1 key:1");

    cluster.expect_deaths();
    let replica = &cluster.replicas[0];
    cluster.take_over(replica);
    cluster.masters[0].kill();
    eventually("all keys are served again", || read_all(&mut client));
}

#[test]
fn a_cluster_whose_certificate_is_not_trusted_is_not_used() {
    let authority = Authority::new();
    let files = authority.issue("redis");
    let files = [files.cert, files.key, authority.ca()];
    let Some(cluster) = Cluster::start_with(1, false, Some(&files)) else {
        support::skip!("there is no redis-server to make a cluster of");
    };
    let stranger = Authority::new();
    let tls = ClientTls::new(stranger.ca(), None).expect("good files");
    let (running, control) =
        Proxy::cluster(settings(Protocol::Resp), list(&[with_tls(&cluster, 0)]))
            .upstream_tls(Some(Arc::new(tls)))
            .start(Listen::Tcp("127.0.0.1:0".into()))
            .expect("a free port");
    let proxy = TestProxy { running, control };
    let said = proxy.talk().call(&["GET", "a"]);
    assert!(
        said.is_error() && said.text().contains("certificate"),
        "{said:?}"
    );
}

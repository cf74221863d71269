//! A Redis Cluster through the proxy: clients see one Redis, while slots move and servers fail. With
//! real servers.

mod cluster_support;
mod proxy_support;
mod support;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use cluster_support::{Cluster, MOVE, Said, Talk};
use larder::pool::slot;
use proxy_support::{TestProxy, eventually};

const NO_REDIS: &str = "there is no redis-server to make a cluster of";

/// Keys in more than one slot of each of three servers.
fn keys() -> Vec<String> {
    (0..60).map(|number| format!("key:{number}")).collect()
}

fn list(values: impl IntoIterator<Item = impl AsRef<str>>) -> Said {
    let texts = values.into_iter().map(|value| Said::from(value.as_ref()));
    Said::List(texts.collect())
}

#[test]
fn commands_with_several_keys_are_divided_by_slot_and_joined_in_order() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let mut client = proxy.talk();
    let keys = keys();
    let with = |name: &str, words: &[String]| [&[name.to_owned()], words].concat();
    let pairs: Vec<String> = keys.iter().flat_map(|k| [k.clone(), k.clone()]).collect();
    assert_eq!(client.call(&with("MSET", &pairs)), Said::from("OK"));
    assert_eq!(client.call(&with("MGET", &keys)), list(&keys));
    // A key that occurs twice, and one that isn't there, in between.
    let some = ["key:1", "no", "key:2", "key:1"].map(str::to_owned);
    let expected = Said::List(vec![
        "key:1".into(),
        Said::Nil,
        "key:2".into(),
        "key:1".into(),
    ]);
    assert_eq!(client.call(&with("MGET", &some)), expected);
    assert_eq!(client.call(&with("EXISTS", &some)), Said::Number(3));
    assert_eq!(client.call(&with("TOUCH", &keys)), Said::Number(60));
    assert_eq!(client.must("DBSIZE"), Said::Number(60));
    let Said::List(all) = client.must("KEYS *") else {
        panic!("KEYS gives a list");
    };
    assert_eq!(all.len(), 60);
    assert_eq!(client.must("UNLINK key:0 key:1 no"), Said::Number(2));
    assert_eq!(client.call(&with("DEL", &keys)), Said::Number(58));
    client.must("MSET a 1 b 2 c 3");
    assert_eq!(client.must("FLUSHALL"), Said::from("OK"));
    assert_eq!(client.must("DBSIZE"), Said::Number(0));
}

// SCAN was refused in front of a cluster, and commands about whole servers reached one master of three.
#[test]
fn commands_about_whole_servers_reach_all_masters() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let mut client = proxy.talk();
    let pairs: Vec<String> = keys().iter().flat_map(|k| [k.clone(), k.clone()]).collect();
    client.call(&[&["MSET".to_owned()], &pairs[..]].concat());
    let (mut found, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let Said::List(step) = client.call(&["SCAN", &cursor, "COUNT", "5"]) else {
            panic!("SCAN gives a list");
        };
        step[0].text().clone_into(&mut cursor);
        let Said::List(keys) = &step[1] else {
            panic!("and of it the second is a list");
        };
        found.extend(keys.iter().map(|key| key.text().to_owned()));
        if cursor == "0" {
            break;
        }
    }
    found.sort_unstable();
    let mut all = keys();
    all.sort_unstable();
    assert_eq!(found, all);
    client.must("CONFIG SET maxmemory 20000000");
    let sha = client
        .call(&["SCRIPT", "LOAD", "return 7"])
        .text()
        .to_owned();
    for node in cluster.nodes() {
        let maxmemory = node.talk().must("CONFIG GET maxmemory");
        assert_eq!(maxmemory, list(["maxmemory", "20000000"]));
    }
    for key in keys() {
        let seven = client.call(&["EVALSHA", &sha, "1", &key]);
        assert_eq!(seven, Said::Number(7));
    }
    let info = client.must("INFO");
    for figure in [
        "db0:keys=60,",
        "redis_mode:standalone",
        "cluster_enabled:0",
        "redis_version:",
    ] {
        assert!(
            info.text().contains(figure),
            "no {figure} in {}",
            info.text()
        );
    }
    let random = client.must("RANDOMKEY");
    assert!(all.iter().any(|key| key == random.text()));
    assert!(client.call(&["SHUTDOWN", "NOSAVE"]).is_error());
}

#[test]
fn other_commands_need_their_keys_in_one_slot() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let mut client = proxy.talk();
    let refused = Said::Error("CROSSSLOT Keys in request don't hash to the same slot".into());
    for command in [
        "MSETNX a 1 b 2",
        "RENAME a b",
        "SINTER a b",
        "BLPOP a b 0",
        "WATCH a b",
        "EVAL return{} 2 a b",
        "SSUBSCRIBE a b",
    ] {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(client.call(&words), refused, "{command}");
    }
    assert_eq!(client.must("MSETNX {t}a 1 {t}b 2"), Said::Number(1));
    client.must("RENAME {t}a {t}c");
    assert_eq!(client.must("MGET {t}c {t}b"), list(["1", "2"]));
    assert_eq!(
        client.call(&["EVAL", "return redis.call('GET', KEYS[1])", "1", "{t}c"]),
        Said::from("1")
    );
}

#[test]
fn clients_see_one_redis_that_stands_alone() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let mut client = proxy.talk();
    let alone = Said::Error("ERR This instance has cluster support disabled".into());
    for command in ["CLUSTER SLOTS", "CLUSTER SHARDS", "READONLY", "READWRITE"] {
        let words: Vec<&str> = command.split(' ').collect();
        assert_eq!(client.call(&words), alone, "{command}");
    }
    let Said::List(hello) = client.must("HELLO 2") else {
        panic!("HELLO gives a list");
    };
    let mode = hello.iter().position(|said| said.text() == "mode");
    assert_eq!(hello[mode.expect("a mode") + 1], Said::from("standalone"));
    client.must("SELECT 0");
    assert_eq!(
        client.call(&["SELECT", "1"]),
        Said::Error("ERR SELECT is not allowed in cluster mode".into())
    );
    assert_eq!(client.must("PING"), Said::from("PONG"));
    let info = client.must("INFO proxy");
    let lines = info
        .text()
        .lines()
        .filter(|line| line.starts_with("upstream"));
    assert_eq!(lines.count(), 3, "{info:?}");
}

#[test]
fn large_values_of_one_server_do_not_wait_for_each_other_in_memory() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let mut client = proxy.talk();
    // Each over the limit that a part may hold back, and in an order that goes to and fro between
    // servers and slots.
    let value = "x".repeat(100_000);
    let keys: Vec<String> = (0..60).map(|n| format!("key:{}", n % 20)).collect();
    for key in &keys[..20] {
        client.call(&["SET", key, &format!("{key}{value}")]);
    }
    let expected = list(keys.iter().map(|key| format!("{key}{value}")));
    let get = [&["MGET".to_owned()], &keys[..]].concat();
    thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let mut client = proxy.talk();
                assert!(client.call(&get) == expected && client.call(&get) == expected);
            });
        }
    });
}

#[test]
fn transactions_blocking_commands_and_channels_go_to_the_server_of_their_slot() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let (mut client, mut other) = (proxy.talk(), proxy.talk());
    for key in keys() {
        client.must("MULTI");
        client.must(&format!("INCR {key}"));
        client.must(&format!("INCR {key}"));
        let expected = Said::List(vec![Said::Number(1), Said::Number(2)]);
        assert_eq!(client.must("EXEC"), expected);
        client.must(&format!("WATCH {key}"));
        other.must(&format!("INCR {key}"));
        client.must("MULTI");
        client.must(&format!("INCR {key}"));
        assert_eq!(client.must("EXEC"), Said::Nil);

        client.send(&["BLPOP", &format!("list:{key}"), "0"]);
        other.must(&format!("RPUSH list:{key} x"));
        assert_eq!(client.read(), list([&format!("list:{key}"), "x"]));
    }
    let mut sharded = proxy.talk();
    for key in keys() {
        sharded.must(&format!("SSUBSCRIBE {key}"));
        assert_eq!(
            other.must(&format!("SPUBLISH {key} hello")),
            Said::Number(1)
        );
        assert_eq!(sharded.read(), list(["smessage", &key, "hello"]));
        sharded = proxy.talk();
    }
    // These reach all servers.
    client.must("SUBSCRIBE a b");
    assert_eq!(client.read().text(), "");
    let mut pattern = proxy.talk();
    pattern.must("PSUBSCRIBE c*");
    for channel in ["a", "b", "c1"] {
        other.must(&format!("PUBLISH {channel} hello"));
    }
    // Each came over the server of its slot, so which is first is open.
    let mut got = [client.read(), client.read()].map(|said| format!("{said:?}"));
    got.sort_unstable();
    let expected = ["a", "b"].map(|channel| format!("{:?}", list(["message", channel, "hello"])));
    assert_eq!(got, expected);
    assert_eq!(pattern.read(), list(["pmessage", "c*", "c1", "hello"]));
}

/// A figure of `INFO proxy`, of all upstreams together.
fn sum(info: &Said, name: &str) -> u64 {
    let name = format!("{name}=");
    let figures = info.text().split(&name[..]).skip(1);
    let number = |rest: &str| rest.split([',', '\r']).next()?.parse::<u64>().ok();
    figures.filter_map(number).sum()
}

/// Ends the clients.
struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Sends a command until the reply isn't that its slot is half moved. `None` if the test ends before: with a
/// failure, the slot may stay half moved.
fn try_again(client: &mut Talk, words: &[&str], done: &AtomicBool) -> Option<Said> {
    let deadline = Instant::now() + MOVE;
    loop {
        let said = client.call(words);
        if !said.is_error() || !said.text().starts_with("TRYAGAIN") {
            return Some(said);
        }
        assert!(Instant::now() < deadline, "{words:?}: still {said:?}");
        if done.load(Relaxed) {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// The commands that a client repeats: its counters and values have to be exactly as it left them.
struct Checker {
    client: Talk,
    counters: Vec<String>,
    value: String,
    pair: [String; 2],
    rounds: i64,
}

impl Checker {
    /// Of its keys some are in the slot of `{moved}`, some anywhere.
    fn new(client: Talk, number: usize) -> Checker {
        Checker {
            client,
            counters: vec![format!("{{moved}}n:{number}"), format!("n:{number}")],
            value: format!("{{moved}}v:{number}"),
            pair: ["a", "b"].map(|name| format!("{{moved}}{name}:{number}")),
            rounds: 0,
        }
    }

    /// The last one may end early, when the test is `done`.
    fn round(&mut self, done: &AtomicBool) {
        self.rounds += 1;
        let count = Said::Number(self.rounds);
        for counter in &self.counters {
            assert_eq!(self.client.call(&["INCR", counter]), count, "{counter}");
        }
        // In one go: the last has to win, and the reads see the writes before them.
        let (client, value) = (&mut self.client, &self.value);
        let texts: Vec<String> = (0..5).map(|n| format!("{}.{n}", self.rounds)).collect();
        for text in &texts {
            client.send(&["SET", value, text]);
            client.send(&["GET", value]);
        }
        for text in &texts {
            assert_eq!(client.read(), Said::from("OK"), "{value}");
            assert_eq!(client.read(), Said::from(&text[..]), "{value}");
        }
        // Several keys of a slot that is half moved: Redis answers TRYAGAIN.
        let [a, b] = &self.pair;
        let text = &texts[0];
        let Some(set) = try_again(client, &["MSET", a, text, b, text], done) else {
            return;
        };
        assert_eq!(set, Said::from("OK"));
        let Some(got) = try_again(client, &["MGET", a, "n:0", b], done) else {
            return;
        };
        let Said::List(got) = got else {
            panic!("{got:?}");
        };
        assert_eq!((got[0].text(), got[2].text()), (&text[..], &text[..]));
    }
}

#[test]
fn nothing_is_lost_or_misdirected_while_a_slot_moves_to_and_fro_under_fifty_clients() {
    let Some(cluster) = Cluster::start(3, false) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let moved = slot(b"{moved}");
    let home = cluster.home(moved);
    let done = AtomicBool::new(false);
    let rounds = AtomicU64::new(0);
    let totals: Vec<i64> = thread::scope(|scope| {
        let _end = SetOnDrop(&done);
        let clients: Vec<_> = (0..50)
            .map(|number| {
                let mut checker = Checker::new(proxy.talk(), number);
                let (done, rounds) = (&done, &rounds);
                scope.spawn(move || {
                    while !done.load(Relaxed) {
                        checker.round(done);
                        rounds.fetch_add(1, Relaxed);
                    }
                    checker.rounds
                })
            })
            .collect();
        let mut at = home;
        for step in 1..=12 {
            let to = (home + step) % 3;
            cluster.move_slot(moved, at, to);
            at = to;
            let before = rounds.load(Relaxed);
            eventually("the clients", || {
                rounds.load(Relaxed) >= before + 50 || clients.iter().any(|c| c.is_finished())
            });
        }
        done.store(true, Relaxed);
        clients
            .into_iter()
            .map(|client| client.join().expect("nothing was lost"))
            .collect()
    });
    let mut client = proxy.talk();
    for (number, total) in totals.iter().enumerate() {
        for counter in [format!("{{moved}}n:{number}"), format!("n:{number}")] {
            assert_eq!(
                client.call(&["GET", &counter]),
                Said::from(&total.to_string()[..])
            );
        }
    }
    let info = client.must("INFO proxy");
    assert_eq!(sum(&info, "errors"), 0, "{info:?}");
    // The clients saw nothing of it, but it happened.
    assert!(sum(&info, "redirects") > 0, "{info:?}");
}

/// Fifty clients count while `happens` does, and go on when it has. Returns their errors. If
/// nothing may be lost, answered changes have to be stored, and failed ones at most once.
fn work_through(proxy: &TestProxy, lossless: bool, happens: impl FnOnce()) -> Vec<String> {
    let done = AtomicBool::new(false);
    let begun = AtomicU64::new(0);
    thread::scope(|scope| {
        // Also when this thread panics: the others are waited for.
        let _end = SetOnDrop(&done);
        let clients: Vec<_> = (0..50)
            .map(|number| {
                let mut client = proxy.talk();
                let (done, begun) = (&done, &begun);
                scope.spawn(move || {
                    let key = format!("n:{number}");
                    let (mut at_least, mut errors) = (0, Vec::new());
                    while !done.load(Relaxed) {
                        match client.call(&["INCR", &key]) {
                            Said::Number(n) => {
                                let most = at_least + 1 + errors.len() as i64;
                                let expected = (at_least + 1..=most).contains(&n);
                                assert!(expected || !lossless, "{key}: {n} after {at_least}");
                                at_least = n;
                            }
                            Said::Error(error) => errors.push(format!("{key}: {error}")),
                            other => panic!("{key}: {other:?}"),
                        }
                        begun.fetch_add(1, Relaxed);
                    }
                    errors
                })
            })
            .collect();
        eventually("the clients", || begun.load(Relaxed) > 500);
        happens();
        let before = begun.load(Relaxed);
        eventually("the clients", || begun.load(Relaxed) > before + 500);
        done.store(true, Relaxed);
        let errors = clients
            .into_iter()
            .flat_map(|c| c.join().expect("no surprise"));
        errors.collect()
    })
}

#[test]
fn a_replica_that_takes_over_on_demand_costs_clients_no_error() {
    let Some(cluster) = Cluster::start(3, true) else {
        support::skip!("{NO_REDIS}");
    };
    let proxy = cluster.proxy();
    let replica = &cluster.replicas[0];
    let errors = work_through(&proxy, true, || {
        cluster.take_over(replica);
        cluster.take_over(&cluster.masters[0]);
    });
    assert!(errors.is_empty(), "{errors:#?}");
}

#[test]
fn a_master_that_dies_is_replaced_by_its_replica_without_a_restart() {
    let Some(mut cluster) = Cluster::start(3, true) else {
        support::skip!("{NO_REDIS}");
    };
    // The only server that the proxy was given is the one that dies.
    let proxy = cluster.proxy();
    cluster.expect_deaths();
    let dead = cluster.masters.remove(0);
    let address = cluster.replicas[0].address;
    // Changes that it had answered and not yet replicated are lost.
    let errors = work_through(&proxy, false, || {
        let mut dead = dead;
        dead.kill();
        let mut client = proxy.talk();
        eventually("the replica", || {
            keys()
                .iter()
                .all(|key| !client.call(&["GET", key]).is_error())
        });
        let info = client.must("INFO proxy");
        assert!(
            info.text().contains(&format!("address={address},")),
            "{info:?}"
        );
    });
    assert!(!errors.is_empty());
}

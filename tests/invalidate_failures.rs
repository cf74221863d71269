//! `larder invalidate` and caches that are down, frozen, slow, wrong, or have missed too many deletes.

mod invalidate_support;
mod proxy_support;
mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use invalidate_support::{
    Invalidator, Witness, directory, forgotten, get, hurried, list, pool, put, real, settings,
};
use larder::invalidate::{Durability, ForgetMethod, Settings, TargetMode};
use proxy_support::{answerer, eventually, peer, sleeper};

const DURABILITIES: [Durability; 3] = [Durability::None, Durability::Os, Durability::Fsync];

#[test]
fn a_frozen_cache_gets_its_missed_deletes_and_delays_no_other() {
    let Some(caches) = real("memcached", 2) else {
        support::skip!("there is no memcached to freeze");
    };
    let (frozen, other) = (caches[0].address, caches[1].address);
    for durability in DURABILITIES {
        let spool = directory();
        let mut target = pool(&[frozen, other]);
        target.mode = TargetMode::Replicas;
        let settings = Settings {
            durability,
            ..hurried(spool.path())
        };
        let larder = Invalidator::start(settings, vec![target]);
        larder.settle();
        for number in 0..500 {
            put(frozen, &format!("k{number}"), "old");
            put(other, &format!("k{number}"), "old");
        }
        caches[0].signal("-STOP");
        let mut client = larder.client();
        for number in 0..500 {
            client.ask(format!("delete k{number}\r\n"), "DELETED\r\n");
        }
        for number in 0..500 {
            forgotten(other, &format!("k{number}"));
        }
        // Each key waits once, however often it has changed.
        for number in 0..500 {
            client.ask(format!("delete k{number}\r\n"), "DELETED\r\n");
        }
        eventually("what it misses to be in the spool", || {
            larder.stat("pending") == 500
        });
        eventually("the frozen cache to be down", || {
            let states = larder.stats("state");
            let mut states = states.iter();
            let down = states.find(|(of, _)| of.ends_with(&frozen.to_string()));
            down.expect("it is known").1 != "up to date"
        });
        caches[0].signal("-CONT");
        for number in 0..500 {
            forgotten(frozen, &format!("k{number}"));
        }
        larder.settle();
        assert!(larder.stat("retries") > 0);
    }
}

#[test]
fn missed_deletes_come_before_new_ones_and_one_for_each_key() {
    for durability in DURABILITIES {
        let witness = Witness::start();
        let spool = directory();
        let settings = Settings {
            durability,
            workers: 1,
            ..settings(spool.path())
        };
        let mut target = pool(&[witness.address]);
        target.forget = ForgetMethod::Update;
        let larder = Invalidator::start(settings, vec![target]);
        larder.settle();
        let mut client = larder.client();
        client.ask("set a 0 0 1\r\n1\r\n", "STORED\r\n");
        larder.settle();
        eventually("the first", || witness.received() == ["set a 0 0 1 1"]);
        witness.forget();
        witness.down();
        for value in 2..=5 {
            client.ask(format!("set a 0 0 1\r\n{value}\r\n"), "STORED\r\n");
            client.ask(format!("set b{value} 0 0 1\r\nx\r\n"), "STORED\r\n");
        }
        client.ask("delete c\r\n", "DELETED\r\n");
        eventually("it to be down", || larder.stat("pending") == 6);
        witness.up();
        eventually("it to be back", || {
            larder.stats("state")[0].1 == "up to date"
        });
        client.ask("set new 0 0 1\r\nx\r\n", "STORED\r\n");
        larder.settle();
        eventually("the last", || witness.received().len() >= 7);
        let received = witness.received();
        let missed = [
            "set a 0 0 1 5",
            "set b2 0 0 1 x",
            "set b3 0 0 1 x",
            "set b4 0 0 1 x",
            "set b5 0 0 1 x",
            "delete c",
        ];
        assert_eq!(
            received,
            [&missed[..], &["set new 0 0 1 x"]].concat(),
            "{durability}"
        );
    }
}

#[test]
fn a_cache_that_comes_back_under_load_is_up_to_date_in_the_end() {
    let witness = Witness::start();
    let spool = directory();
    let mut target = pool(&[witness.address]);
    target.forget = ForgetMethod::Update;
    let larder = Invalidator::start(settings(spool.path()), vec![target]);
    let mut client = larder.client();
    for round in 0..40 {
        match round % 8 {
            2 => witness.down(),
            5 => witness.up(),
            _ => {}
        }
        for key in 0..50 {
            let value = format!("{round}");
            let length = value.len();
            client.send(format!("set k{key} 0 0 {length} noreply\r\n{value}\r\n"));
        }
        client.ask("delete x\r\n", "DELETED\r\n");
    }
    witness.up();
    larder.settle();
    let received = witness.received();
    for key in 0..50 {
        let name = format!("set k{key} ");
        let of: Vec<_> = received
            .iter()
            .filter(|line| line.starts_with(&name))
            .collect();
        let last = of.last().expect("a delete was received").rsplit(' ').next();
        assert_eq!(last, Some("39"), "k{key}");
        // A value may come again when its answer was lost, but never after a newer one.
        let values: Vec<u32> = of
            .iter()
            .map(|line| {
                line.rsplit(' ')
                    .next()
                    .and_then(|v| v.parse().ok())
                    .expect("a number")
            })
            .collect();
        assert!(values.is_sorted(), "k{key}: {values:?}");
    }
}

#[test]
fn answers_that_are_none_count_for_nothing() {
    let half = peer(|mut stream| {
        let mut bin = [0; 4096];
        let _ = stream.read(&mut bin);
        let _ = stream.write_all(b"VERSION 1\r\n");
        let _ = stream.read(&mut bin);
        let _ = stream.write_all(b"DELE");
    });
    let stored = peer(|mut stream| {
        let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        for line in lines.map_while(Result::ok) {
            let reply: &[u8] = match line.starts_with("version") {
                true => b"VERSION 1\r\n",
                false => b"STORED\r\n",
            };
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    });
    let endless = peer(|mut stream| {
        let mut bin = [0; 4096];
        while matches!(stream.read(&mut bin), Ok(n) if n > 0) {
            while stream.write_all(&[b'x'; 65536]).is_ok() {}
        }
    });
    for (name, address, error) in [
        (
            "garbage",
            answerer(b"HTTP/1.1 400 Bad Request\r\n", false),
            "don't follow the protocol",
        ),
        ("error", answerer(b"ERROR\r\n", false), "ERROR"),
        ("stored", stored, "`STORED`"),
        (
            "an answer too many",
            answerer(b"VERSION 1\r\nSTORED\r\n", false),
            "don't follow the protocol",
        ),
        ("closer", answerer(b"VERSION 1\r\n", true), ""),
        ("half an answer", half, "closed the connection"),
        ("endless", endless, "don't follow the protocol"),
        ("sleeper", sleeper(), "did not answer within 2s"),
    ] {
        let spool = directory();
        let settings = match name {
            "sleeper" => hurried(spool.path()),
            _ => settings(spool.path()),
        };
        let larder = Invalidator::start(settings, vec![pool(&[address])]);
        larder.client().ask("delete a\r\n", "DELETED\r\n");
        eventually(&format!("{name}: the error"), || {
            larder.stats("last_error")[0].1.contains(error)
                && larder.stats("last_error")[0].1 != "none"
        });
        assert_eq!(larder.stat("pending"), 1, "{name}");
        assert_eq!(larder.stat("delivered"), 0, "{name}");
    }
}

/// Deletes that the slow cache answers.
const ANSWERED: usize = 100;

#[test]
fn a_slow_cache_fills_the_spool_and_not_the_memory_and_clients_go_on() {
    // It answers some deletes and then takes its time: more than this test has.
    let answered = Arc::new(AtomicUsize::new(0));
    let slow = peer(move |mut stream| {
        let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
        for line in lines.map_while(Result::ok) {
            let reply: &[u8] = match line.starts_with("version") {
                true => b"VERSION 1\r\n",
                false if answered.fetch_add(1, SeqCst) < ANSWERED => b"NOT_FOUND\r\n",
                false => continue,
            };
            if stream.write_all(reply).is_err() {
                return;
            }
        }
    });
    let spool = directory();
    let larder = Invalidator::start(hurried(spool.path()), vec![pool(&[slow])]);
    larder.settle();
    let mut client = larder.client();
    let requests: String = (0..40_000)
        .map(|n| format!("delete k{n} noreply\r\n"))
        .collect();
    client.send(requests);
    client.ask("delete last\r\n", "DELETED\r\n");
    let left = 40_001 - ANSWERED as u64;
    assert!(larder.stat("pending") >= left);
    larder.stop();
    // Undelivered changes are kept.
    let text = larder::invalidate::inspect(None, None, spool.path()).expect("a spool");
    let pending = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("pending"));
    let pending: u64 = pending.expect("a line").trim().parse().expect("a number");
    assert!(pending >= left, "{text}");
}

#[test]
fn a_cache_that_missed_too_many_deletes_is_flushed_when_it_is_up() {
    let Some(caches) = real("memcached", 1) else {
        support::skip!("there is no memcached to freeze");
    };
    let cache = caches[0].address;
    for durability in DURABILITIES {
        let spool = directory();
        let settings = Settings {
            max_pending: 100,
            durability,
            ..hurried(spool.path())
        };
        let larder = Invalidator::start(settings, vec![pool(&[cache])]);
        larder.settle();
        put(cache, "k1", "old");
        put(cache, "other", "old");
        caches[0].signal("-STOP");
        let mut client = larder.client();
        for number in 0..500 {
            client.ask(format!("delete k{number}\r\n"), "DELETED\r\n");
        }
        eventually("the decision", || {
            larder.stats("state")[0].1 == "down, to be flushed" && larder.stat("pending") == 0
        });
        caches[0].signal("-CONT");
        larder.settle();
        assert_eq!(get(cache, "k1"), None);
        assert_eq!(get(cache, "other"), None);
        assert_eq!(larder.stat("flushes"), 1);
        put(cache, "k1", "newer");
        client.ask("delete k1\r\n", "DELETED\r\n");
        forgotten(cache, "k1");
    }
}

#[test]
fn a_cache_that_was_down_too_long_is_flushed_when_it_is_up() {
    let witness = Witness::start();
    let spool = directory();
    let settings = Settings {
        max_age: Some(Duration::from_millis(300)),
        ..settings(spool.path())
    };
    let larder = Invalidator::start(settings, vec![pool(&[witness.address])]);
    larder.settle();
    witness.down();
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the decision", || {
        larder.stats("state")[0].1 == "down, to be flushed"
    });
    witness.forget();
    witness.up();
    larder.settle();
    assert_eq!(
        witness.received().first().map(String::as_str),
        Some("flush_all")
    );
}

#[test]
fn a_server_that_leaves_the_list_and_comes_back_is_flushed_first() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let both = || {
        let mut target = pool(&[one.address, two.address]);
        target.mode = TargetMode::Replicas;
        target
    };
    let larder = Invalidator::start(settings(spool.path()), vec![both()]);
    larder.settle();
    let mut only = both();
    only.servers = list(&[one.address]);
    larder
        .control
        .replace_targets(vec![only])
        .expect("it changes");
    let mut client = larder.client();
    client.ask("delete a\r\n", "DELETED\r\n");
    larder.settle();
    assert_eq!(one.received(), ["delete a"]);
    assert_eq!(two.received(), [""; 0]);
    larder
        .control
        .replace_targets(vec![both()])
        .expect("it changes");
    client.ask("delete b\r\n", "DELETED\r\n");
    larder.settle();
    eventually("the flush", || {
        two.received()
            .first()
            .is_some_and(|received| received == "flush_all")
    });
    assert!(!one.received().contains(&"flush_all".to_owned()));
    // The same over an end and another start.
    larder.stop();
    two.forget();
    let mut only = both();
    only.servers = list(&[one.address]);
    let larder = Invalidator::start(settings(spool.path()), vec![only]);
    larder.client().ask("delete c\r\n", "DELETED\r\n");
    larder.stop();
    let larder = Invalidator::start(settings(spool.path()), vec![both()]);
    larder.settle();
    assert_eq!(two.received(), ["flush_all"]);
    assert!(!one.received().contains(&"flush_all".to_owned()));
}

#[test]
fn a_renamed_target_is_flushed_where_deletes_of_the_old_one_were_pending() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let named = |name: &str| {
        let mut target = pool(&[one.address, two.address]);
        target.mode = TargetMode::Replicas;
        target.name = name.to_owned();
        target
    };
    two.down();
    let larder = Invalidator::start(settings(spool.path()), vec![named("old")]);
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    eventually("the one that is there", || one.received() == ["delete a"]);
    larder.stop();
    two.up();
    let larder = Invalidator::start(settings(spool.path()), vec![named("new")]);
    larder.settle();
    assert_eq!(two.received(), ["flush_all"]);
    assert_eq!(one.received(), ["delete a"]);
}

#[test]
fn pending_deletes_survive_an_end_and_another_number_of_workers() {
    for durability in DURABILITIES {
        let witness = Witness::start();
        let spool = directory();
        let start = |workers| {
            let settings = Settings {
                workers,
                durability,
                ..settings(spool.path())
            };
            Invalidator::start(settings, vec![pool(&[witness.address])])
        };
        let larder = start(2);
        larder.settle();
        witness.down();
        let mut client = larder.client();
        for number in 0..1000 {
            client.ask(format!("delete k{number}\r\n"), "DELETED\r\n");
        }
        larder.stop();
        let larder = start(5);
        assert_eq!(larder.stat("pending"), 1000, "{durability}");
        larder.stop();
        let larder = start(1);
        witness.up();
        larder.settle();
        let mut received = witness.received();
        received.sort();
        received.dedup();
        assert_eq!(received.len(), 1000, "{durability}");
    }
}

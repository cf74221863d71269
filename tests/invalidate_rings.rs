//! `larder invalidate` and servers that have keys by an earlier list: its deletes reach them, too.

mod invalidate_support;
mod proxy_support;
mod support;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use invalidate_support::{
    Invalidator, Program, Witness, directory, forgotten, get, list, pool, put, real, settings,
};
use larder::invalidate::{ForgetMethod, Settings, inspect};
use larder::pool::{Placement, Ring};
use proxy_support::eventually;
use redb::{Database, TableDefinition, TableHandle};

const KEYS: usize = 40;

fn key(number: usize) -> String {
    format!("key{number}")
}

/// The server of a key.
fn owner(servers: &[SocketAddr], key: &str) -> SocketAddr {
    servers[Ring::new(&list(servers), Placement::Ketama).server(key.as_bytes())]
}

/// Keys that belong to the second server once it has joined the first.
fn moving(one: SocketAddr, two: SocketAddr) -> Vec<String> {
    let keys = (0..KEYS).map(key);
    let moving: Vec<String> = keys.filter(|key| owner(&[one, two], key) == two).collect();
    assert!((1..KEYS).contains(&moving.len()), "{moving:?}");
    moving
}

/// The program with its list of servers.
struct Running<'d> {
    home: &'d Path,
    remember: &'d str,
    larder: Option<Program>,
}

impl<'d> Running<'d> {
    fn start(home: &'d Path, remember: &'d str, servers: &[SocketAddr]) -> Running<'d> {
        let larder = None;
        let mut running = Running {
            home,
            remember,
            larder,
        };
        running.restart(servers);
        running
    }

    fn write(&self, servers: &[SocketAddr]) {
        let lines: String = servers.iter().map(|it| format!("{it} 1\n")).collect();
        std::fs::write(self.home.join("servers.txt"), lines).expect("it is written");
    }

    fn larder(&self) -> &Program {
        self.larder.as_ref().expect("it runs")
    }

    /// Kills it if it runs, and starts it with this list.
    fn restart(&mut self, servers: &[SocketAddr]) {
        if let Some(larder) = self.larder.take() {
            larder.signal("-KILL");
        }
        self.write(servers);
        let arguments = [
            "--servers",
            "servers.txt",
            "--remember-rings",
            self.remember,
        ];
        self.larder = Some(Program::start(self.home, &arguments));
        self.settle(servers.len());
    }

    /// Has it read this list.
    fn reload(&self, servers: &[SocketAddr]) {
        self.write(servers);
        self.larder().signal("-HUP");
        self.settle(servers.len());
    }

    /// Waits until it has this number of servers and nothing is pending.
    fn settle(&self, servers: usize) {
        eventually("nothing to be pending", || {
            let states = self.larder().stats("state");
            states.len() == servers
                && states.iter().all(|(_, state)| state == "up to date")
                && self.larder().stat("pending") == 0
        });
    }
}

#[test]
fn deletes_reach_a_server_that_has_the_key_again_later() {
    let Some(caches) = real("memcached", 2) else {
        support::skip!("there is no memcached for the two lists");
    };
    let (one, two) = (caches[0].address, caches[1].address);
    // With a kill at each change, and in the last case without a memory, which shows that the values are stale then.
    for (kills, remember) in [(false, "7d"), (true, "7d"), (true, "0")] {
        let home = directory();
        let mut larder = Running::start(home.path(), remember, &[one]);
        for number in 0..KEYS {
            put(one, &key(number), "old");
        }
        match kills {
            false => larder.reload(&[one, two]),
            true => larder.restart(&[one, two]),
        }
        for number in 0..KEYS {
            put(owner(&[one, two], &key(number)), &key(number), "new");
        }
        if kills {
            larder.restart(&[one, two]);
        }
        let mut client = larder.larder().client();
        for number in 0..KEYS {
            client.ask(format!("delete {}\r\n", key(number)), "DELETED\r\n");
        }
        for number in 0..KEYS {
            forgotten(owner(&[one, two], &key(number)), &key(number));
        }
        larder.settle(2);
        match kills {
            false => larder.reload(&[one]),
            true => larder.restart(&[one]),
        }
        let moving = moving(one, two);
        for number in 0..KEYS {
            let is_stale = remember == "0" && moving.contains(&key(number));
            let value = is_stale.then(|| "old".to_owned());
            assert_eq!(get(one, &key(number)), value, "{kills} {remember} {number}");
        }
    }
}

#[test]
fn a_server_that_has_left_gets_nothing_and_is_flushed_when_it_is_back() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let larder = Invalidator::start(
        settings(spool.path()),
        vec![pool(&[one.address, two.address])],
    );
    larder.settle();
    let replace = |servers: &[SocketAddr]| {
        larder
            .control
            .replace_targets(vec![pool(servers)])
            .expect("it changes");
    };
    replace(&[one.address]);
    assert_eq!(larder.stat("earlier_rings"), 1);
    let moving = moving(one.address, two.address);
    for key in &moving {
        larder
            .client()
            .ask(format!("delete {key}\r\n"), "DELETED\r\n");
    }
    larder.settle();
    assert_eq!(one.received().len(), moving.len());
    assert_eq!(two.received(), [""; 0]);
    replace(&[one.address, two.address]);
    larder.settle();
    assert_eq!(two.received(), ["flush_all"]);
    // Both may have these keys now: the second by its present list, the first by the one before.
    two.forget();
    one.forget();
    larder
        .client()
        .ask(format!("delete {}\r\n", moving[0]), "DELETED\r\n");
    larder.settle();
    let expected = [format!("delete {}", moving[0])];
    assert_eq!(
        (one.received(), two.received()),
        (expected.to_vec(), expected.to_vec())
    );
}

#[test]
fn a_server_that_had_the_key_is_not_sent_the_new_value() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let target = |servers: &[SocketAddr]| {
        let mut target = pool(servers);
        target.forget = ForgetMethod::Update;
        vec![target]
    };
    let larder = Invalidator::start(settings(spool.path()), target(&[one.address]));
    let both = target(&[one.address, two.address]);
    larder.control.replace_targets(both).expect("it changes");
    larder.settle();
    let key = &moving(one.address, two.address)[0];
    larder
        .client()
        .ask(format!("set {key} 0 0 1\r\nv\r\n"), "STORED\r\n");
    larder.settle();
    assert_eq!(two.received(), [format!("set {key} 0 0 1 v")]);
    assert_eq!(one.received(), [format!("delete {key}")]);
}

#[test]
fn an_earlier_list_is_forgotten_when_its_time_has_passed() {
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let settings = Settings {
        remember_rings: Duration::from_millis(300),
        ..settings(spool.path())
    };
    let larder = Invalidator::start(settings, vec![pool(&[one.address])]);
    let both = vec![pool(&[one.address, two.address])];
    larder.control.replace_targets(both).expect("it changes");
    eventually("the list to be forgotten", || {
        larder.stat("earlier_rings") == 0
    });
    let key = &moving(one.address, two.address)[0];
    larder
        .client()
        .ask(format!("delete {key}\r\n"), "DELETED\r\n");
    larder.settle();
    assert_eq!(two.received(), [format!("delete {key}")]);
    assert_eq!(one.received(), [""; 0]);
}

#[test]
fn a_renamed_target_is_flushed_if_its_list_changes_or_has_changed() {
    // Each start has a name and a number of servers; what counts is what the first server gets after the last.
    for (starts, flushed) in [
        (&[("a", 1), ("b", 1)][..], false),
        (&[("a", 1), ("b", 2)], true),
        (&[("a", 2), ("a", 1), ("b", 1)], true),
        (&[("a", 2), ("a", 1), ("a", 1)], false),
    ] {
        let witnesses = [(); 2].map(|()| Witness::start());
        let spool = directory();
        for (name, count) in starts {
            let servers: Vec<SocketAddr> = witnesses.iter().map(|it| it.address).collect();
            let mut target = pool(&servers[..*count]);
            target.name = (*name).to_owned();
            let larder = Invalidator::start(settings(spool.path()), vec![target]);
            larder.settle();
            larder.stop();
        }
        let expected = if flushed { &["flush_all"][..] } else { &[] };
        assert_eq!(witnesses[0].received(), expected, "{starts:?}");
    }
}

#[test]
fn a_spool_from_before_lists_were_remembered_is_read() {
    const RINGS: TableDefinition<'_, &str, &str> = TableDefinition::new("rings");
    let [one, two] = [(); 2].map(|()| Witness::start());
    let spool = directory();
    let start =
        |servers: &[SocketAddr]| Invalidator::start(settings(spool.path()), vec![pool(servers)]);
    let larder = start(&[one.address]);
    larder.settle();
    one.down();
    larder.client().ask("delete a\r\n", "DELETED\r\n");
    larder.stop();
    let file = Database::open(spool.path().join("spool.redb")).expect("it opens");
    let write = file.begin_write().expect("a transaction");
    let tables: Vec<String> = write
        .list_tables()
        .expect("its tables")
        .map(|table| table.name().to_owned())
        .collect();
    assert!(tables.contains(&"rings".to_owned()), "{tables:?}");
    write.delete_table(RINGS).expect("it is deleted");
    write.commit().expect("it is written");
    drop(file);
    one.up();
    let larder = start(&[one.address]);
    larder.settle();
    assert_eq!(one.received(), ["delete a"]);
    // From now on its list is known.
    larder.stop();
    let larder = start(&[one.address, two.address]);
    assert_eq!(larder.stat("earlier_rings"), 1);
    larder.stop();
    let text = inspect(None, None, spool.path()).expect("the spool is free");
    assert!(text.contains("pool\n  earlier_rings   1\n"), "{text}");
}

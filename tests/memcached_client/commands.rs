//! Every command, against larder and against memcached.

use std::net::SocketAddr;
use std::time::Duration;

use larder::client::{
    Cache, CasOutcome, Client, Cluster, Error, ErrorKind, Item, MetaCommands, MetaStatus,
};
use larder::{Placement, Server};

use crate::patient;
use crate::proxy_support::{Real, list};
use crate::support::skip;

const HOUR: Option<Duration> = Some(Duration::from_secs(3600));

fn client(address: SocketAddr) -> Client {
    Client::with_settings(&address.to_string(), patient())
}

/// The commands about a key, of a [`Client`] or a [`Cluster`] without items.
macro_rules! use_every_command_about_a_key {
    ($cache:expr) => {{
        let cache = $cache;
        assert_eq!(cache.get("a")?, None);
        assert_eq!(cache.gets("a")?, None);
        assert_eq!(cache.get_and_touch("a", HOUR)?, None);
        assert!(!cache.replace("a", "0", HOUR)?);
        assert!(!cache.append("a", "0")? && !cache.prepend("a", "0")?);
        assert!(!cache.delete("a")? && !cache.touch("a", HOUR)?);
        assert_eq!((cache.incr("a", 1)?, cache.decr("a", 1)?), (None, None));
        assert_eq!(cache.cas("a", "0", HOUR, 1)?, CasOutcome::NotFound);

        assert!(cache.add("a", "1", None)?);
        assert!(!cache.add("a", "2", None)?);
        let flagged = Item {
            value: b"line\r\nEND\r\n\0".to_vec(),
            flags: u32::MAX,
        };
        cache.set("a", flagged.clone(), HOUR)?;
        assert_eq!(cache.get("a")?, Some(flagged.clone()));
        assert_eq!(cache.get_and_touch("a", None)?, Some(flagged));
        assert!(cache.replace("a", b"b", HOUR)?);
        assert!(cache.append("a", b"c")? && cache.prepend("a", "a")?);
        let (item, unique) = cache.gets("a")?.expect("it exists");
        assert_eq!(item, "abc".into());
        assert_eq!(cache.cas("a", "new", HOUR, unique)?, CasOutcome::Stored);
        assert_eq!(cache.cas("a", "old", HOUR, unique)?, CasOutcome::Changed);
        assert!(cache.touch("a", HOUR)? && cache.delete("a")?);

        cache.set("n", "9", None)?;
        assert_eq!(cache.incr("n", 6)?, Some(15));
        assert_eq!(cache.decr("n", 8)?, Some(7));
        assert_eq!(cache.decr("n", 8)?, Some(0));
        cache.set("n", "x", None)?;
        let refused = cache.incr("n", 1).expect_err("it is no number");
        assert_eq!(refused.kind(), ErrorKind::Refused);
        assert!(refused.to_string().contains("non-numeric"), "{refused}");

        cache.set("empty", "", None)?;
        let expected = [None, Some("x".into()), Some("".into()), Some("x".into())];
        assert_eq!(cache.get_many(&["a", "n", "empty", "n"])?, expected);
        assert_eq!(cache.get_many::<&str>(&[])?, []);

        let add_one = |old: Option<&Item>| {
            let mut item = old.cloned().unwrap_or_default();
            item.value.push(b'1');
            Some(item)
        };
        assert_eq!(cache.update("u", HOUR, add_one)?, Some("1".into()));
        assert_eq!(cache.update("u", HOUR, add_one)?, Some("11".into()));
        assert_eq!(cache.update("u", HOUR, |_| None)?, None);
        assert_eq!(cache.get("u")?, Some("11".into()));

        assert_eq!(cache.meta_get("m", &["v"])?, None);
        assert_eq!(cache.meta_delete("m", &[])?.status, MetaStatus::NotFound);
        let stored = cache.meta_set("m", b"1\r\n", &["T60", "F7", "k"])?;
        assert_eq!(
            (stored.status, stored.flag('k')),
            (MetaStatus::Done, Some("m"))
        );
        let reply = cache
            .meta_get("m", &["v", "t", "f", "c"])?
            .expect("it exists");
        assert_eq!(reply.value.as_deref(), Some(&b"1\r\n"[..]));
        assert_eq!((reply.flag('f'), reply.flag('k')), (Some("7"), None));
        let wrong = cache.meta_set("m", "2", &["C987654321"])?;
        assert_eq!(wrong.status, MetaStatus::Exists);
        assert_eq!(
            cache.meta_set("m", "2", &["ME"])?.status,
            MetaStatus::NotStored
        );
        assert_eq!(cache.meta_get("m", &[])?.expect("it exists").value, None);
        let sum = cache.meta_arithmetic("sum", &["N0", "J41", "v"])?;
        assert_eq!(sum.value.as_deref(), Some(&b"41"[..]));
        let sum = cache.meta_arithmetic("sum", &["v"])?;
        assert_eq!(sum.value.as_deref(), Some(&b"42"[..]));
        assert_eq!(
            cache.meta_set("a key\0", "b64", &[])?.status,
            MetaStatus::Done
        );
        let reply = cache.meta_get("a key\0", &["v"])?.expect("it exists");
        assert_eq!(reply.value.as_deref(), Some(&b"b64"[..]));
        let invalid = cache
            .meta_get("m", &["q"])
            .expect_err("it would have no reply");
        assert_eq!(invalid.kind(), ErrorKind::InvalidFlag);

        cache.set("gone", "1", Some(Duration::ZERO))?;
        assert_eq!(cache.get("gone")?, None);
        let invalid = cache.get("a b").expect_err("a space");
        assert_eq!(invalid.kind(), ErrorKind::InvalidKey);
        let invalid = cache.get_many(&["a", ""]).expect_err("an empty key");
        assert_eq!(invalid.kind(), ErrorKind::InvalidKey);
    }};
}

fn use_every_command(client: &Client) -> Result<(), Error> {
    use_every_command_about_a_key!(client);
    assert!(client.version()?.starts_with("1.6."));
    let stats = client.stats("")?;
    assert!(
        stats
            .iter()
            .any(|(name, value)| name == "pid" && !value.is_empty())
    );
    assert!(client.stats("settings")?.len() > 5);
    client.flush()?;
    assert_eq!(client.get("n")?, None);
    Ok(())
}

#[test]
fn every_command_works_with_larder() {
    let server = Server::start().expect("free ports");
    let client = client(server.memcached_addr());
    use_every_command(&client).expect("answers");
}

#[test]
fn every_command_works_with_memcached() {
    let Some(real) = Real::start("memcached") else {
        skip!("memcached is not installed");
    };
    use_every_command(&client(real.address)).expect("answers");
}

#[test]
fn every_command_about_a_key_works_with_a_cluster() {
    let servers: Vec<Server> = (0..4).map(|_| Server::start().expect("ports")).collect();
    let addresses: Vec<_> = servers.iter().map(Server::memcached_addr).collect();
    let list = list(&addresses);
    let cluster = Cluster::with_settings(&list, Placement::Ketama, patient());
    let used = || -> Result<(), Error> {
        use_every_command_about_a_key!(&cluster);
        Ok(())
    };
    used().expect("answers");
}

#[test]
fn a_lifetime_ends_when_it_is_over_also_beyond_a_month() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let server = Server::builder()
        .manual_clock()
        .start()
        .expect("free ports");
    let client = client(server.memcached_addr());
    client.set("short", "1", HOUR).expect("stored");
    client.set("long", "1", Some(60 * DAY)).expect("stored");
    server.advance(30 * DAY);
    assert_eq!(client.get("short").expect("an answer"), None);
    assert!(client.get("long").expect("an answer").is_some());
    server.advance(31 * DAY);
    assert_eq!(client.get("long").expect("an answer"), None);
}

#[test]
fn more_keys_than_a_line_has_room_for_take_several_rounds() {
    let server = Server::start().expect("free ports");
    let client = client(server.memcached_addr());
    let keys: Vec<String> = (0..700).map(|number| format!("{number:0>200}")).collect();
    for key in keys.iter().step_by(3) {
        client.set(key, key.as_bytes(), None).expect("stored");
    }
    let items = client.get_many(&keys).expect("answers");
    for (number, (key, item)) in keys.iter().zip(items).enumerate() {
        let expected = (number % 3 == 0).then(|| Item::from(key.as_str()));
        assert_eq!(item, expected, "{number}");
    }
}

#[test]
fn updates_of_several_threads_are_all_counted() {
    let server = Server::start().expect("free ports");
    let settings = patient().update_tries(u32::MAX);
    let client = Client::with_settings(&server.memcached_addr().to_string(), settings);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let updated = client.update("list", None, |old| {
                        let mut item = old.cloned().unwrap_or_default();
                        item.value.push(b'x');
                        Some(item)
                    });
                    updated.expect("stored");
                }
            });
        }
    });
    let item = client.get("list").expect("an answer").expect("it exists");
    assert_eq!(item.value.len(), 200);
}

#[test]
fn an_update_fails_after_its_tries_while_others_change_the_item() {
    let server = Server::start().expect("free ports");
    let address = server.memcached_addr().to_string();
    let client = Client::with_settings(&address, patient().update_tries(3));
    let mut calls = 0;
    let updated = client.update("key", None, |_| {
        calls += 1;
        client.set("key", "another's", None).expect("stored");
        Some("mine".into())
    });
    let error = updated.expect_err("it is contended");
    assert_eq!((error.kind(), calls), (ErrorKind::Contended, 3));
    assert!(error.to_string().contains(&address), "{error}");
    let item = client.get("key").expect("an answer");
    assert_eq!(item, Some("another's".into()));
}

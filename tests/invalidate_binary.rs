//! Clients of `larder invalidate` that speak memcached's binary protocol: their answers, and the deletes that real caches
//! have received by then.

mod binary_support;
mod invalidate_support;
mod proxy_support;
mod support;

use std::net::SocketAddr;

use binary_support::*;
use invalidate_support::{
    Invalidator, Witness, directory, forgotten, get, list, pool, put, real, settings,
};
use larder::invalidate::{Durability, ForgetMethod, ReadPolicy, Settings};
use proxy_support::{Client, Real, eventually};
use support::skip;

fn all(asks: &[Ask]) -> Vec<u8> {
    asks.iter().flat_map(Ask::bytes).collect()
}

/// Whether a cache has an item of this key, asked in the binary protocol.
fn has(address: SocketAddr, key: &[u8]) -> bool {
    let mut client = Client::connect(address);
    !conversation(&mut client, &Ask::new(GETQ, key).bytes()).is_empty()
}

#[test]
fn every_binary_write_is_answered_as_a_server_would_and_deletes_the_key_from_the_pool() {
    let Some(caches) = real("memcached", 3) else {
        skip!("there is no memcached");
    };
    let addresses: Vec<_> = caches.iter().map(|cache| cache.address).collect();
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&addresses)]);
    let long = [b' '; 186];
    let plain = [b'k'; 250];
    // Each with its answer; a quiet one has none.
    let asks: Vec<(Ask, &str)> = vec![
        (Ask::new(SET, "set").value("new"), "0x01 0 0x0 "),
        (Ask::new(SETQ, "setq").value("new"), ""),
        (Ask::new(ADD, "add").value("new"), "0x02 0 0x0 "),
        (Ask::new(ADDQ, "addq").value("new"), ""),
        (
            Ask::new(REPLACE, "replace").value("new").cas(7),
            "0x03 0 0x0 ",
        ),
        (Ask::new(REPLACEQ, "replaceq").value("new"), ""),
        (Ask::new(APPEND, "append").value("new"), "0x0e 0 0x0 "),
        (Ask::new(APPENDQ, "appendq").value("new"), ""),
        (Ask::new(PREPENDQ, "prependq").value("new"), ""),
        (Ask::new(DELETE, "delete"), "0x04 0 0x0 "),
        (Ask::new(DELETEQ, "deleteq"), ""),
        (Ask::new(TOUCH, "touch"), "0x1c 0 0x0 [0, 0, 0, 0] "),
        (Ask::new(INCR, "incr"), "0x05 0 0x1 Not found"),
        (Ask::new(DECRQ, "decrq"), ""),
        (Ask::new(DELETE, "user 42"), "0x04 0 0x0 "),
        (Ask::new(SETQ, "\0\r\n\u{e9} ").value("new"), ""),
        (Ask::new(DELETE, long), "0x04 0 0x0 "),
        (Ask::new(DELETEQ, plain), ""),
        // Streamed, and its value dropped.
        (
            Ask::new(SET, "large").value(vec![0x80; 3 << 20]),
            "0x01 0 0x0 ",
        ),
        (Ask::new(SETQ, "largeq").value(vec![0x80; 3 << 20]), ""),
    ];
    for cache in &addresses {
        let puts = asks
            .iter()
            .map(|(ask, _)| Ask::new(SETQ, &ask.key).value("old"));
        let puts: Vec<Ask> = puts.collect();
        assert_eq!(
            conversation(&mut Client::connect(*cache), &all(&puts)),
            [""; 0]
        );
    }
    let (requests, answers): (Vec<Ask>, Vec<&str>) = asks.into_iter().unzip();
    let answers: Vec<&str> = answers
        .into_iter()
        .filter(|line| !line.is_empty())
        .collect();
    let mut client = larder.client();
    assert_eq!(conversation(&mut client, &all(&requests)), answers);
    // The answer to the `noop` behind quiet changes shows that they are on record.
    assert_eq!(larder.stat("recorded"), requests.len() as u64);
    larder.settle();
    let ring = larder::pool::Ring::new(&list(&addresses), larder::pool::Placement::Ketama);
    for Ask { key, .. } in &requests {
        let home = ring.server(key);
        for (number, cache) in addresses.iter().enumerate() {
            assert_eq!(
                has(*cache, key),
                number != home,
                "{} at {number}",
                key.escape_ascii()
            );
        }
    }
    assert_eq!(
        conversation(&mut client, &Ask::new(FLUSHQ, "").bytes()),
        [""; 0]
    );
    eventually("the flush", || {
        let keys = requests.iter().map(|ask| &ask.key);
        let mut found = keys.flat_map(|key| addresses.iter().map(|cache| has(*cache, key)));
        !found.any(|has| has)
    });
}

#[test]
fn requests_that_can_not_be_answered_are_refused_and_not_recorded() {
    let witness = Witness::start();
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&[witness.address])]);
    let mut client = larder.client();
    let reads =
        "larder invalidate accepts writes only; start it with --reads forward to read through it";
    let name = "larder invalidate can't deliver a key of more than 186 bytes with spaces or line ends; nothing is recorded";
    let delayed = "larder invalidate has no delayed flush; nothing is recorded";
    for (ask, answer) in [
        (Ask::new(GET, "k"), format!("0x00 0 0x83 {reads}")),
        (Ask::new(GETKQ, "k"), format!("0x0d 0 0x83 {reads}")),
        (Ask::new(GAT, "k"), format!("0x1d 0 0x83 {reads}")),
        (Ask::new(DELETE, [b' '; 187]), format!("0x04 0 0x83 {name}")),
        (
            Ask::new(SETQ, [b' '; 187]).value("x"),
            format!("0x11 0 0x83 {name}"),
        ),
        (
            Ask::new(FLUSH, "").extras(&[0, 0, 0, 9]),
            format!("0x08 0 0x83 {delayed}"),
        ),
        (Ask::new(0x20, ""), "0x20 0 0x81 Unknown command".to_owned()),
        (
            Ask::new(0x7f, "").value("value"),
            "0x7f 0 0x81 Unknown command".to_owned(),
        ),
    ] {
        assert_eq!(conversation(&mut client, &ask.bytes()), [answer]);
    }
    let version = conversation(&mut client, &Ask::new(VERSION, "").bytes());
    assert!(version[0].starts_with("0x0b 0 0x0 1.6.45"), "{version:?}");
    let stats = conversation(&mut client, &Ask::new(STAT, "").bytes());
    assert_eq!(stats[0], "0x10 0 0x0 key=recorded 0");
    assert_eq!(stats.last().map(String::as_str), Some("0x10 0 0x0 "));
    assert_eq!(witness.received(), [""; 0]);
}

#[test]
fn binary_reads_are_forwarded_when_it_is_started_so() {
    let Some(caches) = real("memcached", 2) else {
        skip!("there is no memcached");
    };
    let addresses: Vec<_> = caches.iter().map(|cache| cache.address).collect();
    let spool = directory();
    let settings = Settings {
        reads: ReadPolicy::Forward,
        ..settings(spool.path())
    };
    let larder = Invalidator::start(settings, vec![pool(&addresses)]);
    for key in ["a", "b", "c", "d"] {
        addresses.iter().for_each(|cache| put(*cache, key, "old"));
    }
    let mut client = larder.client();
    let asks = ["a", "b", "c", "d", "none"].map(|key| Ask::new(GETKQ, key));
    let found =
        ["a", "b", "c", "d"].map(|key| format!("0x0d 0 0x0 cas [0, 0, 0, 0] key={key} old"));
    assert_eq!(conversation(&mut client, &all(&asks)), found);
    assert_eq!(
        conversation(
            &mut client,
            &all(&asks.map(|ask| Ask {
                opcode: DELETEQ,
                ..ask
            }))
        ),
        [""; 0]
    );
    larder.settle();
    let asks = ["a", "b"].map(|key| Ask::new(GETK, key));
    let missing = ["a", "b"].map(|key| format!("0x0c 0 0x1 key={key} "));
    assert_eq!(conversation(&mut client, &all(&asks)), missing);
}

#[test]
fn a_binary_delete_waits_for_a_cache_that_is_down_and_outlives_an_end() {
    for durability in [Durability::Os, Durability::Fsync] {
        let Some(mut caches) = real("memcached", 1) else {
            skip!("there is no memcached");
        };
        let address = caches[0].address;
        let spool = directory();
        let settings = Settings {
            durability,
            ..settings(spool.path())
        };
        let larder = Invalidator::start(settings.clone(), vec![pool(&[address])]);
        larder.settle();
        drop(caches.pop());
        let mut client = larder.client();
        let asks = [Ask::new(DELETE, "a b"), Ask::new(SETQ, "quiet").value("x")];
        assert_eq!(conversation(&mut client, &all(&asks)), ["0x04 0 0x0 "]);
        larder.stop();
        let cache = Real::start_at("memcached", address).expect("it was there before");
        let puts = [
            Ask::new(SETQ, "a b").value("old"),
            Ask::new(SETQ, "quiet").value("old"),
        ];
        conversation(&mut Client::connect(address), &all(&puts));
        let larder = Invalidator::start(settings, vec![pool(&[address])]);
        larder.settle();
        forgotten(address, "quiet");
        eventually("the other", || !has(address, b"a b"));
        drop((larder, cache));
    }
}

#[test]
fn values_of_binary_clients_are_written_where_a_target_wants_them() {
    let Some(caches) = real("memcached", 1) else {
        skip!("there is no memcached");
    };
    let address = caches[0].address;
    let spool = directory();
    let mut target = pool(&[address]);
    target.forget = ForgetMethod::Update;
    let larder = Invalidator::start(settings(spool.path()), vec![target]);
    let puts = ["k", "a b", "end"].map(|key| Ask::new(SETQ, key).value("old"));
    conversation(&mut Client::connect(address), &all(&puts));
    let asks = [
        Ask::new(SETQ, "k").value("\r\nnew"),
        Ask::new(SETQ, "a b").value("new"),
        Ask::new(APPENDQ, "end").value("new"),
    ];
    assert_eq!(conversation(&mut larder.client(), &all(&asks)), [""; 0]);
    larder.settle();
    let found = conversation(&mut Client::connect(address), &Ask::new(GET, "k").bytes());
    assert_eq!(found, ["0x00 0 0x0 cas [0, 0, 0, 5] \\r\\nnew"]);
    // A name that a line can't contain is deleted, and so is a value of which only the end is known.
    assert!(!has(address, b"a b"));
    assert_eq!(get(address, "end"), None);
}

#[test]
fn keys_in_base64_are_those_of_other_clients() {
    let Some(caches) = real("memcached", 1) else {
        skip!("there is no memcached");
    };
    let address = caches[0].address;
    let spool = directory();
    let larder = Invalidator::start(settings(spool.path()), vec![pool(&[address])]);
    let keys = ["foo", "a b", "bar"];
    let puts = keys.map(|key| Ask::new(SETQ, key).value("old"));
    conversation(&mut Client::connect(address), &all(&puts));
    let mut client = larder.client();
    client.ask("md Zm9v b\r\n", "HD\r\n");
    client.ask("ms YSBi 3 b T30 q\r\nnew\r\nmn\r\n", "MN\r\n");
    client.ask("md Zm9v! b\r\nmd YmFy\r\n", "HD\r\nHD\r\n");
    client.ask("md Zm9 b\r\n", "CLIENT_ERROR error decoding key\r\n");
    eventually("all of them", || larder.stat("recorded") == 4);
    larder.settle();
    assert_eq!(
        keys.map(|key| has(address, key.as_bytes())),
        [false, false, true]
    );
}

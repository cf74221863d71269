//! memcached's binary protocol through the proxy: the replies of a real memcached, with one upstream and with a pool, in
//! the order of each client's requests.

mod binary_support;
mod proxy_support;
mod support;

use std::io::Read;
use std::net::SocketAddr;
use std::thread;

use binary_support::*;
use larder::Server;
use larder::proxy::{OnFailure, Protocol, Settings};
use proxy_support::{Client, Real, TestProxy, free_port, proxy, settings};
use support::skip;

fn memcacheds<const N: usize>() -> Option<([Real; N], [SocketAddr; N])> {
    let servers: Vec<Real> = (0..N).map_while(|_| Real::start("memcached")).collect();
    let servers: [Real; N] = servers.try_into().ok()?;
    let addresses = servers.each_ref().map(|server| server.address);
    Some((servers, addresses))
}

/// Requests of all kinds. Their opaques are their numbers.
fn requests() -> Vec<Ask> {
    let mut asks = vec![Ask::new(FLUSHQ, "")];
    for key in ["foo", "a b", "\0\r\n", "other", "k\u{e9}"] {
        asks.extend([
            Ask::new(GET, key),
            Ask::new(GETQ, key),
            Ask::new(GETK, key),
            Ask::new(GETKQ, key),
            Ask::new(REPLACE, key).value("no"),
            Ask::new(REPLACEQ, key).value("no"),
            Ask::new(ADD, key).value("first"),
            Ask::new(ADD, key).value("second"),
            Ask::new(ADDQ, key).value("third"),
            Ask::new(SETQ, key).value("quiet"),
            Ask::new(GETKQ, key),
            Ask::new(GETQ, key),
            Ask::new(APPENDQ, key).value(" end"),
            Ask::new(PREPENDQ, key).value("start "),
            Ask::new(APPEND, "none").value("x"),
            Ask::new(APPENDQ, "none").value("x"),
            Ask::new(GETK, key),
            Ask::new(SET, key).value("never").cas(1),
            Ask::new(SETQ, key).value("never").cas(1),
            Ask::new(DELETE, key).cas(1),
            Ask::new(INCR, key),
            Ask::new(INCRQ, key),
            Ask::new(TOUCH, key),
            Ask::new(TOUCH, "none"),
            Ask::new(GAT, key),
            Ask::new(GATQ, "none"),
            Ask::new(GATK, "none"),
            Ask::new(GATKQ, key),
            Ask::new(NOOP, ""),
            Ask::new(SET, key).value("17"),
            Ask::new(INCR, key),
            Ask::new(INCRQ, key),
            Ask::new(DECRQ, key),
            Ask::new(DECR, key),
            Ask::new(INCR, "none"),
            Ask::new(DECRQ, "none"),
            Ask::new(DELETEQ, key),
            Ask::new(DELETEQ, key),
            Ask::new(DELETE, key),
            // memcached makes it, and adds nothing.
            Ask::new(INCR, key).extras(&[&[0; 15][..], &[9], &[0; 4]].concat()),
            // Unknown, with a body; and authentication, of which this server has none.
            Ask::new(0x1b, "").value([0; 40]),
            Ask::new(0x7f, ""),
            Ask::new(0x20, ""),
            Ask::new(GET, key),
        ]);
    }
    asks.extend([
        Ask::new(FLUSH, ""),
        Ask::new(GETK, "foo"),
        Ask::new(FLUSH, "").extras(&[0; 4]),
        Ask::new(SET, "long").value(vec![b'v'; 100_000]),
        Ask::new(GET, "long"),
        Ask::new(GETKQ, "long"),
        Ask::new(DELETE, "long"),
    ]);
    let numbered = asks.into_iter().zip(0..);
    numbered.map(|(ask, number)| ask.opaque(number)).collect()
}

fn all(asks: &[Ask]) -> Vec<u8> {
    asks.iter().flat_map(Ask::bytes).collect()
}

#[test]
fn the_proxy_answers_binary_requests_as_memcached_does() {
    let Some((_servers, [alone, single, one, two, three])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let asks = requests();
    let expected = conversation(&mut Client::connect(alone), &all(&asks));
    let larders = [(); 2].map(|()| Server::start().expect("it starts"));
    for addresses in [
        &[single][..],
        &[one, two, three],
        &larders.each_ref().map(Server::memcached_addr),
    ] {
        let proxy = proxy(settings(Protocol::Memcached), addresses);
        let mut client = proxy.connect();
        let got = conversation(&mut client, &all(&asks));
        for (got, expected) in got.iter().zip(&expected) {
            assert_eq!(got, expected, "{} upstreams", addresses.len());
        }
        assert_eq!(got.len(), expected.len());
        // Byte by byte, and request by request.
        let mut client = proxy.connect();
        for byte in all(&asks) {
            client.send([byte]);
        }
        assert_eq!(conversation(&mut client, b""), expected);
        let mut client = proxy.connect();
        let got = asks
            .iter()
            .flat_map(|ask| conversation(&mut client, &ask.bytes()));
        assert_eq!(got.collect::<Vec<String>>(), expected);
    }
}

#[test]
fn a_quit_is_answered_behind_everything_before_it() {
    let Some((_servers, addresses)) = memcacheds::<2>() else {
        skip!("there is no memcached");
    };
    let proxy = proxy(settings(Protocol::Memcached), &addresses);
    for (opcode, answered) in [(QUIT, true), (QUITQ, false)] {
        let mut client = proxy.connect();
        let mut asks: Vec<Ask> = (0..20)
            .map(|n| Ask::new(GETK, format!("none{n}")))
            .collect();
        asks.extend([Ask::new(opcode, ""), Ask::new(NOOP, "")]);
        client.send(all(&asks));
        for number in 0..20 {
            let (header, key) = reply(&mut client);
            assert_eq!((header.opcode, header.status), (GETK, 1));
            assert_eq!(key, format!("none{number}").as_bytes());
        }
        if answered {
            assert_eq!(reply_line(&mut client), "0x07 0 0x0 ");
        }
        client.expect_end();
    }
}

/// A proxy whose clients share one connection of their protocol to each server.
fn with_one_connection(servers: &[SocketAddr]) -> TestProxy {
    let settings = Settings {
        workers: 1,
        connections: 1,
        ..settings(Protocol::Memcached)
    };
    proxy(settings, servers)
}

#[test]
fn quiet_requests_of_many_clients_on_one_connection_keep_everyones_order() {
    let Some((_servers, addresses)) = memcacheds::<3>() else {
        skip!("there is no memcached");
    };
    let proxy = with_one_connection(&addresses);
    let clients: Vec<Client> = (0..20).map(|_| proxy.connect()).collect();
    thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                let (mut asks, mut expected) = (Vec::new(), Vec::new());
                for round in 0..50 {
                    let key = format!("k{number}-{round}");
                    let none = format!("no{key}");
                    let value = format!("{key} \u{81}");
                    asks.extend([
                        Ask::new(SETQ, &key).value(&value),
                        Ask::new(GETKQ, &none).opaque(1),
                        Ask::new(GETKQ, &key).opaque(round),
                        Ask::new(GETQ, &none).opaque(2),
                        Ask::new(DELETEQ, &none).opaque(round),
                        Ask::new(DELETEQ, &key),
                    ]);
                    let value = value.as_bytes().escape_ascii();
                    expected.extend([
                        format!("0x0d {round} 0x0 cas [0, 0, 0, 5] key={key} {value}"),
                        format!("0x14 {round} 0x1 Not found"),
                    ]);
                }
                assert_eq!(conversation(&mut client, &all(&asks)), expected);
            });
        }
    });
}

#[test]
fn clients_of_both_protocols_share_a_pool() {
    let Some((_servers, addresses)) = memcacheds::<2>() else {
        skip!("there is no memcached");
    };
    let proxy = with_one_connection(&addresses);
    let (mut text, mut binary) = (proxy.connect(), proxy.connect());
    for number in 0..50 {
        text.ask(format!("set t{number} 5 0 1\r\nx\r\n"), "STORED\r\n");
        let asks = [
            Ask::new(GETK, format!("t{number}")),
            Ask::new(SETQ, format!("b{number}")).value("\r\nEND"),
        ];
        let found = format!("0x0c 0 0x0 cas [0, 0, 0, 5] key=t{number} x");
        assert_eq!(conversation(&mut binary, &all(&asks)), [found]);
        let value = format!("VALUE b{number} 5 5\r\n\r\nEND\r\nEND\r\n");
        text.ask(format!("get b{number}\r\n"), value);
    }
}

#[test]
fn bad_requests_get_the_replies_of_memcached_and_disturb_nobody() {
    let Some((_servers, [alone, upstream])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let settings = Settings {
        workers: 1,
        connections: 1,
        ..settings(Protocol::Memcached)
    };
    let proxy = proxy(settings, &[upstream]);
    let mut neighbour = proxy.connect();
    conversation(&mut neighbour, &Ask::new(SET, "n").value("here").bytes());
    let with_length = |opcode: u8, length: u32| {
        let mut bytes = Ask::new(opcode, "key").bytes();
        bytes[8..12].copy_from_slice(&length.to_be_bytes());
        bytes
    };
    for bytes in [
        b"get n\r\n and a few more bytes of text".to_vec(),
        [&[0x82][..], &[0; 30]].concat(),
        Ask::new(GET, [b'k'; 251]).bytes(),
        Ask::new(GET, "").bytes(),
        Ask::new(GET, "key").value("value").bytes(),
        Ask::new(SET, "key").extras(b"1234").bytes(),
        Ask::new(INCR, "key").value("1").bytes(),
        Ask::new(NOOP, "key").bytes(),
        Ask::new(VERSION, "key").bytes(),
        Ask::new(FLUSH, "").extras(&[0; 3]).bytes(),
        Ask::new(STAT, "").extras(&[0; 4]).bytes(),
        with_length(GET, 2),
        with_length(SET, 0),
        with_length(GETKQ, u32::MAX),
    ] {
        expect_same_end(Client::connect(alone), proxy.connect(), &bytes);
        let found = conversation(&mut neighbour, &Ask::new(GET, "n").bytes());
        assert_eq!(found, ["0x00 0 0x0 cas [0, 0, 0, 5] here"]);
    }
    // A body over 1 GiB, as memcached 1.6.45 answers.
    for (opcode, length) in [(SET, u32::MAX), (SETQ, (1 << 30) + 1), (0x7f, u32::MAX)] {
        let mut client = proxy.connect();
        client.send(with_length(opcode, length));
        assert_eq!(
            reply_line(&mut client),
            format!("{opcode:#04x} 0 0x4 Invalid arguments")
        );
        client.expect_end();
    }
}

/// Both answer the bytes alike, and close.
#[track_caller]
fn expect_same_end(memcached: Client, proxy: Client, bytes: &[u8]) {
    let [expected, got] = [memcached, proxy].map(|mut client| {
        client.send(Ask::new(NOOP, "").bytes());
        assert_eq!(reply_line(&mut client), "0x0a 0 0x0 ");
        client.send(bytes);
        let mut rest = Vec::new();
        client.0.read_to_end(&mut rest).expect("an end");
        rest.escape_ascii().to_string()
    });
    assert_eq!(got, expected, "{}", bytes.escape_ascii());
}

/// memcached reads the bytes of a body that its command can't have as the next request.
#[test]
fn bytes_that_a_touch_announces_are_the_next_request() {
    let Some((_servers, [alone, upstream])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let proxy = proxy(settings(Protocol::Memcached), &[upstream]);
    let get = Ask::new(GETK, "inner").opaque(9).bytes();
    let mut touch = Ask::new(TOUCH, "outer").value(&get).bytes();
    touch.extend(Ask::new(SET, "other").value("x").bytes());
    let expected = conversation(&mut Client::connect(alone), &touch);
    assert_eq!(expected.len(), 3);
    assert_eq!(conversation(&mut proxy.connect(), &touch), expected);
}

#[test]
fn a_large_value_streams_quiet_or_not() {
    let Some((_servers, addresses)) = memcacheds::<2>() else {
        skip!("there is no memcached");
    };
    let proxy = proxy(settings(Protocol::Memcached), &addresses);
    let mut client = proxy.connect();
    let value = vec![0x80; 3 << 20];
    let too_large = vec![0x81; 17 << 20];
    for key in ["a", "b", "c", "d"] {
        for (opcode, stored) in [(SET, &["0x01 1 0x0 cas "][..]), (SETQ, &[])] {
            let asks = [
                Ask::new(opcode, key).value(&value).opaque(1),
                Ask::new(GETQ, key).opaque(2),
            ];
            let found = format!("0x09 2 0x0 cas [0, 0, 0, 5] {} bytes", value.len());
            let got = conversation(&mut client, &all(&asks));
            assert_eq!(got, [stored, &[&found[..]]].concat());
            let refused = Ask::new(opcode, key).value(&too_large).opaque(3).bytes();
            let expected = format!("{opcode:#04x} 3 0x3 Too large.");
            assert_eq!(conversation(&mut client, &refused), [expected]);
        }
    }
}

#[test]
fn statistics_are_those_of_all_servers() {
    let Some((_servers, [alone, one, two])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let single = proxy(settings(Protocol::Memcached), &[alone]);
    let pool = proxy(settings(Protocol::Memcached), &[one, two]);
    let name = |line: &String| {
        let key = line.split_once("key=").expect("a name").1;
        key.split(' ').next().expect("a word").to_owned()
    };
    let stat = |client: &mut Client, key: &str| {
        let mut lines = conversation(client, &Ask::new(STAT, key).opaque(3).bytes());
        assert_eq!(
            lines.pop().as_deref(),
            Some("0x10 3 0x0 "),
            "the end of {key}"
        );
        lines
    };
    let expected = stat(&mut Client::connect(alone), "");
    let got = stat(&mut single.connect(), "");
    let names: Vec<String> = expected.iter().map(name).collect();
    assert_eq!(got.iter().map(name).collect::<Vec<String>>(), names);

    let mut client = pool.connect();
    let sets = (0..40).map(|n| Ask::new(SETQ, format!("k{n}")).value("x"));
    conversation(&mut client, &all(&sets.collect::<Vec<Ask>>()));
    let got = stat(&mut client, "");
    assert!(
        got.contains(&"0x10 3 0x0 key=curr_items 40".to_owned()),
        "{got:#?}"
    );
    assert!(
        got.iter()
            .any(|line| line.contains(&format!("{one}:state up")))
    );
    let own = stat(&mut client, "proxy");
    assert!(
        own.iter().all(|line| line.contains("key=127.0.0.1:")),
        "{own:#?}"
    );
    assert!(
        stat(&mut client, "settings")
            .iter()
            .any(|line| name(line) == "maxbytes")
    );
    assert_eq!(stat(&mut client, "reset"), [""; 0]);
    let refused = conversation(&mut client, &Ask::new(STAT, "items").opaque(4).bytes());
    let why = "stats items is about one server, and the proxy has several: ask that server itself";
    assert_eq!(refused, [format!("0x10 4 0x83 {why}")]);
    let version = conversation(&mut client, &Ask::new(VERSION, "").bytes());
    assert!(version[0].starts_with("0x0b 0 0x0 1."), "{version:?}");
}

#[test]
fn a_server_that_is_down_is_named_or_counts_as_empty() {
    let Some((_servers, [up])) = memcacheds() else {
        skip!("there is no memcached");
    };
    let down = free_port();
    for (on_failure, is_error) in [(OnFailure::Error, true), (OnFailure::Miss, false)] {
        let settings = Settings {
            failures: 1,
            on_failure,
            ..settings(Protocol::Memcached)
        };
        let proxy = proxy(settings, &[up, down]);
        let mut client = proxy.connect();
        // The first request finds out that it is down, and ejects it.
        conversation(&mut client, &Ask::new(FLUSH, "").bytes());
        let error =
            format!("0x86 upstream {down} is ejected after consecutive errors; it is probed");
        let (mut failed, mut found) = (0, 0);
        for number in 0..30 {
            let key = format!("k{number}");
            let asks = [
                Ask::new(SETQ, &key).value("x").opaque(1),
                Ask::new(GET, &key).opaque(2),
                Ask::new(GETKQ, &key).opaque(3),
            ];
            let got = conversation(&mut client, &all(&asks));
            if got[0] != format!("0x11 1 {error}") {
                assert_eq!(got.len(), 2, "{got:?}");
                found += 1;
                continue;
            }
            failed += 1;
            let reads: &[String] = &got[1..];
            match is_error {
                true => assert_eq!(
                    reads,
                    [format!("0x00 2 {error}"), format!("0x0d 3 {error}")]
                ),
                false => assert_eq!(reads, ["0x00 2 0x1 Not found"]),
            }
        }
        assert!(failed > 0 && found > 0, "{failed} {found}");
        for opcode in [FLUSH, FLUSHQ] {
            let got = conversation(&mut client, &Ask::new(opcode, "").opaque(5).bytes());
            assert_eq!(got, [format!("{opcode:#04x} 5 {error}")]);
        }
    }
}

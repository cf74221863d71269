//! Read-through, end to end: an origin that answers when the test lets it, and clients of both protocols.

mod origin_support;

use std::sync::Arc;
use std::time::Duration;

use larder::origin::{FetchError, Fetched, OnFailure, Settings};
use origin_support::{Client, MODELS, resp, server, server_with, settings};

const VALUE: &str = "VALUE k 0 5\r\nvalue\r\nEND\r\n";

#[test]
fn one_fetch_serves_all_clients_that_ask_for_a_key_and_others_are_served_meanwhile() {
    for model in MODELS {
        let (server, origin) = server(model, settings());
        let mut other = Client::memcached(&server);
        other.ask("set there 0 0 3\r\nhit\r\n", "STORED\r\n");
        let mut clients: Vec<Client> = (0..40).map(|_| Client::memcached(&server)).collect();
        clients
            .iter_mut()
            .for_each(|client| client.send("get k\r\n"));
        other.wait_for_stat("origin_waits", 40);
        other.ask("get there\r\n", "VALUE there 0 3\r\nhit\r\nEND\r\n");
        assert_eq!(origin.asked(), ["k"]);
        origin.give("k", "value");
        clients.iter_mut().for_each(|client| client.expect(VALUE));
        other.ask("get k\r\n", VALUE);
        assert_eq!(origin.asked(), ["k"]);
        assert_eq!(other.stat("origin_fetches"), 1);
        assert_eq!(other.stat("origin_found"), 1);
        assert_eq!(other.stat("get_hits"), 42);
        assert_eq!(other.stat("get_misses"), 0);
    }
}

#[test]
fn every_read_of_memcacheds_protocols_reads_through() {
    let binary_get = [
        b"\x80\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\0\0\0\x07\0\0\0\0\0\0\0\0".as_slice(),
        b"k",
    ]
    .concat();
    // The answer begins with its head: 4 bytes of flags and 5 of value.
    let binary_hit = b"\x81\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x09\0\0\0\x07".to_vec();
    let text = |text: &str| text.as_bytes().to_vec();
    let reads = [
        (text("get k\r\n"), text(VALUE)),
        (text("gets k\r\n"), text("VALUE k 0 5 ")),
        (text("gat 0 k\r\n"), text(VALUE)),
        (text("mg k v\r\n"), text("VA 5\r\nvalue\r\n")),
        (text("mg k s\r\n"), text("HD s5\r\n")),
        (text("getn k\r\n"), text(VALUE)),
        (binary_get, binary_hit),
    ];
    for model in MODELS {
        for (request, reply) in &reads {
            let (server, origin) = server(model, settings());
            origin.give("k", "value");
            Client::memcached(&server).ask(request, reply);
            assert_eq!(origin.asked(), ["k"]);
        }
    }
}

#[test]
fn every_read_of_resp_reads_through() {
    let reads: [(&[&str], &[&str], &str); 4] = [
        (&["GET", "k"], &["k"], "$5\r\nvalue\r\n"),
        (
            &["MGET", "k", "l"],
            &["k", "l"],
            "*2\r\n$5\r\nvalue\r\n$5\r\nvalue\r\n",
        ),
        (&["HGET", "u", "name"], &["u:name"], "$5\r\nvalue\r\n"),
        (
            &["HMGET", "u", "mail", "name"],
            &["u:mail", "u:name"],
            "*2\r\n$5\r\nvalue\r\n$5\r\nvalue\r\n",
        ),
    ];
    for model in MODELS {
        for (words, keys, reply) in reads {
            let (server, origin) = server(model, settings());
            let mut client = Client::resp(&server);
            client.send(resp(words));
            // All of them are asked for before the first is answered.
            assert_eq!(origin.wait_for(keys.len()), keys);
            keys.iter().for_each(|key| origin.give(key, "value"));
            client.expect(reply);
            client.ask(resp(words), reply);
            assert_eq!(origin.asked().len(), keys.len());
        }
    }
}

#[test]
fn a_get_of_many_keys_asks_for_all_that_are_missing_at_once() {
    for model in MODELS {
        let (server, origin) = server(model, settings());
        let mut client = Client::memcached(&server);
        client.ask("set b 0 0 1\r\nB\r\n", "STORED\r\n");
        client.send("get a b c d\r\nget b\r\n");
        assert_eq!(origin.wait_for(3), ["a", "c", "d"]);
        origin.give("c", "C");
        origin.answer("a", Ok(None));
        origin.answer("d", Err(FetchError::Error("it is broken".into())));
        client.expect("VALUE b 0 1\r\nB\r\nVALUE c 0 1\r\nC\r\nEND\r\nVALUE b 0 1\r\nB\r\nEND\r\n");
        assert_eq!(origin.asked().len(), 3);
    }
}

#[test]
fn what_the_origin_does_not_have_is_a_miss_and_is_remembered_for_its_time() {
    let settings = Settings {
        negative_ttl: Duration::from_secs(30),
        ..settings()
    };
    for model in MODELS {
        let (server, origin) = server(model, settings);
        let (mut memcached, mut resp_client) = (Client::memcached(&server), Client::resp(&server));
        origin.answer("k", Ok(None));
        memcached.ask("get k\r\n", "END\r\n");
        memcached.ask("mg k v\r\n", "EN\r\n");
        resp_client.ask(resp(&["GET", "k"]), "$-1\r\n");
        server.advance(Duration::from_millis(29_999));
        memcached.ask("get k\r\n", "END\r\n");
        assert_eq!(origin.asked().len(), 1);
        server.advance(Duration::from_millis(1));
        origin.give("k", "value");
        memcached.ask("get k\r\n", VALUE);
        assert_eq!(memcached.stat("get_misses"), 3);
    }
}

#[test]
fn a_write_during_the_fetch_wins() {
    for model in MODELS {
        let (server, origin) = server(model, settings());
        let (mut reader, mut writer) = (Client::memcached(&server), Client::memcached(&server));
        reader.send("get k\r\n");
        origin.wait_for(1);
        writer.ask("set k 0 0 3\r\nnew\r\n", "STORED\r\n");
        origin.give("k", "old");
        reader.expect("VALUE k 0 3\r\nnew\r\nEND\r\n");
        writer.wait_for_stat("origin_overtaken", 1);
        Client::resp(&server).ask(resp(&["GET", "k"]), "$3\r\nnew\r\n");
        assert_eq!(origin.asked(), ["k"]);
    }
}

#[test]
fn a_delete_during_the_fetch_wins_although_there_was_nothing_to_delete() {
    type Delete = fn(&mut Client, &mut Client);
    let deletes: [(&str, Delete); 5] = [
        ("delete", |memcached, _| {
            memcached.ask("delete k\r\n", "NOT_FOUND\r\n");
        }),
        ("md", |memcached, _| memcached.ask("md k\r\n", "NF\r\n")),
        ("flush_all", |memcached, _| {
            memcached.ask("flush_all\r\n", "OK\r\n");
        }),
        ("DEL", |_, client| {
            client.ask(resp(&["DEL", "k"]), ":0\r\n");
        }),
        ("GETDEL", |_, client| {
            client.ask(resp(&["GETDEL", "k"]), "$-1\r\n");
        }),
    ];
    for model in MODELS {
        for (what, delete) in deletes {
            let (server, origin) = server(model, settings());
            let (mut before, mut after) = (Client::memcached(&server), Client::memcached(&server));
            let (mut writer, mut redis) = (Client::memcached(&server), Client::resp(&server));
            before.send("get k\r\n");
            origin.wait_for(1);
            delete(&mut writer, &mut redis);
            // A client that asks now must not get the value that was read before the delete.
            after.send("get k\r\n");
            writer.wait_for_stat("origin_waits", 2);
            origin.give("k", "older");
            assert_eq!(origin.wait_for(2), ["k", "k"], "{what}");
            origin.give("k", "value");
            before.expect(VALUE);
            after.expect(VALUE);
            assert_eq!(writer.stat("origin_overtaken"), 1, "{what}");
        }
    }
}

#[test]
fn a_delete_of_a_field_during_its_fetch_wins_and_other_fields_are_not_concerned() {
    let (server, origin) = server(MODELS[0], settings());
    let (mut name, mut mail) = (Client::resp(&server), Client::resp(&server));
    let mut writer = Client::resp(&server);
    name.send(resp(&["HGET", "u", "name"]));
    mail.send(resp(&["HGET", "u", "mail"]));
    origin.wait_for(2);
    writer.ask(resp(&["HDEL", "u", "name"]), ":0\r\n");
    writer.ask(resp(&["HSET", "u", "phone", "1"]), ":1\r\n");
    origin.give("u:mail", "a@b");
    mail.expect("$3\r\na@b\r\n");
    origin.give("u:name", "older");
    origin.wait_for(3);
    origin.give("u:name", "Ada");
    name.expect("$3\r\nAda\r\n");
    Client::memcached(&server).ask("getn u name\r\n", "VALUE u name 0 3\r\nAda\r\nEND\r\n");
}

#[test]
fn a_stale_item_is_answered_at_once_and_refreshed_once() {
    let settings = Settings {
        fresh: Duration::from_secs(60),
        stale: Duration::from_secs(30),
        ..settings()
    };
    for model in MODELS {
        let (server, origin) = server(model, settings);
        let mut client = Client::memcached(&server);
        origin.give("k", "value");
        client.ask("get k\r\n", VALUE);
        server.advance(Duration::from_millis(59_999));
        client.ask("get k\r\n", VALUE);
        assert_eq!(origin.asked().len(), 1);
        server.advance(Duration::from_millis(1));
        client.ask("get k\r\n", VALUE);
        origin.wait_for(2);
        Client::resp(&server).ask(resp(&["GET", "k"]), "$5\r\nvalue\r\n");
        client.ask("mg k v\r\n", "VA 5\r\nvalue\r\n");
        origin.give("k", "newer");
        client.wait_for_stat("origin_found", 2);
        client.ask("get k\r\n", "VALUE k 0 5\r\nnewer\r\nEND\r\n");
        assert_eq!(origin.asked().len(), 2);
        assert_eq!(client.stat("origin_refreshes"), 1);
        server.advance(Duration::from_secs(90));
        client.send("get k\r\n");
        origin.wait_for(3);
        origin.answer("k", Ok(None));
        client.expect("END\r\n");
    }
}

#[test]
fn a_client_s_own_item_is_not_refreshed() {
    let settings = Settings {
        stale: Duration::from_secs(30),
        ..settings()
    };
    let (server, origin) = server(MODELS[0], settings);
    let mut client = Client::memcached(&server);
    client.ask("set k 0 10 5\r\nvalue\r\n", "STORED\r\n");
    server.advance(Duration::from_secs(9));
    client.ask("get k\r\n", VALUE);
    assert_eq!(
        client.stat("origin_queued") + client.stat("origin_fetches"),
        0
    );
    assert_eq!(origin.asked().len(), 0);
}

#[test]
fn a_failed_refresh_keeps_the_stale_item_or_removes_it_as_configured() {
    for (on_failure, reply) in [(OnFailure::Stale, VALUE), (OnFailure::Miss, "END\r\n")] {
        let settings = Settings {
            fresh: Duration::from_secs(60),
            stale: Duration::from_secs(600),
            retry: Duration::from_secs(5),
            on_failure,
            ..settings()
        };
        let (server, origin) = server(MODELS[0], settings);
        let mut client = Client::memcached(&server);
        origin.give("k", "value");
        client.ask("get k\r\n", VALUE);
        server.advance(Duration::from_secs(60));
        client.ask("get k\r\n", VALUE);
        origin.answer("k", Err(FetchError::Unavailable("it is down".into())));
        client.wait_for_stat("origin_unavailable", 1);
        client.wait_for_stat("origin_under_way", 0);
        client.ask("get k\r\n", reply);
        assert_eq!(origin.asked().len(), 2, "not again before the retry time");
        server.advance(Duration::from_secs(5));
        origin.give("k", "value");
        client.send("get k\r\n");
        origin.wait_for(3);
        client.expect(VALUE);
    }
}

#[test]
fn every_failure_is_a_miss_and_has_a_statistic() {
    for (answer, statistic) in [
        (Err(FetchError::TimedOut), "origin_timeouts"),
        (
            Err(FetchError::Unavailable("refused".into())),
            "origin_unavailable",
        ),
        (Err(FetchError::Error("500".into())), "origin_errors"),
        (Err(FetchError::TooLarge(7)), "origin_too_large"),
        (
            Ok(Some(Fetched::from(vec![b'x'; 2000]))),
            "origin_too_large",
        ),
    ] {
        let (server, origin) =
            server_with(MODELS[0], settings(), |builder| builder.max_item_size(2000));
        let mut client = Client::memcached(&server);
        origin.answer("k", answer);
        client.ask("get k\r\n", "END\r\n");
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(client.stat(statistic), 1, "{statistic}");
        assert_eq!(origin.asked().len(), 1, "{statistic}");
        server.advance(Duration::from_secs(1));
        origin.give("k", "value");
        client.ask("get k\r\n", VALUE);
    }
}

#[test]
fn a_full_queue_is_a_miss_at_once() {
    let settings = Settings {
        threads: 1,
        queue: 2,
        ..settings()
    };
    for model in MODELS {
        let (server, origin) = server(model, settings);
        let mut waiting: Vec<Client> = (0..3).map(|_| Client::memcached(&server)).collect();
        let mut other = Client::memcached(&server);
        waiting[0].send("get a\r\n");
        origin.wait_for(1);
        waiting[1].send("get b\r\n");
        waiting[2].send("get c\r\n");
        other.wait_for_stat("origin_queued", 2);
        other.ask("get d\r\n", "END\r\n");
        assert_eq!(other.stat("origin_queue_full"), 1);
        // A command that waits anyway waits for room.
        other.send("get a e\r\n");
        Client::memcached(&server).wait_for_stat("origin_waits", 4);
        for key in ["a", "b", "c", "e"] {
            origin.give(key, key);
        }
        other.expect("VALUE a 0 1\r\na\r\nVALUE e 0 1\r\ne\r\nEND\r\n");
        waiting[2].expect("VALUE c 0 1\r\nc\r\nEND\r\n");
        assert_eq!(other.stat("origin_queue_full"), 1);
    }
}

#[test]
fn reads_that_can_not_wait_miss() {
    let (server, origin) = server(MODELS[0], settings());
    let mut client = Client::resp(&server);
    client.ask(
        "MULTI\r\nGET k\r\nEXEC\r\n",
        "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n",
    );
    client.ask("SELECT 1\r\nGET k\r\n", "+OK\r\n$-1\r\n");
    let mut memcached = Client::memcached(&server);
    memcached.ask("mg k v N30\r\n", "VA 0 W\r\n\r\n");
    memcached.ask("touch l 10\r\n", "NOT_FOUND\r\n");
    memcached.ask("incr l 1\r\n", "NOT_FOUND\r\n");
    assert_eq!(origin.asked().len(), 0);
}

#[test]
fn a_hash_is_no_item_of_the_origin() {
    let (server, origin) = server(MODELS[0], settings());
    let (mut memcached, mut client) = (Client::memcached(&server), Client::resp(&server));
    client.ask(resp(&["HSET", "k", "f", "1"]), ":1\r\n");
    memcached.ask("get k\r\n", "END\r\n");
    client.ask(resp(&["SET", "s", "1"]), "+OK\r\n");
    client.send(resp(&["HGET", "s", "f"]));
    client.expect("-WRONGTYPE");
    assert_eq!(origin.asked().len(), 0);
}

#[test]
fn a_client_that_is_killed_while_it_waits_is_disconnected_at_once() {
    let (server, origin) = server(MODELS[0], settings());
    let (mut waiting, mut other) = (Client::resp(&server), Client::resp(&server));
    waiting.send(resp(&["CLIENT", "ID"]));
    let id = waiting.line();
    waiting.send(resp(&["GET", "k"]));
    origin.wait_for(1);
    other.ask(resp(&["CLIENT", "KILL", "ID", &id[1..]]), ":1\r\n");
    waiting.expect_end();
    origin.give("k", "value");
    other.ask(resp(&["GET", "k"]), "$5\r\nvalue\r\n");
}

#[test]
fn the_end_of_the_server_answers_those_who_wait() {
    for model in MODELS {
        let (server, origin) = server(model, settings());
        let mut client = Client::memcached(&server);
        client.send("get k\r\n");
        origin.wait_for(1);
        let stopping = Arc::clone(&origin);
        let thread = std::thread::spawn(move || stopping.give("k", "value"));
        server.stop();
        client.expect(VALUE);
        client.expect_end();
        thread.join().unwrap();
    }
}

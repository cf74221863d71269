//! The origins `memcached` and `redis`: real servers and larder behind larder, and servers that are down, silent or wrong.

mod origin_support;
mod proxy_support;
mod support;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use larder::origin::{MemcachedOrigin, Origin, RedisOrigin, Settings};
use larder::{Listen, Server};
use origin_support::{Client, front, resp, settings};
use proxy_support::{Real, answer_lines, answerer, free_port, peer, sleeper};

fn memcached_at(address: SocketAddr) -> MemcachedOrigin {
    MemcachedOrigin::new(&address.to_string())
}

fn redis_at(address: SocketAddr) -> RedisOrigin {
    RedisOrigin::new(&address.to_string())
}

/// Runs a test with the address of a real server, if it is installed, and with one of a larder.
fn behind(program: &str, ours: fn(&Server) -> SocketAddr, test: impl Fn(SocketAddr)) {
    match Real::start(program) {
        Some(real) => test(real.address),
        None => support::skipped(&format!("{program} is not installed")),
    }
    let larder = Server::start().expect("it starts");
    test(ours(&larder));
}

#[test]
fn memcached_gives_values_with_flags_and_misses() {
    behind("memcached", Server::memcached_addr, |address| {
        let mut behind = Client::connect(address);
        behind.ask("set user:42 7 0 3\r\nAda\r\n", "STORED\r\n");
        behind.ask("set empty 0 0 0\r\n\r\n", "STORED\r\n");
        let server = front(memcached_at(address), settings());
        let mut client = Client::memcached(&server);
        client.ask("get user:42\r\n", "VALUE user:42 7 3\r\nAda\r\nEND\r\n");
        client.ask("getn user 42\r\n", "VALUE user 42 7 3\r\nAda\r\nEND\r\n");
        client.ask("get empty\r\n", "VALUE empty 0 0\r\n\r\nEND\r\n");
        client.ask("get missing\r\n", "END\r\n");
        behind.ask("delete user:42\r\n", "DELETED\r\n");
        client.ask("get user:42\r\n", "VALUE user:42 7 3\r\nAda\r\nEND\r\n");
        assert_eq!(client.stat("origin_found"), 3);
        assert_eq!(client.stat("origin_missing"), 1);
    });
}

#[test]
fn memcached_is_asked_for_keys_with_spaces_in_base64() {
    behind("memcached", Server::memcached_addr, |address| {
        // The key is `a b`.
        let mut behind = Client::connect(address);
        behind.ask("ms YSBi 5 b F9\r\nvalue\r\n", "HD\r\n");
        let server = front(memcached_at(address), settings());
        let (mut client, mut redis) = (Client::memcached(&server), Client::resp(&server));
        redis.ask(resp(&["GET", "a b"]), "$5\r\nvalue\r\n");
        client.ask("mg YSBi b f\r\n", "HD f9\r\n");
        redis.ask(resp(&["GET", "a\r\nb"]), "$-1\r\n");
        assert_eq!(client.stat("origin_missing"), 1);
        assert_eq!(client.stat("origin_errors"), 0);
    });
}

#[test]
fn a_key_that_memcached_can_not_have_is_an_error_and_the_next_key_is_found() {
    behind("memcached", Server::memcached_addr, |address| {
        let mut behind = Client::connect(address);
        let longest = "k".repeat(250);
        behind.ask(format!("set {longest} 0 0 1\r\n1\r\n"), "STORED\r\n");
        let server = front(memcached_at(address), settings());
        let (mut client, mut redis) = (Client::memcached(&server), Client::resp(&server));
        for key in ["k".repeat(251), " ".repeat(200)] {
            redis.ask(resp(&["GET", &key]), "$-1\r\n");
        }
        assert_eq!(client.stat("origin_errors"), 2);
        redis.ask(resp(&["GET", &longest]), "$1\r\n1\r\n");
    });
}

#[test]
fn redis_gives_strings_and_misses_and_another_type_is_an_error() {
    behind("redis-server", Server::resp_addr, |address| {
        let mut behind = Client::connect(address);
        behind.ask(resp(&["SET", "user:42", "Ada"]), "+OK\r\n");
        behind.ask(resp(&["SET", "a b\r\n", "any key"]), "+OK\r\n");
        behind.ask(resp(&["HSET", "hash", "field", "1"]), ":1\r\n");
        let server = front(redis_at(address), settings());
        let (mut client, mut redis) = (Client::memcached(&server), Client::resp(&server));
        client.ask("get user:42\r\n", "VALUE user:42 0 3\r\nAda\r\nEND\r\n");
        redis.ask(resp(&["HGET", "user", "42"]), "$3\r\nAda\r\n");
        redis.ask(resp(&["GET", "a b\r\n"]), "$7\r\nany key\r\n");
        client.ask("get missing\r\n", "END\r\n");
        assert_eq!(client.stat("origin_missing"), 1);
        client.ask("get hash\r\n", "END\r\n");
        assert_eq!(client.stat("origin_errors"), 1);
        assert_eq!(client.stat("origin_found"), 3);
    });
}

#[test]
fn a_value_over_the_limit_of_an_item_is_a_failure_and_one_at_the_limit_is_stored() {
    let (fits, too_large) = ("x".repeat(1999), "x".repeat(2000));
    behind("memcached", Server::memcached_addr, |address| {
        let mut behind = Client::connect(address);
        behind.ask(format!("set a 0 0 1999\r\n{fits}\r\n"), "STORED\r\n");
        behind.ask(format!("set b 0 0 2000\r\n{too_large}\r\n"), "STORED\r\n");
        limited(memcached_at(address), &fits);
    });
    behind("redis-server", Server::resp_addr, |address| {
        let mut behind = Client::connect(address);
        behind.ask(resp(&["SET", "a", &fits]), "+OK\r\n");
        behind.ask(resp(&["SET", "b", &too_large]), "+OK\r\n");
        limited(redis_at(address), &fits);
    });
}

/// `a` is this value, and `b` is too large.
fn limited(origin: impl Origin, fits: &str) {
    let server = front(origin, settings());
    let mut client = Client::memcached(&server);
    client.ask("get b\r\n", "END\r\n");
    assert_eq!(client.stat("origin_too_large"), 1);
    client.ask("get a\r\n", format!("VALUE a 0 1999\r\n{fits}\r\nEND\r\n"));
}

#[test]
fn a_server_that_is_down_is_a_miss_until_it_is_back() {
    let address = free_port();
    let server = front(memcached_at(address), settings());
    let mut client = Client::memcached(&server);
    client.ask("get k\r\n", "END\r\n");
    assert_eq!(client.stat("origin_unavailable"), 1);
    let behind = Server::builder().memcached(Some(Listen::Tcp(address.to_string())));
    let _behind = behind.start().expect("the address is free");
    Client::connect(address).ask("set k 0 0 5\r\nvalue\r\n", "STORED\r\n");
    // The key is fetched again after the retry time.
    server.advance(Duration::from_secs(1));
    client.ask("get k\r\n", "VALUE k 0 5\r\nvalue\r\nEND\r\n");
}

#[test]
fn each_key_of_a_server_that_stays_down_is_a_miss() {
    let server = front(redis_at(free_port()), settings());
    let mut client = Client::memcached(&server);
    for number in 0..10u64 {
        client.ask(format!("get k{number}\r\n"), "END\r\n");
        assert_eq!(client.stat("origin_unavailable"), number + 1);
    }
}

#[test]
fn a_silent_server_is_a_miss_at_the_deadline_and_hits_go_on() {
    let impatient = Settings {
        timeout: Duration::from_millis(200),
        ..settings()
    };
    let begins = || answerer(b"VALUE k 0 100\r\nbegun", false);
    let dribbles = || {
        peer(|mut stream: TcpStream| {
            let _ = stream.write_all(b"$1000\r\n");
            while stream.write_all(b"x").is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        })
    };
    for server in [
        front(memcached_at(sleeper()), impatient),
        front(redis_at(sleeper()), impatient),
        front(memcached_at(begins()), impatient),
        front(redis_at(dribbles()), impatient),
    ] {
        let mut client = Client::memcached(&server);
        client.ask("set there 0 0 3\r\nhit\r\n", "STORED\r\n");
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(client.stat("origin_timeouts"), 1);
        client.ask("get there\r\n", "VALUE there 0 3\r\nhit\r\nEND\r\n");
    }
}

#[test]
fn a_server_that_answers_wrongly_is_an_error_and_nothing_is_stored() {
    let wrong: [(&[u8], &str); 6] = [
        (b"VALUE other 0 1\r\nx\r\nEND\r\n", "origin_errors"),
        (b"SERVER_ERROR out of memory\r\n", "origin_errors"),
        (b"HTTP/1.1 400 Bad Request\r\n", "origin_errors"),
        (b"VALUE k 0 1\r\nxyz\r\nEND\r\n", "origin_errors"),
        (b"VALUE k 0 99999999999999\r\n", "origin_errors"),
        (b"VALUE k 0 1000000000\r\n", "origin_too_large"),
    ];
    for (reply, statistic) in wrong {
        let server = front(memcached_at(answerer(reply, false)), settings());
        let mut client = Client::memcached(&server);
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(
            client.stat(statistic),
            1,
            "{}",
            String::from_utf8_lossy(reply)
        );
    }
    let wrong: [(&[u8], &str); 4] = [
        (b"-NOAUTH Authentication required.\r\n", "origin_errors"),
        (b":1\r\n", "origin_errors"),
        (b"*1\r\n$1\r\nx\r\n", "origin_errors"),
        (b"$99999999999999\r\n", "origin_too_large"),
    ];
    for (reply, statistic) in wrong {
        let server = front(redis_at(answerer(reply, false)), settings());
        let mut client = Client::memcached(&server);
        client.ask("get k\r\n", "END\r\n");
        assert_eq!(
            client.stat(statistic),
            1,
            "{}",
            String::from_utf8_lossy(reply)
        );
    }
    let server = front(memcached_at(answerer(b"VALUE k 0 9", true)), settings());
    let mut client = Client::memcached(&server);
    client.ask("get k\r\n", "END\r\n");
    assert_eq!(client.stat("origin_unavailable"), 1);
}

#[test]
fn fetches_one_after_the_other_use_one_connection() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = peer(move |stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        answer_lines(stream, |line| {
            let key = line.trim_start_matches("get ");
            format!("VALUE {key} 0 1\r\n1\r\nEND\r\n")
        });
    });
    let server = front(memcached_at(address), settings());
    let mut client = Client::memcached(&server);
    for key in ["a", "b", "c"] {
        client.ask(
            format!("get {key}\r\n"),
            format!("VALUE {key} 0 1\r\n1\r\nEND\r\n"),
        );
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

//! Random streams of requests to the proxy and to a bare server: a client must not see whether the proxy is there.
//!
//! ```text
//!   number ──▶ stream ─┬▶ proxy ──▶ a real server ─┐
//!                      └▶ another real server ─────┴▶ the replies, settled ──▶ equal, or the smallest stream that isn't
//! ```
//!
//! The streams are those of `memcached_differential` and `resp_against_redis`. `LARDER_STREAMS` is the number of streams of each
//! protocol, `LARDER_SEED` the number of the only one.

#[path = "../resp_against_redis/commands.rs"]
#[allow(dead_code, reason = "the other test uses the rest")]
mod commands;
#[path = "../memcached_differential/figures.rs"]
mod figures;
#[path = "../proxy_support/mod.rs"]
mod proxy_support;
#[path = "../resp_against_redis/replies.rs"]
mod replies;
#[path = "../memcached_differential/settle.rs"]
mod settle;
mod statistics;
#[path = "../memcached_differential/streams.rs"]
mod streams;
#[path = "../support/mod.rs"]
mod support;

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use commands::{Chance, SHAPES, command};
use larder::Server;
use larder::proxy::Protocol;
use larder::tools::transcript::readable;
use proxy_support::{Client, TestProxy, Upstream, proxy, settings, upstream};
use replies::{Value, encoded, read, same, settle};
use settle::settled;
use streams::{FORMS, Form, goes_in_steps, stream};

/// Streams of each form of memcached's protocols, valid and nearly valid.
const STREAMS: u64 = 500;
/// Streams of RESP, and the commands of each.
const CONVERSATIONS: u64 = 500;
const COMMANDS: usize = 12;

/// Differences that are right, and how they are kept out of the comparison.
#[allow(dead_code, reason = "a list for readers")]
const DECLARED: [(&str, &str); 2] = [
    (
        "of nearly valid requests the kind of an error is compared, not its words",
        "the proxy checks the end of a value before it forwards the request, so it may find another of two mistakes",
    ),
    (
        "the cas uniques of replies are compared by their equality",
        "two servers number their items differently",
    ),
];

/// The last request of a stream, with a reply that no other request has.
fn ending(form: Form) -> [&'static [u8]; 2] {
    match form {
        Form::Binary => [
            b"\x80\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
            b"\x81\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
        ],
        Form::Text | Form::Meta => [
            b"mn\r\nmn\r\nms last 1 O1234567\r\nx\r\n",
            b"HD O1234567\r\n",
        ],
    }
}

/// The two servers, and the proxy before the first.
struct Both {
    proxy: TestProxy,
    behind: SocketAddr,
    bare: SocketAddr,
    /// They end when these are dropped.
    _real: Vec<Upstream>,
    _larders: Vec<Server>,
}

impl Both {
    fn start(protocol: Protocol) -> Both {
        let real = vec![upstream(protocol), upstream(protocol)];
        Both {
            proxy: proxy(settings(protocol), &[real[0].address]),
            behind: real[0].address,
            bare: real[1].address,
            _real: real,
            _larders: Vec::new(),
        }
    }

    /// With larder, which answers malformed requests as the newest memcached does, and so does the proxy.
    fn with_larder() -> Both {
        let config = || Server::builder().nested(false);
        let larders = [(); 2].map(|()| config().start().expect("it starts"));
        let [behind, bare] = larders.each_ref().map(Server::memcached_addr);
        Both {
            proxy: proxy(settings(Protocol::Memcached), &[behind]),
            behind,
            bare,
            _real: Vec::new(),
            _larders: larders.into(),
        }
    }

    /// The replies to a stream on fresh keys, if they differ.
    fn difference(&self, how: How, requests: &[Vec<u8>]) -> Option<[String; 2]> {
        let clients = [self.proxy.connect(), Client::connect(self.bare)];
        let replies = clients.map(|client| {
            let limit = Some(Duration::from_secs(20));
            let limited = client.0.set_read_timeout(limit);
            limited.expect("a timeout can be set");
            let replies = memcached_replies(client, how, requests);
            let replies = settled(how.form, &replies);
            match how.valid {
                true => replies,
                false => without_words_of_errors(&replies),
            }
        });
        (replies[0] != replies[1]).then_some(replies)
    }

    /// Leaves requests out as long as the rest still shows a difference.
    fn shrunk(&self, how: How, mut requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut at = 0;
        while at < requests.len() {
            let mut fewer = requests.clone();
            fewer.remove(at);
            self.flush(b"flush_all\r\n", b"OK\r\n");
            match self.difference(how, &fewer) {
                Some(_) => requests = fewer,
                None => at += 1,
            }
        }
        self.flush(b"flush_all\r\n", b"OK\r\n");
        requests
    }

    fn flush(&self, request: &[u8], reply: &[u8]) {
        for server in [self.behind, self.bare] {
            Client::connect(server).ask(request, reply);
        }
    }

    fn compare(&self, form: Form, valid: bool, number: u64) {
        let (requests, steps) = (stream(form, valid, number), goes_in_steps(valid, number));
        let how = How { form, valid, steps };
        let Some(replies) = self.difference(how, &requests) else {
            return;
        };
        let smaller = self.shrunk(how, requests);
        let [proxied, bare] = self.difference(how, &smaller).unwrap_or(replies);
        panic!(
            "{form:?} stream {number} (valid: {valid}):\n{}\nproxy:\n{proxied}\nbare:\n{bare}",
            readable(&smaller.concat())
        );
    }
}

/// How a stream is made and sent.
#[derive(Clone, Copy)]
struct How {
    form: Form,
    valid: bool,
    /// The next request is sent when the one before it was answered.
    steps: bool,
}

/// Replies without what is behind `CLIENT_ERROR`.
fn without_words_of_errors(replies: &str) -> String {
    let kind = |line: &str| match line.starts_with("CLIENT_ERROR") {
        true => "CLIENT_ERROR".to_owned(),
        false => line.to_owned(),
    };
    let lines: Vec<String> = replies.split("\\r\\n").map(kind).collect();
    lines.join("\\r\\n")
}

/// The replies up to that of the ending, or to the end of the connection.
fn memcached_replies(mut client: Client, how: How, requests: &[Vec<u8>]) -> Vec<u8> {
    let [request, reply] = ending(how.form);
    let mut got = Vec::new();
    let mut read = |client: &mut Client| {
        let start = got.len();
        while !got[start..].ends_with(reply) {
            let mut piece = [0; 4096];
            match client.receive(&mut piece) {
                Ok(0) => break,
                Ok(length) => got.extend_from_slice(&piece[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    got.extend_from_slice(b"(no reply in time)");
                    break;
                }
                // Bytes that the server has not read make its end a reset.
                Err(_) => break,
            }
        }
    };
    if how.steps {
        for one in requests {
            client.send([one, request].concat());
            read(&mut client);
        }
    } else {
        // The server may close the connection meanwhile.
        let _ = client.0.write_all(&[&requests.concat(), request].concat());
        read(&mut client);
    }
    got
}

fn numbers(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("LARDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_STREAMS").unwrap_or(count),
    }
}

#[test]
fn streams_of_memcached_are_answered_as_by_the_server_behind() {
    let both = Both::start(Protocol::Memcached);
    for number in numbers(STREAMS) {
        for form in FORMS {
            both.compare(form, true, number);
        }
    }
}

#[test]
fn nearly_valid_streams_of_memcached_are_answered_as_by_the_server_behind() {
    let both = Both::with_larder();
    for number in numbers(STREAMS) {
        for form in FORMS {
            both.compare(form, false, number);
        }
    }
}

/// Sends commands of RESP at once or one by one, and reads as many replies.
fn resp_replies(mut client: Client, steps: bool, requests: &[Vec<u8>]) -> Vec<Value> {
    let mut values = Vec::new();
    let mut got = Vec::new();
    if !steps {
        client.send(requests.concat());
    }
    for request in requests {
        if steps {
            client.send(request);
        }
        loop {
            if let Some((value, rest)) = read(&got) {
                let length = got.len() - rest.len();
                values.push(value);
                got.drain(..length);
                break;
            }
            let mut piece = [0; 4096];
            let length = client.receive(&mut piece).expect("a reply in time");
            assert!(length > 0, "the connection was closed");
            got.extend_from_slice(&piece[..length]);
        }
    }
    assert!(got.is_empty(), "a reply too many");
    values
}

#[test]
fn conversations_of_resp_are_answered_as_by_the_server_behind() {
    let both = Both::start(Protocol::Resp);
    let addresses: [SocketAddr; 2] = [
        both.proxy.connect().0.peer_addr().expect("it is connected"),
        both.bare,
    ];
    for number in numbers(CONVERSATIONS) {
        let mut chance = Chance::new(number);
        let version = if number % 2 == 0 { "2" } else { "3" };
        let mut commands = vec![vec!["HELLO".to_owned(), version.to_owned()]];
        commands.extend((0..COMMANDS).map(|_| command(&mut chance, SHAPES)));
        let requests: Vec<Vec<u8>> = commands.iter().map(|words| encoded(words)).collect();
        both.flush(b"FLUSHALL\r\n", b"+OK\r\n");
        let [proxied, bare] = addresses
            .map(|address| resp_replies(Client::connect(address), number % 3 == 0, &requests));
        let pairs = commands.iter().zip(proxied.into_iter().zip(bare));
        // The reply to HELLO has the number of the connection.
        for (at, (words, (proxied, bare))) in pairs.enumerate().skip(1) {
            let (proxied, bare) = (settle(words, proxied), settle(words, bare));
            assert!(
                same(words, &proxied, &bare),
                "conversation {number}: {:?}\nproxy: {proxied:?}\nbare: {bare:?}",
                &commands[..=at]
            );
        }
    }
}

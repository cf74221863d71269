//! Random streams of requests, held against a real memcached: both must send the same bytes.
//!
//! ```text
//!   number ──▶ stream ─┬▶ larder, a session in this process ─┐
//!                      └▶ memcached, a connection ───────────┴▶ the replies, settled ──▶ equal, or the smallest stream that isn't
//! ```
//!
//! A stream follows from its number; a difference prints the number and a smaller stream that shows it. Streams have keys
//! of their own and end with the connection, so that a wrong length in one does not reach the next. memcached 1.6.18,
//! which every machine can install, gets valid streams; 1.6.45, if `LARDER_MEMCACHED` names it, nearly valid ones as
//! well. `LARDER_STREAMS` is the number of streams of each protocol, `LARDER_SEED` the number of the only one.

#[path = "../support/mod.rs"]
mod support;

mod declared;
mod expiry;
mod expiry_streams;
mod figures;
mod large;
mod large_streams;
mod settle;
mod statistics;
mod streams;

use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Service};
use larder::service::memcached::{Memcached, Settings};
use larder::store::{Clock, Config, Store};
use larder::tools::transcript::{InProcess, RealTime, Received, Target, readable};

use settle::settled;
use streams::{FORMS, Form, goes_in_steps, stream};
use support::{Kind, Peer, skipped_without};

/// Streams of each protocol.
const STREAMS: u64 = 1500;

/// How a stream is sent.
struct Stream {
    form: Form,
    /// The next request is sent when the one before it was answered.
    steps: bool,
}

/// A request whose reply shows that all before it were answered.
struct Ending {
    request: &'static [u8],
    reply: &'static [u8],
}

impl Ending {
    fn of(form: Form) -> Ending {
        match form {
            Form::Binary => Ending {
                request: b"\x80\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
                reply: b"\x81\x0a\0\0\0\0\0\0\0\0\0\0last\0\0\0\0\0\0\0\0",
            },
            Form::Text | Form::Meta => Ending {
                request: b"mn\r\n",
                reply: b"MN\r\n",
            },
        }
    }
}

/// Both servers.
struct Both {
    memcached: Peer,
    larder: Arc<dyn Service>,
}

impl Both {
    fn start(kind: Kind) -> Option<Both> {
        Both::start_with(kind, 1 << 20, &[])
    }

    /// With this size of the largest item, which the arguments tell memcached.
    fn start_with(kind: Kind, max_item_size: usize, arguments: &[&str]) -> Option<Both> {
        let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
        let memcached = Peer::start(kind, &arguments).expect("memcached starts")?;
        let config = Config {
            max_item_size,
            ..Config::default()
        };
        let store = Arc::new(Store::new(config, Clock::system()));
        let settings = Settings {
            nested: false,
            max_item_size,
            ..Settings::default()
        };
        let larder = Arc::new(Memcached::new(store, Connections::new(), settings));
        Some(Both { memcached, larder })
    }

    /// The bytes that memcached sends until it closes the connection. All requests but the last are sent alone if `steps`.
    fn ask_memcached(&self, requests: &[Vec<u8>], steps: Option<&Ending>) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.memcached.socket()).expect("it listens");
        let limit = Some(Duration::from_secs(60));
        stream
            .set_read_timeout(limit)
            .expect("a timeout can be set");
        let mut replies = Vec::new();
        if let Some(end) = steps {
            for request in requests {
                let _ = stream.write_all(&[request, end.request].concat());
                let start = replies.len();
                while !replies[start..].ends_with(end.reply) {
                    let mut piece = [0; 4096];
                    let length = match stream.read(&mut piece) {
                        // A stop of this process has interrupted it.
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        read => read.expect("an answer in time"),
                    };
                    assert!(length > 0, "memcached has closed the connection");
                    replies.extend_from_slice(&piece[..length]);
                }
            }
        }
        let ended = std::thread::scope(|scope| {
            let mut sender = &stream;
            // Beside the reading: large replies may fill the socket before all requests are sent.
            scope.spawn(move || {
                if steps.is_none() {
                    // It may have closed the connection already.
                    let _ = sender.write_all(&requests.concat());
                }
                let _ = sender.shutdown(Shutdown::Write);
            });
            (&stream).read_to_end(&mut replies)
        });
        match ended {
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("no end came"),
            // Bytes that it has not read make its end a reset.
            _ => replies,
        }
    }

    fn ask_larder(&self, requests: &[Vec<u8>], steps: Option<&Ending>) -> Vec<u8> {
        let time = RealTime {
            at_most: Duration::ZERO,
        };
        let target = InProcess::new(Arc::clone(&self.larder), &time);
        let mut session = target.connect().expect("a session needs no socket");
        for request in requests {
            let end = steps.map_or(&b""[..], |end| end.request);
            session
                .write(&[request, end].concat())
                .expect("a session is sound");
        }
        match session.read(Duration::ZERO).expect("a session is sound") {
            Received::Bytes(reply) => reply,
            Received::Nothing | Received::End => Vec::new(),
        }
    }

    /// The replies to a stream on fresh keys, if they differ.
    fn difference(&self, stream: &Stream, requests: &[Vec<u8>]) -> Option<[String; 2]> {
        let end = Ending::of(stream.form);
        let steps = stream.steps.then_some(&end);
        // A server that still waits for a value does not send the replies before it when the connection ends.
        let mut requests = requests.to_vec();
        requests.push(end.request.repeat(3));
        let asked = [
            self.ask_larder(&requests, steps),
            self.ask_memcached(&requests, steps),
        ];
        let replies = asked.map(|reply| settled(stream.form, &reply));
        (replies[0] != replies[1]).then_some(replies)
    }

    /// Leaves requests out as long as the rest still shows a difference, on empty servers.
    fn shrunk(&self, stream: &Stream, mut requests: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let mut at = 0;
        while at < requests.len() {
            let mut fewer = requests.clone();
            fewer.remove(at);
            self.flush();
            match self.difference(stream, &fewer) {
                Some(_) => requests = fewer,
                None => at += 1,
            }
        }
        requests
    }

    fn flush(&self) {
        let flush = [b"flush_all\r\n".to_vec()];
        self.ask_larder(&flush, None);
        self.ask_memcached(&flush, None);
    }

    /// Compares the replies to the stream of this number.
    fn compare(&self, stream: &Stream, requests: &[Vec<u8>], number: u64) {
        let Some(mut replies) = self.difference(stream, requests) else {
            return;
        };
        let smaller = self.shrunk(stream, requests.to_vec());
        self.flush();
        if let Some(fewer) = self.difference(stream, &smaller) {
            replies = fewer;
        }
        let [ours, theirs] = replies;
        panic!(
            "{:?} stream {number}:\n{}\nlarder:\n{ours}\nmemcached:\n{theirs}",
            stream.form,
            readable(&smaller.concat())
        );
    }
}

/// The numbers of the streams of a test that has so many.
fn numbers(count: u64) -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("LARDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_STREAMS").unwrap_or(count),
    }
}

fn streams_are_answered_alike(kind: Kind, valid: bool) {
    let Some(both) = Both::start(kind) else {
        skipped_without(kind, "random streams were not compared");
        return;
    };
    for number in numbers(STREAMS) {
        for form in FORMS {
            let steps = goes_in_steps(valid, number);
            let requests = stream(form, valid, number);
            both.compare(&Stream { form, steps }, &requests, number);
        }
    }
}

#[test]
fn valid_streams_are_answered_as_memcached_answers_them() {
    streams_are_answered_alike(Kind::Memcached, true);
}

#[test]
fn valid_streams_are_answered_as_the_newest_memcached_answers_them() {
    streams_are_answered_alike(Kind::NewMemcached, true);
}

#[test]
fn nearly_valid_streams_are_answered_as_the_newest_memcached_answers_them() {
    streams_are_answered_alike(Kind::NewMemcached, false);
}

#[test]
fn a_difference_is_found_and_shown_by_few_requests() {
    let Some(both) = Both::start(Kind::Memcached) else {
        skipped_without(Kind::Memcached, "the comparison was not tried");
        return;
    };
    let other = |line: &str| line.as_bytes().to_vec();
    both.ask_larder(&[other("set other 0 0 1\r\nx\r\n")], None);
    let mut requests = stream(Form::Text, true, 1);
    requests.push(other("get other\r\n"));
    let sent = Stream {
        form: Form::Text,
        steps: true,
    };
    let [ours, theirs] = both
        .difference(&sent, &requests)
        .expect("larder has the item");
    assert!(ours.contains("VALUE other 0 1") && !theirs.contains("VALUE other"));
}

//! Several clients of larder and of redis-server, which send the same requests, one after the other.
//!
//! A client may get no answer at all, so an answer can't be waited for. When redis-server answers a further client,
//! it has executed all earlier commands; and when that one is answered a second time, the answers before are sent.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Next, Peer as Client, Service, Session};
use larder::service::resp::{Resp, Settings};
use larder::store::{Clock, Config, Store};
use regex::bytes::Regex;

use crate::support::{Kind, Peer};

/// One client of each server.
struct Pair {
    redis: UnixStream,
    larder: Box<dyn Session>,
    /// Bytes that larder has not consumed yet.
    held: Vec<u8>,
    closed: bool,
}

/// The clients of both servers, and the commands that they sent.
pub(crate) struct Clients {
    pairs: Vec<Pair>,
    /// A connection to redis-server whose answers are not compared.
    control: UnixStream,
    /// The number of a client in HELLO's answer.
    id: Regex,
    said: String,
    peer: Peer,
}

/// Starts redis-server; `None` if it is not installed.
pub(crate) fn clients() -> Option<Clients> {
    let peer = Peer::start(Kind::Redis, &[]).expect("redis-server starts")?;
    Some(Clients {
        pairs: Vec::new(),
        control: connect(&peer),
        id: Regex::new(r"(?-u)\$2\r\nid\r\n:\d+").expect("is one"),
        said: String::new(),
        peer,
    })
}

/// Connects to redis-server, which has accepted the connection when this returns.
fn connect(peer: &Peer) -> UnixStream {
    let mut stream = UnixStream::connect(peer.socket()).expect("redis-server listens");
    let patience = Some(Duration::from_secs(60));
    stream.set_read_timeout(patience).expect("can be set");
    ask(&mut stream, "PING", "+PONG");
    stream
}

/// Sends a line and waits for its answer.
fn ask(redis: &mut UnixStream, line: &str, answer: &str) {
    let mut arrived = vec![0; answer.len() + 2];
    let line = format!("{line}\r\n").into_bytes();
    redis.write_all(&line).expect("redis-server reads");
    let read = redis.read_exact(&mut arrived);
    read.expect("redis-server answers in time");
    assert_eq!(arrived, format!("{answer}\r\n").into_bytes());
}

impl Clients {
    /// Begins a new conversation of so many clients on empty servers.
    pub(crate) fn begin(&mut self, what: &str, count: usize) {
        self.said = format!("{what}:\n");
        ask(&mut self.control, "FLUSHALL", "+OK");
        let store = Arc::new(Store::new(Config::default(), Clock::system()));
        let service = Resp::new(store, Connections::new(), Settings::default());
        let pair = |_| Pair {
            redis: connect(&self.peer),
            larder: service.open(Client::detached()),
            held: Vec::new(),
            closed: false,
        };
        self.pairs = (0..count).map(pair).collect();
    }

    /// Whether a client's connection was closed.
    pub(crate) fn is_closed(&self, client: usize) -> bool {
        self.pairs[client].closed
    }

    /// Sends bytes to both as one client and compares the replies, and whether the connection is closed.
    pub(crate) fn say(&mut self, client: usize, bytes: &[u8]) {
        let shown = bytes.escape_ascii();
        self.said.push_str(&format!("  client {client}: {shown}\n"));
        let ours = self.ask_larder(client, bytes);
        let theirs = self.ask_redis(client, bytes);
        assert!(
            ours == theirs,
            "{}larder: {} {}\nredis-server: {} {}",
            self.said,
            ours.0.escape_ascii(),
            ours.1,
            theirs.0.escape_ascii(),
            theirs.1
        );
        self.pairs[client].closed = ours.1;
    }

    fn ask_larder(&mut self, client: usize, bytes: &[u8]) -> (Vec<u8>, bool) {
        let pair = &mut self.pairs[client];
        pair.held.extend_from_slice(bytes);
        let mut output = Vec::new();
        let next = loop {
            let turn = pair.larder.turn(&pair.held, &mut output);
            pair.held.drain(..turn.consumed);
            if turn.next != Next::Again {
                break turn.next;
            }
        };
        (self.without_id(&output), next == Next::Close)
    }

    fn ask_redis(&mut self, client: usize, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut redis = &self.pairs[client].redis;
        redis.write_all(bytes).expect("redis-server reads");
        ask(&mut self.control, "PING", "+PONG");
        ask(&mut self.control, "PING", "+PONG");
        let mut output = Vec::new();
        let mut redis = &self.pairs[client].redis;
        redis.set_nonblocking(true).expect("can be set");
        let closed = match redis.read_to_end(&mut output) {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        redis.set_nonblocking(false).expect("can be set");
        (self.without_id(&output), closed)
    }

    fn without_id(&self, output: &[u8]) -> Vec<u8> {
        self.id.replace_all(output, &b"id"[..]).into_owned()
    }
}

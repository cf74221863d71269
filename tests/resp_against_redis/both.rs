//! larder and redis-server with the same requests.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Peer as Client, Service, Session};
use larder::service::resp::{Resp, Settings};
use larder::store::{Clock, Config, Store};

use crate::replies::{Value, encoded, read, same, settle};
use crate::support::{Kind, Peer};

/// The two, and the requests that they got.
pub(crate) struct Both {
    redis: UnixStream,
    larder: Box<dyn Session>,
    /// The conversation so far, for a person to read.
    said: String,
    /// Ends redis-server when it is dropped.
    _peer: Peer,
}

/// Starts both; `None` if redis-server is not installed.
pub(crate) fn both() -> Option<Both> {
    let peer = Peer::start(Kind::Redis, &[]).expect("redis-server starts")?;
    let redis = UnixStream::connect(peer.socket()).expect("redis-server listens");
    redis
        .set_read_timeout(Some(Duration::from_secs(60)))
        .expect("a timeout can be set");
    Some(Both {
        redis,
        larder: larder(Config::default()),
        said: String::new(),
        _peer: peer,
    })
}

/// larder with a store of this size.
pub(crate) fn larder(config: Config) -> Box<dyn Session> {
    let store = Arc::new(Store::new(config, Clock::system()));
    Resp::new(store, Connections::new(), Settings::default()).open(Client::detached())
}

impl Both {
    /// Begins a new conversation on empty servers.
    pub(crate) fn begin(&mut self, what: &str, version: &str) {
        self.larder = larder(Config::default());
        self.said = format!("{what}:\n");
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let hello = encoded(&words(&format!("HELLO {version}")));
        self.ask_larder(&hello);
        self.ask_redis(&hello);
        self.ask_redis(&encoded(&words("SELECT 0")));
        self.ask_redis(&encoded(&words("FLUSHALL")));
    }

    /// Sends a command to both and compares the answers.
    pub(crate) fn say(&mut self, words: &[String]) {
        let shown: String = words.iter().map(|word| format!(" {word:?}")).collect();
        self.said.push_str(&format!(" {shown}\n"));
        let request = encoded(words);
        let ours = settle(words, self.ask_larder(&request));
        let theirs = settle(words, self.ask_redis(&request));
        let said = &self.said;
        assert!(
            same(words, &ours, &theirs),
            "{said}larder: {ours:?}\nredis-server: {theirs:?}"
        );
    }

    pub(crate) fn ask_larder(&mut self, request: &[u8]) -> Value {
        ask(&mut *self.larder, request)
    }

    pub(crate) fn ask_redis(&mut self, request: &[u8]) -> Value {
        self.redis.write_all(request).expect("redis-server reads");
        let mut bytes = Vec::new();
        loop {
            if let Some((value, rest)) = read(&bytes) {
                assert!(
                    rest.is_empty(),
                    "redis-server answered twice: {}",
                    self.said
                );
                return value;
            }
            let mut more = [0; 4096];
            let length = match self.redis.read(&mut more) {
                // A stop of this process has interrupted it.
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read.expect("redis-server answers in time"),
            };
            assert!(
                length > 0,
                "redis-server closed the connection: {}",
                self.said
            );
            bytes.extend_from_slice(&more[..length]);
        }
    }
}

/// Sends a request to larder and reads its reply.
pub(crate) fn ask(larder: &mut dyn Session, request: &[u8]) -> Value {
    let shown = request.escape_ascii();
    let mut output = Vec::new();
    let turn = larder.turn(request, &mut output);
    assert_eq!(turn.consumed, request.len(), "{shown}");
    let (value, rest) = read(&output).unwrap_or_else(|| panic!("no answer to {shown}"));
    assert!(rest.is_empty(), "two answers to {shown}");
    value
}

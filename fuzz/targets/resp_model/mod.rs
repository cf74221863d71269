//! Sessions of RESP, held against a naive model of Redis.
//!
//! ```text
//!   bytes ─▶ decisions ─▶ commands ─┬▶ a client of RESP2 and one of RESP3, in any pieces ─▶ replies ─┐
//!                                   └▶ model, two maps ────────────────────────────────▶ replies ─┴▶ equal, but for the order in hashes
//! ```

mod arity;
mod hashes;
mod keys;
mod model;
mod reply;
mod requests;
mod strings;
mod transactions;

use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Service};
use larder::service::resp::{Resp, Settings};
use larder::store::{Clock, Config, Store};
use larder::tools::transcript::Connection;

use super::choices::Choices;
use super::memcached_model::shown;
use super::sessions::{connect, received};
use model::{Model, Value};
use reply::{Reply, bulk, header};
use requests::{Words, encoded, request};

/// The clock's first millisecond.
const START: u64 = 1_795_000_000_000;

/// Compares each reply of larder with the model's.
pub(crate) fn resp_model(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let clock = Clock::manual(START);
    let config = Config {
        memory: 16 << 20,
        shards: 1,
        ..Config::default()
    };
    let store = Arc::new(Store::new(config, clock.clone()));
    let service: Arc<dyn Service> = Arc::new(Resp::new(
        Arc::clone(&store),
        Connections::new(),
        Settings::default(),
    ));
    let mut session = Session {
        connections: [connect(&service), connect(&service)],
        model: Model::new(START),
        requests: Vec::new(),
    };
    // Not compared, because the reply has the number of the connection.
    session.exchange(1, &encoded(&["HELLO", "3"].map(str::to_owned)));
    while !choices.is_empty() {
        match choices.below(16) {
            14 => {
                let passed = choices.pick(&[1, 999, 1000, 100_000]);
                clock.advance(Duration::from_millis(passed));
                session.model.now += passed;
                session
                    .requests
                    .extend(format!("(after {passed} ms)\r\n").bytes());
            }
            15 => session.scan(&mut choices),
            _ => session.pipeline(&mut choices),
        }
    }
    drop(session);
    store.check();
}

/// Both clients, and the model.
struct Session {
    connections: [Box<dyn Connection>; 2],
    model: Model,
    /// The requests so far, for a person who reads a failure.
    requests: Vec<u8>,
}

impl Session {
    /// Sends bytes of one client, and returns the bytes that it gets.
    fn exchange(&mut self, client: usize, bytes: &[u8]) -> Vec<u8> {
        let connection = &mut self.connections[client];
        connection.write(bytes).expect("a session is sound");
        received(&mut **connection).0
    }

    /// Sends some commands at once, and compares the replies.
    fn pipeline(&mut self, choices: &mut Choices<'_>) {
        let client = choices.below(2);
        let count = 1 + choices.below(4);
        let commands: Vec<Words> = (0..count).map(|_| request(choices)).collect();
        let is_exact =
            |words: &Words| words[0] != "INCRBYFLOAT" || self.is_exact(client, words, count);
        let commands: Vec<Words> = commands.into_iter().filter(is_exact).collect();
        let sent: Vec<u8> = commands.iter().flat_map(|words| encoded(words)).collect();
        self.requests
            .extend(format!("(client {client})\r\n").bytes());
        let mut got = Vec::new();
        for piece in choices.cut(&sent) {
            got.extend(self.exchange(client, piece));
        }
        let mut rest = got.as_slice();
        for words in &commands {
            self.requests.extend(words.join(" ").bytes());
            self.requests.extend(b"\r\n");
            let expected = self.model.reply(client, words);
            let version = [2, 3][client];
            rest = expected.matched(version, rest).unwrap_or_else(|| {
                panic!(
                    "{}\nlarder: {}\nmodel:  {}",
                    shown(&self.requests),
                    shown(rest),
                    shown(format!("{expected:?}").as_bytes())
                )
            });
        }
        assert!(
            rest.is_empty(),
            "{}\nand {}",
            shown(&self.requests),
            shown(rest)
        );
    }

    /// Whether the model can add a float to the number of a key: the command is alone in its pipeline, so its key is as the model
    /// has it now, and the number has few digits.
    fn is_exact(&self, client: usize, words: &Words, count: usize) -> bool {
        let entry = words
            .get(1)
            .and_then(|key| self.model.entry_for(client, key));
        let is_short = entry.is_none_or(|entry| match &entry.value {
            Value::Text(text) => text.len() < 8,
            Value::Hash(_) => true,
        });
        count == 1 && is_short && !self.model.is_queueing(client)
    }

    /// Walks over all keys, or over the fields of a hash. Nothing changes meanwhile, so the walk finds exactly those of the model.
    fn scan(&mut self, choices: &mut Choices<'_>) {
        let client = choices.below(2);
        let key = choices.pick(&[None, Some("a"), Some("b")]);
        if self.model.is_queueing(client) {
            return;
        }
        // The model removes expired keys when it runs a command.
        let type_of = |key: &str| vec!["TYPE".to_owned(), key.to_owned()];
        let kind = self.model.reply(client, &type_of(key.unwrap_or("a")));
        if key.is_some() && kind == Reply::Line("+string".into()) {
            return;
        }
        let mut expected = self.model.names(key);
        let (mut found, mut cursor, mut steps) = (Vec::new(), "0".to_owned(), 0);
        loop {
            let words = match key {
                Some(key) => vec!["HSCAN", key, &cursor, "COUNT", "7"],
                None => vec!["SCAN", &cursor, "COUNT", "7"],
            };
            let words: Words = words.into_iter().map(str::to_owned).collect();
            let got = self.exchange(client, &encoded(&words));
            let page = page(&got, key.is_some());
            let (next, names) = page.unwrap_or_else(|| panic!("{words:?}: {}", shown(&got)));
            found.extend(names);
            cursor = next;
            steps += 1;
            assert!(steps < 10_000, "{words:?} does not end");
            if cursor == "0" {
                break;
            }
        }
        expected.sort();
        found.sort();
        found.dedup();
        assert_eq!(found, expected, "{}", shown(&self.requests));
    }
}

/// The next cursor and the names of a reply to SCAN or HSCAN.
fn page(reply: &[u8], has_values: bool) -> Option<(String, Vec<String>)> {
    let mut rest = reply;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    header(&mut rest, b'*').filter(|length| *length == 2)?;
    let cursor = text(bulk(&mut rest)?);
    let count = header(&mut rest, b'*')?;
    let mut names = Vec::new();
    for at in 0..count {
        let name = text(bulk(&mut rest)?);
        if !has_values || at % 2 == 0 {
            names.push(name);
        }
    }
    rest.is_empty().then_some((cursor, names))
}

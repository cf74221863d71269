//! Both protocols on the same keys at the same time: what clients see is what they would see one after the other.
//!
//! ```text
//!   clients: a thread each, with a session of memcached and one of RESP ──▶ one store
//!      │ every command, its reply, when it was sent and answered
//!      ▼
//!   history ──▶ is there an order of the commands in which the sequential model gives these replies?
//! ```
//!
//! The store's locks are those of the standard library, which loom and shuttle would have to replace. Instead threads
//! take turns at these locks ([`interleaving`]), in an order that follows from a number, so that a race between two locks
//! of one command is found and found again; and other histories come from threads that run freely.
//! `LARDER_HISTORIES` is the number of histories of each kind, `LARDER_SEED` the only one.

mod commands;
mod history;
mod model;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use commands::Command;
use fastrand::Rng;
use history::{Event, is_linearizable, shown};
use larder::server::{Connections, Service};
use larder::service::memcached::{self, Memcached};
use larder::service::resp::{self, Resp};
use larder::store::{Clock, Config, Store, interleaving};
use larder::tools::transcript::{self, InProcess, RealTime, Received, Target};

/// Histories of each kind.
const HISTORIES: u64 = 1500;
/// Clients of a history, and the commands of each.
const CLIENTS: usize = 3;
const COMMANDS: usize = 6;

/// The services on one store, and a counter of events.
struct Server {
    services: [Arc<dyn Service>; 2],
    time: AtomicU64,
    /// A fault that a test plants: an increment is a read and a write.
    loses_updates: bool,
}

impl Server {
    fn new(seed: u64, loses_updates: bool) -> Server {
        let config = Config {
            memory: 1 << 20,
            shards: 4,
            ..Config::default()
        };
        let clock = Clock::manual(1_795_000_000_000);
        let store = Arc::new(Store::with_hash_seed(config, clock, seed));
        let connections = Connections::new();
        let settings = memcached::Settings::default();
        let text = Memcached::new(Arc::clone(&store), Arc::clone(&connections), settings);
        let resp = Resp::new(store, connections, resp::Settings::default());
        Server {
            services: [Arc::new(text), Arc::new(resp)],
            time: AtomicU64::new(0),
            loses_updates,
        }
    }
}

/// A client: its session of each protocol.
struct Client<'a> {
    number: usize,
    server: &'a Server,
    sessions: Vec<Box<dyn transcript::Connection>>,
    unique: u64,
    watches: bool,
}

const NO_TIME: RealTime = RealTime {
    at_most: Duration::ZERO,
};

impl<'a> Client<'a> {
    fn new(number: usize, server: &'a Server) -> Client<'a> {
        let open = |service: &Arc<dyn Service>| {
            let target = InProcess::new(Arc::clone(service), &NO_TIME);
            target.connect().expect("a session needs no socket")
        };
        Client {
            number,
            server,
            sessions: server.services.iter().map(open).collect(),
            unique: 0,
            watches: false,
        }
    }

    fn exchange(&mut self, is_resp: bool, request: &str) -> String {
        let session = &mut self.sessions[usize::from(is_resp)];
        session
            .write(request.as_bytes())
            .expect("a session is sound");
        match session.read(Duration::ZERO).expect("a session is sound") {
            Received::Bytes(reply) => String::from_utf8_lossy(&reply).into_owned(),
            other => panic!("{request:?} was answered with {other:?}"),
        }
    }

    /// The planted fault: `incr` in two steps.
    fn lose_update(&mut self, request: &str) -> Option<String> {
        let key = request.strip_prefix("incr ")?.split(' ').next()?.to_owned();
        let found = self.exchange(false, &format!("get {key}\r\n"));
        let number: u64 = found.lines().nth(1)?.trim_end().parse().ok()?;
        let sum = (number + 7).to_string();
        self.exchange(false, &format!("set {key} 0 0 {}\r\n{sum}\r\n", sum.len()));
        Some(format!("{sum}\r\n"))
    }

    fn say(&mut self, command: Command) -> Event {
        let request = command.request();
        let sent = self.server.time.fetch_add(1, SeqCst);
        let lost = self
            .server
            .loses_updates
            .then(|| self.lose_update(&request));
        let reply = match lost.flatten() {
            Some(reply) => reply,
            None => self.exchange(command.is_resp(), &request),
        };
        let answered = self.server.time.fetch_add(1, SeqCst);
        match command {
            Command::Watch(_) => self.watches = true,
            Command::Transaction(_) => self.watches = false,
            Command::Gets(_) => {
                let head = reply.lines().next().unwrap_or_default();
                let unique = head.split(' ').nth(4).and_then(|word| word.parse().ok());
                self.unique = unique.unwrap_or(self.unique);
            }
            _ => {}
        }
        Event {
            client: self.number,
            command,
            reply,
            sent,
            answered,
        }
    }
}

/// The history that follows from a number: all of it if the threads take turns, otherwise its commands.
fn history(seed: u64, take_turns: bool, loses_updates: bool) -> Vec<Event> {
    let server = Server::new(seed, loses_updates);
    let mut random = Rng::with_seed(seed);
    let mut events = Vec::new();
    let mut first = Client::new(CLIENTS, &server);
    for key in ["a", "b"] {
        let set = commands::Plain::Store(commands::Mode::Set, b"5".to_vec(), false);
        events.push(first.say(Command::Plain(key, set)));
    }
    if random.bool() {
        events.push(first.say(Command::Plain("h", commands::Plain::Fill)));
    }
    let mut said: Vec<Vec<Event>> = vec![Vec::new(); CLIENTS];
    let clients = said.iter_mut().enumerate().map(|(number, said)| {
        let (mut random, server) = (random.fork(), &server);
        let work = move || {
            let mut client = Client::new(number, server);
            for _ in 0..COMMANDS {
                let command = Command::any(&mut random, client.unique, client.watches);
                said.push(client.say(command));
            }
        };
        Box::new(work) as Box<dyn FnOnce() + Send>
    });
    let clients: Vec<_> = clients.collect();
    match take_turns {
        true => interleaving::run(seed, clients),
        false => std::thread::scope(|scope| {
            for client in clients {
                scope.spawn(client);
            }
        }),
    }
    events.extend(said.into_iter().flatten());
    events
}

/// The numbers of the histories that are checked.
fn seeds() -> std::ops::Range<u64> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    match number("LARDER_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("LARDER_HISTORIES").unwrap_or(HISTORIES),
    }
}

fn all_are_linearizable(take_turns: bool) {
    for seed in seeds() {
        let events = history(seed, take_turns, false);
        assert!(
            is_linearizable(&events),
            "no order explains history {seed}:\n{}",
            shown(&events)
        );
    }
}

#[test]
fn commands_of_clients_that_take_turns_at_the_locks_have_an_order() {
    all_are_linearizable(true);
}

#[test]
fn commands_of_clients_that_run_freely_have_an_order() {
    all_are_linearizable(false);
}

#[test]
fn an_increment_in_two_steps_is_found() {
    let found = (0..HISTORIES).find(|seed| !is_linearizable(&history(*seed, true, true)));
    let seed = found.expect("an update is lost in one of the histories");
    assert!(!is_linearizable(&history(seed, true, true)));
}

#[test]
fn a_history_of_turns_is_found_again_from_its_number() {
    for seed in 0..200 {
        let [once, again] = [0, 1].map(|_| shown(&history(seed, true, false)));
        assert_eq!(once, again, "history {seed}");
    }
}

#[test]
fn a_reply_of_another_state_is_found() {
    for seed in 0..50 {
        let mut events = history(seed, true, false);
        assert!(is_linearizable(&events));
        let last = events.last_mut().expect("there are events");
        last.reply.insert(0, '+');
        assert!(!is_linearizable(&events), "history {seed}");
    }
}

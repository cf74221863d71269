//! A server of the simulation: one Redis or memcached as far as the clients of the simulation use it, with the faults
//! that the test gives it.
//!
//! It is a value like the proxy: [`Server::receive`] takes bytes of a connection, the replies are in its output. A blocked
//! client is served when another pushes; messages are in the output of subscribers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::pool::slots::slot;
use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};
use crate::protocol::resp;
use crate::proxy::settings::Protocol;

type Bytes = Vec<u8>;

/// What a server does to whoever connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// Connections are refused.
    Refuses,
    /// It reads nothing.
    Sleeps,
    /// Its next reply is another's: of a key that nobody asked for.
    Confused,
}

/// A connection as the server has it.
#[derive(Debug, Default)]
pub(crate) struct Session {
    input: Bytes,
    pub(crate) output: Bytes,
    pub(crate) database: u32,
    pub(crate) resp3: bool,
    queue: Option<Vec<Vec<Bytes>>>,
    spoilt: bool,
    watched: Vec<((u32, Bytes), u64)>,
    asking: bool,
    /// The keys of a command that waits.
    pub(crate) blocked: Option<Vec<Bytes>>,
    pub(crate) channels: BTreeSet<Bytes>,
    pub(crate) patterns: BTreeSet<Bytes>,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: String,
    protocol: Protocol,
    pub(crate) mood: Mood,
    pub(crate) values: BTreeMap<(u32, Bytes), Bytes>,
    pub(crate) lists: BTreeMap<(u32, Bytes), VecDeque<Bytes>>,
    /// How often each key has changed.
    changes: BTreeMap<(u32, Bytes), u64>,
    /// By the proxy's key of the connection.
    pub(crate) sessions: BTreeMap<usize, Session>,
    /// In a cluster, the address of each slot's server; empty where there is none.
    pub(crate) slots: Vec<Rc<str>>,
    pub(crate) requests: usize,
    /// It executes a transaction.
    executes: bool,
}

impl Server {
    pub(crate) fn new(address: &str, protocol: Protocol) -> Server {
        Server {
            address: address.to_owned(),
            protocol,
            mood: Mood::Well,
            values: BTreeMap::new(),
            lists: BTreeMap::new(),
            changes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            slots: Vec::new(),
            requests: 0,
            executes: false,
        }
    }

    /// Takes bytes of a connection and executes the complete requests.
    pub(crate) fn receive(&mut self, key: usize, bytes: &[u8]) {
        let Some(session) = self.sessions.get_mut(&key) else {
            return;
        };
        session.input.extend_from_slice(bytes);
        self.execute(key);
    }

    /// Executes what has arrived, unless the connection waits for a push.
    fn execute(&mut self, key: usize) {
        loop {
            let session = self.sessions.entry(key).or_default();
            if session.blocked.is_some() {
                return;
            }
            let input = std::mem::take(&mut session.input);
            let used = match self.protocol {
                Protocol::Resp => self.resp(key, &input),
                Protocol::Memcached => self.memcached(key, &input),
            };
            let session = self.sessions.entry(key).or_default();
            session.input = input[used..].to_vec();
            if used == 0 {
                return;
            }
            self.requests += 1;
        }
    }

    fn memcached(&mut self, key: usize, input: &[u8]) -> usize {
        let Some(end) = input.windows(2).position(|pair| pair == b"\r\n") else {
            return 0;
        };
        let words: Vec<&[u8]> = input[..end].split(|byte| *byte == b' ').collect();
        let (mut used, mut out) = (end + 2, Vec::new());
        let quiet = words.last() == Some(&&b"noreply"[..]);
        match words[0] {
            b"get" => {
                for name in &words[1..] {
                    let value = self.values.get(&(0, name.to_vec()));
                    // A reply that belongs to another request looks right but for its key.
                    let (name, value) = match self.mood {
                        Mood::Confused => (&b"other"[..], Some(&b"wrong".to_vec()).cloned()),
                        _ => (*name, value.cloned()),
                    };
                    if let Some(value) = value {
                        out.extend_from_slice(b"VALUE ");
                        out.extend_from_slice(name);
                        out.extend_from_slice(format!(" 0 {}\r\n", value.len()).as_bytes());
                        out.extend_from_slice(&value);
                        out.extend_from_slice(b"\r\n");
                    }
                }
                out.extend_from_slice(b"END\r\n");
            }
            b"set" => {
                let length: usize = text(words[4]).parse().expect("a length");
                if input.len() < used + length + 2 {
                    return 0;
                }
                let value = input[used..used + length].to_vec();
                used += length + 2;
                self.values.insert((0, words[1].to_vec()), value);
                out.extend_from_slice(b"STORED\r\n");
            }
            b"delete" => {
                let found = self.values.remove(&(0, words[1].to_vec())).is_some();
                out.extend_from_slice(match found {
                    true => b"DELETED\r\n",
                    false => b"NOT_FOUND\r\n",
                });
            }
            b"version" => out.extend_from_slice(b"VERSION 1.6.0\r\n"),
            b"mn" => out.extend_from_slice(b"MN\r\n"),
            b"mg" => {
                let wanted = words[2..].contains(&&b"q"[..]);
                match self.values.get(&(0, words[1].to_vec())) {
                    Some(value) => {
                        out.extend_from_slice(format!("VA {}\r\n", value.len()).as_bytes());
                        out.extend_from_slice(value);
                        out.extend_from_slice(b"\r\n");
                    }
                    None if wanted => {}
                    None => out.extend_from_slice(b"EN\r\n"),
                }
            }
            _ => out.extend_from_slice(b"ERROR\r\n"),
        }
        if !quiet && let Some(session) = self.sessions.get_mut(&key) {
            session.output.extend_from_slice(&out);
        }
        used
    }

    fn resp(&mut self, key: usize, input: &[u8]) -> usize {
        let mut buffers = RequestBuffers::default();
        let (words, used) = match RequestFramer::resp().frame(input, &mut buffers) {
            RequestFrame::Request(request, used) => {
                let args = request.args().expect("a request of RESP");
                (args.iter().map(<[u8]>::to_vec).collect::<Vec<_>>(), used)
            }
            _ => return 0,
        };
        let mut out = Vec::new();
        self.command(key, words, &mut out);
        if let Some(session) = self.sessions.get_mut(&key) {
            session.output.extend_from_slice(&out);
        }
        used
    }

    fn command(&mut self, key: usize, words: Vec<Bytes>, out: &mut Bytes) {
        let name = text(&words[0]).to_ascii_uppercase();
        let moved = self.moved(&name, &words, key);
        let session = self.sessions.entry(key).or_default();
        let arity_is_wrong = matches!(&name[..], "GET" | "SELECT" | "SET" | "RPUSH")
            && words.len() < 2
            || matches!(&name[..], "EXEC" | "DISCARD" | "MULTI" | "UNWATCH") && words.len() > 1;
        let known = COMMANDS.contains(&&name[..]);
        let error = match moved {
            Some(moved) => Some(moved),
            None if !known => Some("-ERR unknown command\r\n".to_owned()),
            None if name == "EXEC" && arity_is_wrong => {
                (session.queue, session.spoilt) = (None, false);
                session.watched.clear();
                Some("-EXECABORT Transaction discarded because of: wrong number\r\n".to_owned())
            }
            None if arity_is_wrong => Some("-ERR wrong number of arguments\r\n".to_owned()),
            None if session.queue.is_some() && name == "MULTI" => {
                return out.extend_from_slice(b"-ERR MULTI calls can not be nested\r\n");
            }
            None if session.queue.is_some() && name == "WATCH" => {
                return out.extend_from_slice(b"-ERR WATCH inside MULTI is not allowed\r\n");
            }
            None => None,
        };
        if let Some(error) = error {
            session.spoilt |= session.queue.is_some();
            return out.extend_from_slice(error.as_bytes());
        }
        let control = matches!(&name[..], "EXEC" | "DISCARD" | "RESET");
        match &mut session.queue {
            Some(queue) if !control => {
                queue.push(words);
                out.extend_from_slice(b"+QUEUED\r\n");
            }
            _ => self.run(key, &name, &words, out),
        }
    }

    /// Where a command's key is, if it is elsewhere.
    fn moved(&mut self, name: &str, words: &[Bytes], key: usize) -> Option<String> {
        if self.slots.is_empty() || !KEYED.contains(&name) || words.len() < 2 {
            return None;
        }
        let slot = slot(&words[1]);
        let address = &self.slots[usize::from(slot)];
        if **address == *self.address {
            return None;
        }
        let session = self.sessions.get_mut(&key)?;
        match std::mem::take(&mut session.asking) {
            true => None,
            false => Some(format!("-MOVED {slot} {address}\r\n")),
        }
    }

    fn run(&mut self, key: usize, name: &str, words: &[Bytes], out: &mut Bytes) {
        let session = self.sessions.entry(key).or_default();
        let database = session.database;
        let at = |number: usize| (database, words[number].clone());
        match name {
            "PING" => out.extend_from_slice(b"+PONG\r\n"),
            "ECHO" => bulk(out, Some(&words[1])),
            "ASKING" => {
                session.asking = true;
                ok(out);
            }
            "GET" if self.mood == Mood::Confused && !self.executes => integer(out, 7),
            "GET" => bulk(out, self.values.get(&at(1)).map(Vec::as_slice)),
            "SET" => {
                self.touch(at(1));
                self.values.insert(at(1), words[2].clone());
                ok(out);
            }
            "DEL" => {
                let keys: Vec<_> = (1..words.len()).map(at).collect();
                let gone = keys
                    .into_iter()
                    .filter(|at| {
                        self.touch(at.clone());
                        self.values.remove(at).is_some() | self.lists.remove(at).is_some()
                    })
                    .count();
                integer(out, gone);
            }
            "MGET" => {
                out.extend_from_slice(format!("*{}\r\n", words.len() - 1).as_bytes());
                for number in 1..words.len() {
                    bulk(out, self.values.get(&at(number)).map(Vec::as_slice));
                }
            }
            "MSET" => {
                for number in (1..words.len()).step_by(2) {
                    self.touch(at(number));
                    self.values.insert(at(number), words[number + 1].clone());
                }
                ok(out);
            }
            "RPUSH" => {
                self.touch(at(1));
                let list = self.lists.entry(at(1)).or_default();
                list.push_back(words[2].clone());
                integer(out, list.len());
                self.wake(&at(1));
            }
            "LLEN" => integer(out, self.lists.get(&at(1)).map_or(0, VecDeque::len)),
            "BLPOP" => {
                let keys = words[1..words.len() - 1].to_vec();
                if !self.pop(database, &keys, out) {
                    self.sessions.entry(key).or_default().blocked = Some(keys);
                }
            }
            "SELECT" => match text(&words[1]).parse() {
                Ok(number @ 0..16) => {
                    session.database = number;
                    ok(out);
                }
                _ => out.extend_from_slice(b"-ERR DB index is out of range\r\n"),
            },
            "HELLO" if words.len() > 1 && words[1] == b"9" => {
                out.extend_from_slice(b"-NOPROTO unsupported protocol version\r\n");
            }
            "HELLO" => {
                session.resp3 = words.get(1).is_some_and(|version| version == b"3");
                out.extend_from_slice(b"*0\r\n");
            }
            "PUBLISH" => {
                let reached = self.publish(&words[1], &words[2]);
                integer(out, reached);
            }
            "SUBSCRIBE" | "UNSUBSCRIBE" | "PSUBSCRIBE" | "PUNSUBSCRIBE" => {
                self.subscribe(key, name, &words[1..], out);
            }
            _ => self.transact(key, name, words, out),
        }
    }

    fn transact(&mut self, key: usize, name: &str, words: &[Bytes], out: &mut Bytes) {
        let session = self.sessions.entry(key).or_default();
        match name {
            "MULTI" => {
                session.queue = Some(Vec::new());
                ok(out);
            }
            "WATCH" => {
                for word in &words[1..] {
                    let at = (session.database, word.clone());
                    let seen = self.changes.get(&at).copied().unwrap_or(0);
                    session.watched.push((at, seen));
                }
                ok(out);
            }
            "UNWATCH" => {
                session.watched.clear();
                ok(out);
            }
            "DISCARD" if session.queue.is_none() => {
                out.extend_from_slice(b"-ERR DISCARD without MULTI\r\n");
            }
            "DISCARD" => {
                (session.queue, session.spoilt) = (None, false);
                session.watched.clear();
                ok(out);
            }
            "RESET" => {
                *session = Session {
                    input: std::mem::take(&mut session.input),
                    output: std::mem::take(&mut session.output),
                    ..Session::default()
                };
                out.extend_from_slice(b"+RESET\r\n");
            }
            _ => {
                let Some(queue) = session.queue.take() else {
                    return out.extend_from_slice(b"-ERR EXEC without MULTI\r\n");
                };
                let spoilt = std::mem::take(&mut session.spoilt);
                let watched = std::mem::take(&mut session.watched);
                let seen = |at: &(u32, Bytes)| self.changes.get(at).copied().unwrap_or(0);
                if spoilt {
                    return out.extend_from_slice(
                        b"-EXECABORT Transaction discarded because of previous errors.\r\n",
                    );
                }
                if watched.iter().any(|(at, change)| seen(at) != *change) {
                    return out.extend_from_slice(b"*-1\r\n");
                }
                out.extend_from_slice(format!("*{}\r\n", queue.len()).as_bytes());
                self.executes = true;
                for words in queue {
                    let name = text(&words[0]).to_ascii_uppercase();
                    self.run(key, &name, &words, out);
                }
                self.executes = false;
            }
        }
    }

    fn subscribe(&mut self, key: usize, name: &str, given: &[Bytes], out: &mut Bytes) {
        let session = self.sessions.entry(key).or_default();
        for word in given {
            match name {
                "SUBSCRIBE" => drop(session.channels.insert(word.clone())),
                "UNSUBSCRIBE" => drop(session.channels.remove(word)),
                "PSUBSCRIBE" => drop(session.patterns.insert(word.clone())),
                _ => drop(session.patterns.remove(word)),
            }
            let count = session.channels.len() + session.patterns.len();
            out.extend_from_slice(if session.resp3 { b">3\r\n" } else { b"*3\r\n" });
            bulk(out, Some(name.to_ascii_lowercase().as_bytes()));
            bulk(out, Some(word));
            integer(out, count);
        }
    }

    /// Sends a message to the subscribers; how many there are. A pattern is a prefix and a star.
    fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        let mut reached = 0;
        for session in self.sessions.values_mut() {
            let out = &mut session.output;
            let kind: &[u8] = if session.resp3 { b">" } else { b"*" };
            if session.channels.contains(channel) {
                reached += 1;
                out.extend_from_slice(&[kind, b"3\r\n"].concat());
                for word in [&b"message"[..], channel, message] {
                    bulk(out, Some(word));
                }
            }
            for pattern in &session.patterns {
                if channel.starts_with(&pattern[..pattern.len() - 1]) {
                    reached += 1;
                    out.extend_from_slice(&[kind, b"4\r\n"].concat());
                    for word in [&b"pmessage"[..], pattern, channel, message] {
                        bulk(out, Some(word));
                    }
                }
            }
        }
        reached
    }

    /// Takes a value away, as when its slot moves.
    pub(crate) fn take_value(&mut self, at: &(u32, Bytes)) -> Option<Bytes> {
        self.touch(at.clone());
        self.values.remove(at)
    }

    fn touch(&mut self, at: (u32, Bytes)) {
        *self.changes.entry(at).or_default() += 1;
    }

    /// Takes an element of the first of the lists that has one.
    fn pop(&mut self, database: u32, keys: &[Bytes], out: &mut Bytes) -> bool {
        for name in keys {
            let at = (database, name.clone());
            let Some(list) = self.lists.get_mut(&at) else {
                continue;
            };
            let Some(element) = list.pop_front() else {
                continue;
            };
            if list.is_empty() {
                self.lists.remove(&at);
            }
            out.extend_from_slice(b"*2\r\n");
            bulk(out, Some(name));
            bulk(out, Some(&element));
            return true;
        }
        false
    }

    /// Serves a client that waits for this key.
    fn wake(&mut self, at: &(u32, Bytes)) {
        let waits = |session: &Session| {
            session.database == at.0
                && session
                    .blocked
                    .as_ref()
                    .is_some_and(|keys| keys.contains(&at.1))
        };
        let waiter = self.sessions.iter().find(|(_, session)| waits(session));
        let Some((&waiter, _)) = waiter else {
            return;
        };
        let mut out = Vec::new();
        if self.pop(at.0, std::slice::from_ref(&at.1), &mut out) {
            let session = self.sessions.entry(waiter).or_default();
            session.blocked = None;
            session.output.extend_from_slice(&out);
            self.execute(waiter);
        }
    }
}

const COMMANDS: &[&str] = &[
    "PING",
    "ECHO",
    "ASKING",
    "GET",
    "SET",
    "DEL",
    "MGET",
    "MSET",
    "RPUSH",
    "LLEN",
    "BLPOP",
    "SELECT",
    "HELLO",
    "PUBLISH",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "PSUBSCRIBE",
    "PUNSUBSCRIBE",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "RESET",
];

const KEYED: &[&str] = &[
    "GET", "SET", "DEL", "MGET", "MSET", "RPUSH", "LLEN", "BLPOP", "WATCH",
];

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn ok(out: &mut Bytes) {
    out.extend_from_slice(b"+OK\r\n");
}

fn integer(out: &mut Bytes, number: usize) {
    out.extend_from_slice(format!(":{number}\r\n").as_bytes());
}

fn bulk(out: &mut Bytes, value: Option<&[u8]>) {
    let mut reply = resp::Reply::new(out, false, usize::MAX);
    match value {
        Some(value) => reply.bulk(value),
        None => reply.null(),
    }
}

//! The Redis commands of a simulated server.

use std::collections::VecDeque;

use crate::pool::slots::slot;
use crate::protocol::framing::request::{RequestBuffers, RequestFrame, RequestFramer};
use crate::protocol::resp;
use crate::proxy::simulation::server::{Server, Session, UpstreamBehaviour, text};

type Bytes = Vec<u8>;

impl Server {
    pub(super) fn resp(&mut self, key: usize, input: &[u8]) -> usize {
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

    /// The server of a command's key, if it is another one. EXEC stands for the commands that it executes: Redis looks
    /// for their keys again, and discards the transaction if one has moved.
    fn moved(&mut self, name: &str, words: &[Bytes], key: usize) -> Option<String> {
        let session = self.sessions.get(&key)?;
        let moved = match &session.queue {
            Some(queue) if name == "EXEC" => queue.iter().find_map(|words| {
                let name = text(&words[0]).to_ascii_uppercase();
                self.elsewhere(&name, words)
            }),
            _ => self.elsewhere(name, words),
        }?;
        let session = self.sessions.get_mut(&key)?;
        if name == "EXEC" {
            (session.queue, session.spoilt) = (None, false);
            session.watched.clear();
        }
        match std::mem::take(&mut session.asking) {
            true => None,
            false => Some(moved),
        }
    }

    /// The redirection of a command whose key is at another server.
    fn elsewhere(&self, name: &str, words: &[Bytes]) -> Option<String> {
        if self.slots.is_empty() || !KEYED.contains(&name) || words.len() < 2 {
            return None;
        }
        let slot = slot(&words[1]);
        let address = &self.slots[usize::from(slot)];
        (**address != *self.address).then(|| format!("-MOVED {slot} {address}\r\n"))
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
            "GET" if self.behaviour == UpstreamBehaviour::Confused && !self.executes => {
                integer(out, 7)
            }
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

    /// Sends a message to the subscribers. Returns their number. A pattern is a prefix and a star.
    fn publish(&mut self, channel: &[u8], message: &[u8]) -> usize {
        self.published.push((channel.to_vec(), message.to_vec()));
        if self.loses_messages {
            return 0;
        }
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

    /// Removes a value, as when its slot moves.
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

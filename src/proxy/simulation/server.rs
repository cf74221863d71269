//! A server of the simulation: one Redis or memcached as far as the clients of the simulation use it, with the faults
//! that the test gives it.
//!
//! It is a value like the proxy: [`Server::receive`] takes bytes of a connection, the replies are in its output. A blocked
//! client is served when another pushes; messages are in the output of subscribers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use crate::pool::Protocol;
use crate::protocol::memcached::binary::REQUEST_MAGIC;

type Bytes = Vec<u8>;

/// The behaviour of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum UpstreamBehaviour {
    #[default]
    Well,
    /// Connections are refused.
    Refuses,
    /// It doesn't read.
    Sleeps,
    /// Its next reply is wrong: of a key that wasn't requested.
    Confused,
}

/// The server's state of a connection.
#[derive(Debug, Default)]
pub(crate) struct Session {
    pub(super) input: Bytes,
    pub(crate) output: Bytes,
    pub(crate) database: u32,
    pub(crate) resp3: bool,
    pub(super) queue: Option<Vec<Vec<Bytes>>>,
    pub(super) spoilt: bool,
    pub(super) watched: Vec<((u32, Bytes), u64)>,
    pub(super) asking: bool,
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
    pub(crate) behaviour: UpstreamBehaviour,
    pub(crate) values: BTreeMap<(u32, Bytes), Bytes>,
    pub(crate) lists: BTreeMap<(u32, Bytes), VecDeque<Bytes>>,
    /// The number of changes of each key.
    pub(super) changes: BTreeMap<(u32, Bytes), u64>,
    /// By the proxy's key of the connection.
    pub(crate) sessions: BTreeMap<usize, Session>,
    /// In a cluster, the address of each slot's server; empty if there is none.
    pub(crate) slots: Vec<Rc<str>>,
    pub(crate) requests: usize,
    /// It executes a transaction.
    pub(super) executes: bool,
    /// Messages since the simulation last looked: the channel, and the text.
    pub(super) published: Vec<(Bytes, Bytes)>,
    /// Messages reach no subscriber.
    pub(super) loses_messages: bool,
}

impl Server {
    pub(crate) fn new(address: &str, protocol: Protocol) -> Server {
        Server {
            address: address.to_owned(),
            protocol,
            behaviour: UpstreamBehaviour::Well,
            values: BTreeMap::new(),
            lists: BTreeMap::new(),
            changes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            slots: Vec::new(),
            requests: 0,
            executes: false,
            published: Vec::new(),
            loses_messages: false,
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

    /// Executes the complete requests, unless the connection waits for a push.
    pub(super) fn execute(&mut self, key: usize) {
        loop {
            let session = self.sessions.entry(key).or_default();
            if session.blocked.is_some() {
                return;
            }
            let input = std::mem::take(&mut session.input);
            let used = match self.protocol {
                Protocol::Resp => self.resp(key, &input),
                Protocol::Memcached if input.first() == Some(&REQUEST_MAGIC) => {
                    self.binary(key, &input)
                }
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
                    // A reply that belongs to another request looks right except for its key.
                    let (name, value) = match self.behaviour {
                        UpstreamBehaviour::Confused => {
                            (&b"other"[..], Some(&b"wrong".to_vec()).cloned())
                        }
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
}

/// Bytes that are known to be text.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

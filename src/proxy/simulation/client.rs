//! A client of the simulation: a script of requests, and what a single server would answer to each.
//!
//! A client is the only one that uses its keys, so its own requests decide what it reads. Where an upstream has failed, a
//! write may have been executed or not: then both values are possible until the next read or write tells.

use std::collections::{BTreeMap, VecDeque};

use fastrand::Rng;

use crate::protocol::framing::reply::{FrameState, ReplyFramer, ReplyShape};
use crate::protocol::resp;
use crate::proxy::settings::Protocol;

type Bytes = Vec<u8>;

/// Where a value is: the database and the key.
type Place = (u32, Bytes);

/// What a reply has to be.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Exactly(&'static [u8]),
    /// The value of a key.
    Value(Place),
    /// The values of several keys: an array, or the blocks of those that exist.
    Values(Vec<Place>),
    /// This, and then the keys have these values.
    Changed(Bytes, Vec<(Place, Option<Bytes>)>),
    /// An array of these, or of nothing if a key that is watched may have changed.
    Executed(Vec<Expected>),
}

/// A step of a script.
#[derive(Debug)]
enum Step {
    Ask(Bytes, Vec<(ReplyShape, Expected)>),
    /// All answers are to come before it goes on.
    Settle,
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    steps: VecDeque<Step>,
    pub(crate) due: VecDeque<(ReplyShape, Expected)>,
    input: Bytes,
    /// What each key may hold.
    known: BTreeMap<Place, Vec<Option<Bytes>>>,
    /// Upstreams may fail, or keys move: errors are answers, too.
    pub(crate) lenient: bool,
    /// And the connection may end.
    pub(crate) fragile: bool,
    pub(crate) answers: usize,
}

impl Client {
    /// The client of this number, with a script of its own.
    pub(crate) fn new(
        rng: &mut Rng,
        number: usize,
        protocol: Protocol,
        (cluster, faulty): (bool, bool),
    ) -> Client {
        let mut writer = Writer {
            number,
            faulty,
            count: 0,
            database: 0,
            steps: VecDeque::new(),
        };
        for _ in 0..rng.usize(5..25) {
            match protocol {
                Protocol::Memcached => writer.memcached(rng),
                Protocol::Resp => writer.resp(rng, cluster),
            }
            if rng.u8(..4) == 0 {
                writer.steps.push_back(Step::Settle);
            }
        }
        Client {
            steps: writer.steps,
            due: VecDeque::new(),
            input: Vec::new(),
            known: BTreeMap::new(),
            lenient: cluster || faulty,
            fragile: faulty,
            answers: 0,
        }
    }

    /// What it sends next, if it does.
    pub(crate) fn next(&mut self) -> Option<Bytes> {
        while let Some(Step::Settle) = self.steps.front() {
            if !self.due.is_empty() {
                return None;
            }
            self.steps.pop_front();
        }
        match self.steps.pop_front() {
            Some(Step::Ask(bytes, due)) => {
                self.due.extend(due);
                Some(bytes)
            }
            _ => None,
        }
    }

    /// Its connection has ended: it asks for nothing more.
    pub(crate) fn give_up(&mut self) {
        self.steps.clear();
        self.due.clear();
        self.input.clear();
    }

    pub(crate) fn is_done(&self) -> bool {
        self.steps.is_empty() && self.due.is_empty()
    }

    /// Takes bytes of answers.
    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.input.extend_from_slice(bytes);
        while !self.input.is_empty() {
            let Some((shape, expected)) = self.due.front().cloned() else {
                return Err(format!("not asked for: {}", self.input.escape_ascii()));
            };
            let progress = ReplyFramer::new(shape).feed(&self.input);
            match progress.state {
                FrameState::More => return Ok(()),
                FrameState::Garbage => {
                    return Err(format!("no reply: {}", self.input.escape_ascii()));
                }
                FrameState::Done => {}
            }
            let reply: Bytes = self.input.drain(..progress.used).collect();
            self.due.pop_front();
            self.answers += 1;
            if !self.check(&reply, &expected) {
                let reply = reply.escape_ascii();
                return Err(format!("answered {reply} where {expected:?} is due"));
            }
        }
        Ok(())
    }

    fn check(&mut self, reply: &[u8], expected: &Expected) -> bool {
        let is_error = [
            &b"-ERR upstream"[..],
            b"SERVER_ERROR upstream",
            b"-EXECABORT",
            b"-TRYAGAIN",
        ];
        if self.lenient && is_error.iter().any(|start| reply.starts_with(start)) {
            self.doubt(expected);
            return true;
        }
        match expected {
            Expected::Exactly(bytes) => reply == *bytes,
            Expected::Value(place) => self.check_value(place, value(reply)),
            Expected::Values(places) => match reply.starts_with(b"*") {
                true => {
                    let elements = elements(reply);
                    elements.len() == places.len()
                        && places
                            .iter()
                            .zip(elements)
                            .all(|(place, element)| self.check_value(place, value(element)))
                }
                false => self.check_blocks(places, reply),
            },
            Expected::Changed(bytes, changes) => {
                for (place, value) in changes {
                    self.known.insert(place.clone(), vec![value.clone()]);
                }
                match bytes.is_empty() {
                    // How many there were is not known.
                    true => reply.starts_with(b":"),
                    false => reply == bytes,
                }
            }
            // A key that is watched has changed, which only its move to another server does.
            Expected::Executed(_) if self.lenient && reply == b"*-1\r\n" => true,
            Expected::Executed(all) => {
                let elements = elements(reply);
                elements.len() == all.len()
                    && all
                        .iter()
                        .zip(elements)
                        .all(|(one, element)| self.check(element, one))
            }
        }
    }

    /// What a request that failed would have changed may have changed.
    fn doubt(&mut self, expected: &Expected) {
        match expected {
            Expected::Changed(_, changes) => {
                for (place, value) in changes {
                    let known = self.known.entry(place.clone()).or_insert(vec![None]);
                    known.push(value.clone());
                }
            }
            Expected::Executed(all) => all.iter().for_each(|one| self.doubt(one)),
            _ => {}
        }
    }

    fn check_value(&mut self, place: &Place, value: Option<&[u8]>) -> bool {
        let known = self.known.entry(place.clone()).or_insert(vec![None]);
        // A read that is sent again may come behind a write that its client has sent behind it.
        let later = self.due.iter().flat_map(|(_, due)| match due {
            Expected::Changed(_, changes) if self.lenient => &changes[..],
            _ => &[],
        });
        let mut later = later.filter(|(at, _)| at == place);
        let found = known.iter().any(|known| known.as_deref() == value)
            || later.any(|(_, later)| later.as_deref() == value);
        *known = vec![value.map(<[u8]>::to_vec)];
        found
    }

    /// The blocks of memcached's `get`.
    fn check_blocks(&mut self, places: &[Place], mut reply: &[u8]) -> bool {
        for place in places {
            let start = [b"VALUE ", &place.1[..], b" 0 "].concat();
            let mut value = None;
            if let Some(rest) = reply.strip_prefix(&start[..]) {
                let end = rest.iter().position(|byte| *byte == b'\r').unwrap_or(0);
                let length: usize = number(&rest[..end]);
                value = rest.get(end + 2..end + 2 + length);
                reply = &rest[end + 4 + length..];
            }
            if !self.check_value(place, value) {
                return false;
            }
        }
        reply == b"END\r\n"
    }
}

fn number(digits: &[u8]) -> usize {
    let digits = std::str::from_utf8(digits).unwrap_or_default();
    digits.parse().unwrap_or(usize::MAX)
}

/// The bytes of a bulk string or of what a status says; none of null.
fn value(reply: &[u8]) -> Option<&[u8]> {
    let end = reply.iter().position(|byte| *byte == b'\r')?;
    match reply[0] {
        b'$' if reply[1] == b'-' => None,
        b'$' => reply.get(end + 2..end + 2 + number(&reply[1..end])),
        b'_' => None,
        _ => Some(&reply[..end]),
    }
}

/// The elements of an array.
fn elements(reply: &[u8]) -> Vec<&[u8]> {
    let Some(end) = reply.iter().position(|byte| *byte == b'\n') else {
        return Vec::new();
    };
    let mut rest = match reply[0] {
        b'*' => &reply[end + 1..],
        _ => &[],
    };
    let mut elements = Vec::new();
    while !rest.is_empty() {
        let used = ReplyFramer::new(ReplyShape::Resp).feed(rest).used;
        elements.push(&rest[..used]);
        rest = &rest[used..];
    }
    elements
}

/// Writes a script.
struct Writer {
    number: usize,
    /// Upstreams may fail.
    faulty: bool,
    count: usize,
    database: u32,
    steps: VecDeque<Step>,
}

impl Writer {
    fn key(&self, rng: &mut Rng) -> Bytes {
        format!("k{}:{}", self.number, rng.u8(..6)).into_bytes()
    }

    fn keys(&self, rng: &mut Rng) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> = (0..rng.usize(1..5)).map(|_| self.key(rng)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// A value that no other write has, now and then a large one.
    fn value(&mut self, rng: &mut Rng, key: &[u8]) -> Bytes {
        self.count += 1;
        let mut value = format!("{}={}", key.escape_ascii(), self.count).into_bytes();
        if rng.u8(..16) == 0 {
            value.resize(rng.usize(100..5000), b'\r');
        }
        value
    }

    fn ask(&mut self, bytes: Bytes, shape: ReplyShape, expected: Expected) {
        let step = Step::Ask(bytes, vec![(shape, expected)]);
        self.steps.push_back(step);
    }

    fn memcached(&mut self, rng: &mut Rng) {
        let key = self.key(rng);
        let name = String::from_utf8_lossy(&key).into_owned();
        let place = (0, key.clone());
        match rng.u8(..8) {
            0 | 1 => {
                let keys = self.keys(rng);
                let request = [b"get ", &keys.join(&b' ')[..], b"\r\n"].concat();
                let places = keys.into_iter().map(|key| (0, key)).collect();
                self.ask(request, ReplyShape::Values, Expected::Values(places));
            }
            2 => {
                let request = format!("get {name}\r\n").into_bytes();
                self.ask(request, ReplyShape::Values, Expected::Values(vec![place]));
            }
            3 => self.ask(
                b"mn\r\n".to_vec(),
                ReplyShape::Meta,
                Expected::Exactly(b"MN\r\n"),
            ),
            // A quiet miss is answered by nothing, and the `mn` behind it tells so.
            4 => {
                let request = format!("mg nothing{name} v q\r\nmn\r\n").into_bytes();
                self.ask(request, ReplyShape::Fenced, Expected::Exactly(b"MN\r\n"));
            }
            _ => {
                let value = self.value(rng, &key);
                let mut request = format!("set {name} 0 0 {}\r\n", value.len()).into_bytes();
                request.extend_from_slice(&value);
                request.extend_from_slice(b"\r\n");
                let changes = vec![(place, Some(value))];
                let expected = Expected::Changed(b"STORED\r\n".to_vec(), changes);
                self.ask(request, ReplyShape::Line, expected);
            }
        }
    }

    fn say(&mut self, words: &[&[u8]], expected: Expected) {
        self.ask(resp::request(words), ReplyShape::Resp, expected);
    }

    fn resp(&mut self, rng: &mut Rng, cluster: bool) {
        let key = self.key(rng);
        match rng.u8(..13) {
            0 | 1 => self.say(
                &[b"GET", &key],
                Expected::Value((self.database, key.clone())),
            ),
            2 => {
                let keys = self.keys(rng);
                let words: Vec<&[u8]> = [&b"MGET"[..]]
                    .into_iter()
                    .chain(keys.iter().map(Vec::as_slice))
                    .collect();
                let places = keys.iter().map(|key| (self.database, key.clone()));
                let places = places.collect();
                self.say(&words, Expected::Values(places));
            }
            3 => {
                let keys = self.keys(rng);
                let values: Vec<Bytes> = keys.iter().map(|key| self.value(rng, key)).collect();
                let mut words: Vec<&[u8]> = vec![b"MSET"];
                let mut changes = Vec::new();
                for (key, value) in keys.iter().zip(&values) {
                    words.extend([&key[..], &value[..]]);
                    changes.push(((self.database, key.clone()), Some(value.clone())));
                }
                self.say(&words, Expected::Changed(b"+OK\r\n".to_vec(), changes));
            }
            4 => {
                let keys = self.keys(rng);
                let words: Vec<&[u8]> = [&b"DEL"[..]]
                    .into_iter()
                    .chain(keys.iter().map(Vec::as_slice))
                    .collect();
                let changes = keys.iter().map(|key| ((self.database, key.clone()), None));
                let changes = changes.collect();
                self.say(&words, Expected::Changed(Vec::new(), changes));
            }
            5 => self.say(&[b"PING"], Expected::Exactly(b"+PONG\r\n")),
            6 if !cluster => {
                self.database = rng.u32(..3);
                let number = self.database.to_string();
                let expected = Expected::Exactly(b"+OK\r\n");
                self.say(&[b"SELECT", number.as_bytes()], expected);
            }
            7 => self.transaction(rng, cluster),
            8 => self.blocked(rng),
            _ => {
                let value = self.value(rng, &key);
                let changes = vec![((self.database, key.clone()), Some(value.clone()))];
                let expected = Expected::Changed(b"+OK\r\n".to_vec(), changes);
                self.say(&[b"SET", &key, &value], expected);
            }
        }
    }

    /// A list of its own gets an element, and gives it to a command that may block.
    fn blocked(&mut self, rng: &mut Rng) {
        self.count += 1;
        let key = format!("l{}:{}", self.number, self.count).into_bytes();
        let element = rng.u8(..).to_string().into_bytes();
        let expected = Expected::Exactly(b":1\r\n");
        self.say(&[b"RPUSH", &key, &element], expected);
        // Where pushing may fail there may be nothing to wait for.
        if !self.faulty {
            let reply = resp::request(&[&key, &element]);
            let expected = Expected::Changed(reply, Vec::new());
            self.say(&[b"BLPOP", &key, b"0"], expected);
        }
    }

    fn transaction(&mut self, rng: &mut Rng, cluster: bool) {
        let key = |rng: &mut Rng| format!("{{t{}}}{}", self.number, rng.u8(..3)).into_bytes();
        let keys: Vec<Bytes> = (0..rng.usize(0..4)).map(|_| key(rng)).collect();
        let watched = key(rng);
        if rng.bool() {
            self.say(&[b"WATCH", &watched], Expected::Exactly(b"+OK\r\n"));
            if rng.bool() {
                let place = (self.database, watched.clone());
                self.say(&[b"GET", &watched], Expected::Value(place));
            }
        }
        self.say(&[b"MULTI"], Expected::Exactly(b"+OK\r\n"));
        let mut executed = Vec::new();
        let before = self.database;
        for key in keys {
            match rng.u8(..4) {
                0 => {
                    self.say(&[b"GET", &key], Expected::Exactly(b"+QUEUED\r\n"));
                    executed.push(Expected::Value((self.database, key)));
                }
                1 if !cluster => {
                    self.database = rng.u32(..3);
                    let number = self.database.to_string();
                    let expected = Expected::Exactly(b"+QUEUED\r\n");
                    self.say(&[b"SELECT", number.as_bytes()], expected);
                    executed.push(Expected::Exactly(b"+OK\r\n"));
                }
                _ => {
                    let value = self.value(rng, &key);
                    let expected = Expected::Exactly(b"+QUEUED\r\n");
                    self.say(&[b"SET", &key, &value], expected);
                    let changes = vec![((self.database, key), Some(value))];
                    executed.push(Expected::Changed(b"+OK\r\n".to_vec(), changes));
                }
            }
        }
        match rng.u8(..6) {
            0 => {
                self.database = before;
                self.say(&[b"DISCARD"], Expected::Exactly(b"+OK\r\n"));
            }
            _ => self.say(&[b"EXEC"], Expected::Executed(executed)),
        }
    }
}

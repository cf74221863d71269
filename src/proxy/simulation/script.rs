//! The requests of a simulated client, and the answers of a single server to them.

use std::collections::VecDeque;

use fastrand::Rng;

use crate::protocol::framing::reply::ReplyShape;
use crate::protocol::resp;

type Bytes = Vec<u8>;

/// The place of a value: the database and the key.
pub(super) type DatabaseKey = (u32, Bytes);

/// The circumstances of a simulation, which decide the answers to expect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Circumstances {
    /// The servers are a cluster, whose slots move: some errors are answers, too.
    pub(crate) cluster: bool,
    /// Servers fail: errors are answers, and the connection may end.
    pub(crate) faulty: bool,
    /// Keys of ejected servers are misses.
    pub(crate) misses: bool,
    /// A key may move to another server from one request to the next: a read may return the value of any write of its
    /// client.
    pub(crate) wanders: bool,
}

/// The expected reply.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    Exactly(&'static [u8]),
    /// One of these.
    OneOf(&'static [&'static [u8]]),
    /// This, and from here on the client is subscribed to the channel, or not.
    Confirmed(Bytes, Bytes, bool),
    /// The value of a key.
    Value(DatabaseKey),
    /// The values of several keys: an array, or the blocks of those that exist.
    Values(Vec<DatabaseKey>),
    /// This, and then the keys have these values.
    Changed(Bytes, Vec<(DatabaseKey, Option<Bytes>)>),
    /// This is not sent if it says what is usual: that a key is missing, or that it has changed.
    Quiet(Box<Expected>),
    /// An array of these, or of nothing if a key that is watched may have changed.
    Executed(Vec<Expected>),
}

/// A step of a script.
#[derive(Debug)]
pub(super) enum Step {
    Ask(Bytes, Vec<(ReplyShape, Expected)>),
    /// All answers are to come before it goes on.
    Settle,
}

/// Writes a script.
pub(super) struct Writer {
    number: usize,
    circumstances: Circumstances,
    count: usize,
    database: u32,
    pub(super) steps: VecDeque<Step>,
}

impl Writer {
    pub(super) fn new(number: usize, circumstances: Circumstances) -> Writer {
        Writer {
            number,
            circumstances,
            count: 0,
            database: 0,
            steps: VecDeque::new(),
        }
    }

    pub(super) fn key(&self, rng: &mut Rng) -> Bytes {
        format!("k{}:{}", self.number, rng.u8(..6)).into_bytes()
    }

    fn keys(&self, rng: &mut Rng) -> Vec<Bytes> {
        let mut keys: Vec<Bytes> = (0..rng.usize(1..5)).map(|_| self.key(rng)).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    /// A value that no other write has, now and then a large one.
    pub(super) fn value(&mut self, rng: &mut Rng, key: &[u8]) -> Bytes {
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

    pub(super) fn memcached(&mut self, rng: &mut Rng) {
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
            // A quiet miss has no answer, and the answer to the `mn` behind it shows that.
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

    fn command(&mut self, words: &[&[u8]], expected: Expected) {
        self.ask(resp::request(words), ReplyShape::Resp, expected);
    }

    pub(super) fn resp(&mut self, rng: &mut Rng) {
        let cluster = self.circumstances.cluster;
        let key = self.key(rng);
        match rng.u8(..15) {
            0 | 1 => self.command(
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
                self.command(&words, Expected::Values(places));
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
                self.command(&words, Expected::Changed(b"+OK\r\n".to_vec(), changes));
            }
            4 => {
                let keys = self.keys(rng);
                let words: Vec<&[u8]> = [&b"DEL"[..]]
                    .into_iter()
                    .chain(keys.iter().map(Vec::as_slice))
                    .collect();
                let changes = keys.iter().map(|key| ((self.database, key.clone()), None));
                let changes = changes.collect();
                self.command(&words, Expected::Changed(Vec::new(), changes));
            }
            5 => self.command(&[b"PING"], Expected::Exactly(b"+PONG\r\n")),
            6 if !cluster => {
                self.database = rng.u32(..3);
                let number = self.database.to_string();
                let expected = Expected::Exactly(b"+OK\r\n");
                self.command(&[b"SELECT", number.as_bytes()], expected);
            }
            7 => self.transaction(rng, cluster),
            8 => self.blocked(rng),
            9 if !self.circumstances.faulty => self.subscribed(rng),
            10 => {
                for _ in 0..rng.usize(1..5) {
                    let channel = format!("c{}:{}", rng.u8(..4), rng.u8(..4)).into_bytes();
                    let expected = Expected::OneOf(&[b":0\r\n", b":1\r\n"]);
                    self.count += 1;
                    let message = format!("{}:{}", self.number, self.count).into_bytes();
                    self.command(&[b"PUBLISH", &channel, &message], expected);
                }
            }
            _ => {
                let value = self.value(rng, &key);
                let changes = vec![((self.database, key.clone()), Some(value.clone()))];
                let expected = Expected::Changed(b"+OK\r\n".to_vec(), changes);
                self.command(&[b"SET", &key, &value], expected);
            }
        }
    }

    /// A list of its own gets an element, and gives it to a command that may block.
    fn blocked(&mut self, rng: &mut Rng) {
        self.count += 1;
        let key = format!("l{}:{}", self.number, self.count).into_bytes();
        let element = rng.u8(..).to_string().into_bytes();
        let expected = Expected::Exactly(b":1\r\n");
        self.command(&[b"RPUSH", &key, &element], expected);
        // If pushing may fail, there may be no element to wait for.
        if !self.circumstances.faulty && !self.circumstances.wanders {
            let reply = resp::request(&[&key, &element]);
            let expected = Expected::Changed(reply, Vec::new());
            self.command(&[b"BLPOP", &key, b"0"], expected);
        }
    }

    /// Subscribes to several channels, leaves some of them, and then all.
    fn subscribed(&mut self, rng: &mut Rng) {
        let mut numbers: Vec<u8> = (0..4).collect();
        rng.shuffle(&mut numbers);
        numbers.truncate(rng.usize(1..=4));
        let number = self.number;
        let name = |channel: &u8| format!("c{number}:{channel}").into_bytes();
        let channels: Vec<Bytes> = numbers.iter().map(name).collect();
        self.confirmed(b"SUBSCRIBE", &channels, &channels, 1, true);
        for _ in 0..rng.usize(..4) {
            // Until it is answered messages may come.
            let expected = Expected::Changed(resp::request(&[b"pong", b""]), Vec::new());
            self.command(&[b"PING"], expected);
            self.steps.push_back(Step::Settle);
        }
        let (left, rest) = channels.split_at(rng.usize(..channels.len()));
        if !left.is_empty() {
            self.confirmed(b"UNSUBSCRIBE", left, left, channels.len() - 1, false);
        }
        // Without names all are left, in the order of their names.
        let mut rest = rest.to_vec();
        rest.sort();
        self.confirmed(b"UNSUBSCRIBE", &[], &rest, rest.len() - 1, false);
    }

    /// Asks for a change of subscriptions; each channel is confirmed, the first with this count.
    fn confirmed(
        &mut self,
        command: &[u8],
        given: &[Bytes],
        channels: &[Bytes],
        first: usize,
        subscribes: bool,
    ) {
        let words: Vec<&[u8]> = [command]
            .into_iter()
            .chain(given.iter().map(Vec::as_slice))
            .collect();
        let confirmation = |(index, channel): (usize, &Bytes)| {
            let count = if subscribes {
                first + index
            } else {
                first - index
            };
            let word = command.to_ascii_lowercase();
            let mut reply = resp::request(&[&word, channel]);
            reply[1] = b'3';
            reply.extend_from_slice(format!(":{count}\r\n").as_bytes());
            let expected = Expected::Confirmed(reply, channel.clone(), subscribes);
            (ReplyShape::Resp, expected)
        };
        let due = channels.iter().enumerate().map(confirmation).collect();
        let step = Step::Ask(resp::request(&words), due);
        self.steps.push_back(step);
    }

    fn transaction(&mut self, rng: &mut Rng, cluster: bool) {
        let key = |rng: &mut Rng| format!("{{t{}}}{}", self.number, rng.u8(..3)).into_bytes();
        let keys: Vec<Bytes> = (0..rng.usize(0..4)).map(|_| key(rng)).collect();
        let watched = key(rng);
        if rng.bool() {
            self.command(&[b"WATCH", &watched], Expected::Exactly(b"+OK\r\n"));
            if rng.bool() {
                let place = (self.database, watched.clone());
                self.command(&[b"GET", &watched], Expected::Value(place));
            }
        }
        self.command(&[b"MULTI"], Expected::Exactly(b"+OK\r\n"));
        let mut executed = Vec::new();
        let before = self.database;
        for key in keys {
            match rng.u8(..4) {
                0 => {
                    self.command(&[b"GET", &key], Expected::Exactly(b"+QUEUED\r\n"));
                    executed.push(Expected::Value((self.database, key)));
                }
                // Whether a transaction that fails has changed the database is not known.
                1 if self.circumstances.faulty => {
                    self.command(&[b"PING"], Expected::Exactly(b"+QUEUED\r\n"));
                    executed.push(Expected::Exactly(b"+PONG\r\n"));
                }
                1 if !cluster && !self.circumstances.wanders => {
                    self.database = rng.u32(..3);
                    let number = self.database.to_string();
                    let expected = Expected::Exactly(b"+QUEUED\r\n");
                    self.command(&[b"SELECT", number.as_bytes()], expected);
                    executed.push(Expected::Exactly(b"+OK\r\n"));
                }
                _ => {
                    let value = self.value(rng, &key);
                    let expected = Expected::Exactly(b"+QUEUED\r\n");
                    self.command(&[b"SET", &key, &value], expected);
                    let changes = vec![((self.database, key), Some(value))];
                    executed.push(Expected::Changed(b"+OK\r\n".to_vec(), changes));
                }
            }
        }
        match rng.u8(..6) {
            0 => {
                self.database = before;
                self.command(&[b"DISCARD"], Expected::Exactly(b"+OK\r\n"));
            }
            _ => self.command(&[b"EXEC"], Expected::Executed(executed)),
        }
    }
}

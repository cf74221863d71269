//! Random conversations, held against a real redis-server: both must answer the same.
//!
//! A conversation is some dozens of commands on a handful of keys, fields and values, so that they meet; among them
//! wrong numbers, wrong options and wrong counts of arguments. Replies without an order are sorted, times may differ
//! by a second, and what is drawn by chance is left out. Each conversation has a number from which all of it follows,
//! and a difference prints the conversation up to there.

mod support;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use larder::server::{Connections, Peer as Client, Service, Session};
use larder::service::resp::{Resp, Settings};
use larder::store::{Clock, Config, Store};
use support::{Kind, Peer, skip};

/// Conversations, half of them in RESP3.
const CONVERSATIONS: u64 = 500;
/// Commands in each.
const COMMANDS: usize = 60;

/// What a word of a command is drawn from: the capital letters of [`SHAPES`].
const WORDS: &[(&str, &[&str])] = &[
    ("K", &["a", "b", "c", "user:1", ""]),
    ("F", &["f", "g", "h", "10", ""]),
    (
        "V",
        &[
            "1",
            "10",
            "-3",
            "x",
            "hello",
            "aab",
            "",
            "3.5",
            "0",
            "9223372036854775807",
            " 1",
        ],
    ),
    (
        "N",
        &[
            "0",
            "1",
            "-1",
            "2",
            "5",
            "-7",
            "100",
            "9223372036854775807",
            "x",
            "01",
        ],
    ),
    (
        "X",
        &[
            "0.1", "1", "-2.5", "1e3", "1e-3", "x", "inf", "0x1p-2", "1e17", "nan", "3.",
        ],
    ),
    (
        "P",
        &[
            "*", "a*", "[a-c]", "?", "*:*", "[^a]", "user:?", "", "\\a", "**",
        ],
    ),
    ("D", &["0", "1", "2", "15", "16", "-1", "x"]),
    // Times far enough away that none passes meanwhile, and as good as never the same twice.
    (
        "S",
        &["~", "~", "~", "~", "0", "-1", "x", "9223372036854775807"],
    ),
    (
        "T",
        &["33177117421", "33177117422", "33177117423", "1", "0", "x"],
    ),
    (
        "M",
        &[
            "33177117421000",
            "33177117422000",
            "33177117423500",
            "1",
            "-5",
            "x",
        ],
    ),
    ("C", &["NX", "XX", "GT", "LT", "nx", "FOO"]),
    (
        "O",
        &[
            "NX", "XX", "GET", "KEEPTTL", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO",
        ],
    ),
    (
        "G",
        &["PERSIST", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO"],
    ),
    ("L", &["LEN", "IDX", "MINMATCHLEN N", "WITHMATCHLEN", "FOO"]),
    ("Q", &["REPLACE", "DB D", "FOO", "DB"]),
    (
        "A",
        &[
            "MATCH P",
            "COUNT 1000",
            "TYPE string",
            "TYPE hash",
            "COUNT N",
            "FOO bar",
        ],
    ),
    (
        "B",
        &["MATCH P", "COUNT 1000", "COUNT N", "MATCH", "TYPE hash"],
    ),
    (
        "Y",
        &[
            "ENCODING none",
            "REFCOUNT none",
            "FREQ K",
            "IDLETIME none",
            "FOO K",
            "ENCODING",
        ],
    ),
];

/// The commands, each as often as it stands here. `+` repeats the word before it up to three times, `*` also never.
const SHAPES: &[&str] = &[
    "GET K",
    "GET K",
    "SET K V",
    "SET K V",
    "SET K V",
    "SET K V O*",
    "SET K V O*",
    "SETNX K V",
    "SETEX K S V",
    "PSETEX K S V",
    "GETSET K V",
    "GETDEL K",
    "GETEX K G*",
    "MGET K+",
    "MSET K V",
    "MSET K V K V",
    "MSETNX K V K V",
    "MSETNX K V",
    "APPEND K V",
    "STRLEN K",
    "GETRANGE K N N",
    "SUBSTR K N N",
    "SETRANGE K 3 V",
    "SETRANGE K -1 V",
    "LCS K K L*",
    "INCR K",
    "DECR K",
    "INCRBY K N",
    "DECRBY K N",
    "INCRBYFLOAT K X",
    "INCRBYFLOAT K X",
    "DEL K+",
    "UNLINK K",
    "EXISTS K+",
    "TOUCH K+",
    "TYPE K",
    "KEYS P",
    "SCAN 0 A* COUNT 1000",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K Q*",
    "MOVE K D",
    "SELECT D",
    "OBJECT Y",
    "EXPIRE K S C*",
    "PEXPIRE K S C*",
    "EXPIREAT K T C*",
    "PEXPIREAT K M C*",
    "TTL K",
    "PTTL K",
    "EXPIRETIME K",
    "PEXPIRETIME K",
    "PERSIST K",
    "HSET K F V",
    "HSET K F V",
    "HSET K F V F V",
    "HSET K F V F V F V",
    "HMSET K F V F V",
    "HSETNX K F V",
    "HGET K F",
    "HMGET K F+",
    "HGETALL K",
    "HGETALL K",
    "HDEL K F+",
    "HDEL K F+",
    "HLEN K",
    "HEXISTS K F",
    "HKEYS K",
    "HVALS K",
    "HSTRLEN K F",
    "HINCRBY K F N",
    "HINCRBYFLOAT K F X",
    "HSCAN K 0 B*",
    "HRANDFIELD K 100",
    "HRANDFIELD K 100 WITHVALUES",
    "HRANDFIELD K 0",
    "HRANDFIELD K x",
];

/// Numbers by chance, the same ones for the same seed (xorshift64*).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Draws a command.
fn command(chance: &mut Chance) -> Vec<String> {
    let mut words = Vec::new();
    for word in chance.pick(SHAPES).split(' ') {
        let (class, times) = if let Some(class) = word.strip_suffix('+') {
            (class, 1 + chance.below(3))
        } else if let Some(class) = word.strip_suffix('*') {
            (class, chance.below(4) * chance.below(2))
        } else {
            (word, 1)
        };
        for _ in 0..times {
            push(&mut words, class, chance);
        }
    }
    // Now and then one word too few or too many.
    match chance.below(50) {
        0 => drop(words.pop()),
        1 => words.push("extra".to_owned()),
        _ => {}
    }
    if words.is_empty() {
        words.push("PING".to_owned());
    }
    words
}

fn push(words: &mut Vec<String>, class: &str, chance: &mut Chance) {
    match WORDS.iter().find(|(name, _)| *name == class) {
        None if class == "~" => words.push((1_000_000 + chance.below(1_000_000_000)).to_string()),
        None => words.push(class.to_owned()),
        Some(("P" | "V" | "K" | "F", values)) => words.push(chance.pick(values).to_owned()),
        Some((_, values)) => {
            for word in chance.pick(values).split(' ') {
                push(words, word, chance);
            }
        }
    }
}

fn encoded(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    bytes.into_bytes()
}

/// A reply, read: its first byte, its line or bytes, its elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Value {
    kind: u8,
    text: Vec<u8>,
    elements: Vec<Value>,
}

impl Value {
    fn integer(&self) -> Option<i64> {
        (self.kind == b':').then(|| String::from_utf8_lossy(&self.text).parse().ok())?
    }
}

/// Reads one reply from the start of `bytes`; `None` if it isn't whole.
fn read(bytes: &[u8]) -> Option<(Value, &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, mut rest) = (&bytes[1..end], &bytes[end + 2..]);
    let mut value = Value {
        kind: bytes[0],
        text: line.to_vec(),
        elements: Vec::new(),
    };
    let length = std::str::from_utf8(line)
        .ok()
        .and_then(|line| line.parse::<i64>().ok());
    match (value.kind, length) {
        (b'$' | b'=', Some(length @ 0..)) => {
            value.text = rest.get(..length as usize)?.to_vec();
            rest = rest.get(length as usize + 2..)?;
        }
        (b'*' | b'~' | b'%' | b'>', Some(length @ 0..)) => {
            for _ in 0..length * if value.kind == b'%' { 2 } else { 1 } {
                let (element, behind) = read(rest)?;
                value.elements.push(element);
                rest = behind;
            }
        }
        _ => {}
    }
    Some((value, rest))
}

/// Sorts what has no order.
fn settle(words: &[String], mut value: Value) -> Value {
    let name = words[0].as_str();
    let elements = match name {
        "SCAN" | "HSCAN" => match value.elements.get_mut(1) {
            Some(found) => &mut found.elements,
            None => return value,
        },
        _ => &mut value.elements,
    };
    let flat = elements.first().is_some_and(|first| first.kind == b'$');
    let in_pairs = matches!(name, "HGETALL" | "HSCAN") || words.len() == 4 && name == "HRANDFIELD";
    match name {
        "HGETALL" | "HSCAN" | "HRANDFIELD" if in_pairs && flat => {
            let mut pairs: Vec<_> = elements.chunks(2).map(<[Value]>::to_vec).collect();
            pairs.sort();
            *elements = pairs.concat();
        }
        "KEYS" | "SCAN" | "HKEYS" | "HVALS" | "HRANDFIELD" => elements.sort(),
        _ => {}
    }
    value
}

/// Whether both mean the same; a time may have gone on in between.
fn same(words: &[String], ours: &Value, theirs: &Value) -> bool {
    // One field by chance, when the count was left out.
    if words[0] == "HRANDFIELD" && words.len() == 2 {
        return ours.kind == theirs.kind;
    }
    let slack = match words[0].as_str() {
        "TTL" | "EXPIRETIME" => 1,
        "PTTL" | "PEXPIRETIME" => 1_000,
        _ => 0,
    };
    match (ours.integer(), theirs.integer()) {
        (Some(ours), Some(theirs)) if ours > 0 && theirs > 0 => ours.abs_diff(theirs) <= slack,
        _ => ours == theirs,
    }
}

struct Redis(UnixStream);

impl Redis {
    fn ask(&mut self, request: &[u8]) -> Value {
        self.0.write_all(request).expect("redis-server reads");
        let mut bytes = Vec::new();
        loop {
            if let Some((value, rest)) = read(&bytes) {
                assert!(rest.is_empty(), "redis-server answered twice");
                return value;
            }
            let mut more = [0; 4096];
            let length = self
                .0
                .read(&mut more)
                .expect("redis-server answers in time");
            assert!(length > 0, "redis-server closed the connection");
            bytes.extend_from_slice(&more[..length]);
        }
    }
}

fn ask_larder(session: &mut dyn Session, request: &[u8]) -> Value {
    let mut output = Vec::new();
    let turn = session.turn(request, &mut output);
    assert_eq!(turn.consumed, request.len());
    let (value, rest) = read(&output).expect("larder answers");
    assert!(rest.is_empty(), "larder answered twice");
    value
}

fn shown(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?} ")).collect()
}

#[test]
fn random_conversations_are_answered_as_redis_answers_them() {
    let Some(peer) = Peer::start(Kind::Redis, &[]).expect("redis-server starts") else {
        skip!("redis-server is not installed, so random conversations were not compared");
    };
    let stream = UnixStream::connect(peer.socket()).expect("redis-server listens");
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout can be set");
    let mut redis = Redis(stream);
    for seed in 0..CONVERSATIONS {
        let store = Arc::new(Store::new(Config::default(), Clock::system()));
        let service = Resp::new(store, Connections::new(), Settings::default());
        let mut session = service.open(Client::detached());
        let hello = ["HELLO", if seed % 2 == 0 { "2" } else { "3" }].map(str::to_owned);
        ask_larder(&mut *session, &encoded(&hello));
        for words in [
            &hello[..],
            &["SELECT".into(), "0".into()],
            &["FLUSHALL".into()],
        ] {
            redis.ask(&encoded(words));
        }
        let mut chance = Chance::new(seed);
        let mut said = String::new();
        for _ in 0..COMMANDS {
            let words = command(&mut chance);
            said.push_str(&format!("  {}\n", shown(&words)));
            let request = encoded(&words);
            let ours = settle(&words, ask_larder(&mut *session, &request));
            let theirs = settle(&words, redis.ask(&request));
            assert!(
                same(&words, &ours, &theirs),
                "conversation {seed}:\n{said}larder: {ours:?}\nredis-server: {theirs:?}"
            );
        }
    }
}

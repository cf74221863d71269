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

/// larder and redis-server, told the same.
struct Both {
    redis: UnixStream,
    larder: Box<dyn Session>,
    /// The conversation so far, for a person to read.
    said: String,
    /// Ends redis-server when it is dropped.
    _peer: Peer,
}

/// Starts both; `None` if redis-server is not installed.
fn both() -> Option<Both> {
    let peer = Peer::start(Kind::Redis, &[]).expect("redis-server starts")?;
    let redis = UnixStream::connect(peer.socket()).expect("redis-server listens");
    redis
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout can be set");
    Some(Both {
        redis,
        larder: larder(),
        said: String::new(),
        _peer: peer,
    })
}

fn larder() -> Box<dyn Session> {
    let store = Arc::new(Store::new(Config::default(), Clock::system()));
    Resp::new(store, Connections::new(), Settings::default()).open(Client::detached())
}

impl Both {
    /// Begins a new conversation on empty servers.
    fn begin(&mut self, what: &str, version: &str) {
        self.larder = larder();
        self.said = format!("{what}:\n");
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let hello = encoded(&words(&format!("HELLO {version}")));
        self.ask_larder(&hello);
        self.ask_redis(&hello);
        self.ask_redis(&encoded(&words("SELECT 0")));
        self.ask_redis(&encoded(&words("FLUSHALL")));
    }

    /// Sends a command to both and compares what they answer.
    fn say(&mut self, words: &[String]) {
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

    fn ask_larder(&mut self, request: &[u8]) -> Value {
        let mut output = Vec::new();
        let turn = self.larder.turn(request, &mut output);
        assert_eq!(turn.consumed, request.len(), "{}", self.said);
        let (value, rest) = read(&output).expect("larder answers");
        assert!(rest.is_empty(), "larder answered twice: {}", self.said);
        value
    }

    fn ask_redis(&mut self, request: &[u8]) -> Value {
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
            let length = self
                .redis
                .read(&mut more)
                .expect("redis-server answers in time");
            assert!(
                length > 0,
                "redis-server closed the connection: {}",
                self.said
            );
            bytes.extend_from_slice(&more[..length]);
        }
    }
}

#[test]
fn random_conversations_are_answered_as_redis_answers_them() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so random conversations were not compared");
    };
    for seed in 0..CONVERSATIONS {
        both.begin(
            &format!("conversation {seed}"),
            if seed % 2 == 0 { "2" } else { "3" },
        );
        let mut chance = Chance::new(seed);
        for _ in 0..COMMANDS {
            both.say(&command(&mut chance));
        }
    }
}

/// A text of up to `most` letters.
fn text(chance: &mut Chance, letters: &[&str], most: usize) -> String {
    let length = chance.below(most + 1);
    (0..length).map(|_| chance.pick(letters)).collect()
}

#[test]
fn random_patterns_match_what_they_match_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so random patterns were not compared");
    };
    let mut chance = Chance::new(1);
    for round in 0..20 {
        both.begin(&format!("keys {round}"), "2");
        for _ in 0..40 {
            let key = text(&mut chance, &["a", "b", "c", "-", "]", "\\", "^", "*"], 6);
            both.say(&["SET".to_owned(), key, String::new()]);
        }
        for _ in 0..100 {
            let letters = ["a", "b", "c", "*", "*", "?", "[", "]", "^", "-", "\\"];
            both.say(&["KEYS".to_owned(), text(&mut chance, &letters, 9)]);
        }
    }
}

#[test]
fn random_numbers_are_added_as_redis_adds_them() {
    if !cfg!(target_arch = "x86_64") {
        skip!("redis-server adds with more than 80 bits here, so sums were not compared");
    }
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so sums were not compared");
    };
    let digits = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];
    let hex = ["0", "1", "5", "8", "a", "F", "."];
    both.begin("sums", "2");
    let mut chance = Chance::new(1);
    for round in 0..20_000 {
        let mut number = chance.pick(&["", "", "-", "+"]).to_owned();
        if chance.below(20) == 0 {
            number.push_str("0x");
            number.push_str(&text(&mut chance, &hex, 24));
            if chance.below(2) == 0 {
                number.push_str(&format!("p{}", chance.below(200) as i64 - 100));
            }
        } else {
            let (most, decimals) = (1 + chance.below(24), chance.below(24));
            number.push_str(&text(&mut chance, &digits, most));
            if chance.below(3) > 0 {
                number.push('.');
                number.push_str(&text(&mut chance, &digits, decimals));
            }
            match chance.below(20) {
                0 => number.push_str(&format!("e{}", chance.below(10_100) as i64 - 5_050)),
                1..6 => number.push_str(&format!("E{:+}", chance.below(40) as i64 - 20)),
                6 => number.push('x'),
                _ => {}
            }
        }
        // Sums that have grown large swallow what is added to them, so begin anew now and then.
        if round % 5 == 0 {
            both.begin(&format!("sum {round}"), "2");
        }
        both.say(&["INCRBYFLOAT".to_owned(), "sum".to_owned(), number]);
    }
}

#[test]
fn random_strings_have_in_common_what_they_have_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so subsequences were not compared");
    };
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut chance = Chance::new(1);
    for round in 0..1_000 {
        both.begin(
            &format!("strings {round}"),
            if round % 2 == 0 { "2" } else { "3" },
        );
        for key in ["one", "two"] {
            let value = text(&mut chance, &["a", "b", "c"], 20);
            both.say(&["SET".to_owned(), key.to_owned(), value]);
        }
        both.say(&words("LCS one two"));
        both.say(&words("LCS one two IDX WITHMATCHLEN"));
        both.say(&words("LCS one two IDX MINMATCHLEN 2"));
    }
}

#[test]
fn commands_take_the_arguments_keys_and_flags_that_they_take_in_redis() {
    let Some(mut both) = both() else {
        skip!("redis-server is not installed, so the table of commands was not compared");
    };
    both.begin("commands", "2");
    let mut names: Vec<&str> = SHAPES
        .iter()
        .filter_map(|shape| shape.split(' ').next())
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let request = encoded(&["COMMAND", "INFO", name].map(str::to_owned));
        // Name, arity, flags, first key, last key, step.
        let [ours, theirs] = [both.ask_larder(&request), both.ask_redis(&request)].map(|reply| {
            let mut facts = reply.elements[0].elements[..6].to_vec();
            let flags = &mut facts[2].elements;
            // About reading a file at the start, and about replicas: larder has neither.
            flags.retain(|flag| flag.text != b"loading" && flag.text != b"stale");
            flags.sort();
            facts[2].text.clear();
            facts
        });
        assert_eq!(ours, theirs, "{name}");
    }
}

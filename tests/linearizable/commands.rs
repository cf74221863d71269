//! The commands of the clients, chosen at random.

use fastrand::Rng;

/// A change of memcached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Set,
    Add,
    Replace,
    Append,
    Prepend,
}

const MODES: [(Mode, &str, char); 5] = [
    (Mode::Set, "set", 'S'),
    (Mode::Add, "add", 'E'),
    (Mode::Replace, "replace", 'R'),
    (Mode::Append, "append", 'A'),
    (Mode::Prepend, "prepend", 'P'),
];

/// A command of one key, whose reply follows from the items.
#[derive(Debug, Clone)]
pub(crate) enum Plain {
    /// memcached, by its verb.
    Text(&'static str),
    /// memcached, classic or meta.
    Store(Mode, Vec<u8>, bool),
    /// `ma`, which makes the item.
    MetaArithmetic(i64),
    /// RESP, without the key.
    Resp(Vec<String>),
    /// RESP, without the key, of a field.
    Hash(Vec<&'static str>),
    /// HSET of [`MANY`] fields that no other command names.
    Fill,
}

/// A command.
#[derive(Debug, Clone)]
pub(crate) enum Command {
    Plain(&'static str, Plain),
    Gets(&'static str),
    Cas(&'static str, Vec<u8>, u64),
    Rename(&'static str, &'static str),
    Watch(&'static str),
    /// MULTI, commands of RESP, EXEC.
    Transaction(Vec<(&'static str, Plain)>),
}

/// Two keys of texts, and two that hold hashes as well.
pub(crate) const KEYS: [&str; 4] = ["a", "b", "h", "i"];

/// Whether a key of this name may hold a hash.
fn may_be_hash(key: &str) -> bool {
    key == "h" || key == "i"
}

/// Fields of a hash that is renamed without a copy.
pub(crate) const MANY: usize = 300;

impl Plain {
    fn is_resp(&self) -> bool {
        matches!(self, Plain::Resp(_) | Plain::Hash(_) | Plain::Fill)
    }

    fn request(&self, key: &str) -> String {
        let behind_verb = |words: &mut dyn Iterator<Item = &str>| {
            let verb = words.next().unwrap_or_default().to_owned();
            let rest: String = words.map(|word| format!(" {word}")).collect();
            format!("{verb} {key}{rest}\r\n")
        };
        match self {
            Plain::Text("gat") => format!("gat 100 {key}\r\n"),
            Plain::Text("touch") => format!("touch {key} 100\r\n"),
            Plain::Text("mg") => format!("mg {key} v t\r\n"),
            Plain::Text("incr") => format!("incr {key} 7\r\n"),
            Plain::Text("decr") => format!("decr {key} 3\r\n"),
            Plain::Text(verb) => format!("{verb} {key}\r\n"),
            Plain::Store(mode, value, is_meta) => {
                let (_, verb, letter) =
                    MODES[MODES.iter().position(|it| it.0 == *mode).unwrap_or(0)];
                let (length, value) = (value.len(), value.escape_ascii());
                match is_meta {
                    true => format!("ms {key} {length} M{letter}\r\n{value}\r\n"),
                    false => format!("{verb} {key} 0 0 {length}\r\n{value}\r\n"),
                }
            }
            Plain::MetaArithmetic(by @ 0..) => format!("ma {key} v N0 J5 D{by}\r\n"),
            Plain::MetaArithmetic(by) => format!("ma {key} v N0 J5 MD D{}\r\n", -by),
            Plain::Resp(words) => behind_verb(&mut words.iter().map(|word| &**word)),
            Plain::Hash(words) => behind_verb(&mut words.iter().copied()),
            Plain::Fill => {
                let fields = (0..MANY).map(|field| format!(" {field} v"));
                format!("HSET {key}{}\r\n", fields.collect::<String>())
            }
        }
    }

    fn any(random: &mut Rng, is_hash: bool, only_resp: bool) -> Plain {
        let value = random.choice(["1", "20", "x", "300"]).expect("one of four");
        match random.u8(if only_resp { 6..12 } else { 0..12 }) {
            0..3 if !is_hash => {
                let (mode, _, _) = random.choice(MODES).expect("one of five");
                Plain::Store(mode, value.into(), random.bool())
            }
            3..6 if !is_hash => {
                let verbs = ["get", "gat", "touch", "delete", "md", "mg", "incr", "decr"];
                match random.usize(0..=verbs.len()) {
                    8 => Plain::MetaArithmetic(random.i64(-2..3)),
                    verb => Plain::Text(verbs[verb]),
                }
            }
            0..6 => Plain::Text(random.choice(["get", "delete"]).expect("one of two")),
            6..11 if is_hash => {
                let field = random.choice(["f", "g"]).expect("one of two");
                Plain::Hash(match random.u8(0..4) {
                    0 => vec!["HGET", field],
                    1 => vec!["HSET", field, value],
                    2 => vec!["HDEL", field],
                    _ => vec!["HINCRBY", field, "2"],
                })
            }
            _ => {
                let shapes = [
                    "GET",
                    "SET V",
                    "SET V NX",
                    "SET V XX",
                    "SET V NX GET",
                    "SET V XX GET",
                    "SET V GET",
                    "SET V KEEPTTL",
                    "INCRBY 4",
                    "INCRBY -6",
                    "APPEND V",
                    "GETSET V",
                    "GETDEL",
                    "SETRANGE 1 V",
                    "STRLEN",
                    "DEL",
                    "EXISTS",
                    "TTL",
                    "SETNX V",
                ];
                let shape = random.choice(shapes).expect("one of many");
                let words = shape
                    .split(' ')
                    .map(|word| if word == "V" { value } else { word });
                Plain::Resp(words.map(str::to_owned).collect())
            }
        }
    }
}

impl Command {
    /// Whether it is one of RESP's, otherwise of memcached's.
    pub(crate) fn is_resp(&self) -> bool {
        match self {
            Command::Plain(_, plain) => plain.is_resp(),
            Command::Gets(_) | Command::Cas(..) => false,
            Command::Rename(..) | Command::Watch(_) | Command::Transaction(_) => true,
        }
    }

    pub(crate) fn request(&self) -> String {
        match self {
            Command::Plain(key, plain) => plain.request(key),
            Command::Gets(key) => format!("gets {key}\r\n"),
            Command::Cas(key, value, unique) => {
                let (length, value) = (value.len(), value.escape_ascii());
                format!("cas {key} 0 0 {length} {unique}\r\n{value}\r\n")
            }
            Command::Rename(from, to) => format!("RENAME {from} {to}\r\n"),
            Command::Watch(key) => format!("WATCH {key}\r\n"),
            Command::Transaction(commands) => {
                let queued = commands.iter().map(|(key, plain)| plain.request(key));
                format!("MULTI\r\n{}EXEC\r\n", queued.collect::<String>())
            }
        }
    }

    /// The next command of a client that has seen this cas unique last, and watches a key or doesn't.
    pub(crate) fn any(random: &mut Rng, unique: u64, watches: bool) -> Command {
        let key = random.choice(KEYS).expect("one of four");
        let text_key = random.choice(["a", "b"]).expect("one of two");
        let hash_key = random.choice(["h", "i"]).expect("one of two");
        match random.u8(0..20) {
            0..2 => Command::Gets(text_key),
            2..4 => Command::Cas(text_key, b"50".to_vec(), unique),
            4 => Command::Rename(text_key, random.choice(["a", "b"]).expect("one of two")),
            5 | 6 => Command::Rename(hash_key, random.choice(["h", "i"]).expect("one of two")),
            7 if !watches => Command::Watch(key),
            7..10 => {
                let commands = (0..random.usize(0..3)).map(|_| {
                    let key = random.choice(KEYS).expect("one of four");
                    (key, Plain::any(random, may_be_hash(key), true))
                });
                Command::Transaction(commands.collect())
            }
            _ => Command::Plain(key, Plain::any(random, may_be_hash(key), false)),
        }
    }
}

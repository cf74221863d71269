//! Commands made of decisions: most are valid, and all are on a few keys and fields, so that they meet.

use super::super::choices::Choices;

/// The words of a command.
pub(crate) type Words = Vec<String>;

/// The sources of a command's words: the capital letters of [`SHAPES`].
const SOURCES: &[(&str, &[&str])] = &[
    ("K", &["a", "b", "c", "d"]),
    ("F", &["f", "g", "f1", "f77"]),
    (
        "V",
        &[
            "1",
            "10",
            "-3",
            "x",
            "hello",
            "",
            "3.5",
            " 1",
            "9223372036854775807",
            "00",
        ],
    ),
    (
        "N",
        &[
            "1",
            "0",
            "-1",
            "2",
            "5",
            "-7",
            "100",
            "9223372036854775807",
            "-9223372036854775808",
            "x",
        ],
    ),
    ("H", &["0.5", "-1.5", "3", "10.0", "x"]),
    ("D", &["0", "1"]),
    (
        "S",
        &[
            "1",
            "2",
            "100",
            "1000",
            "0",
            "-1",
            "x",
            "9223372036854775807",
        ],
    ),
    ("T", &["1795000001", "1795000100", "1795001000", "1", "x"]),
    ("M", &["1795000001500", "1795000100000", "1", "-5", "x"]),
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
    ("Q", &["REPLACE", "DB D"]),
];

/// The commands, each as often as it stands here. `+` repeats the word before it up to three times, `*` also never.
const SHAPES: &[&str] = &[
    "GET K",
    "GET K",
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
    "MSET K V K V",
    "MSETNX K V K V",
    "APPEND K V",
    "STRLEN K",
    "GETRANGE K N N",
    "SETRANGE K 3 V",
    "SETRANGE K N1 V",
    "INCR K",
    "DECR K",
    "INCRBY K N",
    "DECRBY K N",
    "INCRBYFLOAT K H",
    "DEL K+",
    "UNLINK K",
    "EXISTS K+",
    "TOUCH K+",
    "TYPE K",
    "KEYS *",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K Q*",
    "MOVE K D",
    "SELECT D",
    "SWAPDB 0 1",
    "FLUSHDB",
    "FLUSHALL",
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
    "WATCH K",
    "WATCH K K",
    "UNWATCH",
    "MULTI",
    "MULTI",
    "EXEC",
    "EXEC",
    "EXEC",
    "DISCARD",
    "FOO K",
    "PING",
    "FILL K",
    "DEL K",
];

/// The next command. `FILL K` stands for an HSET of many fields.
pub(crate) fn request(choices: &mut Choices<'_>) -> Words {
    let mut words = Vec::new();
    for word in choices.pick(SHAPES).split(' ') {
        let (source, times) = if let Some(source) = word.strip_suffix('+') {
            (source, 1 + choices.below(3))
        } else if let Some(source) = word.strip_suffix('*').filter(|source| !source.is_empty()) {
            (source, choices.below(4) * choices.below(2))
        } else {
            (word, 1)
        };
        for _ in 0..times {
            push(&mut words, source, choices);
        }
    }
    if words[0] == "FILL" {
        return filling(choices, words.pop().unwrap_or_default());
    }
    // Now and then one word too few or too many.
    match choices.below(50) {
        48 if words.len() > 1 => drop(words.pop()),
        49 => words.push("extra".to_owned()),
        _ => {}
    }
    words
}

fn push(words: &mut Words, source: &str, choices: &mut Choices<'_>) {
    match SOURCES.iter().find(|(name, _)| *name == source) {
        // An offset that needs no large value.
        None if source == "N1" => words.push(choices.pick(&["0", "1", "-1", "x", "20"]).to_owned()),
        None => words.push(source.to_owned()),
        Some(("O" | "G" | "Q", options)) => {
            for word in choices.pick(options).split(' ') {
                push(words, word, choices);
            }
        }
        Some((_, values)) => words.push(choices.pick(values).to_owned()),
    }
}

/// An HSET of a few hundred fields, or seldom of thousands.
fn filling(choices: &mut Choices<'_>, key: String) -> Words {
    let fields = match choices.one_in(8) {
        true => 1500 + choices.below(3000),
        false => choices.below(400),
    };
    let mut words = vec!["HSET".to_owned(), key];
    for field in 0..=fields {
        words.extend([format!("f{field}"), "filled".to_owned()]);
    }
    words
}

/// A command as clients send it.
pub(crate) fn encoded(words: &[String]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len());
    for word in words {
        bytes += &format!("${}\r\n{word}\r\n", word.len());
    }
    bytes.into_bytes()
}

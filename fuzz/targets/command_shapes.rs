//! Commands of RESP that are made of shapes by chance or by a fuzzer's decisions. `resp_model` and `tests/resp_against_redis` use
//! them.
//!
//! A shape has a command's name and a letter for each argument: `SET K V O*`. A table of sources has the values of each letter.
//! `+` repeats the letter before it up to three times, `*` up to three times or never. A word that is no letter of the table is
//! taken as it is.

/// The values of a letter.
pub(crate) enum Values {
    /// Each is one word.
    Words(&'static [&'static str]),
    /// Each is a shape without a name, such as an option with its argument.
    Shapes(&'static [&'static str]),
}

/// The conditions of EXPIRE.
pub(crate) const CONDITIONS: &[&str] = &["NX", "XX", "GT", "LT", "nx", "FOO"];
/// The options of SET.
pub(crate) const SET_OPTIONS: &[&str] = &[
    "NX", "XX", "GET", "KEEPTTL", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO",
];
/// The options of GETEX.
pub(crate) const GETEX_OPTIONS: &[&str] =
    &["PERSIST", "EX S", "PX S", "EXAT T", "PXAT M", "EX", "FOO"];

/// The commands of strings, hashes and keys that both uses have, each as often as it is drawn.
pub(crate) const COMMON: &[&str] = &[
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
    "INCR K",
    "DECR K",
    "INCRBY K N",
    "DECRBY K N",
    "INCRBYFLOAT K X",
    "DEL K+",
    "UNLINK K",
    "EXISTS K+",
    "TOUCH K+",
    "TYPE K",
    "RENAME K K",
    "RENAMENX K K",
    "COPY K K Q*",
    "MOVE K D",
    "SELECT D",
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
];

/// The words of a command of this shape. `below` decides for a number below its argument.
pub(crate) fn words(
    shape: &str,
    sources: &[(&str, Values)],
    below: &mut dyn FnMut(usize) -> usize,
) -> Vec<String> {
    let mut words = Vec::new();
    for part in shape.split(' ') {
        let (letter, times) = if let Some(letter) = part.strip_suffix('+') {
            (letter, 1 + below(3))
        } else if let Some(letter) = part.strip_suffix('*').filter(|letter| !letter.is_empty()) {
            (letter, below(4) * below(2))
        } else {
            (part, 1)
        };
        for _ in 0..times {
            push(&mut words, letter, sources, below);
        }
    }
    words
}

fn push(
    words: &mut Vec<String>,
    letter: &str,
    sources: &[(&str, Values)],
    below: &mut dyn FnMut(usize) -> usize,
) {
    match sources.iter().find(|(name, _)| *name == letter) {
        None => words.push(letter.to_owned()),
        Some((_, Values::Words(values))) => words.push(values[below(values.len())].to_owned()),
        Some((_, Values::Shapes(shapes))) => {
            for part in shapes[below(shapes.len())].split(' ') {
                push(words, part, sources, below);
            }
        }
    }
}

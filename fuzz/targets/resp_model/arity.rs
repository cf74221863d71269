//! The names of the commands that the model knows, and the number of words that each takes.

use super::requests::Words;

/// The commands, and the least and the greatest number of their words.
const ARITIES: &[(&str, usize, usize)] = &[
    ("GET", 2, 2),
    ("SET", 3, MANY),
    ("SETNX", 3, 3),
    ("SETEX", 4, 4),
    ("PSETEX", 4, 4),
    ("GETSET", 3, 3),
    ("GETDEL", 2, 2),
    ("GETEX", 2, MANY),
    ("MGET", 2, MANY),
    ("MSET", 3, MANY),
    ("MSETNX", 3, MANY),
    ("APPEND", 3, 3),
    ("STRLEN", 2, 2),
    ("GETRANGE", 4, 4),
    ("SETRANGE", 4, 4),
    ("INCR", 2, 2),
    ("DECR", 2, 2),
    ("INCRBY", 3, 3),
    ("DECRBY", 3, 3),
    ("INCRBYFLOAT", 3, 3),
    ("DEL", 2, MANY),
    ("UNLINK", 2, MANY),
    ("EXISTS", 2, MANY),
    ("TOUCH", 2, MANY),
    ("TYPE", 2, 2),
    ("KEYS", 2, 2),
    ("RENAME", 3, 3),
    ("RENAMENX", 3, 3),
    ("COPY", 3, MANY),
    ("MOVE", 3, 3),
    ("SELECT", 2, 2),
    ("SWAPDB", 3, 3),
    ("FLUSHDB", 1, MANY),
    ("FLUSHALL", 1, MANY),
    ("EXPIRE", 3, MANY),
    ("PEXPIRE", 3, MANY),
    ("EXPIREAT", 3, MANY),
    ("PEXPIREAT", 3, MANY),
    ("TTL", 2, 2),
    ("PTTL", 2, 2),
    ("EXPIRETIME", 2, 2),
    ("PEXPIRETIME", 2, 2),
    ("PERSIST", 2, 2),
    ("HSET", 4, MANY),
    ("HMSET", 4, MANY),
    ("HSETNX", 4, 4),
    ("HGET", 3, 3),
    ("HMGET", 3, MANY),
    ("HGETALL", 2, 2),
    ("HDEL", 3, MANY),
    ("HLEN", 2, 2),
    ("HEXISTS", 3, 3),
    ("HKEYS", 2, 2),
    ("HVALS", 2, 2),
    ("HSTRLEN", 3, 3),
    ("HINCRBY", 4, 4),
    ("WATCH", 2, MANY),
    ("UNWATCH", 1, 1),
    ("MULTI", 1, 1),
    ("EXEC", 1, 1),
    ("DISCARD", 1, 1),
    ("PING", 1, 2),
];
const MANY: usize = usize::MAX;

/// The error of a command that is unknown, or has too few words or too many.
pub(super) fn refusal(words: &Words) -> Option<String> {
    let name = words[0].as_str();
    let Some((_, least, most)) = ARITIES.iter().find(|(known, ..)| *known == name) else {
        let arguments = words[1..].iter().map(|word| format!("'{word}' "));
        let arguments: String = arguments.collect();
        return Some(format!(
            "ERR unknown command '{name}', with args beginning with: {arguments}"
        ));
    };
    (!(*least..=*most).contains(&words.len())).then(|| wrong_count(name))
}

/// The error of a wrong number of words.
pub(super) fn wrong_count(name: &str) -> String {
    let name = name.to_lowercase();
    format!("ERR wrong number of arguments for '{name}' command")
}

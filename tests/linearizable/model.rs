//! The sequential model: the effect of a command on a handful of items when nothing runs beside it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::commands::{Command, MANY, Mode, Plain};

/// An item.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Item {
    value: Value,
    /// It has the one lifetime that commands give.
    expires: bool,
    /// Its cas unique, once a client has seen it.
    unique: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Value {
    Text(Vec<u8>),
    Hash(BTreeMap<&'static str, Vec<u8>>),
}

/// The state of a client's WATCH.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Watched {
    Unchanged,
    /// A command may have changed the key in the sense of WATCH: only its lifetime, or to the same value.
    Perhaps,
    Changed,
}

/// All items, and what the clients watch.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct State {
    items: BTreeMap<&'static str, Item>,
    watches: BTreeMap<usize, (&'static str, Watched)>,
    /// Every cas unique that a client has seen: an item never gets one again.
    seen: BTreeSet<u64>,
}

const WRONG_TYPE: &str = "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n";
const NOT_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";

fn shown(text: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(text)
}

fn bulk(value: Option<&[u8]>) -> String {
    match value {
        Some(value) => format!("${}\r\n{}\r\n", value.len(), shown(value)),
        None => "$-1\r\n".into(),
    }
}

fn yes(yes: bool, then: &str, otherwise: &str) -> String {
    if yes { then } else { otherwise }.to_owned()
}

/// A number as Redis reads it.
fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}

impl State {
    /// Runs a client's command. Returns whether it is answered with `reply`.
    pub(crate) fn step(&mut self, client: usize, command: &Command, reply: &str) -> bool {
        match command {
            Command::Plain(key, plain) => self.plain(key, plain) == reply,
            Command::Gets(key) => self.gets(key, reply),
            Command::Cas(key, value, unique) => {
                let expected = match self.items.get(key) {
                    None => "NOT_FOUND\r\n",
                    Some(item) if item.unique == Some(*unique) => {
                        self.put(key, value.clone(), false);
                        "STORED\r\n"
                    }
                    Some(_) => "EXISTS\r\n",
                };
                expected == reply
            }
            Command::Rename(from, to) => {
                let expected = match self.items.remove(from) {
                    None => "-ERR no such key\r\n",
                    Some(item) if from == to => {
                        self.items.insert(to, item);
                        "+OK\r\n"
                    }
                    Some(item) => {
                        self.items.insert(
                            to,
                            Item {
                                unique: None,
                                ..item
                            },
                        );
                        self.touch(from, Watched::Changed);
                        self.touch(to, Watched::Changed);
                        "+OK\r\n"
                    }
                };
                expected == reply
            }
            Command::Watch(key) => {
                self.watches.insert(client, (key, Watched::Unchanged));
                reply == "+OK\r\n"
            }
            Command::Transaction(commands) => self.transaction(client, commands, reply),
        }
    }

    fn transaction(
        &mut self,
        client: usize,
        commands: &[(&'static str, Plain)],
        reply: &str,
    ) -> bool {
        let queued = format!("+OK\r\n{}", "+QUEUED\r\n".repeat(commands.len()));
        let Some(outcome) = reply.strip_prefix(&*queued) else {
            return false;
        };
        let watched = self.watches.remove(&client).map(|(_, noticed)| noticed);
        if outcome == "*-1\r\n" {
            return matches!(watched, Some(Watched::Perhaps | Watched::Changed));
        }
        if watched == Some(Watched::Changed) {
            return false;
        }
        let replies = commands.iter().map(|(key, plain)| self.plain(key, plain));
        let replies: String = replies.collect();
        outcome == format!("*{}\r\n{replies}", commands.len())
    }

    fn gets(&mut self, key: &'static str, reply: &str) -> bool {
        let Some(Item {
            value: Value::Text(text),
            unique,
            ..
        }) = self.items.get_mut(key)
        else {
            return reply == "END\r\n";
        };
        let head = format!("VALUE {key} 0 {} ", text.len());
        let tail = format!("\r\n{}\r\nEND\r\n", shown(text));
        let number = reply
            .strip_prefix(&*head)
            .and_then(|rest| rest.strip_suffix(&*tail));
        let Some(number) = number.and_then(|number| number.parse().ok()) else {
            return false;
        };
        match *unique {
            Some(known) => known == number,
            None => {
                *unique = Some(number);
                self.seen.insert(number)
            }
        }
    }

    /// The clients that watch a key notice this, unless they have noticed more.
    fn touch(&mut self, key: &str, what: Watched) {
        for (watched, noticed) in self.watches.values_mut() {
            if *watched == key && *noticed != Watched::Changed {
                *noticed = what;
            }
        }
    }

    fn put(&mut self, key: &'static str, text: Vec<u8>, expires: bool) {
        let value = Value::Text(text);
        self.items.insert(
            key,
            Item {
                value,
                expires,
                unique: None,
            },
        );
        self.touch(key, Watched::Changed);
    }

    /// Changes a text in its place: it keeps its lifetime.
    fn change(&mut self, key: &'static str, text: Vec<u8>) {
        let expires = self.items.get(key).is_some_and(|item| item.expires);
        self.put(key, text, expires);
    }

    fn text(&self, key: &str) -> Option<&[u8]> {
        match &self.items.get(key)?.value {
            Value::Text(text) => Some(text),
            Value::Hash(_) => None,
        }
    }

    fn remove(&mut self, key: &str) -> bool {
        let removed = self.items.remove(key).is_some();
        if removed {
            self.touch(key, Watched::Changed);
        }
        removed
    }

    fn expire(&mut self, key: &str, expires: bool) -> bool {
        let Some(item) = self.items.get_mut(key) else {
            return false;
        };
        item.expires = expires;
        self.touch(key, Watched::Perhaps);
        true
    }

    /// A command of one key whose reply follows from the items.
    fn plain(&mut self, key: &'static str, plain: &Plain) -> String {
        let old = self.text(key).map(<[u8]>::to_vec);
        let is_hash = self.items.contains_key(key) && old.is_none();
        match plain {
            Plain::Text(command) => self.memcached_text(key, command, old),
            Plain::Store(mode, value, is_meta) => self.store(key, *mode, value, *is_meta, old),
            Plain::MetaArithmetic(by) => match old {
                None => {
                    self.put(key, b"5".to_vec(), false);
                    "VA 1\r\n5\r\n".into()
                }
                Some(old) => match self.add(key, &old, *by) {
                    Some(number) => format!("VA {}\r\n{number}\r\n", number.len()),
                    None => {
                        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".into()
                    }
                },
            },
            Plain::Hash(_) | Plain::Fill if !is_hash && self.items.contains_key(key) => {
                WRONG_TYPE.into()
            }
            // One field stands for them.
            Plain::Fill => match self.hash(key, &["HSET", "many", "v"]).as_str() {
                ":1\r\n" => format!(":{MANY}\r\n"),
                reply => reply.into(),
            },
            Plain::Hash(command) => self.hash(key, command),
            Plain::Resp(words) => {
                let words: Vec<&str> = words.iter().map(|word| &**word).collect();
                self.resp(key, &words, old, is_hash)
            }
        }
    }

    /// Adds as memcached does, which pads a number that has become shorter.
    fn add(&mut self, key: &'static str, old: &[u8], by: i64) -> Option<String> {
        // As C reads a number: up to a space or a NUL.
        let end = old.iter().position(|byte| !byte.is_ascii_digit());
        let (digits, rest) = old.split_at(end.unwrap_or(old.len()));
        let is_number = matches!(rest.first(), None | Some(b' ' | 0));
        let digits = std::str::from_utf8(digits).ok().filter(|_| is_number)?;
        let number: u64 = digits.parse().ok()?;
        let number = match by {
            0.. => number.wrapping_add(by.unsigned_abs()),
            _ => number.saturating_sub(by.unsigned_abs()),
        };
        let text = number.to_string();
        self.change(key, format!("{text:<0$}", old.len()).into_bytes());
        Some(text)
    }

    fn memcached_text(&mut self, key: &'static str, command: &str, old: Option<Vec<u8>>) -> String {
        let found = |old: Option<Vec<u8>>| match old {
            Some(old) => format!("VALUE {key} 0 {}\r\n{}\r\nEND\r\n", old.len(), shown(&old)),
            None => "END\r\n".into(),
        };
        match command {
            "get" => found(old),
            "gat" => {
                self.expire(key, true);
                found(old)
            }
            "touch" => yes(self.expire(key, true), "TOUCHED\r\n", "NOT_FOUND\r\n"),
            "delete" => yes(self.remove(key), "DELETED\r\n", "NOT_FOUND\r\n"),
            "md" => yes(self.remove(key), "HD\r\n", "NF\r\n"),
            "mg" => match old {
                Some(old) => {
                    let ttl = if self.items[key].expires { "100" } else { "-1" };
                    format!("VA {} t{ttl}\r\n{}\r\n", old.len(), shown(&old))
                }
                None => "EN\r\n".into(),
            },
            "incr" | "decr" => {
                let by = if command == "incr" { 7 } else { -3 };
                let Some(old) = old else {
                    return "NOT_FOUND\r\n".into();
                };
                match self.add(key, &old, by) {
                    Some(number) => format!("{number}\r\n"),
                    None => {
                        "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n".into()
                    }
                }
            }
            other => unreachable!("the model has no {other}"),
        }
    }

    fn store(
        &mut self,
        key: &'static str,
        mode: Mode,
        value: &[u8],
        is_meta: bool,
        old: Option<Vec<u8>>,
    ) -> String {
        let stored = match (mode, old) {
            (Mode::Set, _) | (Mode::Add, None) | (Mode::Replace, Some(_)) => {
                self.put(key, value.to_vec(), false);
                true
            }
            (Mode::Append, Some(old)) => {
                self.change(key, [&old, value].concat());
                true
            }
            (Mode::Prepend, Some(old)) => {
                self.change(key, [value, &old].concat());
                true
            }
            _ => false,
        };
        match is_meta {
            true => yes(stored, "HD\r\n", "NS\r\n"),
            false => yes(stored, "STORED\r\n", "NOT_STORED\r\n"),
        }
    }

    /// RESP's commands of texts, and of any key.
    fn resp(
        &mut self,
        key: &'static str,
        words: &[&str],
        old: Option<Vec<u8>>,
        is_hash: bool,
    ) -> String {
        let any = ["DEL", "EXISTS", "TTL"].contains(&words[0]);
        let get = words.contains(&"GET") && words[0] == "SET";
        let overwrites = words[0] == "SETNX" || words[0] == "SET" && !get;
        if is_hash && !any && !overwrites {
            return WRONG_TYPE.into();
        }
        let exists = self.items.contains_key(key);
        match *words {
            ["DEL"] => yes(self.remove(key), ":1\r\n", ":0\r\n"),
            ["EXISTS"] => yes(exists, ":1\r\n", ":0\r\n"),
            ["TTL"] if exists => yes(self.items[key].expires, ":100\r\n", ":-1\r\n"),
            ["TTL"] => ":-2\r\n".into(),
            ["GET"] => bulk(old.as_deref()),
            ["STRLEN"] => format!(":{}\r\n", old.unwrap_or_default().len()),
            ["SETNX", value] => {
                if !exists {
                    self.put(key, value.into(), false);
                }
                yes(!exists, ":1\r\n", ":0\r\n")
            }
            ["GETSET", value] => {
                self.put(key, value.into(), false);
                bulk(old.as_deref())
            }
            ["GETDEL"] => {
                self.remove(key);
                bulk(old.as_deref())
            }
            ["APPEND", value] => {
                let text = [&old.unwrap_or_default(), value.as_bytes()].concat();
                let length = text.len();
                self.change(key, text);
                format!(":{length}\r\n")
            }
            ["SETRANGE", "1", value] => {
                let mut text = old.unwrap_or_default();
                text.resize(text.len().max(1 + value.len()), 0);
                text[1..=value.len()].copy_from_slice(value.as_bytes());
                let length = text.len();
                self.change(key, text);
                format!(":{length}\r\n")
            }
            ["INCRBY", by] => {
                let old = old.unwrap_or_else(|| b"0".to_vec());
                let sum = integer(&old).and_then(|old| old.checked_add(by.parse().ok()?));
                let Some(sum) = sum else {
                    return NOT_INTEGER.into();
                };
                self.change(key, sum.to_string().into_bytes());
                format!(":{sum}\r\n")
            }
            ["SET", value, ref options @ ..] => {
                let is_refused =
                    options.contains(&"NX") && exists || options.contains(&"XX") && !exists;
                if !is_refused {
                    match options.contains(&"KEEPTTL") {
                        true => self.change(key, value.into()),
                        false => self.put(key, value.into(), false),
                    }
                }
                match get {
                    true => bulk(old.as_deref()),
                    false => yes(is_refused, "$-1\r\n", "+OK\r\n"),
                }
            }
            _ => unreachable!("the model has no {words:?}"),
        }
    }

    /// RESP's commands of hashes, with one field.
    fn hash(&mut self, key: &'static str, words: &[&'static str]) -> String {
        let mut fields = match self.items.get(key).map(|item| &item.value) {
            Some(Value::Hash(fields)) => fields.clone(),
            _ => BTreeMap::new(),
        };
        let reply = match *words {
            ["HGET", field] => return bulk(fields.get(field).map(Vec::as_slice)),
            ["HSET", field, value] => {
                let is_new = fields.insert(field, value.into()).is_none();
                yes(is_new, ":1\r\n", ":0\r\n")
            }
            ["HDEL", field] => match fields.remove(field) {
                Some(_) => ":1\r\n".into(),
                None => return ":0\r\n".into(),
            },
            ["HINCRBY", field, by] => {
                let old = fields.get(field).map_or(Some(0), |text| integer(text));
                let sum = old.and_then(|old| old.checked_add(by.parse().ok()?));
                let Some(sum) = sum else {
                    return "-ERR hash value is not an integer\r\n".into();
                };
                fields.insert(field, sum.to_string().into());
                format!(":{sum}\r\n")
            }
            _ => unreachable!("the model has no {words:?}"),
        };
        if fields.is_empty() {
            self.items.remove(key);
        } else {
            let expires = self.items.get(key).is_some_and(|item| item.expires);
            let value = Value::Hash(fields);
            self.items.insert(
                key,
                Item {
                    value,
                    expires,
                    unique: None,
                },
            );
        }
        self.touch(key, Watched::Changed);
        reply
    }
}

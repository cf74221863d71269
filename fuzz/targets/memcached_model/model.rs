//! memcached as a map, by its protocol's description, and larder's nested keys as paths in that map.
//!
//! Time is in seconds. Every change gives an item the next cas unique.

use std::collections::BTreeMap;

use super::numbers::NO_NUMBER;
use super::requests::{LARGEST_ITEM, Request};
use super::uniques::{number as number_of, written};

/// Seconds of the longest time that counts from now on.
const MONTH: i64 = 60 * 60 * 24 * 30;

#[derive(Clone, Default)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u64,
    /// The second from which on it is gone.
    pub(crate) expires: Option<u64>,
    pub(crate) unique: u64,
    pub(crate) is_stale: bool,
    /// A client was told to make it anew.
    pub(crate) is_won: bool,
    pub(crate) has_base64_key: bool,
    pub(crate) is_fetched: bool,
}

impl Item {
    /// Its lifetime as a flag of a reply.
    pub(crate) fn lifetime(&self, now: u64) -> String {
        match self.expires {
            Some(at) => format!(" t{}", at.saturating_sub(now)),
            None => " t-1".into(),
        }
    }
}

/// The server. The names of a path have spaces between them.
pub(crate) struct Model {
    pub(crate) now: u64,
    pub(crate) items: BTreeMap<String, Item>,
    last_unique: u64,
    flush_at: Option<u64>,
}

/// What becomes of a value that a client sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    Yes,
    No,
    Exists,
    NotFound,
}

impl Model {
    pub(crate) fn new(now: u64) -> Model {
        Model {
            now,
            items: BTreeMap::new(),
            last_unique: 0,
            flush_at: None,
        }
    }

    /// The cas unique of an item.
    pub(crate) fn unique(&self, path: &str) -> Option<u64> {
        self.items.get(path).map(|item| item.unique)
    }

    /// The reply to a request.
    pub(crate) fn reply(&mut self, request: &Request) -> Vec<u8> {
        self.let_time_pass();
        let mut words: Vec<&str> = request.words.iter().map(String::as_str).collect();
        if words[0].len() == 2 {
            return self.meta(&words, request.value.as_deref());
        }
        let is_quiet = words.last() == Some(&"noreply");
        if is_quiet {
            words.pop();
        }
        let reply = match request.value.as_deref() {
            Some(value) => self.storage(&words, value),
            None => self.other(&words),
        };
        match is_quiet {
            true => Vec::new(),
            false => reply,
        }
    }

    /// What has expired is gone, with all below it; and all is gone when the time of a flush has come.
    fn let_time_pass(&mut self) {
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.items.clear();
            self.flush_at = None;
        }
        let is_over = |item: &Item| item.expires.is_some_and(|at| at <= self.now);
        let over = self.items.iter().filter(|(_, item)| is_over(item));
        let over: Vec<String> = over.map(|(path, _)| path.clone()).collect();
        for path in over {
            self.remove_tree(&path);
        }
    }

    /// The second that an exptime means.
    pub(crate) fn expiry(&self, exptime: i64) -> Option<u64> {
        match exptime {
            0 => None,
            ..0 => Some(0),
            1..=MONTH => Some(self.now + exptime.unsigned_abs()),
            _ => Some(exptime.unsigned_abs()),
        }
    }

    pub(crate) fn next_unique(&mut self) -> u64 {
        self.last_unique += 1;
        self.last_unique
    }

    /// Removes an item and all below it.
    pub(crate) fn remove_tree(&mut self, path: &str) {
        let below = format!("{path} ");
        self.items
            .retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// Gives the items above a path new cas uniques, because something below them has changed.
    pub(crate) fn change_above(&mut self, path: &str) {
        let mut path = path;
        while let Some((above, _)) = path.rsplit_once(' ') {
            let unique = self.next_unique();
            if let Some(item) = self.items.get_mut(above) {
                item.unique = unique;
            }
            path = above;
        }
    }

    /// Whether the item above a path is there, or it needs none.
    pub(crate) fn has_parent(&self, path: &str) -> bool {
        path.rsplit_once(' ')
            .is_none_or(|(above, _)| self.items.contains_key(above))
    }

    /// Stores an item in the place of another and of all below it, if it has a parent.
    pub(crate) fn put(&mut self, path: &str, item: Item) -> Stored {
        if !self.has_parent(path) {
            return Stored::No;
        }
        self.remove_tree(path);
        self.items.insert(path.to_owned(), item);
        self.change_above(path);
        Stored::Yes
    }

    /// Puts a value before or behind that of an item, which is then as new, but for its flags and expiry.
    pub(crate) fn join(&mut self, path: &str, value: &[u8], is_behind: bool) -> Stored {
        let unique = self.next_unique();
        let name = path.rsplit(' ').next().unwrap_or_default().len();
        let Some(item) = self.items.get_mut(path) else {
            return Stored::No;
        };
        if name + item.value.len() + value.len() > LARGEST_ITEM {
            return Stored::No;
        }
        let joined = match is_behind {
            true => [&item.value, value].concat(),
            false => [value, &item.value].concat(),
        };
        *item = Item {
            value: joined,
            flags: item.flags,
            expires: item.expires,
            unique,
            ..Item::default()
        };
        self.change_above(path);
        Stored::Yes
    }

    /// `set path flags exptime length`, and the others; a cas unique is the last word of `cas`.
    fn storage(&mut self, words: &[&str], value: &[u8]) -> Vec<u8> {
        let verb = words[0];
        let fields = words.len() - if verb == "cas" { 4 } else { 3 };
        let path = words[1..fields].join(" ");
        let name = words[fields - 1].len();
        if name + value.len() > LARGEST_ITEM {
            if verb == "set" && self.items.contains_key(&path) {
                self.remove_tree(&path);
                self.change_above(&path);
            }
            return b"SERVER_ERROR object too large for cache\r\n".to_vec();
        }
        let number = |at: usize| words[fields + at].parse::<i64>().unwrap_or_default();
        let item = Item {
            value: value.to_vec(),
            flags: number(0).unsigned_abs(),
            expires: self.expiry(number(1)),
            unique: self.next_unique(),
            ..Item::default()
        };
        let current = self.items.get(&path);
        let stored = match (verb, current) {
            ("append" | "prepend", _) => self.join(&path, value, verb == "append"),
            ("cas", None) => Stored::NotFound,
            ("cas", Some(current)) if current.unique != number_of(words[fields + 3]) => {
                Stored::Exists
            }
            ("add", Some(_)) | ("replace", None) => Stored::No,
            _ => self.put(&path, item),
        };
        match stored {
            Stored::Yes => b"STORED\r\n".to_vec(),
            Stored::No => b"NOT_STORED\r\n".to_vec(),
            Stored::Exists => b"EXISTS\r\n".to_vec(),
            Stored::NotFound => b"NOT_FOUND\r\n".to_vec(),
        }
    }

    fn other(&mut self, words: &[&str]) -> Vec<u8> {
        match *words {
            ["get", ref keys @ ..] => self.get(keys, false),
            ["gets", ref keys @ ..] => self.get(keys, true),
            ["getn", ref path @ ..] => self.get(&[&path.join(" ")], false),
            ["getns", ref path @ ..] => self.get(&[&path.join(" ")], true),
            ["getch", ref path @ ..] => self.children(&path.join(" ")),
            [verb @ ("gat" | "gats"), exptime, ref keys @ ..] => {
                let mut reply = Vec::new();
                for key in keys {
                    // It may have expired by the key before.
                    self.let_time_pass();
                    self.touch(key, exptime);
                    reply.extend(self.found(key, verb == "gats"));
                }
                reply.extend(b"END\r\n");
                reply
            }
            ["touch", ref path @ .., exptime] => match self.touch(&path.join(" "), exptime) {
                true => b"TOUCHED\r\n".to_vec(),
                false => b"NOT_FOUND\r\n".to_vec(),
            },
            ["delete" | "deln", ref path @ ..] => self.delete(&path.join(" ")),
            [verb @ ("incr" | "decr"), ref path @ .., amount] => {
                let Ok(amount) = amount.parse() else {
                    return b"CLIENT_ERROR invalid numeric delta argument\r\n".to_vec();
                };
                match self.add(&path.join(" "), amount, verb == "incr") {
                    Some(Ok(sum)) => format!("{sum}\r\n").into(),
                    Some(Err(())) => NO_NUMBER.to_vec(),
                    None => b"NOT_FOUND\r\n".to_vec(),
                }
            }
            ["flush_all", ref delay @ ..] => {
                let delay = delay.first().map_or(0, |delay| delay.parse().unwrap_or(0));
                if delay == 0 {
                    self.items.clear();
                }
                self.flush_at = (delay > 0).then(|| self.now + delay);
                b"OK\r\n".to_vec()
            }
            _ => b"ERROR\r\n".to_vec(),
        }
    }

    fn get(&mut self, paths: &[&str], with_unique: bool) -> Vec<u8> {
        let found = paths.iter().map(|path| self.found(path, with_unique));
        let mut reply = found.collect::<Vec<_>>().concat();
        reply.extend(b"END\r\n");
        reply
    }

    /// A part of the reply to a `get`: the item, if there is one.
    fn found(&mut self, path: &str, with_unique: bool) -> Vec<u8> {
        let Some(item) = self.items.get_mut(path) else {
            return Vec::new();
        };
        item.is_fetched = true;
        let unique = match with_unique {
            true => format!(" {}", written(item.unique)),
            false => String::new(),
        };
        let (flags, length) = (item.flags, item.value.len());
        let line = format!("VALUE {path} {flags} {length}{unique}\r\n");
        [line.as_bytes(), &item.value, b"\r\n"].concat()
    }

    /// The names of an item's children, as JSON.
    fn children(&mut self, path: &str) -> Vec<u8> {
        let Some(item) = self.items.get_mut(path) else {
            return b"END\r\n".to_vec();
        };
        item.is_fetched = true;
        let below = format!("{path} ");
        let names = self
            .items
            .keys()
            .filter_map(|path| path.strip_prefix(&below));
        let names = names.filter(|name| !name.contains(' '));
        let names: Vec<String> = names.map(|name| format!("\"{name}\"")).collect();
        let list = format!("[{}]", names.join(","));
        format!("VALUE {path} 0 {}\r\n{list}\r\nEND\r\n", list.len()).into()
    }

    fn touch(&mut self, path: &str, exptime: &str) -> bool {
        let expires = self.expiry(exptime.parse().unwrap_or_default());
        let item = self.items.get_mut(path);
        // It counts as a read.
        item.map(|item| (item.expires, item.is_fetched) = (expires, true))
            .is_some()
    }

    fn delete(&mut self, path: &str) -> Vec<u8> {
        if !self.items.contains_key(path) {
            return b"NOT_FOUND\r\n".to_vec();
        }
        self.remove_tree(path);
        self.change_above(path);
        b"DELETED\r\n".to_vec()
    }
}

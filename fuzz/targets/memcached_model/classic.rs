//! The classic commands, and larder's for nested keys.

use super::model::{Item, Model, Stored};
use super::numbers::NO_NUMBER;
use super::requests::LARGEST_ITEM;
use super::uniques::{number as number_of, written};

impl Model {
    /// `set path flags exptime length`, and the other storage commands. `cas` has a cas unique behind these words.
    pub(super) fn storage(&mut self, words: &[&str], value: &[u8]) -> Vec<u8> {
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

    /// The commands without a value.
    pub(super) fn other(&mut self, words: &[&str]) -> Vec<u8> {
        match *words {
            ["get", ref keys @ ..] => self.get(keys, false),
            ["gets", ref keys @ ..] => self.get(keys, true),
            ["getn", ref path @ ..] => self.get(&[&path.join(" ")], false),
            ["getns", ref path @ ..] => self.get(&[&path.join(" ")], true),
            ["getch", ref path @ ..] => self.children(&path.join(" ")),
            [verb @ ("gat" | "gats"), exptime, ref keys @ ..] => {
                let mut reply = Vec::new();
                for key in keys {
                    // The touch of the key before may have let an item expire.
                    self.remove_expired();
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

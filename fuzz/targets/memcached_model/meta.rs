//! The meta commands, by the protocol's description. Where it is silent, they behave as those of memcached 1.6.45.

use super::meta_words::{Flags, Key, key_and_flags};
use super::model::{Item, Model, Stored};
use super::numbers::NO_NUMBER;
use super::requests::LARGEST_ITEM;
use super::uniques::{number, written};

impl Model {
    /// The reply to a request of these words.
    pub(super) fn meta(&mut self, words: &[&str], value: Option<&[u8]>) -> Vec<u8> {
        let (key, flags) = key_and_flags(words, value.is_some());
        match (words[0], value) {
            ("mg", _) => self.meta_get(&key, &flags),
            ("ms", Some(value)) => self.meta_set(&key, &flags, value),
            ("md", _) => self.meta_delete(&key, &flags),
            ("ma", _) => self.meta_add(&key, &flags),
            _ => b"MN\r\n".to_vec(),
        }
    }

    fn meta_get(&mut self, key: &Key, flags: &Flags<'_>) -> Vec<u8> {
        let now = self.now;
        let expiries = ["T", "N"].map(|flag| flags.exptime(flag).map(|time| self.expiry(time)));
        let mut is_won = false;
        let is_made =
            !self.items.contains_key(&key.path) && flags.has("N") && self.has_parent(&key.path);
        if is_made {
            let unique = self.next_unique();
            let made = Item {
                unique: flags.number("E").unwrap_or(unique),
                ..Item::default()
            };
            self.put(&key.path, made);
        }
        let Some(item) = self.items.get_mut(&key.path) else {
            return match flags.has("q") {
                true => Vec::new(),
                false => key.answer("EN", flags),
            };
        };
        let has_value = flags.has("v") && flags.number("C") != Some(item.unique);
        let mut reply = match has_value {
            true => format!("VA {}", item.value.len()),
            false => "HD".into(),
        };
        for flag in flags.0 {
            match &flag[..1] {
                "T" => item.expires = expiries[0].flatten(),
                "N" if is_made => (item.expires, is_won) = (expiries[1].flatten(), true),
                "R" if !item.is_won && !is_made => {
                    let until = now + number(&flag[1..]);
                    is_won |= item.expires.is_some_and(|at| at < until);
                }
                "s" => reply += &format!(" s{}", item.value.len()),
                "t" => reply += &item.lifetime(now),
                "c" => reply += &format!(" c{}", written(item.unique)),
                "f" => reply += &format!(" f{}", item.flags),
                "h" => reply += &format!(" h{}", u8::from(item.is_fetched)),
                "O" => reply += &format!(" {flag}"),
                "k" => reply += &key.shown(item.has_base64_key),
                _ => {}
            }
        }
        if item.is_won {
            reply += " Z";
        }
        if item.is_stale {
            reply += " X";
            is_won |= !item.is_won;
        }
        if is_won {
            reply += " W";
            item.is_won = true;
        }
        item.is_fetched |= !flags.has("u");
        let mut reply = format!("{reply}\r\n").into_bytes();
        if has_value {
            reply.extend(&item.value);
            reply.extend(b"\r\n");
        }
        reply
    }

    fn meta_set(&mut self, key: &Key, flags: &Flags<'_>, value: &[u8]) -> Vec<u8> {
        let name = key.path.rsplit(' ').next().unwrap_or_default().len();
        if name + value.len() > LARGEST_ITEM {
            if self.items.contains_key(&key.path) {
                self.remove_tree(&key.path);
                self.change_above(&key.path);
            }
            return b"SERVER_ERROR object too large for cache\r\n".to_vec();
        }
        let mode = flags.get("M").unwrap_or("S");
        let joins = matches!(mode, "A" | "P");
        let next = self.next_unique();
        let time = if joins { "N" } else { "T" };
        let new = Item {
            value: value.to_vec(),
            flags: flags.number("F").unwrap_or(0),
            expires: self.expiry(flags.exptime(time).unwrap_or(0)),
            unique: next,
            has_base64_key: flags.has("b"),
            ..Item::default()
        };
        let current = self.items.get(&key.path).cloned();
        let condition = flags.number("C");
        let stored = match (mode, condition, current) {
            ("E", _, Some(_)) => Stored::No,
            ("E", _, None) => self.put(&key.path, new),
            ("A" | "P", Some(unique), Some(current)) if unique != current.unique => Stored::Exists,
            ("A" | "P", _, Some(_)) => self.join(&key.path, value, mode == "A"),
            ("A" | "P", _, None) if flags.has("N") => self.put(&key.path, new),
            ("A" | "P", _, None) => Stored::No,
            (_, Some(_), None) => Stored::NotFound,
            (_, Some(unique), Some(current)) if unique == current.unique => {
                self.put(&key.path, new)
            }
            (_, Some(unique), Some(current)) if flags.has("I") && unique < current.unique => {
                let stale = Item {
                    expires: current.expires,
                    is_stale: true,
                    is_won: current.is_won,
                    ..new
                };
                self.put(&key.path, stale)
            }
            (_, Some(_), Some(_)) => Stored::Exists,
            ("R", None, None) => Stored::No,
            _ => self.put(&key.path, new),
        };
        let (mut unique, mut length) = (0, value.len());
        let item = self.items.get_mut(&key.path);
        if let Some(item) = item.filter(|_| stored == Stored::Yes) {
            item.unique = flags.number("E").unwrap_or(item.unique);
            (unique, length) = (item.unique, item.value.len());
        }
        let code = match stored {
            Stored::Yes if flags.has("q") => return Vec::new(),
            Stored::Yes => "HD",
            Stored::No => "NS",
            Stored::Exists => "EX",
            Stored::NotFound => "NF",
        };
        let mut reply = code.to_owned();
        for flag in flags.0 {
            match &flag[..1] {
                "c" => reply += &format!(" c{}", written(unique)),
                "s" => reply += &format!(" s{length}"),
                _ => reply += &key.repeated(flag),
            }
        }
        format!("{reply}\r\n").into()
    }

    fn meta_delete(&mut self, key: &Key, flags: &Flags<'_>) -> Vec<u8> {
        let expires = self.expiry(flags.exptime("T").unwrap_or(0));
        let Some(current) = self.items.get(&key.path) else {
            return key.answer("NF", flags);
        };
        let condition = flags.number("C");
        if condition.is_some_and(|unique| unique != current.unique) {
            return key.answer("EX", flags);
        }
        let unique = flags.number("E");
        if flags.has("x") {
            let emptied = Item {
                expires,
                unique: unique.unwrap_or(current.unique),
                ..Item::default()
            };
            self.put(&key.path, emptied);
        }
        let next = self.next_unique();
        if flags.has("I") {
            if let Some(item) = self.items.get_mut(&key.path) {
                if flags.has("T") {
                    item.expires = expires;
                }
                (item.is_stale, item.is_won) = (true, false);
                item.unique = unique.unwrap_or(next);
            }
            self.change_above(&key.path);
        } else if !flags.has("x") {
            self.remove_tree(&key.path);
            self.change_above(&key.path);
        }
        match flags.has("q") {
            true => Vec::new(),
            false => key.answer("HD", flags),
        }
    }

    fn meta_add(&mut self, key: &Key, flags: &Flags<'_>) -> Vec<u8> {
        let now = self.now;
        let expiries = ["T", "N"].map(|flag| flags.exptime(flag).map(|time| self.expiry(time)));
        let current = self.items.get(&key.path);
        let is_made = current.is_none();
        if let Some(current) = current {
            let condition = flags.number("C");
            if current.value.is_empty() {
                return NO_NUMBER.to_vec();
            }
            if condition.is_some_and(|unique| unique != current.unique) {
                return key.answer("EX", flags);
            }
        }
        let amount = flags.number("D").unwrap_or(1);
        let adds = !matches!(flags.get("M"), Some("D" | "-"));
        let sum = match self.add(&key.path, amount, adds) {
            Some(Ok(sum)) => sum,
            Some(Err(())) => return NO_NUMBER.to_vec(),
            None if flags.has("N") && self.has_parent(&key.path) => {
                let initial = flags.number("J").unwrap_or(0);
                let made = Item {
                    value: initial.to_string().into(),
                    unique: self.next_unique(),
                    ..Item::default()
                };
                self.put(&key.path, made);
                initial
            }
            None => return key.answer("NF", flags),
        };
        let digits = sum.to_string();
        let mut reply = match flags.has("v") {
            true => format!("VA {}", digits.len()),
            false => "HD".into(),
        };
        let Some(item) = self.items.get_mut(&key.path) else {
            return Vec::new();
        };
        item.unique = flags.number("E").unwrap_or(item.unique);
        for flag in flags.0 {
            match &flag[..1] {
                "T" => item.expires = expiries[0].flatten(),
                "N" if is_made => item.expires = expiries[1].flatten(),
                "t" => reply += &item.lifetime(now),
                "c" => reply += &format!(" c{}", written(item.unique)),
                _ => reply += &key.repeated(flag),
            }
        }
        if flags.has("v") {
            reply += &format!("\r\n{digits}");
        }
        match flags.has("q") {
            true => Vec::new(),
            false => format!("{reply}\r\n").into(),
        }
    }
}

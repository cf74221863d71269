//! The commands of keys of any type: their names, databases and expiry.

use super::model::{Answer, Entry, Model, SYNTAX, Value, integer};
use super::reply::Reply;

impl Model {
    pub(super) fn of_keys(&mut self, words: &[&str]) -> Answer {
        Ok(match *words {
            ["DEL" | "UNLINK", ref keys @ ..] => {
                let removed = keys.iter().filter(|key| self.take(key).is_some());
                Reply::number(removed.count() as i64)
            }
            ["EXISTS" | "TOUCH", ref keys @ ..] => {
                let found = keys.iter().filter(|key| self.entry(key).is_some());
                Reply::number(found.count() as i64)
            }
            ["TYPE", key] => {
                let name = match self.entry(key).map(|entry| &entry.value) {
                    Some(Value::Text(_)) => "string",
                    Some(Value::Hash(_)) => "hash",
                    None => "none",
                };
                Reply::Line(format!("+{name}"))
            }
            ["KEYS", pattern] => match pattern {
                "*" => Reply::Set(self.keys()),
                _ => Reply::Set(Vec::new()),
            },
            [name @ ("RENAME" | "RENAMENX"), from, to] => return self.rename(name, from, to),
            ["COPY", from, to, ref options @ ..] => return self.copy(from, to, options),
            ["MOVE", key, database] => {
                let database = integer(database)? as usize;
                if database == self.database {
                    return Err("ERR source and destination objects are the same".into());
                }
                let is_free = self.entry_of(database, key).is_none();
                let moved = match is_free {
                    true => self.take(key),
                    false => None,
                };
                Reply::number(moved.map(|entry| self.put(database, key, entry)).is_some())
            }
            ["SWAPDB", ..] => {
                self.swap();
                Reply::ok()
            }
            ["FLUSHDB"] => {
                self.empty(self.database);
                Reply::ok()
            }
            ["FLUSHALL"] => {
                self.flush_all();
                Reply::ok()
            }
            [
                "EXPIRE" | "PEXPIRE" | "EXPIREAT" | "PEXPIREAT",
                key,
                time,
                ref options @ ..,
            ] => {
                return self.expire(words[0], key, time, options);
            }
            ["PERSIST", key] => {
                let expires = self.entry(key).is_some_and(|entry| entry.expires.is_some());
                if let Some(entry) = expires.then(|| self.changed(key)).flatten() {
                    entry.expires = None;
                }
                Reply::number(expires)
            }
            ["TTL" | "PTTL" | "EXPIRETIME" | "PEXPIRETIME", key] => self.lifetime(words[0], key),
            _ => return Err(SYNTAX.into()),
        })
    }

    fn rename(&mut self, name: &str, from: &str, to: &str) -> Answer {
        let entry = self.entry(from).cloned().ok_or("ERR no such key")?;
        let is_free = self.entry(to).is_none();
        let renames = from != to && (name == "RENAME" || is_free);
        if renames {
            self.take(from);
            self.put(self.database, to, entry);
        }
        Ok(match name {
            "RENAME" => Reply::ok(),
            _ => Reply::number(renames),
        })
    }

    fn copy(&mut self, from: &str, to: &str, options: &[&str]) -> Answer {
        let (mut database, mut replaces) = (self.database, false);
        let mut rest = options.iter();
        while let Some(option) = rest.next() {
            match *option {
                "REPLACE" => replaces = true,
                "DB" => database = integer(rest.next().ok_or(SYNTAX)?)? as usize,
                _ => return Err(SYNTAX.into()),
            }
        }
        if from == to && database == self.database {
            return Err("ERR source and destination objects are the same".into());
        }
        let entry = self.entry(from).cloned();
        let entry = entry.filter(|_| replaces || self.entry_of(database, to).is_none());
        Ok(Reply::number(
            entry.map(|entry| self.put(database, to, entry)).is_some(),
        ))
    }

    fn expire(&mut self, name: &str, key: &str, time: &str, options: &[&str]) -> Answer {
        let mut conditions = Vec::new();
        for option in options {
            let condition = option.to_uppercase();
            if !["NX", "XX", "GT", "LT"].contains(&&*condition) {
                return Err(format!("ERR Unsupported option {option}"));
            }
            conditions.push(condition);
        }
        let has = |name: &str| conditions.iter().any(|condition| condition == name);
        if has("NX") && (has("XX") || has("GT") || has("LT")) {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(text.into());
        }
        if has("GT") && has("LT") {
            return Err("ERR GT and LT options at the same time are not compatible".into());
        }
        let scale = if name.starts_with('P') { 1 } else { 1000 };
        let start = if name.ends_with("AT") {
            0
        } else {
            self.now as i64
        };
        let when = integer(time)?.checked_mul(scale);
        let when = when
            .and_then(|when| when.checked_add(start))
            .ok_or_else(|| {
                let name = name.to_lowercase();
                format!("ERR invalid expire time in '{name}' command")
            })?;
        let Some(Entry { expires, .. }) = self.entry(key) else {
            return Ok(Reply::number(0));
        };
        let current = expires.map(|at| at as i64);
        let holds = conditions.iter().all(|condition| match &**condition {
            "NX" => current.is_none(),
            "XX" => current.is_some(),
            "GT" => current.is_some_and(|current| when > current),
            _ => current.is_none_or(|current| when < current),
        });
        if holds && when <= self.now as i64 {
            self.take(key);
        } else if let Some(entry) = holds.then(|| self.changed(key)).flatten() {
            entry.expires = Some(when.unsigned_abs());
        }
        Ok(Reply::number(holds))
    }

    fn lifetime(&self, name: &str, key: &str) -> Reply {
        let Some(entry) = self.entry(key) else {
            return Reply::number(-2);
        };
        let Some(at) = entry.expires else {
            return Reply::number(-1);
        };
        let left = at.saturating_sub(self.now);
        Reply::number(match name {
            "TTL" => (left + 500) / 1000,
            "PTTL" => left,
            "EXPIRETIME" => (at + 500) / 1000,
            _ => at,
        })
    }
}

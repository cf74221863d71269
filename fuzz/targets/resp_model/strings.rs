//! The commands of strings.

use super::arity::wrong_count;
use super::model::{Answer, Entry, Model, SYNTAX, Value, WRONG_TYPE, integer};
use super::reply::Reply;

/// Whether no other option than this one has given a time.
fn is_alone(time: &Option<(String, String)>, option: &str) -> bool {
    time.as_ref().is_none_or(|(other, _)| other == option)
}

impl Model {
    /// The string of a key; an error if it is a hash.
    fn text(&self, key: &str) -> Result<Option<String>, String> {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Text(text)) => Ok(Some(text.clone())),
            Some(Value::Hash(_)) => Err(WRONG_TYPE.into()),
            None => Ok(None),
        }
    }

    /// Stores a string with an expiry, or without one.
    fn set(&mut self, key: &str, text: &str, expires: Option<u64>) {
        let entry = Entry {
            value: Value::Text(text.to_owned()),
            expires,
        };
        self.put(self.database, key, entry);
    }

    /// Stores a string in the place of another, whose expiry it keeps.
    fn replace(&mut self, key: &str, text: &str) {
        let expires = self.entry(key).and_then(|entry| entry.expires);
        self.set(key, text, expires);
    }

    /// Commands of strings; `None` for others.
    pub(super) fn of_strings(&mut self, words: &[&str]) -> Option<Answer> {
        Some(match *words {
            ["GET", key] => self.get(key),
            ["SET", key, text, ref options @ ..] => self.set_with(key, text, options),
            ["SETNX", key, text] => {
                let is_new = self.entry(key).is_none();
                if is_new {
                    self.set(key, text, None);
                }
                Ok(Reply::number(is_new))
            }
            [name @ ("SETEX" | "PSETEX"), key, time, text] => {
                let option = if name == "SETEX" { "EX" } else { "PX" };
                self.time_of(option, time, name).map(|time| {
                    self.set(key, text, Some(time));
                    Reply::ok()
                })
            }
            ["GETSET", key, text] => self.get(key).inspect(|_| self.set(key, text, None)),
            ["GETDEL", key] => self.get(key).inspect(|_| drop(self.take(key))),
            ["GETEX", key, ref options @ ..] => self.get_and_expire(key, options),
            ["MGET", ref keys @ ..] => {
                let texts = keys.iter().map(|key| self.text(key).unwrap_or_default());
                Ok(Reply::Array(
                    texts.map(|text| Reply::bulk(text.as_ref())).collect(),
                ))
            }
            ["MSET" | "MSETNX", ref pairs @ ..] if pairs.len() % 2 == 1 => {
                Err(wrong_count(words[0]))
            }
            [name @ ("MSET" | "MSETNX"), ref pairs @ ..] => {
                let mut keys = pairs.iter().step_by(2);
                let sets = name == "MSET" || keys.all(|key| self.entry(key).is_none());
                for pair in pairs.chunks(2).filter(|_| sets) {
                    self.set(pair[0], pair[1], None);
                }
                Ok(match name {
                    "MSET" => Reply::ok(),
                    _ => Reply::number(sets),
                })
            }
            ["APPEND", key, more] => self.text(key).map(|text| {
                let text = text.unwrap_or_default() + more;
                self.replace(key, &text);
                Reply::number(text.len() as i64)
            }),
            ["STRLEN", key] => self
                .text(key)
                .map(|text| Reply::number(text.unwrap_or_default().len() as i64)),
            ["GETRANGE", key, start, end] => self.range(key, start, end),
            ["SETRANGE", key, at, text] => self.set_range(key, at, text),
            ["INCR", key] => self.add(key, Ok(1)),
            ["DECR", key] => self.add(key, Ok(-1)),
            ["INCRBY", key, by] => self.add(key, integer(by)),
            ["DECRBY", key, by] => {
                let overflow = || "ERR decrement would overflow".to_owned();
                let by = integer(by).and_then(|by| by.checked_neg().ok_or_else(overflow));
                self.add(key, by)
            }
            ["INCRBYFLOAT", key, by] => self.add_float(key, by),
            _ => return None,
        })
    }

    fn get(&self, key: &str) -> Answer {
        Ok(Reply::bulk(self.text(key)?.as_ref()))
    }

    /// The millisecond that an option of SET or GETEX means.
    fn time_of(&self, option: &str, time: &str, name: &str) -> Result<u64, String> {
        let name = name.to_lowercase();
        let invalid = || format!("ERR invalid expire time in '{name}' command");
        let time = integer(time)?;
        if time <= 0 {
            return Err(invalid());
        }
        let scale = if option.starts_with('E') { 1000 } else { 1 };
        let start = if option.ends_with("AT") {
            0
        } else {
            self.now as i64
        };
        let time = time
            .checked_mul(scale)
            .and_then(|time| time.checked_add(start));
        time.map(i64::unsigned_abs).ok_or_else(invalid)
    }

    fn set_with(&mut self, key: &str, text: &str, options: &[&str]) -> Answer {
        let (mut condition, mut gets, mut time, mut keeps) = (None, false, None, false);
        let mut rest = options.iter().map(|option| option.to_uppercase());
        while let Some(option) = rest.next() {
            match &*option {
                "NX" | "XX" if condition.as_ref().is_none_or(|other| *other == option) => {
                    condition = Some(option);
                }
                "GET" => gets = true,
                "KEEPTTL" if time.is_none() => keeps = true,
                // The last one is used.
                "EX" | "PX" | "EXAT" | "PXAT" if !keeps && is_alone(&time, &option) => {
                    time = Some((option, rest.next().ok_or(SYNTAX)?.to_lowercase()));
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        let expires = match time {
            Some((option, time)) => Some(self.time_of(&option, &time, "set")?),
            None => None,
        };
        let old = match gets {
            true => Some(self.get(key)?),
            false => None,
        };
        let is_there = self.entry(key).is_some();
        if condition.is_some_and(|condition| is_there != (condition == "XX")) {
            return Ok(old.unwrap_or(Reply::Nil));
        }
        let kept = self.entry(key).and_then(|entry| entry.expires);
        self.set(key, text, if keeps { kept } else { expires });
        Ok(old.unwrap_or_else(Reply::ok))
    }

    fn get_and_expire(&mut self, key: &str, options: &[&str]) -> Answer {
        let (mut time, mut persists) = (None, false);
        let mut rest = options.iter().map(|option| option.to_uppercase());
        while let Some(option) = rest.next() {
            match &*option {
                "PERSIST" if time.is_none() => persists = true,
                "EX" | "PX" | "EXAT" | "PXAT" if !persists && is_alone(&time, &option) => {
                    time = Some((option, rest.next().ok_or(SYNTAX)?.to_lowercase()));
                }
                _ => return Err(SYNTAX.into()),
            }
        }
        let text = self.get(key)?;
        if text == Reply::Nil {
            return Ok(text);
        }
        if let Some((option, time)) = time {
            let expires = self.time_of(&option, &time, "getex")?;
            if let Some(entry) = self.changed(key) {
                entry.expires = Some(expires);
            }
        } else if persists
            && self.entry(key).is_some_and(|it| it.expires.is_some())
            && let Some(entry) = self.changed(key)
        {
            entry.expires = None;
        }
        Ok(text)
    }

    fn range(&self, key: &str, start: &str, end: &str) -> Answer {
        let (start, end) = (integer(start)?, integer(end)?);
        let text = self.text(key)?.unwrap_or_default();
        let length = text.len() as i64;
        if start < 0 && end < 0 && start > end {
            return Ok(Reply::Bulk(String::new()));
        }
        let place = |at: i64| if at < 0 { (length + at).max(0) } else { at };
        let (start, end) = (place(start), place(end).min(length - 1));
        let part = match start <= end {
            true => &text[start as usize..=end as usize],
            false => "",
        };
        Ok(Reply::Bulk(part.to_owned()))
    }

    fn set_range(&mut self, key: &str, at: &str, part: &str) -> Answer {
        let at = integer(at)?;
        if at < 0 {
            return Err("ERR offset is out of range".into());
        }
        let mut text = self.text(key)?.unwrap_or_default();
        if !part.is_empty() {
            let (at, end) = (at as usize, at as usize + part.len());
            while text.len() < end {
                text.push('\0');
            }
            text.replace_range(at..end, part);
            self.replace(key, &text);
        }
        Ok(Reply::number(text.len() as i64))
    }

    fn add(&mut self, key: &str, by: Result<i64, String>) -> Answer {
        let by = by?;
        let text = self.text(key)?;
        let number = text.map_or(Ok(0), |text| integer(&text))?;
        let sum = number.checked_add(by);
        let sum = sum.ok_or("ERR increment or decrement would overflow")?;
        self.replace(key, &sum.to_string());
        Ok(Reply::number(sum))
    }

    /// The numbers have few digits, so that floats of 64 bits have the same sums as Redis's of 80.
    fn add_float(&mut self, key: &str, by: &str) -> Answer {
        const NO_FLOAT: &str = "ERR value is not a valid float";
        let text = self.text(key)?.unwrap_or_else(|| "0".into());
        let float = |text: &str| text.parse::<f64>().map_err(|_| NO_FLOAT);
        let sum = float(&text)? + float(by)?;
        let sum = sum.to_string();
        self.replace(key, &sum);
        Ok(Reply::Bulk(sum))
    }
}

//! The commands of hashes.

use std::collections::BTreeMap;

use super::arity::wrong_count;
use super::model::{Answer, Entry, Model, Value, WRONG_TYPE, integer};
use super::reply::Reply;

impl Model {
    /// The fields of a key; an error if it is a string.
    fn fields(&self, key: &str) -> Result<BTreeMap<String, String>, String> {
        match self.entry(key).map(|entry| &entry.value) {
            Some(Value::Hash(fields)) => Ok(fields.clone()),
            Some(Value::Text(_)) => Err(WRONG_TYPE.into()),
            None => Ok(BTreeMap::new()),
        }
    }

    /// Stores the fields of a hash. A hash without fields is removed.
    fn put_fields(&mut self, key: &str, fields: BTreeMap<String, String>) {
        let expires = self.entry(key).and_then(|entry| entry.expires);
        if fields.is_empty() {
            self.take(key);
            return;
        }
        let value = Value::Hash(fields);
        self.put(self.database, key, Entry { value, expires });
    }

    pub(super) fn of_hashes(&mut self, words: &[&str]) -> Answer {
        if matches!(words[0], "HSET" | "HMSET") && words.len() % 2 == 1 {
            return Err(wrong_count(words[0]));
        }
        let by = match *words {
            ["HINCRBY", .., by] => integer(by)?,
            _ => 0,
        };
        let key = words[1];
        let mut fields = self.fields(key)?;
        let before = fields.len();
        Ok(match *words {
            ["HSET" | "HMSET", _, ref pairs @ ..] => {
                for pair in pairs.chunks(2) {
                    fields.insert(pair[0].to_owned(), pair[1].to_owned());
                }
                let added = fields.len() - before;
                self.put_fields(key, fields);
                match words[0] {
                    "HSET" => Reply::number(added as i64),
                    _ => Reply::ok(),
                }
            }
            ["HSETNX", _, field, text] => {
                let is_new = !fields.contains_key(field);
                if is_new {
                    fields.insert(field.to_owned(), text.to_owned());
                    self.put_fields(key, fields);
                }
                Reply::number(is_new)
            }
            ["HDEL", _, ref names @ ..] => {
                for name in names {
                    fields.remove(*name);
                }
                let removed = before - fields.len();
                if removed > 0 {
                    self.put_fields(key, fields);
                }
                Reply::number(removed as i64)
            }
            ["HINCRBY", _, field, _] => {
                let number = match fields.get(field) {
                    Some(text) => integer(text).map_err(|_| "ERR hash value is not an integer")?,
                    None => 0,
                };
                let sum = number.checked_add(by);
                let sum = sum.ok_or("ERR increment or decrement would overflow")?;
                fields.insert(field.to_owned(), sum.to_string());
                self.put_fields(key, fields);
                Reply::number(sum)
            }
            ["HGET", _, field] => Reply::bulk(fields.get(field)),
            ["HMGET", _, ref names @ ..] => {
                let texts = names.iter().map(|name| Reply::bulk(fields.get(*name)));
                Reply::Array(texts.collect())
            }
            ["HGETALL", _] => Reply::Map(fields.into_iter().collect()),
            ["HKEYS", _] => Reply::Set(fields.into_keys().collect()),
            ["HVALS", _] => Reply::Set(fields.into_values().collect()),
            ["HLEN", _] => Reply::number(before as i64),
            ["HEXISTS", _, field] => Reply::number(fields.contains_key(field)),
            ["HSTRLEN", _, field] => Reply::number(fields.get(field).map_or(0, String::len) as i64),
            _ => unreachable!("the table of commands has no other"),
        })
    }

    /// The names of a hash's fields, or of the keys.
    pub(crate) fn names(&self, key: Option<&str>) -> Vec<String> {
        match key {
            Some(key) => self.fields(key).unwrap_or_default().into_keys().collect(),
            None => self.keys(),
        }
    }
}

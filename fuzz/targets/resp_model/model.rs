//! A naive Redis, by its documentation: its databases are maps from keys to values, and its clients have a state each.

use std::collections::BTreeMap;

use super::arity::refusal;
use super::reply::Reply;
use super::requests::Words;

/// Databases that the commands reach.
const DATABASES: usize = 2;

#[derive(Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Hash(BTreeMap<String, String>),
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    /// The Unix time in milliseconds at which it expires.
    pub(crate) expires: Option<u64>,
}

/// A client's state between commands.
#[derive(Default)]
pub(super) struct Client {
    pub(super) database: usize,
    /// The commands of a transaction that has begun.
    pub(super) queue: Option<Vec<Words>>,
    /// A command of the transaction was refused.
    pub(super) is_aborted: bool,
    pub(super) watched: Vec<(usize, String)>,
    /// A watched key has changed, so EXEC runs nothing.
    pub(super) has_changed_key: bool,
}

/// The server.
pub(crate) struct Model {
    /// In milliseconds.
    pub(crate) now: u64,
    databases: [BTreeMap<String, Entry>; DATABASES],
    pub(super) clients: [Client; 2],
    /// The client whose command runs, and its database.
    pub(super) client: usize,
    pub(crate) database: usize,
}

pub(crate) const WRONG_TYPE: &str =
    "WRONGTYPE Operation against a key holding the wrong kind of value";
pub(crate) const SYNTAX: &str = "ERR syntax error";
pub(crate) const NO_INTEGER: &str = "ERR value is not an integer or out of range";

/// A reply, or the text of an error.
pub(crate) type Answer = Result<Reply, String>;

impl Model {
    pub(crate) fn new(now: u64) -> Model {
        Model {
            now,
            databases: Default::default(),
            clients: Default::default(),
            client: 0,
            database: 0,
        }
    }

    /// Whether the client is in a transaction.
    pub(crate) fn is_queueing(&self, client: usize) -> bool {
        self.clients[client].queue.is_some()
    }

    /// The entry under a key in the client's database.
    pub(crate) fn entry_for(&self, client: usize, key: &str) -> Option<&Entry> {
        self.databases[self.clients[client].database].get(key)
    }

    /// The reply to a command of a client.
    pub(crate) fn reply(&mut self, client: usize, words: &Words) -> Reply {
        self.client = client;
        self.database = self.clients[client].database;
        self.remove_expired();
        let name = words[0].as_str();
        let state = &mut self.clients[client];
        if let Some(text) = refusal(words) {
            if name == "EXEC" {
                *state = Client {
                    database: state.database,
                    ..Client::default()
                };
                let reason = text.trim_start_matches("ERR ");
                return Reply::error(format!(
                    "EXECABORT Transaction discarded because of: {reason}"
                ));
            }
            state.is_aborted |= state.queue.is_some();
            return Reply::error(text);
        }
        if let Some(queue) = &mut state.queue
            && !["EXEC", "DISCARD", "MULTI", "WATCH"].contains(&name)
        {
            queue.push(words.clone());
            return Reply::Line("+QUEUED".into());
        }
        self.run(words)
    }

    /// Runs a command of the present client.
    pub(super) fn run(&mut self, words: &Words) -> Reply {
        // A command of the same transaction may have set an expiry in the past.
        self.remove_expired();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.database = self.clients[self.client].database;
        let answer = match words[0].chars().next() {
            _ if words[0] == "PING" => Ok(match words.get(1) {
                Some(text) => Reply::Bulk((*text).to_owned()),
                None => Reply::Line("+PONG".into()),
            }),
            _ if ["MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH", "SELECT"].contains(&words[0]) => {
                self.of_clients(&words)
            }
            Some('H') => self.of_hashes(&words),
            _ => match self.of_strings(&words) {
                Some(answer) => answer,
                None => self.of_keys(&words),
            },
        };
        answer.unwrap_or_else(Reply::error)
    }

    /// Removes the keys that have expired.
    fn remove_expired(&mut self) {
        for database in 0..DATABASES {
            let entries = self.databases[database].iter();
            let expired = entries.filter(|(_, it)| it.expires.is_some_and(|at| at <= self.now));
            let expired: Vec<String> = expired.map(|(key, _)| key.clone()).collect();
            for key in expired {
                self.databases[database].remove(&key);
                self.note(database, &key);
            }
        }
    }

    /// Notes that a key has changed, for the clients that watch it.
    pub(crate) fn note(&mut self, database: usize, key: &str) {
        for client in &mut self.clients {
            let watches = |(db, name): &(usize, String)| *db == database && name == key;
            client.has_changed_key |= client.watched.iter().any(watches);
        }
    }

    /// The keys of the client's database.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.databases[self.database].keys().cloned().collect()
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.databases[self.database].get(key)
    }

    /// An entry of another database.
    pub(crate) fn entry_of(&self, database: usize, key: &str) -> Option<&Entry> {
        self.databases[database].get(key)
    }

    /// An entry that the caller changes.
    pub(crate) fn changed(&mut self, key: &str) -> Option<&mut Entry> {
        self.note(self.database, key);
        self.databases[self.database].get_mut(key)
    }

    pub(crate) fn put(&mut self, database: usize, key: &str, entry: Entry) {
        self.note(database, key);
        self.databases[database].insert(key.to_owned(), entry);
    }

    /// Removes a key, and returns its entry.
    pub(crate) fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.databases[self.database].remove(key)?;
        self.note(self.database, key);
        Some(entry)
    }

    /// Removes all keys of a database.
    pub(crate) fn empty(&mut self, database: usize) {
        for key in std::mem::take(&mut self.databases[database]).into_keys() {
            self.note(database, &key);
        }
    }

    /// Exchanges both databases.
    pub(crate) fn swap(&mut self) {
        let keys = self.databases.iter().flat_map(BTreeMap::keys);
        for key in keys.cloned().collect::<Vec<_>>() {
            self.note(0, &key);
            self.note(1, &key);
        }
        self.databases.swap(0, 1);
    }

    pub(crate) fn flush_all(&mut self) {
        for database in 0..DATABASES {
            self.empty(database);
        }
    }
}

/// A number of 64 bits in its shortest form.
pub(crate) fn integer(text: &str) -> Result<i64, String> {
    let number = text.parse::<i64>().ok();
    let number = number.filter(|number| number.to_string() == text);
    number.ok_or_else(|| NO_INTEGER.into())
}

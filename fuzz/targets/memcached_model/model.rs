//! A naive memcached, by its protocol's description: a map from paths to items, so that it has larder's nested keys, too.
//!
//! Time is in seconds. Every change gives an item the next cas unique.

use std::collections::BTreeMap;

use super::requests::{LARGEST_ITEM, Request};

/// Seconds of the longest time that counts from now on.
const MONTH: i64 = 60 * 60 * 24 * 30;

#[derive(Clone, Default)]
pub(crate) struct Item {
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u64,
    /// The Unix time in seconds at which it expires.
    pub(crate) expires: Option<u64>,
    pub(crate) unique: u64,
    pub(crate) is_stale: bool,
    /// A client has won the right to store it anew.
    pub(crate) is_won: bool,
    pub(crate) has_base64_key: bool,
    pub(crate) is_fetched: bool,
}

impl Item {
    /// The rest of its lifetime, as a flag of a reply.
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
    pub(super) flush_at: Option<u64>,
}

/// The outcome of a command that stores a value.
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
        self.remove_expired();
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

    /// Removes the items that have expired, with all below them, or all items if the time of a flush has come.
    pub(super) fn remove_expired(&mut self) {
        if self.flush_at.is_some_and(|at| at <= self.now) {
            self.items.clear();
            self.flush_at = None;
        }
        let has_expired = |item: &Item| item.expires.is_some_and(|at| at <= self.now);
        let expired = self.items.iter().filter(|(_, item)| has_expired(item));
        let expired: Vec<String> = expired.map(|(path, _)| path.clone()).collect();
        for path in expired {
            self.remove_tree(&path);
        }
    }

    /// The Unix time in seconds that an exptime means.
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

    /// Whether the item above a path is stored, or the path has none above it.
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

    /// Puts a value before or behind that of an item. The item keeps its flags and its expiry, and nothing else.
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
}

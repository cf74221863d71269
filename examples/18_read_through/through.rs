//! Read-through: a read that misses fetches the row, once for all clients that ask meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::{str, thread};

use larder::store::Clock;

use super::database::Database;
use super::peers::Peers;
use super::store::{Item, Store};

/// Milliseconds for which an old row is still returned, while a new one is fetched.
const STALE: u64 = 60_000;

/// Milliseconds for which the cache remembers that there is no row.
const ABSENT: u64 = 60_000;

/// Milliseconds for which a node keeps the copy of an item of another node.
const COPY: u64 = 1000;

/// The flags of an item that the cache has fetched from the database.
const FETCHED: u32 = 1;

/// The result of a read.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) value: Vec<u8>,
    pub(crate) flags: u32,
    pub(crate) unique: u64,
}

impl Found {
    fn of(item: &Item) -> Found {
        Found {
            value: item.value.clone(),
            flags: item.flags,
            unique: item.unique,
        }
    }
}

/// One fetch. Clients wait for its end.
#[derive(Default)]
struct Fetch {
    result: Mutex<Option<Option<Found>>>,
    ended: Condvar,
}

impl Fetch {
    fn end(&self, result: Option<Found>) {
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        self.ended.notify_all();
    }

    fn wait(&self) -> Option<Found> {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = self.ended.wait_while(result, |result| result.is_none());
        let ended = ended.unwrap_or_else(PoisonError::into_inner);
        ended.clone().flatten()
    }
}

/// The running fetches, by key, and by whether they may ask the key's owner.
type Fetches = HashMap<(Vec<u8>, bool), Arc<Fetch>>;

/// A row that was fetched, or its absence.
struct Row {
    value: Option<Vec<u8>>,
    flags: u32,
    /// Milliseconds.
    lifetime: u64,
}

impl Row {
    /// The row as the result of a read that waited for it.
    fn found(self) -> Option<Found> {
        let (flags, unique) = (self.flags, 0);
        self.value.map(|value| Found {
            value,
            flags,
            unique,
        })
    }
}

/// A cache that fetches what it doesn't have. Locks are taken in the order of the fields.
pub(crate) struct ReadThrough {
    fetches: Mutex<Fetches>,
    store: Mutex<Store>,
    /// Keys without a row. This store has a bound and expiry, too.
    absent: Mutex<Store>,
    clock: Clock,
    database: Arc<Database>,
    /// Milliseconds for which a row is fresh.
    fresh: u64,
    peers: OnceLock<Peers>,
}

impl ReadThrough {
    pub(crate) fn new(store: Store, database: Arc<Database>, fresh: u64) -> ReadThrough {
        ReadThrough {
            fetches: Mutex::default(),
            store: Mutex::new(store),
            absent: Mutex::new(Store::new(1 << 20)),
            clock: Clock::system(),
            database,
            fresh,
            peers: OnceLock::new(),
        }
    }

    /// From now on this cache is a node among others.
    pub(crate) fn join(&self, peers: Peers) {
        self.peers.get_or_init(|| peers);
    }

    /// Reads an item. A miss waits for a fetch, which asks the key's owner if `forwards`.
    pub(crate) fn read(self: &Arc<Self>, key: &[u8], forwards: bool) -> Option<Found> {
        let now = self.clock.now_ms();
        let hit = self.store().get(key, now).map(|item| {
            let stale = item.flags == FETCHED && item.expires.is_some_and(|at| at < now + STALE);
            (Found::of(item), stale)
        });
        if let Some((found, stale)) = hit {
            if stale {
                self.refresh(key, forwards);
            }
            return Some(found);
        }
        let mut fetches = self.fetches();
        // A fetch may have ended between the look above and this lock: then its row is in the store.
        if let Some(item) = self.store().peek(key, now) {
            return Some(Found::of(item));
        }
        if self.absent().peek(key, now).is_some() {
            return None;
        }
        let (fetch, begins) = join(&mut fetches, key, forwards);
        drop(fetches);
        if begins {
            self.fetch(key, forwards, &fetch);
        }
        fetch.wait()
    }

    /// Fetches a row again in the background, unless that is being done.
    fn refresh(self: &Arc<Self>, key: &[u8], forwards: bool) {
        let (fetch, begins) = join(&mut self.fetches(), key, forwards);
        if begins {
            let (cache, key) = (Arc::clone(self), key.to_vec());
            thread::spawn(move || cache.fetch(&key, forwards, &fetch));
        }
    }

    /// Makes a fetch. Its row is stored, unless the key has changed meanwhile.
    fn fetch(&self, key: &[u8], forwards: bool, fetch: &Arc<Fetch>) {
        let row = self.row(key, forwards);
        let mut fetches = self.fetches();
        let id = (key.to_vec(), forwards);
        let current = fetches
            .get(&id)
            .is_some_and(|other| Arc::ptr_eq(other, fetch));
        if current {
            fetches.remove(&id);
            self.keep(key, &row);
        }
        drop(fetches);
        fetch.end(row.found());
    }

    /// Asks the owner of the key, or else the database.
    fn row(&self, key: &[u8], forwards: bool) -> Row {
        let name = str::from_utf8(key).unwrap_or_default();
        let owner = self.peers.get().and_then(|peers| peers.owner(key));
        if let Some(owner) = owner.filter(|_| forwards) {
            match owner.get(name) {
                Ok(item) => {
                    return Row {
                        value: item.map(|item| item.value),
                        flags: 0,
                        lifetime: COPY,
                    };
                }
                Err(error) => eprintln!("the owner of {name}: {error}"),
            }
        }
        Row {
            value: self.database.read(name).map(String::into_bytes),
            flags: FETCHED,
            lifetime: self.fresh + STALE,
        }
    }

    /// Stores a row, or remembers that there is none.
    fn keep(&self, key: &[u8], row: &Row) {
        let now = self.clock.now_ms();
        match &row.value {
            Some(value) => {
                let expires = Some(now + row.lifetime);
                let value = value.clone();
                self.store().put(key, value, row.flags, expires, now);
            }
            None => {
                let expires = Some(now + row.lifetime.min(ABSENT));
                self.store().remove(key, now);
                self.absent().put(key, Vec::new(), 0, expires, now);
            }
        }
    }

    /// Makes the running fetches of a key too old to be stored. While the result lives, no fetch begins or ends.
    pub(crate) fn changing(&self, key: &[u8]) -> impl Sized + '_ {
        let mut fetches = self.fetches();
        fetches.retain(|(other, _), _| other != key);
        self.absent().remove(key, self.clock.now_ms());
        fetches
    }

    /// Deletes an item here and, if `forwards`, on the other nodes. Returns whether there was one.
    pub(crate) fn delete(&self, key: &[u8], forwards: bool) -> bool {
        let changing = self.changing(key);
        let mut there = self.store().remove(key, self.clock.now_ms());
        drop(changing);
        let name = str::from_utf8(key).unwrap_or_default();
        let peers = self.peers.get().filter(|_| forwards);
        for peer in peers.iter().flat_map(|peers| peers.others()) {
            match peer.delete(name) {
                Ok(deleted) => there |= deleted,
                Err(error) => eprintln!("a peer may keep {name}: {error}"),
            }
        }
        there
    }

    /// Removes all items.
    pub(crate) fn flush(&self) {
        let mut fetches = self.fetches();
        fetches.clear();
        self.store().flush();
        self.absent().flush();
    }

    pub(crate) fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn absent(&self) -> MutexGuard<'_, Store> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetches(&self) -> MutexGuard<'_, Fetches> {
        self.fetches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The running fetch of a key, or a new one. The second value is whether it is new.
fn join(fetches: &mut Fetches, key: &[u8], forwards: bool) -> (Arc<Fetch>, bool) {
    let before = fetches.len();
    let fetch = fetches.entry((key.to_vec(), forwards)).or_default();
    let fetch = Arc::clone(fetch);
    (fetch, fetches.len() > before)
}

//! The classic protocol: lines, and the choice of the protocol for a connection.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder::protocol::memcached::text::{
    AdminCommand, AfterBadLine, Block, Command, KeyAction, KeyCommand, Nesting, Parsed, PathRead,
    ReadPath, Retrieve, StorageCommand, StoreVerb, Words, data_block, parse, reply,
};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};
use larder::store::Clock;

use super::binary::{Binary, REQUEST};
use super::json;
use super::meta::Meta;
use super::operations::{MAX_ITEM, Mode, Outcome, Write, count, delete, touch, write};
use super::store::{Store, expires};

/// The service: every connection gets a session, and all sessions share the store.
pub(crate) struct Memcached {
    store: Arc<Mutex<Store>>,
    clock: Clock,
}

impl Memcached {
    pub(crate) fn new(store: Arc<Mutex<Store>>, clock: Clock) -> Memcached {
        Memcached { store, clock }
    }
}

impl Service for Memcached {
    fn protocol(&self) -> &'static str {
        "memcached"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            refused: None,
            is_new: true,
            binary: None,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        reply::TOO_MANY_CONNECTIONS.into()
    }
}

/// One connection.
struct Session {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    /// A value that is too large: how many of its bytes are still to come, and the reply after them.
    refused: Option<(usize, &'static [u8])>,
    /// No byte has arrived: the first one decides about the protocol.
    is_new: bool,
    binary: Option<Binary>,
}

impl server::Session for Session {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let full = output.len() + OUTPUT_SOFT_LIMIT;
        let mut consumed = 0;
        while consumed < input.len() {
            if output.len() > full {
                return Turn {
                    consumed,
                    next: Next::Again,
                };
            }
            match self.step(&input[consumed..], output) {
                Some(0) => break,
                Some(taken) => consumed += taken,
                None => {
                    return Turn {
                        consumed: input.len(),
                        next: Next::Close,
                    };
                }
            }
        }
        Turn {
            consumed,
            next: Next::Read,
        }
    }
}

impl Session {
    /// Handles one command. Returns the bytes that it took, 0 if it isn't whole, `None` to close the connection.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        if self.is_new && input[0] == REQUEST {
            self.binary = Some(Binary::default());
        }
        self.is_new = false;
        if let Some(binary) = &mut self.binary {
            let mut store = lock(&self.store);
            return binary.step(&mut store, self.clock.now_ms(), input, out);
        }
        self.line(input, out)
    }

    /// Handles one command of the classic protocol or of meta.
    fn line(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        if let Some((left, reply)) = self.refused {
            let taken = left.min(input.len());
            self.refused = (taken < left).then_some((left - taken, reply));
            if self.refused.is_none() {
                out.extend_from_slice(reply);
            }
            return Some(taken);
        }
        if let Some(end) = input.iter().position(|&byte| byte == b'\n') {
            let line = input[..end].trim_ascii_end();
            // As in memcached, a line of fewer than four bytes is no command, `mn` and a lone line feed included.
            if end >= 3 && Meta::is_meta(line) {
                return Some(self.meta(line, end + 1, input, out));
            }
        }
        match parse(input, 0, Nesting::On) {
            Parsed::More => Some(0),
            Parsed::Bad {
                reply,
                consumed,
                then: AfterBadLine::Continue { discard },
            } if discard > 0 => {
                self.refused = Some((discard, reply));
                Some(consumed)
            }
            Parsed::Bad {
                reply,
                consumed,
                then,
            } => {
                out.extend_from_slice(reply);
                (then != AfterBadLine::Close).then_some(consumed)
            }
            Parsed::Done {
                command: Command::Admin(AdminCommand::Quit),
                ..
            } => None,
            Parsed::Done {
                command: Command::Store(storage),
                consumed: line,
            } => Some(self.storage(&storage, input, line, out)),
            Parsed::Done { command, consumed } => {
                self.run(command, out);
                Some(consumed)
            }
        }
    }

    /// A storage command and its value: the bytes that both took, or 0.
    fn storage(
        &mut self,
        storage: &StorageCommand<'_>,
        input: &[u8],
        line: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        let quiet = |text: &'static [u8]| if storage.noreply { b"" } else { text };
        let path = names(storage.path);
        let key = path.last().map_or(0, |key| key.len());
        if key + storage.length > MAX_ITEM {
            if storage.verb == StoreVerb::Set {
                self.store().remove(&path, self.clock.now_ms());
            }
            self.refused = Some((storage.length + 2, quiet(reply::TOO_LARGE)));
            return line;
        }
        match data_block(&input[line..], storage.length) {
            Block::More { .. } => 0,
            Block::Bad { consumed } => {
                out.extend_from_slice(quiet(reply::BAD_DATA_CHUNK));
                line + consumed
            }
            Block::Done { value, consumed } => {
                out.extend_from_slice(quiet(self.put(storage, &path, value)));
                line + consumed
            }
        }
    }

    /// A meta command and its value: the bytes that both took, or 0.
    fn meta(&mut self, line: &[u8], taken: usize, input: &[u8], out: &mut Vec<u8>) -> usize {
        let meta = match Meta::parse(line) {
            Ok(meta) => meta,
            Err((reply, length)) => return self.refuse(length, reply, taken, out),
        };
        let (value, taken) = match meta.length {
            None => (&[][..], taken),
            Some(length) if length > MAX_ITEM => {
                return self.refuse(meta.length, reply::TOO_LARGE, taken, out);
            }
            Some(length) => match data_block(&input[taken..], length) {
                Block::More { .. } => return 0,
                Block::Done { value, consumed } => (value, taken + consumed),
                Block::Bad { consumed } => {
                    out.extend_from_slice(reply::BAD_DATA_CHUNK);
                    return taken + consumed;
                }
            },
        };
        meta.run(value, &mut self.store(), self.clock.now_ms(), out);
        taken
    }

    /// Answers a refused line. The value behind it, if there is one, is read first and dropped.
    fn refuse(
        &mut self,
        length: Option<usize>,
        reply: &'static [u8],
        taken: usize,
        out: &mut Vec<u8>,
    ) -> usize {
        match length {
            Some(length) => self.refused = Some((length.saturating_add(2), reply)),
            None => out.extend_from_slice(reply),
        }
        taken
    }

    fn put(&self, storage: &StorageCommand<'_>, path: &[&[u8]], value: &[u8]) -> &'static [u8] {
        let change = Write {
            mode: match storage.verb {
                StoreVerb::Set | StoreVerb::Cas => Mode::Set,
                StoreVerb::Add => Mode::Add,
                StoreVerb::Replace => Mode::Replace,
                StoreVerb::Append => Mode::Append,
                StoreVerb::Prepend => Mode::Prepend,
            },
            path,
            value,
            flags: storage.flags,
            exptime: storage.exptime,
            unique: (storage.verb == StoreVerb::Cas).then_some(storage.unique),
        };
        match write(&mut self.store(), &change, self.clock.now_ms()) {
            Outcome::Done(_) => reply::STORED,
            Outcome::NotStored => reply::NOT_STORED,
            Outcome::Exists => reply::EXISTS,
            Outcome::NotFound => reply::NOT_FOUND,
            _ => reply::OUT_OF_MEMORY_STORING,
        }
    }

    fn run(&self, command: Command<'_>, out: &mut Vec<u8>) {
        match command {
            Command::Retrieve(Retrieve { keys, exptime, cas }) => {
                self.retrieve(keys, exptime, cas, out)
            }
            Command::Key(command) => self.change(command, out),
            Command::ReadPath(ReadPath { path, read }) => match read {
                PathRead::Item { cas } => self.retrieve_path(path, cas, out),
                PathRead::Children => self.children(path, out),
            },
            Command::Admin(command) => self.admin(command, out),
            _ => out.extend_from_slice(reply::ERROR),
        }
    }

    /// Changes the item of one key: `incr`, `decr`, `touch` and `delete`.
    fn change(&self, command: KeyCommand<'_>, out: &mut Vec<u8>) {
        let KeyCommand {
            path,
            action,
            noreply,
        } = command;
        let (path, now) = (names(path), self.clock.now_ms());
        let mut store = self.store();
        let (outcome, done) = match action {
            KeyAction::Increment(by) => (count(&mut store, &path, by, false, None, now), reply::OK),
            KeyAction::Decrement(by) => (count(&mut store, &path, by, true, None, now), reply::OK),
            KeyAction::Touch(exptime) => (touch(&mut store, &path, exptime, now), reply::TOUCHED),
            KeyAction::Delete => (delete(&mut store, &path, None, now), reply::DELETED),
        };
        out.extend_from_slice(match outcome {
            _ if noreply => b"",
            Outcome::Counted { number, .. } => return reply::number(out, number),
            Outcome::Done(_) => done,
            Outcome::NotANumber => reply::NON_NUMERIC,
            Outcome::NoMemory => reply::OUT_OF_MEMORY_STORING,
            _ => reply::NOT_FOUND,
        });
    }

    fn admin(&self, command: AdminCommand<'_>, out: &mut Vec<u8>) {
        match command {
            AdminCommand::FlushAll { delay, noreply } => {
                let now = self.clock.now_ms();
                match expires(delay, now) {
                    Some(when) if when > now => self.store().flush_at(when),
                    // A past date: no item that we hold is older.
                    Some(_) if delay > 0 => {}
                    _ => self.store().flush(),
                }
                out.extend_from_slice(if noreply { b"" } else { reply::OK });
            }
            AdminCommand::Verbosity { noreply, .. } => {
                out.extend_from_slice(if noreply { b"" } else { reply::OK });
            }
            AdminCommand::Stats { words } if words.is_empty() => self.stats(out),
            AdminCommand::Version => {
                out.extend_from_slice(reply::VERSION);
            }
            AdminCommand::MetaNoop => out.extend_from_slice(reply::META_NOOP),
            AdminCommand::Shutdown => out.extend_from_slice(reply::SHUTDOWN_DISABLED),
            _ => out.extend_from_slice(reply::ERROR),
        }
    }

    fn retrieve(&self, keys: Words<'_>, exptime: Option<i32>, cas: bool, out: &mut Vec<u8>) {
        for key in keys {
            let now = self.clock.now_ms();
            let mut store = self.store();
            if let Some(item) = store.get(&[key], now) {
                let unique = cas.then_some(item.unique);
                reply::value(out, Words::new(key), item.flags, &item.value, unique);
                if let (Some(exptime), Some(item)) = (exptime, store.peek(&[key], now)) {
                    item.expires = expires(exptime, now);
                }
            }
        }
        out.extend_from_slice(reply::END);
    }

    /// `getn` and `getns`: the item at a path.
    fn retrieve_path(&self, path: Words<'_>, cas: bool, out: &mut Vec<u8>) {
        if let Some(item) = self.store().get(&names(path), self.clock.now_ms()) {
            let unique = cas.then_some(item.unique);
            reply::value(out, path, item.flags, &item.value, unique);
        }
        out.extend_from_slice(reply::END);
    }

    /// `getch`: the names of an item's children, as a JSON array.
    fn children(&self, path: Words<'_>, out: &mut Vec<u8>) {
        if let Some(children) = self.store().children(&names(path), self.clock.now_ms()) {
            reply::value(out, path, 0, &json::array(&children), None);
        }
        out.extend_from_slice(reply::END);
    }

    fn stats(&self, out: &mut Vec<u8>) {
        let store = self.store();
        reply::stat(out, "get_hits", store.counts.hits);
        reply::stat(out, "get_misses", store.counts.misses);
        reply::stat(out, "bytes", store.used());
        reply::stat(out, "curr_items", store.len());
        reply::stat(out, "limit_maxbytes", store.limit());
        reply::stat(out, "evictions", store.counts.evictions);
        reply::stat(out, "expired", store.counts.expired);
        out.extend_from_slice(reply::END);
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }
}

fn lock(store: &Mutex<Store>) -> MutexGuard<'_, Store> {
    // No method of the store panics halfway, so the store is whole after a panic elsewhere.
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of a path, from the root down.
fn names(path: Words<'_>) -> Vec<&[u8]> {
    path.collect()
}

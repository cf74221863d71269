//! Memcached's commands on a cache that reads through.

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};

use larder::protocol::memcached::text::{
    AdminCommand, AfterBadLine, Block, Command, KeyAction, KeyCommand, Nesting, Parsed, Retrieve,
    StorageCommand, StoreVerb, Words, data_block, parse, parse_unsigned, reply,
};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};
use larder::store::Clock;

use super::store::{Store, expires};
use super::through::ReadThrough;

/// Bytes of the largest item, key and value, as in memcached.
const MAX_ITEM: usize = 1 << 20;

/// The service: every connection gets a session, and all sessions share the cache.
pub(crate) struct Memcached {
    cache: Arc<ReadThrough>,
    clock: Clock,
    /// Whether the other nodes are asked, too: for clients, and not for other nodes.
    forwards: bool,
}

impl Memcached {
    pub(crate) fn new(cache: &Arc<ReadThrough>, forwards: bool) -> Memcached {
        Memcached {
            cache: Arc::clone(cache),
            clock: Clock::system(),
            forwards,
        }
    }
}

impl Service for Memcached {
    fn protocol(&self) -> &'static str {
        "memcached"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            cache: Arc::clone(&self.cache),
            clock: self.clock.clone(),
            forwards: self.forwards,
            refused: None,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        reply::TOO_MANY_CONNECTIONS.into()
    }
}

/// One connection.
struct Session {
    cache: Arc<ReadThrough>,
    clock: Clock,
    forwards: bool,
    /// A value that is too large: how many of its bytes are still to come, and the reply after them.
    refused: Option<(usize, &'static [u8])>,
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
        if let Some((left, reply)) = self.refused {
            let taken = left.min(input.len());
            self.refused = (taken < left).then_some((left - taken, reply));
            if self.refused.is_none() {
                out.extend_from_slice(reply);
            }
            return Some(taken);
        }
        match parse(input, 0, Nesting::Off) {
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
        let key = storage.path.as_bytes();
        if key.len() + storage.length > MAX_ITEM {
            if storage.verb == StoreVerb::Set {
                self.cache.delete(key, self.forwards);
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
                out.extend_from_slice(quiet(self.put(storage, key, value)));
                line + consumed
            }
        }
    }

    fn put(&self, storage: &StorageCommand<'_>, key: &[u8], value: &[u8]) -> &'static [u8] {
        let now = self.clock.now_ms();
        let _changing = self.cache.changing(key);
        let mut store = self.store();
        let there = store.peek(key, now);
        let (value, flags, expires) = match (storage.verb, there) {
            (StoreVerb::Append | StoreVerb::Prepend, Some(item)) => {
                let parts = match storage.verb {
                    StoreVerb::Append => [&item.value, value],
                    _ => [value, &item.value],
                };
                let value = parts.concat();
                if key.len() + value.len() > MAX_ITEM {
                    return reply::NOT_STORED;
                }
                (value, item.flags, item.expires)
            }
            (StoreVerb::Add, Some(_)) => return reply::NOT_STORED,
            (StoreVerb::Cas, Some(item)) if item.unique != storage.unique => return reply::EXISTS,
            (StoreVerb::Cas, None) => return reply::NOT_FOUND,
            (StoreVerb::Replace | StoreVerb::Append | StoreVerb::Prepend, None) => {
                return reply::NOT_STORED;
            }
            _ => (value.to_vec(), storage.flags, expires(storage.exptime, now)),
        };
        if store.put(key, value, flags, expires, now) {
            reply::STORED
        } else {
            reply::OUT_OF_MEMORY_STORING
        }
    }

    fn run(&self, command: Command<'_>, out: &mut Vec<u8>) {
        match command {
            Command::Retrieve(Retrieve { keys, exptime, cas }) => {
                self.retrieve(keys, exptime, cas, out)
            }
            Command::Key(command) => self.change(command, out),
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
        let done = match action {
            KeyAction::Increment(delta) => {
                return self.count(path.as_bytes(), delta, false, noreply, out);
            }
            KeyAction::Decrement(delta) => {
                return self.count(path.as_bytes(), delta, true, noreply, out);
            }
            KeyAction::Touch(exptime) => {
                let now = self.clock.now_ms();
                match self.store().peek(path.as_bytes(), now) {
                    Some(item) => {
                        item.expires = expires(exptime, now);
                        reply::TOUCHED
                    }
                    None => reply::NOT_FOUND,
                }
            }
            KeyAction::Delete if self.cache.delete(path.as_bytes(), self.forwards) => {
                reply::DELETED
            }
            KeyAction::Delete => reply::NOT_FOUND,
        };
        out.extend_from_slice(if noreply { b"" } else { done });
    }

    fn admin(&self, command: AdminCommand<'_>, out: &mut Vec<u8>) {
        match command {
            AdminCommand::FlushAll { delay, noreply } => {
                let now = self.clock.now_ms();
                match expires(delay, now) {
                    Some(when) if when > now => self.store().flush_at(when),
                    // A past date: no item that we hold is older.
                    Some(_) if delay > 0 => {}
                    _ => self.cache.flush(),
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
            let Some(found) = self.cache.read(key, self.forwards) else {
                continue;
            };
            let unique = cas.then_some(found.unique);
            reply::value(out, Words::new(key), found.flags, &found.value, unique);
            let now = self.clock.now_ms();
            if let (Some(exptime), Some(item)) = (exptime, self.store().peek(key, now)) {
                item.expires = expires(exptime, now);
            }
        }
        out.extend_from_slice(reply::END);
    }

    /// `incr` wraps around at 2^64, `decr` stops at 0, and a number that gets shorter is padded with spaces.
    fn count(&self, key: &[u8], delta: u64, down: bool, noreply: bool, out: &mut Vec<u8>) {
        let now = self.clock.now_ms();
        let mut store = self.store();
        let number = match store.peek(key, now) {
            None => Err(reply::NOT_FOUND),
            Some(item) => parse_unsigned(&item.value)
                .map(|number| (number, item.value.len(), item.flags, item.expires))
                .ok_or(reply::NON_NUMERIC),
        };
        let counted = number.and_then(|(number, width, flags, expires)| {
            let number = if down {
                number.saturating_sub(delta)
            } else {
                number.wrapping_add(delta)
            };
            let value = format!("{number:<width$}").into_bytes();
            let stored = store.put(key, value, flags, expires, now);
            stored.then_some(number).ok_or(reply::OUT_OF_MEMORY_STORING)
        });
        match counted {
            _ if noreply => {}
            Ok(number) => reply::number(out, number),
            Err(text) => out.extend_from_slice(text),
        }
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
        self.cache.store()
    }
}

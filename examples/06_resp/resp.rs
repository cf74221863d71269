//! Redis's commands that a cache needs, on the store that memcached's commands use.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use larder::protocol::resp::Reply;
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};
use larder::store::Clock;

use super::reader::{Reader, Step, integer};
use super::store::{Refused, Store};

const NOT_INTEGER: &str = "ERR value is not an integer or out of range";
const WRONG_TYPE: &str = "WRONGTYPE Operation against a key holding the wrong kind of value";
const SYNTAX: &str = "ERR syntax error";

/// Bytes of the largest item, key and value, as in memcached.
const MAX_ITEM: usize = 1 << 20;

/// The service for Redis's clients: all sessions share one store.
pub(crate) struct Resp {
    store: Arc<Mutex<Store>>,
    clock: Clock,
}

impl Resp {
    pub(crate) fn new(store: Arc<Mutex<Store>>, clock: Clock) -> Resp {
        Resp { store, clock }
    }
}

impl Service for Resp {
    fn protocol(&self) -> &'static str {
        "resp"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            store: Arc::clone(&self.store),
            clock: self.clock.clone(),
            reader: Reader::default(),
            resp3: false,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        b"-ERR max number of clients reached\r\n"[..].into()
    }
}

/// One connection.
struct Session {
    store: Arc<Mutex<Store>>,
    clock: Clock,
    reader: Reader,
    /// The client has asked for RESP3.
    resp3: bool,
}

impl server::Session for Session {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        let full = output.len() + OUTPUT_SOFT_LIMIT;
        let mut rest = input;
        let next = loop {
            if output.len() > full {
                break Next::Again;
            }
            let step = self.reader.read(&mut rest);
            let mut reply = Reply::new(output, self.resp3, usize::MAX / 2);
            match step {
                Step::Command(words) => {
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    if self.run(&words, &mut reply) == Next::Close {
                        break Next::Close;
                    }
                }
                Step::TooLarge => reply.error("ERR the command is too large"),
                Step::More => break Next::Read,
                Step::Bad(problem) => {
                    reply.error(problem);
                    break Next::Close;
                }
            }
        };
        Turn {
            consumed: input.len() - rest.len(),
            next,
        }
    }
}

impl Session {
    fn run(&mut self, words: &[&[u8]], reply: &mut Reply<'_>) -> Next {
        let Some((&name, args)) = words.split_first() else {
            return Next::Read;
        };
        let lower = name.to_ascii_lowercase();
        match (lower.as_slice(), args) {
            (b"ping", []) => reply.simple("PONG"),
            (b"ping" | b"echo", [text]) => reply.bulk(text),
            (b"hello", args) => self.hello(args, reply),
            (b"select", [b"0"]) => reply.ok(),
            (b"select", [_]) => reply.error("ERR DB index is out of range"),
            (b"command", _) => reply.array(0),
            (b"get", [key]) => self.get(key, reply),
            (b"set", [key, value, options @ ..]) => self.set(key, value, options, reply),
            (b"del" | b"unlink", keys @ [_, ..]) => {
                let (now, mut store) = (self.clock.now_ms(), self.store());
                let removed = keys.iter().filter(|key| store.remove(&[key], now));
                reply.integer(removed.count() as i64);
            }
            (b"exists", keys @ [_, ..]) => {
                let (now, mut store) = (self.clock.now_ms(), self.store());
                let there = keys.iter().filter(|key| store.peek(&[key], now).is_some());
                reply.integer(there.count() as i64);
            }
            (b"incr", [key]) => self.count(key, Some(1), reply),
            (b"decr", [key]) => self.count(key, Some(-1), reply),
            (b"incrby", [key, by]) => self.count(key, integer(by), reply),
            (b"decrby", [key, by]) => {
                self.count(key, integer(by).and_then(i64::checked_neg), reply);
            }
            (b"expire", [key, seconds]) => self.expire(key, seconds, reply),
            (b"ttl", [key]) => self.ttl(key, reply),
            (b"type", [key]) => {
                let now = self.clock.now_ms();
                let mut store = self.store();
                let kind = store.peek(&[key], now).map(|item| item.has_children());
                reply.simple(match kind {
                    None => "none",
                    Some(false) => "string",
                    Some(true) => "hash",
                });
            }
            (b"hget", [key, field]) => {
                let now = self.clock.now_ms();
                match self.store().get(&[key, field], now) {
                    Some(item) => reply.bulk(&item.value),
                    None => reply.null(),
                }
            }
            (b"hgetall", [key]) => self.fields(key, reply),
            (b"flushall", []) => {
                self.store().flush();
                reply.ok();
            }
            (b"quit", _) => {
                reply.ok();
                return Next::Close;
            }
            // The first words of a browser's request: a web page must not be able to send commands.
            (b"post" | b"host:", _) => return Next::Close,
            (known, _) if KNOWN.iter().any(|name| name.as_bytes() == known) => {
                let text = [b"ERR wrong number of arguments for '", known, b"' command"];
                reply.error(text.concat());
            }
            _ => {
                let mut text = [b"ERR unknown command '", name].concat();
                text.extend_from_slice(b"', with args beginning with: ");
                for arg in args {
                    text.extend_from_slice(&[b"'", *arg, b"' "].concat());
                }
                reply.error(text);
            }
        }
        Next::Read
    }

    /// Chooses the version of the protocol, and describes the server.
    fn hello(&mut self, args: &[&[u8]], reply: &mut Reply<'_>) {
        match args {
            [] => {}
            [b"2"] => self.resp3 = false,
            [b"3"] => self.resp3 = true,
            [_] => return reply.error("NOPROTO unsupported protocol version"),
            _ => return reply.error(SYNTAX),
        }
        reply.set_resp3(self.resp3);
        reply.map(3);
        reply.bulk(b"server");
        reply.bulk(b"redis");
        reply.bulk(b"version");
        reply.bulk(b"7.0.15");
        reply.bulk(b"proto");
        reply.integer(if self.resp3 { 3 } else { 2 });
    }

    fn get(&self, key: &[u8], reply: &mut Reply<'_>) {
        let now = self.clock.now_ms();
        match self.store().get(&[key], now) {
            None => reply.null(),
            Some(item) if item.has_children() => reply.error(WRONG_TYPE),
            Some(item) => reply.bulk(&item.value),
        }
    }

    fn set(&self, key: &[u8], value: &[u8], options: &[&[u8]], reply: &mut Reply<'_>) {
        let now = self.clock.now_ms();
        let (mut expires, mut only_new, mut only_old) = (None, false, false);
        let mut options = options.iter();
        while let Some(option) = options.next() {
            match option.to_ascii_lowercase().as_slice() {
                b"nx" if !only_old => only_new = true,
                b"xx" if !only_new => only_old = true,
                unit @ (b"ex" | b"px") if expires.is_none() => {
                    let Some(number) = options.next() else {
                        return reply.error(SYNTAX);
                    };
                    let Some(number) = integer(number) else {
                        return reply.error(NOT_INTEGER);
                    };
                    let scale = if unit == b"ex" { 1000 } else { 1 };
                    expires = number
                        .checked_mul(scale)
                        .filter(|milliseconds| *milliseconds > 0)
                        .and_then(|milliseconds| now.checked_add(milliseconds as u64));
                    if expires.is_none() {
                        return reply.error("ERR invalid expire time in 'set' command");
                    }
                }
                _ => return reply.error(SYNTAX),
            }
        }
        let mut store = self.store();
        let there = store.peek(&[key], now).is_some();
        if only_new && there || only_old && !there {
            return reply.null();
        }
        match put(&mut store, key, value.to_vec(), 0, expires, now) {
            Ok(()) => reply.ok(),
            Err(problem) => reply.error(problem),
        }
    }

    fn count(&self, key: &[u8], by: Option<i64>, reply: &mut Reply<'_>) {
        let Some(by) = by else {
            return reply.error(NOT_INTEGER);
        };
        let now = self.clock.now_ms();
        let mut store = self.store();
        let (number, flags, expires) = match store.peek(&[key], now) {
            None => (Some(0), 0, None),
            Some(item) if item.has_children() => return reply.error(WRONG_TYPE),
            Some(item) => (integer(&item.value), item.flags, item.expires),
        };
        let Some(number) = number else {
            return reply.error(NOT_INTEGER);
        };
        let Some(number) = number.checked_add(by) else {
            return reply.error("ERR increment or decrement would overflow");
        };
        let text = number.to_string().into_bytes();
        match put(&mut store, key, text, flags, expires, now) {
            Ok(()) => reply.integer(number),
            Err(problem) => reply.error(problem),
        }
    }

    fn expire(&self, key: &[u8], seconds: &[u8], reply: &mut Reply<'_>) {
        let Some(seconds) = integer(seconds) else {
            return reply.error(NOT_INTEGER);
        };
        let now = self.clock.now_ms();
        let when = i64::try_from(now).ok().and_then(|now| {
            let milliseconds = seconds.checked_mul(1000)?;
            now.checked_add(milliseconds)
        });
        let Some(when) = when else {
            return reply.error("ERR invalid expire time in 'expire' command");
        };
        match self.store().peek(&[key], now) {
            Some(item) => {
                item.expires = Some(u64::try_from(when).unwrap_or(0));
                reply.integer(1);
            }
            None => reply.integer(0),
        }
    }

    fn ttl(&self, key: &[u8], reply: &mut Reply<'_>) {
        let now = self.clock.now_ms();
        match self.store().peek(&[key], now).map(|item| item.expires) {
            None => reply.integer(-2),
            Some(None) => reply.integer(-1),
            // Rounded, as Redis does.
            Some(Some(when)) => reply.integer(((when - now + 500) / 1000) as i64),
        }
    }

    /// `HGETALL`: the fields of a hash are the children of an item.
    fn fields(&self, key: &[u8], reply: &mut Reply<'_>) {
        let now = self.clock.now_ms();
        let mut store = self.store();
        let hash = store.peek(&[key], now).map(|item| item.has_children());
        if hash == Some(false) {
            return reply.error(WRONG_TYPE);
        }
        let names = store.children(&[key], now).unwrap_or_default();
        reply.map(names.len());
        for name in names {
            reply.bulk(&name);
            let value = store
                .get(&[key, &name], now)
                .map(|item| item.value.as_slice());
            reply.bulk(value.unwrap_or_default());
        }
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        // No method of the store panics halfway, so the store is whole after a panic elsewhere.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores a string under a key.
fn put(
    store: &mut Store,
    key: &[u8],
    value: Vec<u8>,
    flags: u32,
    expires: Option<u64>,
    now: u64,
) -> Result<(), &'static str> {
    if key.len() + value.len() > MAX_ITEM {
        return Err("ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    }
    match store.put(&[key], value, flags, expires, now) {
        Ok(()) => Ok(()),
        Err(Refused::NoParent | Refused::TooLarge) => {
            Err("OOM command not allowed when used memory > 'maxmemory'.")
        }
    }
}

/// The known commands: with one of these names, the number of arguments was wrong.
const KNOWN: [&str; 20] = [
    "ping", "echo", "select", "get", "set", "del", "unlink", "exists", "incr", "decr", "incrby",
    "decrby", "expire", "ttl", "type", "hget", "hgetall", "flushall", "command", "hello",
];

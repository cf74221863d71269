//! One connection: the turn, and what it leaves unfinished.

use std::sync::Arc;

use crate::protocol::memcached::text::{self, Block, Command, Parsed, Store, Words};
use crate::server::limits::OUTPUT_SOFT_LIMIT;
use crate::server::{self, Next, Turn};

use super::counters::Tally;
use super::{Shared, Work};

/// A connection's state between turns. It owns no buffer.
pub(super) struct Session {
    shared: Arc<Shared>,
    connection: u64,
    pending: Pending,
    /// Bytes of input below which there is nothing to do: what a data block needs.
    needed: usize,
    /// Bytes at the start of the input that are known to hold no end of line.
    scanned: usize,
}

/// What the input begins with.
#[derive(Clone, Copy)]
enum Pending {
    /// A command.
    Nothing,
    /// The rest of a line of keys that was checked whole.
    Keys(Retrieval),
    /// The data block of an item that is too large, and the reply that follows it.
    Refused { left: usize, reply: &'static [u8] },
}

/// What a line of keys asks of each.
#[derive(Clone, Copy)]
struct Retrieval {
    exptime: Option<i32>,
    cas: bool,
}

/// How the turn goes on after a step.
enum Step {
    /// This much was consumed; there may be more.
    On(usize),
    /// Nothing can be done until more has arrived.
    Wait,
    /// This much was consumed; the output is full.
    Full(usize),
    /// The end of the connection.
    Close,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, connection: u64) -> Session {
        Session {
            shared,
            connection,
            pending: Pending::Nothing,
            needed: 0,
            scanned: 0,
        }
    }
}

impl server::Session for Session {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        if input.len() < self.needed {
            return Turn {
                consumed: 0,
                next: Next::Read,
            };
        }
        let shared = Arc::clone(&self.shared);
        let _gate = shared.store.share();
        let mut work = Work {
            full: output.len() + OUTPUT_SOFT_LIMIT,
            shared: &shared,
            out: output,
            tally: Tally::default(),
            connection: self.connection,
        };
        let mut consumed = 0;
        let next = loop {
            let rest = &input[consumed..];
            if rest.is_empty() {
                break Next::Read;
            }
            if work.is_full() {
                break Next::Again;
            }
            match self.step(&mut work, rest) {
                Step::On(taken) => {
                    consumed += taken;
                    self.needed = 0;
                    self.scanned = 0;
                }
                Step::Wait => break Next::Read,
                Step::Full(taken) => {
                    consumed += taken;
                    break Next::Again;
                }
                Step::Close => {
                    consumed = input.len();
                    break Next::Close;
                }
            }
        };
        shared.counters.add(&work.tally);
        Turn { consumed, next }
    }
}

impl Session {
    /// Does what the input begins with.
    fn step(&mut self, work: &mut Work<'_>, input: &[u8]) -> Step {
        match self.pending {
            Pending::Nothing => self.command(work, input),
            Pending::Keys(retrieval) => {
                let Some((keys, line)) = text::rest_of_line(input) else {
                    return Step::Wait;
                };
                self.keys(work, input, line, keys, retrieval)
            }
            Pending::Refused { left, reply } => {
                let taken = left.min(input.len());
                self.pending = if taken < left {
                    Pending::Refused {
                        left: left - taken,
                        reply,
                    }
                } else {
                    work.out.extend_from_slice(reply);
                    Pending::Nothing
                };
                Step::On(taken)
            }
        }
    }

    fn command(&mut self, work: &mut Work<'_>, input: &[u8]) -> Step {
        let (command, line) = match text::parse(input, self.scanned, work.shared.nesting()) {
            Parsed::Done { command, consumed } => (command, consumed),
            Parsed::More => {
                self.scanned = input.len();
                return Step::Wait;
            }
            Parsed::Bad {
                reply,
                consumed,
                close,
            } => {
                work.out.extend_from_slice(reply);
                return if close {
                    Step::Close
                } else {
                    Step::On(consumed)
                };
            }
        };
        match command {
            Command::Retrieve { keys, exptime, cas } => {
                return self.keys(work, input, line, keys, Retrieval { exptime, cas });
            }
            Command::Store(store) => return self.store(work, &store, input, line),
            Command::Count {
                path,
                delta,
                down,
                noreply,
            } => work.count(path, delta, down, noreply),
            Command::Touch {
                path,
                exptime,
                noreply,
            } => work.touch(path, exptime, noreply),
            Command::Delete { path, noreply } => work.delete(path, noreply),
            Command::RetrievePath { path, cas } => work.retrieve_path(path, cas),
            Command::Children { path } => work.children(path),
            Command::FlushAll { delay, noreply } => work.flush_all(delay, noreply),
            Command::Verbosity { level, noreply } => work.verbosity(level, noreply),
            Command::Stats { words } => work.stats(words),
            Command::Version => work.version(),
            Command::MetaNoop => work.reply(false, text::reply::META_NOOP),
            Command::Shutdown => work.reply(false, text::reply::SHUTDOWN_DISABLED),
            Command::Quit => return Step::Close,
        }
        Step::On(line)
    }

    /// Writes the values of keys until the output is full; what is left of the line then stays in
    /// the input.
    fn keys(
        &mut self,
        work: &mut Work<'_>,
        input: &[u8],
        line: usize,
        mut keys: Words<'_>,
        retrieval: Retrieval,
    ) -> Step {
        while let Some(key) = keys.next() {
            work.retrieve(key, retrieval.exptime, retrieval.cas);
            if work.is_full() && !keys.is_empty() {
                self.pending = Pending::Keys(retrieval);
                let rest = keys.as_bytes().as_ptr().addr();
                return Step::Full(rest - input.as_ptr().addr());
            }
        }
        work.out.extend_from_slice(text::reply::END);
        self.pending = Pending::Nothing;
        Step::On(line)
    }

    /// A storage command: its data block, when it has arrived; none of it, if it is too large.
    fn store(&mut self, work: &mut Work<'_>, store: &Store<'_>, input: &[u8], line: usize) -> Step {
        if work.refuses(store) {
            self.pending = Pending::Refused {
                left: store.length + 2,
                reply: if store.noreply {
                    b""
                } else {
                    text::reply::TOO_LARGE
                },
            };
            return Step::On(line);
        }
        match text::data_block(&input[line..], store.length) {
            Block::Done { value, consumed } => {
                work.store(store, value);
                Step::On(line + consumed)
            }
            Block::Bad { consumed } => {
                work.tally.cmd_set += 1;
                work.reply(store.noreply, text::reply::BAD_DATA_CHUNK);
                Step::On(line + consumed)
            }
            Block::More { needed } => {
                self.needed = line + needed;
                Step::Wait
            }
        }
    }
}

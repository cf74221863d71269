//! Answers clients: a command that changes a key is answered as soon as the key is in the channel.

use std::borrow::Cow;
use std::sync::Arc;

use crossbeam_channel::Sender;
use larder::protocol::memcached::text::{
    AdminCommand, AfterBadLine, Block, Command, KeyAction, Nesting, Parsed, StorageCommand,
    data_block, parse, reply,
};
use larder::server::limits::OUTPUT_SOFT_LIMIT;
use larder::server::{self, Next, Peer, Refusal, Service, Turn};

use super::worker::Counts;

/// Bytes of the largest item, key and value, as in memcached. The value is read to be dropped.
const MAX_ITEM: usize = 1 << 20;

/// The reply to a command that doesn't change a key.
const REFUSED: &[u8] = b"SERVER_ERROR only changes are accepted here; send reads to the caches\r\n";

/// The reply when no worker takes keys any more.
const CLOSED: &[u8] = b"SERVER_ERROR shutting down\r\n";

/// The service: all sessions send into one channel.
pub(crate) struct Invalidate {
    changed: Sender<Vec<u8>>,
    counts: Arc<Counts>,
}

impl Invalidate {
    pub(crate) fn new(changed: Sender<Vec<u8>>, counts: Arc<Counts>) -> Invalidate {
        Invalidate { changed, counts }
    }
}

impl Service for Invalidate {
    fn protocol(&self) -> &'static str {
        "invalidate"
    }

    fn open(&self, _: Peer) -> Box<dyn server::Session> {
        Box::new(Session {
            changed: self.changed.clone(),
            counts: Arc::clone(&self.counts),
            refused: None,
        })
    }

    fn refusal(&self, _: Refusal) -> Cow<'static, [u8]> {
        reply::TOO_MANY_CONNECTIONS.into()
    }
}

/// One connection.
struct Session {
    changed: Sender<Vec<u8>>,
    counts: Arc<Counts>,
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

    /// A storage command and its value: the bytes that both took, or 0. The value is dropped: the caches will read it
    /// from the database.
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
            // memcached would drop the old value, so the caches have to.
            let taken = self.changed(key, reply::TOO_LARGE);
            self.refused = Some((storage.length + 2, quiet(taken)));
            return line;
        }
        match data_block(&input[line..], storage.length) {
            Block::More { .. } => 0,
            Block::Bad { consumed } => {
                out.extend_from_slice(quiet(reply::BAD_DATA_CHUNK));
                line + consumed
            }
            Block::Done { consumed, .. } => {
                out.extend_from_slice(quiet(self.changed(key, reply::STORED)));
                line + consumed
            }
        }
    }

    fn run(&mut self, command: Command<'_>, out: &mut Vec<u8>) {
        let (taken, noreply) = match command {
            Command::Key(command) => {
                let reply = match command.action {
                    KeyAction::Delete => reply::DELETED,
                    KeyAction::Touch(_) => reply::TOUCHED,
                    // The reply would be a number that is only in the cache. "Not found" promises nothing.
                    KeyAction::Increment(_) | KeyAction::Decrement(_) => reply::NOT_FOUND,
                };
                let key = command.path.as_bytes();
                (self.changed(key, reply), command.noreply)
            }
            Command::Admin(AdminCommand::Stats { words }) if words.is_empty() => {
                self.counts.write(out);
                (reply::END, false)
            }
            Command::Admin(AdminCommand::Version) => (reply::VERSION, false),
            _ => (REFUSED, false),
        };
        out.extend_from_slice(if noreply { b"" } else { taken });
    }

    /// Puts a changed key into the channel, and waits while that is full. Returns `done` if it is there.
    fn changed(&mut self, key: &[u8], done: &'static [u8]) -> &'static [u8] {
        match self.changed.send(key.to_vec()) {
            Ok(()) => done,
            Err(_) => CLOSED,
        }
    }
}

//! One connection: the turn, and its unfinished commands.

mod authentication;

use std::sync::Arc;

use crate::protocol::memcached::text::{
    self, AfterBadLine, Block, Command, Parsed, Retrieve, StorageCommand, Words,
};
use crate::server::{self, Connection, Insertion, Next, Turn};
use crate::service::kept_insertions::KeptInsertions;

use super::admin::AfterAdmin;
use super::context::TurnContext;
use super::dump::Dump;
use super::receiving::Receiving;
use super::service_state::Shared;
use super::storage::{Noreply, request};

/// A connection's state between turns. It owns no buffer.
pub(super) struct Session {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    pending: InputStart,
    /// A storage command whose value is received into memory of the store.
    receiving: Option<Box<Receiving<Noreply>>>,
    /// Large values of the last turn's output.
    insertions: KeptInsertions,
    may_insert: bool,
    /// Bytes of input below which there is nothing to do: the length of a data block.
    needed: usize,
    /// Bytes at the start of the input that are known to hold no end of line.
    scanned: u32,
}

/// The start of the input.
#[derive(Clone, Copy)]
enum InputStart {
    /// A command.
    Nothing,
    /// The rest of a line of keys that was checked whole.
    Keys(Retrieval),
    /// The data block of a storage command that was refused, and the reply that follows it.
    Refused { left: usize, reply: &'static [u8] },
    /// Any input: a list of keys is not finished.
    Dump(Dump),
    /// The line that begins the authentication.
    FirstLine,
    /// The authentication's token of so many bytes.
    Token { length: usize },
}

/// The treatment of each key of a line.
#[derive(Clone, Copy)]
struct Retrieval {
    exptime: Option<i32>,
    cas: bool,
}

/// The next step of the turn.
enum Step {
    /// This many bytes were consumed; there may be more.
    Continue(usize),
    /// Nothing can be done until more has arrived.
    Wait,
    /// This many bytes were consumed; the output is full.
    Full(usize),
    /// This much was consumed; the output has a large value, which is written before others.
    Send(usize),
    /// This much was consumed; there is no memory for the next reply.
    NoMemory(usize),
    /// This much was consumed; the password was wrong, so the reply waits.
    Delay(usize),
    /// The end of the connection.
    Close,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> Session {
        Session {
            pending: InputStart::of_connection(&shared),
            shared,
            connection,
            receiving: None,
            insertions: KeptInsertions::default(),
            may_insert: false,
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
        let connection = Arc::clone(&self.connection);
        let mut context = TurnContext::new(&shared, output, &connection);
        context.output.may_insert = self.may_insert;
        let mut consumed = 0;
        let next = loop {
            let rest = &input[consumed..];
            if rest.is_empty() && !matches!(self.pending, InputStart::Dump(_)) {
                break self.waits_for();
            }
            if context.output.is_full() {
                break Next::Again;
            }
            match self.step(&mut context, rest) {
                Step::Continue(taken) => {
                    consumed += taken;
                    self.needed = 0;
                    self.scanned = 0;
                }
                Step::Wait => break Next::Read,
                Step::Full(taken) => {
                    consumed += taken;
                    break Next::Again;
                }
                Step::Send(taken) => {
                    consumed += taken;
                    break Next::Send;
                }
                Step::NoMemory(taken) => {
                    consumed += taken;
                    break Next::AwaitMemory;
                }
                Step::Delay(taken) => {
                    consumed += taken;
                    self.needed = 0;
                    break Next::Delay;
                }
                Step::Close => {
                    consumed = input.len();
                    break Next::Close;
                }
            }
        };
        self.insertions = std::mem::take(&mut context.output.insertions);
        context.operations.counts.conn_yields += u64::from(next == Next::Again);
        shared.counters.add(&context.operations.counts);
        Turn { consumed, next }
    }

    fn allow_insertions(&mut self) {
        self.may_insert = true;
    }

    fn insertions(&mut self) -> Vec<Insertion> {
        self.insertions.take()
    }

    fn space(&mut self) -> Option<&mut [u8]> {
        let receiving = self.receiving.as_mut()?;
        Some(receiving.reservation.space())
    }

    fn arrived(&mut self, bytes: usize, output: &mut Vec<u8>) -> Next {
        let shared = Arc::clone(&self.shared);
        let _gate = shared.store.share();
        let connection = Arc::clone(&self.connection);
        let mut context = TurnContext::new(&shared, output, &connection);
        self.received(&mut context, bytes);
        shared.counters.add(&context.operations.counts);
        self.waits_for()
    }
}

impl Session {
    /// The input for which the session waits when it has consumed all of it.
    fn waits_for(&self) -> Next {
        match self.receiving {
            Some(_) => Next::Receive,
            None => Next::Read,
        }
    }

    /// Notes that this many bytes more of the received value are in the memory of the store.
    fn received(&mut self, context: &mut TurnContext<'_>, bytes: usize) {
        let Some(mut receiving) = self.receiving.take() else {
            return;
        };
        if !receiving.reservation.arrived(bytes) {
            let reply = context.refuse_received(&receiving);
            return self.discard(receiving.reservation.missing(), reply);
        }
        if receiving.reservation.is_whole() {
            context.store_received(*receiving);
        } else {
            self.receiving = Some(receiving);
        }
    }

    /// Runs the first step of the input.
    fn step(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        if let Some(receiving) = &mut self.receiving {
            let taken = receiving.reservation.copy(input);
            self.received(context, taken);
            return Step::Continue(taken);
        }
        match self.pending {
            InputStart::Nothing => self.command(context, input),
            InputStart::Keys(retrieval) => {
                let Some((keys, line)) = text::rest_of_line(input) else {
                    return Step::Wait;
                };
                self.keys(context, input, line, keys, retrieval)
            }
            InputStart::Dump(dump) => {
                let rest = context.dump_piece(dump);
                self.pending = rest.map_or(InputStart::Nothing, InputStart::Dump);
                Step::Continue(0)
            }
            InputStart::FirstLine => self.first_line(context, input),
            InputStart::Token { length } => self.token(context, input, length),
            InputStart::Refused { left, reply } => {
                let taken = left.min(input.len());
                self.pending = if taken < left {
                    InputStart::Refused {
                        left: left - taken,
                        reply,
                    }
                } else {
                    context.output.push(reply);
                    InputStart::Nothing
                };
                Step::Continue(taken)
            }
        }
    }

    fn command(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        let (command, line) =
            match text::parse(input, self.scanned as usize, context.shared.nesting()) {
                Parsed::Done { command, consumed } => (command, consumed),
                Parsed::More => {
                    self.scanned = u32::try_from(input.len()).unwrap_or(0);
                    return Step::Wait;
                }
                Parsed::Bad {
                    reply,
                    consumed,
                    then,
                } => {
                    return match then {
                        AfterBadLine::Continue { discard } if discard > 0 => {
                            self.discard(discard, reply);
                            Step::Continue(consumed)
                        }
                        AfterBadLine::Continue { .. } => {
                            context.output.push(reply);
                            Step::Continue(consumed)
                        }
                        AfterBadLine::Close => {
                            context.output.push(reply);
                            Step::Close
                        }
                    };
                }
            };
        match command {
            Command::Retrieve(Retrieve { keys, exptime, cas }) => {
                return self.keys(context, input, line, keys, Retrieval { exptime, cas });
            }
            Command::Store(store) => return self.store(context, &store, input, line),
            Command::Key(command) => context.key_command(command),
            Command::ReadPath(command) if !context.read_path(command) => return Step::NoMemory(0),
            Command::ReadPath(_) => {}
            Command::Admin(command) => match context.admin(command) {
                AfterAdmin::Continue => {}
                AfterAdmin::Dump(dump) => self.pending = InputStart::Dump(dump),
                AfterAdmin::Close => return Step::Close,
            },
        }
        Step::Continue(line)
    }

    /// Writes the values of keys until the output is full; the rest of the line then stays in the
    /// input.
    fn keys(
        &mut self,
        context: &mut TurnContext<'_>,
        input: &[u8],
        line: usize,
        mut keys: Words<'_>,
        retrieval: Retrieval,
    ) -> Step {
        while let Some(key) = keys.next() {
            if !context.retrieve(key, retrieval.exptime, retrieval.cas) {
                self.pending = InputStart::Keys(retrieval);
                return Step::NoMemory(key.as_ptr().addr() - input.as_ptr().addr());
            }
            if (context.output.is_full() || !context.output.insertions.is_empty())
                && !keys.is_empty()
            {
                self.pending = InputStart::Keys(retrieval);
                let rest = keys.as_bytes().as_ptr().addr() - input.as_ptr().addr();
                if context.output.insertions.is_empty() {
                    return Step::Full(rest);
                }
                return Step::Send(rest);
            }
        }
        context.output.push(text::reply::END);
        self.pending = InputStart::Nothing;
        if context.output.insertions.is_empty() {
            return Step::Continue(line);
        }
        Step::Send(line)
    }

    /// Has the data block of a refused storage command discarded as it arrives, before its reply.
    fn discard(&mut self, left: usize, reply: &'static [u8]) {
        self.pending = InputStart::Refused { left, reply };
    }

    /// A storage command: its data block, when it has arrived; none of it, if it is too large.
    fn store(
        &mut self,
        context: &mut TurnContext<'_>,
        store: &StorageCommand<'_>,
        input: &[u8],
        line: usize,
    ) -> Step {
        if let Some(reply) = context.refuses(store) {
            self.discard(store.length + 2, reply);
            return Step::Continue(line);
        }
        match text::data_block(&input[line..], store.length) {
            Block::Done { value, consumed } => {
                context.store(store, value);
                Step::Continue(line + consumed)
            }
            Block::Bad { consumed } => {
                context.bad_data_chunk(store.noreply);
                Step::Continue(line + consumed)
            }
            Block::More { needed } => {
                let sizes = (store.length, input.len() - line);
                let reply = Noreply(store.noreply);
                let all = &context.shared.store;
                self.receiving = store
                    .path
                    .single()
                    .and_then(|key| Receiving::begin(all, key, &request(store), sizes, reply));
                if self.receiving.is_some() {
                    return Step::Continue(line);
                }
                self.needed = line + needed;
                Step::Wait
            }
        }
    }
}

//! One connection: the choice of its protocol, and the turn.
//!
//! ```text
//!   first byte 0x80 ──▶ BinarySession ─┐
//!   any other       ──▶ TextSession  ──┴─▶ step, step, … ─▶ Step: what was consumed, and what is next
//!                                           `watch` ─▶ Watching: lines until the connection ends
//! ```
//!
//! The protocol stays that of the first byte, as in memcached, unless the settings allow only one; then other bytes are malformed. A turn runs steps until the input is consumed or the output
//! is full.

use std::sync::Arc;

use crate::origin::CommandFetches;
use crate::protocol::memcached::binary::REQUEST_MAGIC;
use crate::protocol::memcached::udp::MAX_REPLY;
use crate::server::{self, Connection, Insertion, Next, Turn, Waiter, ticks};
use crate::service::kept_insertions::KeptInsertions;

use super::binary::BinarySession;
use super::command_counts::TurnTimer;
use super::context::TurnContext;
use super::large_listing::LargeListing;
use super::service_state::{Shared, SpokenProtocol};
use super::slow_requests::RequestClock;
use super::step::Step;
use super::text_session::TextSession;
use super::watch::{EventKinds, Watching};

/// A connection's state between turns. It owns no buffer.
pub(super) struct ConnectionSession {
    shared: Arc<Shared>,
    connection: Arc<Connection>,
    protocol: SessionProtocol,
    /// Large values of the last turn's output.
    insertions: KeptInsertions,
    may_insert: bool,
    /// The input is a datagram.
    is_datagram: bool,
    /// The session ended the connection because of what the client had sent.
    refused: bool,
    /// The fetches that the current command waits for.
    fetches: CommandFetches,
    /// A list of children that is done in pieces.
    large: Option<Box<LargeListing>>,
    /// Bytes of input below which there is nothing to do: the length of a data block.
    needed: u32,
    timer: TurnTimer,
}

/// The protocol of a connection, and its state there.
enum SessionProtocol {
    /// Nothing has arrived.
    Undecided,
    Text(TextSession),
    Binary(BinarySession),
    /// It gets lines of the log, and sends nothing more.
    Watching(Watching),
}

impl SessionProtocol {
    fn of(first: u8, shared: &Shared) -> SessionProtocol {
        let is_binary = match shared.settings.protocol {
            SpokenProtocol::Auto => first == REQUEST_MAGIC,
            SpokenProtocol::Text => false,
            SpokenProtocol::Binary => true,
        };
        match is_binary {
            true => SessionProtocol::Binary(BinarySession::new(shared)),
            false => SessionProtocol::Text(TextSession::new(shared)),
        }
    }
}

impl ConnectionSession {
    pub(super) fn new(shared: Arc<Shared>, connection: Arc<Connection>) -> ConnectionSession {
        if shared.log.wants(EventKinds::CONNEVENTS) {
            shared.log.connected(&connection);
        }
        ConnectionSession::begin(shared, connection, false)
    }

    fn begin(
        shared: Arc<Shared>,
        connection: Arc<Connection>,
        is_datagram: bool,
    ) -> ConnectionSession {
        ConnectionSession {
            shared,
            connection,
            protocol: SessionProtocol::Undecided,
            insertions: KeptInsertions::default(),
            may_insert: is_datagram,
            is_datagram,
            refused: false,
            fetches: CommandFetches::default(),
            large: None,
            needed: 0,
            timer: TurnTimer::default(),
        }
    }

    /// A session for the commands of one datagram. A command that is not whole in it has no effect. A turn ends behind the
    /// command with which the reply gets longer than [`MAX_REPLY`].
    pub(super) fn for_datagram(
        shared: Arc<Shared>,
        connection: Arc<Connection>,
    ) -> ConnectionSession {
        ConnectionSession::begin(shared, connection, true)
    }

    /// Whether a step is to be run although nothing has arrived.
    fn has_more_to_say(&self) -> bool {
        match &self.protocol {
            SessionProtocol::Text(text) => text.has_more_to_say(),
            _ => false,
        }
    }

    /// Whether the input begins with a request, and not with the rest of one.
    #[inline]
    fn is_at_a_request(&self) -> bool {
        match &self.protocol {
            SessionProtocol::Text(text) => text.is_at_a_command(),
            SessionProtocol::Binary(binary) => binary.is_at_a_request(),
            _ => false,
        }
    }

    /// The input for which the session waits when it has consumed all of it.
    fn waits_for(&self) -> Next {
        let receives = match &self.protocol {
            SessionProtocol::Text(text) => text.receives(),
            SessionProtocol::Binary(binary) => binary.receives(),
            _ => false,
        };
        if receives { Next::Receive } else { Next::Read }
    }

    /// Runs the first step of the input.
    fn step(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        match &mut self.protocol {
            SessionProtocol::Text(text) => text.step(context, input),
            SessionProtocol::Binary(binary) => binary.step(context, input),
            SessionProtocol::Undecided => {
                let Some(&first) = input.first() else {
                    return Step::Wait { needed: 1 };
                };
                self.protocol = SessionProtocol::of(first, &self.shared);
                Step::Continue(0)
            }
            SessionProtocol::Watching(_) => Step::Continue(input.len()),
        }
    }

    /// Counts what a step consumed of the `rest` of the input; the connection's next step if the turn ends with it.
    fn after_step(&mut self, step: Step, rest: usize, consumed: &mut usize) -> Option<Next> {
        let (taken, next) = match step {
            Step::Continue(taken) => (taken, None),
            Step::Wait { needed } => {
                self.needed = u32::try_from(needed).unwrap_or(u32::MAX);
                (0, Some(Next::Read))
            }
            Step::Full(taken) => (taken, Some(Next::Again)),
            Step::Send(taken) => (taken, Some(Next::Send)),
            Step::NoMemory(taken) => (taken, Some(Next::AwaitMemory)),
            Step::Fetch(taken) => (taken, Some(Next::Wait)),
            Step::Unfinished => (0, Some(Next::Continue)),
            Step::Delay(taken) => (taken, Some(Next::Delay)),
            Step::Watch(watching) => {
                self.protocol = SessionProtocol::Watching(watching);
                (rest, Some(Next::Later))
            }
            Step::Quit => (rest, Some(Next::Close)),
            Step::Close => {
                self.refused = true;
                (rest, Some(Next::Close))
            }
        };
        *consumed += taken;
        next
    }

    /// Gives a turn the state that the session has kept since the last one.
    fn lend_to(&mut self, context: &mut TurnContext<'_>) {
        context.output.may_insert = self.may_insert;
        context.operations.may_wait = !self.is_datagram;
        context.operations.fetches = std::mem::take(&mut self.fetches);
        context.large = self.large.take();
        if self.is_datagram {
            context.input_is_whole = true;
            context.output.limit = MAX_REPLY;
        }
    }

    /// Keeps the state of a turn for the next one.
    fn take_back(&mut self, context: &mut TurnContext<'_>) {
        self.insertions = std::mem::take(&mut context.output.insertions);
        self.fetches = std::mem::take(&mut context.operations.fetches);
        self.large = context.large.take();
        let kept = self.large.as_ref().map_or(0, |large| large.bytes());
        let connections = &self.shared.connections;
        connections.keep_reply(&self.connection, kept);
    }

    /// Appends the lines that wait, if the connection watches. It is not idle meanwhile.
    fn watch_turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Option<Turn> {
        let SessionProtocol::Watching(watching) = &mut self.protocol else {
            return None;
        };
        self.connection.touch(ticks());
        Some(Turn {
            consumed: input.len(),
            next: watching.turn(output),
        })
    }
}

impl server::Session for ConnectionSession {
    fn turn(&mut self, input: &[u8], output: &mut Vec<u8>) -> Turn {
        if let Some(turn) = self.watch_turn(input, output) {
            return turn;
        }
        if input.len() < self.needed as usize {
            return Turn {
                consumed: 0,
                next: Next::Read,
            };
        }
        self.needed = 0;
        let began = self.timer.begin_turn();
        let shared = Arc::clone(&self.shared);
        let _gate = shared.store.share();
        let connection = Arc::clone(&self.connection);
        let mut context = TurnContext::new(&shared, output, &connection);
        context.commands.time_since(began);
        self.lend_to(&mut context);
        let mut clock = RequestClock::begin(shared.slow_log());
        let mut consumed = 0;
        let next = loop {
            if context.sends_listing() {
                break Next::Continue;
            }
            let rest = &input[consumed..];
            if rest.is_empty() && !self.has_more_to_say() {
                break self.waits_for();
            }
            if context.output.is_full() {
                break Next::Again;
            }
            let before = context.before_step();
            let (begins, start) = (self.is_at_a_request(), consumed);
            let step = self.step(&mut context, rest);
            let begins = begins && step.has_begun();
            let step = context.after_peers(step, before, rest);
            context.after_fetches(&step);
            let next = self.after_step(step, rest.len(), &mut consumed);
            if !context.earlier.is_zero() {
                clock.add_earlier(std::mem::take(&mut context.earlier));
            }
            if begins && let Some(time) = clock.request_done(start) {
                clock.note(input, &connection, shared.store.now_ms(), time);
            }
            if let Some(next) = next {
                break next;
            }
        };
        if let Some(time) = clock.look() {
            clock.note(input, &connection, shared.store.now_ms(), time);
        }
        connection.note_awaits_value(self.needed > 0 || next == Next::Receive);
        self.take_back(&mut context);
        context.operations.counts.conn_yields += u64::from(next == Next::Again);
        shared.counters.add(&context.operations.counts);
        context.commands.end_run();
        Turn { consumed, next }
    }

    fn allow_insertions(&mut self) {
        self.may_insert = true;
    }

    fn insertions(&mut self) -> Vec<Insertion> {
        self.insertions.take()
    }

    fn waiter(&mut self) -> Option<Arc<Waiter>> {
        self.fetches.waiter()
    }

    fn space(&mut self) -> Option<&mut [u8]> {
        match &mut self.protocol {
            SessionProtocol::Text(text) => text.space(),
            SessionProtocol::Binary(binary) => binary.space(),
            SessionProtocol::Undecided | SessionProtocol::Watching(_) => None,
        }
    }

    fn arrived(&mut self, bytes: usize, output: &mut Vec<u8>) -> Next {
        let shared = Arc::clone(&self.shared);
        let _gate = shared.store.share();
        let connection = Arc::clone(&self.connection);
        let mut context = TurnContext::new(&shared, output, &connection);
        match &mut self.protocol {
            SessionProtocol::Text(text) => text.received(&mut context, bytes),
            SessionProtocol::Binary(binary) => binary.received(&mut context, bytes),
            SessionProtocol::Undecided | SessionProtocol::Watching(_) => {}
        }
        context.tell_peers();
        shared.counters.add(&context.operations.counts);
        let next = self.waits_for();
        connection.note_awaits_value(next == Next::Receive);
        next
    }
}

impl Drop for ConnectionSession {
    fn drop(&mut self) {
        if !self.is_datagram && self.shared.log.wants(EventKinds::CONNEVENTS) {
            self.shared.log.disconnected(&self.connection, self.refused);
        }
    }
}

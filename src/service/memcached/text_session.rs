//! One connection of the text protocol: its steps, and its unfinished commands.

mod authentication;

use crate::protocol::memcached::CommandName;
use crate::protocol::memcached::text::{
    self, AfterBadLine, Block, Command, MetaCommand, MetaVerb, Parsed, Retrieve, Words,
};

use super::admin::AfterAdmin;
use super::context::TurnContext;
use super::dump::Dump;
use super::receiving::{ReceivedReply, Receiving, StorageLine};
use super::service_state::Shared;
use super::step::{ReadProgress, Step};

/// The state between turns of a connection that speaks the text protocol.
pub(super) struct TextSession {
    pending: InputStart,
    /// A storage command whose value is received into memory of the store.
    receiving: Option<Box<Receiving<ReceivedReply>>>,
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

impl TextSession {
    pub(super) fn new(shared: &Shared) -> TextSession {
        TextSession {
            pending: InputStart::of_connection(shared),
            receiving: None,
            scanned: 0,
        }
    }

    /// Whether a step is to be run although nothing has arrived.
    pub(super) fn has_more_to_say(&self) -> bool {
        matches!(self.pending, InputStart::Dump(_))
    }

    /// Whether the input begins with a command, and not with the rest of one.
    #[inline]
    pub(super) fn is_at_a_command(&self) -> bool {
        matches!(self.pending, InputStart::Nothing) && self.receiving.is_none()
    }

    /// Whether a value is received into memory of the store.
    pub(super) fn receives(&self) -> bool {
        self.receiving.is_some()
    }

    /// The memory for the next bytes of a received value.
    pub(super) fn space(&mut self) -> Option<&mut [u8]> {
        let receiving = self.receiving.as_mut()?;
        Some(receiving.reservation.space())
    }

    /// Notes that this many bytes more of the received value are in the memory of the store.
    pub(super) fn received(&mut self, context: &mut TurnContext<'_>, bytes: usize) {
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
    pub(super) fn step(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        if let Some(receiving) = &mut self.receiving {
            let taken = receiving.reservation.copy(input);
            self.received(context, taken);
            return Step::Continue(taken);
        }
        match self.pending {
            InputStart::Nothing => self.command(context, input),
            InputStart::Keys(retrieval) => {
                let Some((keys, line)) = text::rest_of_line(input) else {
                    return Step::Wait { needed: 0 };
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
        let scanned = std::mem::take(&mut self.scanned);
        let (command, line) = match text::parse(input, scanned as usize, context.shared.nesting()) {
            Parsed::Done { command, consumed } => (command, consumed),
            Parsed::More => {
                self.scanned = u32::try_from(input.len()).unwrap_or(0);
                return Step::Wait { needed: 0 };
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
        let counted = CommandName::of_text(&command);
        let step = self.run(context, command, input, line);
        if step.has_begun() {
            context.commands.done(counted);
        }
        step
    }

    fn run(
        &mut self,
        context: &mut TurnContext<'_>,
        command: Command<'_>,
        input: &[u8],
        line: usize,
    ) -> Step {
        match command {
            Command::Retrieve(Retrieve { keys, exptime, cas }) => {
                return self.keys(context, input, line, keys, Retrieval { exptime, cas });
            }
            Command::Store(store) => return self.store(context, &store, input, line),
            Command::Meta(command) => return self.meta(context, command, input, line),
            Command::Key(command) => context.key_command(command),
            Command::ReadPath(command) => {
                if let Some(step) = context.read_path(command).step(0) {
                    return step;
                }
            }
            Command::Admin(command) => {
                match context.admin(command, text::line_words(&input[..line])) {
                    AfterAdmin::Continue => {}
                    AfterAdmin::Dump(dump) => self.pending = InputStart::Dump(dump),
                    AfterAdmin::Watch(watching) => return Step::Watch(watching),
                    AfterAdmin::Quit => return Step::Quit,
                }
            }
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
        while !keys.is_empty() {
            let progress = context.retrieve(&mut keys, retrieval.exptime, retrieval.cas);
            if keys.is_empty() {
                break;
            }
            let rest = keys.as_bytes().as_ptr().addr() - input.as_ptr().addr();
            if progress == ReadProgress::Fetching {
                keys.skip(1)
                    .for_each(|key| context.operations.ask_ahead(key));
            }
            if let Some(step) = progress.step(rest) {
                self.pending = InputStart::Keys(retrieval);
                return step;
            }
            if context.output.is_full() || !context.output.insertions.is_empty() {
                self.pending = InputStart::Keys(retrieval);
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

    /// A meta command.
    fn meta(
        &mut self,
        context: &mut TurnContext<'_>,
        command: MetaCommand<'_>,
        input: &[u8],
        line: usize,
    ) -> Step {
        if context.is_done_for_peers(&command) {
            return Step::Continue(line);
        }
        match command.verb {
            MetaVerb::Get => {
                if let Some(step) = context.meta_get(&command).step(0) {
                    return step;
                }
            }
            MetaVerb::Set { length } => {
                return self.store(context, &(command, length), input, line);
            }
            MetaVerb::Delete => context.meta_delete(&command),
            MetaVerb::Arithmetic => context.meta_arithmetic(&command),
            MetaVerb::Debug => context.meta_debug(&command),
        }
        if context.output.insertions.is_empty() {
            return Step::Continue(line);
        }
        Step::Send(line)
    }

    /// A storage command: its data block, when it has arrived; none of it, if it is too large.
    fn store(
        &mut self,
        context: &mut TurnContext<'_>,
        command: &impl StorageLine,
        input: &[u8],
        line: usize,
    ) -> Step {
        if let Some(reply) = command.refuse_if_too_large(context) {
            self.discard(command.length() + 2, reply);
            return Step::Continue(line);
        }
        match text::data_block(&input[line..], command.length()) {
            Block::Done { value, consumed } => {
                command.store(context, value);
                Step::Continue(line + consumed)
            }
            Block::Bad { consumed } => {
                command.bad_data_chunk(context);
                Step::Continue(line + consumed)
            }
            Block::More { needed } => {
                if input.len() == line {
                    // Of a large value some bytes have to arrive before it is received.
                    return Step::Wait { needed: line + 1 };
                }
                self.receiving = command.receive(context);
                if self.receiving.is_some() {
                    return Step::Continue(line);
                }
                let needed = line + needed;
                Step::Wait { needed }
            }
        }
    }
}

//! One connection of the binary protocol: its steps, and its unfinished requests.

use crate::protocol::memcached::CommandName;
use crate::protocol::memcached::binary::{
    self, AfterBadRequest, Command, Parsed, ReplyTo, Request, Status, Store, reply,
};
use crate::protocol::memcached::text::StoreVerb;

use super::super::context::TurnContext;
use super::super::operations::{NewValue, StoreMode, StoreOutcome, StoreRequest};
use super::super::receiving::Receiving;
use super::super::service_state::Shared;
use super::super::step::Step;
use super::commands::{self, Refusal};
use super::sasl::{AfterSasl, Authentication};

/// The state between turns of a connection that speaks the binary protocol.
pub(in super::super) struct BinarySession {
    authentication: Authentication,
    /// A storage command whose value is received into memory of the store.
    receiving: Option<Box<Receiving<StoreReply>>>,
    /// A request that was refused, its body on its way.
    discarding: Option<Discarding>,
}

/// The rest of a body that is discarded, and the reply that follows it.
struct Discarding {
    left: usize,
    refusal: Refusal,
}

/// The facts of a storage command on which its reply depends.
#[derive(Clone, Copy)]
struct StoreReply {
    to: ReplyTo,
    quiet: bool,
    verb: StoreVerb,
}

impl BinarySession {
    pub(in super::super) fn new(shared: &Shared) -> BinarySession {
        BinarySession {
            authentication: Authentication::new(shared),
            receiving: None,
            discarding: None,
        }
    }

    /// Whether the input begins with a request, and not with the rest of one.
    #[inline]
    pub(in super::super) fn is_at_a_request(&self) -> bool {
        self.receiving.is_none() && self.discarding.is_none()
    }

    /// Whether a value is received into memory of the store.
    pub(in super::super) fn receives(&self) -> bool {
        self.receiving.is_some()
    }

    /// The memory for the next bytes of a received value.
    pub(in super::super) fn space(&mut self) -> Option<&mut [u8]> {
        let receiving = self.receiving.as_mut()?;
        Some(receiving.reservation.space())
    }

    /// Notes that this many bytes more of the received value are in the memory of the store.
    pub(in super::super) fn received(&mut self, context: &mut TurnContext<'_>, bytes: usize) {
        let Some(mut receiving) = self.receiving.take() else {
            return;
        };
        if !receiving.reservation.arrived(bytes) {
            let left = receiving.reservation.missing();
            let refusal = refuse_received(context, &receiving);
            return self.discard(context, left, refusal);
        }
        if !receiving.reservation.is_whole() {
            self.receiving = Some(receiving);
            return;
        }
        let Receiving {
            reservation,
            key,
            request,
            reply,
        } = *receiving;
        let value = NewValue::Received(reservation);
        let outcome = context.operations.store(&[&key], &request, value);
        store_reply(context, reply, outcome);
    }

    /// Runs the first step of the input.
    pub(in super::super) fn step(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        if let Some(receiving) = &mut self.receiving {
            let taken = receiving.reservation.copy(input);
            self.received(context, taken);
            return Step::Continue(taken);
        }
        if let Some(Discarding { left, refusal }) = self.discarding.take() {
            let taken = left.min(input.len());
            self.discard(context, left - taken, refusal);
            return Step::Continue(taken);
        }
        match binary::parse(input) {
            Parsed::Done { request, .. } if !self.authentication.allows(request.to) => {
                refuse_unauthenticated(context, request.to)
            }
            Parsed::Bad { bad, .. } if !self.authentication.allows(bad.to) => {
                refuse_unauthenticated(context, bad.to)
            }
            Parsed::Done { request, consumed } => {
                let step = self.run(context, &request, input, consumed);
                if step.has_begun() {
                    let counted = CommandName::of_binary(&request.command);
                    context.commands.done(counted);
                }
                step
            }
            Parsed::More { needed } => Step::Wait { needed },
            Parsed::Foreign => Step::Close,
            Parsed::Bad { bad, consumed } => {
                let refusal = Refusal {
                    to: bad.to,
                    status: bad.status,
                };
                match bad.then {
                    AfterBadRequest::Continue { discard } => {
                        self.discard(context, discard, refusal);
                        Step::Continue(consumed)
                    }
                    AfterBadRequest::Close => {
                        commands::refuse(context, refusal);
                        Step::Close
                    }
                }
            }
        }
    }

    /// Has so many bytes discarded as they arrive, before the reply.
    fn discard(&mut self, context: &mut TurnContext<'_>, left: usize, refusal: Refusal) {
        if left == 0 {
            commands::refuse(context, refusal);
        } else {
            self.discarding = Some(Discarding { left, refusal });
        }
    }

    fn run(
        &mut self,
        context: &mut TurnContext<'_>,
        request: &Request<'_>,
        input: &[u8],
        consumed: usize,
    ) -> Step {
        match &request.command {
            Command::Retrieve {
                key,
                exptime,
                with_key,
            } => {
                let progress = commands::retrieve(context, request, key, *exptime, *with_key);
                if let Some(step) = progress.step(0) {
                    return step;
                }
                if !context.output.insertions.is_empty() {
                    return Step::Send(consumed);
                }
            }
            Command::Store(store) => return self.store(context, request, store, input, consumed),
            Command::Sasl(sasl) => {
                let after = self
                    .authentication
                    .answer(context, request, sasl, input, consumed);
                match after {
                    AfterSasl::Step(step) => return step,
                    AfterSasl::Discard(refusal) => self.discard(context, sasl.length, refusal),
                }
            }
            Command::Quit => {
                commands::done(context, request, 0);
                return Step::Quit;
            }
            Command::Touch { key, exptime } => commands::touch(context, request, key, *exptime),
            Command::Delete { key } => commands::delete(context, request, key),
            Command::Count(count) => commands::count(context, request, count),
            Command::Flush { .. } if !context.shared.settings.flush_all => {
                let (to, status) = (request.to, Status::AuthError);
                commands::refuse(context, Refusal { to, status });
            }
            Command::Flush { delay } if *delay != 0 && context.shared.peers.get().is_some() => {
                let (to, status) = (request.to, Status::NotSupported);
                commands::refuse(context, Refusal { to, status });
            }
            Command::Flush { delay } => {
                context.operations.flush((*delay).into());
                commands::done(context, request, 0);
            }
            Command::Noop => commands::done(context, request, 0),
            Command::Version => commands::version(context, request),
            Command::Stat { name } => commands::stat(context, request, name),
        }
        Step::Continue(consumed)
    }

    /// A storage command: its value, when it has arrived; none of it, if it is too large.
    fn store(
        &mut self,
        context: &mut TurnContext<'_>,
        request: &Request<'_>,
        store: &Store<'_>,
        input: &[u8],
        consumed: usize,
    ) -> Step {
        let key: &[&[u8]] = &[store.key];
        if !context.operations.fits(key, store.length) {
            let removes = store.verb == StoreVerb::Set;
            let too_large = StoreOutcome::TooLarge;
            let operation = operation(request, store);
            context
                .operations
                .refuse(key, &operation, removes, too_large);
            let refusal = Refusal {
                to: request.to,
                status: Status::TooLarge,
            };
            self.discard(context, store.length, refusal);
            return Step::Continue(consumed);
        }
        let operation = operation(request, store);
        let reply = StoreReply {
            to: request.to,
            quiet: request.quiet,
            verb: store.verb,
        };
        let end = consumed + store.length;
        if let Some(value) = input.get(consumed..end) {
            let value = NewValue::Bytes(value);
            let outcome = context.operations.store(key, &operation, value);
            store_reply(context, reply, outcome);
            return Step::Continue(end);
        }
        let arrived = input.len() - consumed;
        if arrived == 0 {
            // Of a large value some bytes have to arrive before it is received.
            return Step::Wait {
                needed: consumed + 1,
            };
        }
        let reserve = |key: &[u8]| context.reserve_bare(key, store.length);
        self.receiving = Receiving::begin(store.key, &operation, || reply, reserve);
        match self.receiving {
            Some(_) => Step::Continue(consumed),
            None => Step::Wait { needed: end },
        }
    }
}

/// Ends the connection of a client that has to authenticate first.
fn refuse_unauthenticated(context: &mut TurnContext<'_>, to: ReplyTo) -> Step {
    let status = Status::AuthError;
    commands::refuse(context, Refusal { to, status });
    Step::Close
}

/// The operation of a storage command. As in memcached, an add with a cas unique is a cas.
fn operation(request: &Request<'_>, store: &Store<'_>) -> StoreRequest {
    let expected = (request.cas != 0).then_some(request.cas);
    let mode = match store.verb {
        StoreVerb::Add if expected.is_none() => StoreMode::Add,
        StoreVerb::Replace => StoreMode::Replace,
        StoreVerb::Append => StoreMode::Append,
        StoreVerb::Prepend => StoreMode::Prepend,
        StoreVerb::Set | StoreVerb::Add | StoreVerb::Cas => StoreMode::Set,
    };
    StoreRequest {
        expected,
        ..StoreRequest::new(mode, store.flags, store.exptime.into())
    }
}

fn store_reply(context: &mut TurnContext<'_>, reply: StoreReply, outcome: StoreOutcome) {
    let status = match outcome {
        StoreOutcome::Stored { cas, .. } => {
            if !reply.quiet {
                reply::done(context.output.bytes, reply.to, cas);
            }
            return;
        }
        StoreOutcome::NotStored => match reply.verb {
            StoreVerb::Add => Status::KeyExists,
            StoreVerb::Replace => Status::KeyNotFound,
            _ => Status::NotStored,
        },
        StoreOutcome::Exists => Status::KeyExists,
        StoreOutcome::NotFound => Status::KeyNotFound,
        StoreOutcome::TooLarge => Status::TooLarge,
        StoreOutcome::NoMemory => Status::OutOfMemory,
    };
    let to = reply.to;
    commands::refuse(context, Refusal { to, status });
}

/// A storage command for whose value there is no memory, because other values on their way take too much.
fn refuse_received(context: &mut TurnContext<'_>, receiving: &Receiving<StoreReply>) -> Refusal {
    let removes = receiving.reply.verb == StoreVerb::Set;
    let no_memory = StoreOutcome::NoMemory;
    context.operations.counts.cmd_set += 1;
    context
        .operations
        .refuse(&[&receiving.key], &receiving.request, removes, no_memory);
    Refusal {
        to: receiving.reply.to,
        status: Status::OutOfMemory,
    }
}

//! Authentication by SASL, with the mechanism PLAIN and the users of `--auth-file`.
//!
//! The rules of the exchange are in [`sasl`]. Without users its commands are unknown, as in a memcached without `-S`. Until a client has authenticated, only these commands and `version` are answered; any other ends the connection.
//!
//! Compared with memcached 1.6.45 and Cyrus SASL, there are two differences, which no client meets: memcached takes the
//! authentication back if the client lists the mechanisms, and refuses every second one on a connection.

use crate::protocol::memcached::binary::sasl::{self, PlainExchange, SaslOutcome};
use crate::protocol::memcached::binary::{ReplyTo, Request, Sasl, Status, reply};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::service_state::Shared;
use crate::service::memcached::step::Step;

use super::commands::{self, Refusal};

/// The state of a connection's authentication.
pub(super) struct Authentication {
    authenticated: bool,
    exchange: PlainExchange,
}

/// The step after a command of authentication.
pub(super) enum AfterSasl {
    Step(Step),
    /// The data are discarded, then this is the reply.
    Discard(Refusal),
}

impl Authentication {
    pub(super) fn new(shared: &Shared) -> Authentication {
        Authentication {
            authenticated: shared.auth_file.get().is_none(),
            exchange: PlainExchange::default(),
        }
    }

    /// Whether a request may be answered, good or malformed.
    pub(super) fn allows(&self, to: ReplyTo) -> bool {
        self.authenticated || sasl::is_free(to.opcode)
    }

    /// Answers a command of authentication.
    pub(super) fn answer(
        &mut self,
        context: &mut TurnContext<'_>,
        request: &Request<'_>,
        sasl: &Sasl<'_>,
        input: &[u8],
        consumed: usize,
    ) -> AfterSasl {
        let to = request.to;
        let discard = |status| AfterSasl::Discard(Refusal { to, status });
        if context.shared.auth_file.get().is_none() {
            return discard(Status::UnknownCommand);
        }
        if let Some(status) = sasl.refusal(context.shared.max_item_size()) {
            if status == Status::AuthError {
                self.count(context, false);
            }
            return discard(status);
        }
        let end = consumed + sasl.length;
        let Some(data) = input.get(consumed..end) else {
            return AfterSasl::Step(Step::Wait { needed: end });
        };
        let credentials = match self.exchange.step(sasl, data) {
            SaslOutcome::Mechanisms => {
                let names = sasl::MECHANISMS;
                reply::error_text(context.output.bytes, to, Status::NoError, names);
                return AfterSasl::Step(Step::Continue(end));
            }
            SaslOutcome::Continue => {
                self.authenticated = false;
                reply::error_text(context.output.bytes, to, Status::AuthContinue, "");
                return AfterSasl::Step(Step::Continue(end));
            }
            SaslOutcome::Credentials(credentials) => credentials,
        };
        let accepted = credentials.is_some_and(|(name, password)| context.accepts(name, password));
        self.count(context, accepted);
        if accepted {
            self.exchange.accepted();
            let text = sasl::ACCEPTED;
            reply::error_text(context.output.bytes, to, Status::NoError, text);
            return AfterSasl::Step(Step::Continue(end));
        }
        let status = Status::AuthError;
        commands::refuse(context, Refusal { to, status });
        AfterSasl::Step(Step::Delay(end))
    }

    /// Notes the outcome of an attempt.
    fn count(&mut self, context: &mut TurnContext<'_>, accepted: bool) {
        self.authenticated = accepted;
        let counts = &mut context.operations.counts;
        counts.auth_cmds += 1;
        counts.auth_errors += u64::from(!accepted);
    }
}

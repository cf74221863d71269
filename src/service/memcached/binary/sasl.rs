//! Authentication by SASL, with the mechanism PLAIN and the users of `--auth-file`.
//!
//! ```text
//!   sasl auth "PLAIN" [NAME] NUL NAME NUL PASSWORD ──▶ "Authenticated", or Auth failure. after a delay
//!   sasl auth "PLAIN", without data ──▶ continue ──▶ sasl step with the data
//! ```
//!
//! Statuses are those of memcached with `-S`. Without users its commands are unknown, as in a memcached without that option.
//! Until a client has authenticated, only these commands and `version` are answered; any other ends the connection.
//!
//! Compared with memcached 1.6.45 and Cyrus SASL, there are two differences, which no client meets: memcached takes the
//! authentication back if the client lists the mechanisms, and refuses every second one on a connection.

use crate::protocol::memcached::binary::{ReplyTo, Request, Sasl, SaslStep, Status, reply};
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::service_state::Shared;
use crate::service::memcached::step::Step;

use super::commands::{self, Refusal};

/// Bytes of the longest name of a mechanism, as in memcached.
const LONGEST_MECHANISM: usize = 32;
/// Bytes of the longest data, as in memcached's text protocol. Longer data are discarded, and are no user's.
const LONGEST_DATA: usize = 16384;
/// The opcodes that are answered without authentication: version, and those of SASL.
const FREE: [u8; 4] = [0x0b, 0x20, 0x21, 0x22];

/// The state of a connection's authentication.
pub(super) struct Authentication {
    authenticated: bool,
    /// The data come with the next step.
    started: bool,
}

/// What follows a command of authentication.
pub(super) enum AfterSasl {
    Step(Step),
    /// The data are discarded, then this is the reply.
    Discard(Refusal),
}

impl Authentication {
    pub(super) fn new(shared: &Shared) -> Authentication {
        Authentication {
            authenticated: shared.auth_file.get().is_none(),
            started: false,
        }
    }

    /// Whether a request may be answered, good or malformed.
    pub(super) fn allows(&self, to: ReplyTo) -> bool {
        self.authenticated || FREE.contains(&to.opcode)
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
        if matches!(sasl.step, SaslStep::List) {
            reply::error_text(context.output.bytes, to, Status::NoError, "PLAIN");
            return AfterSasl::Step(Step::Continue(consumed));
        }
        if sasl.mechanism.len() > LONGEST_MECHANISM {
            return discard(Status::InvalidArguments);
        }
        if sasl.length > context.shared.max_item_size() {
            return discard(Status::OutOfMemory);
        }
        if sasl.length > LONGEST_DATA {
            self.authenticated = false;
            context.operations.counts.auth_cmds += 1;
            context.operations.counts.auth_errors += 1;
            return discard(Status::AuthError);
        }
        let end = consumed + sasl.length;
        let Some(data) = input.get(consumed..end) else {
            return AfterSasl::Step(Step::Wait { needed: end });
        };
        self.authenticated = false;
        let starts =
            matches!(sasl.step, SaslStep::Start) && sasl.mechanism.eq_ignore_ascii_case(b"PLAIN");
        if starts && data.is_empty() {
            self.started = true;
            reply::error_text(context.output.bytes, to, Status::AuthContinue, "");
            return AfterSasl::Step(Step::Continue(end));
        }
        // After wrong data in a step the client may send others in a further one.
        self.started &= matches!(sasl.step, SaslStep::Continue);
        let expected = starts || self.started;
        let accepted = name_and_password(data)
            .filter(|_| expected)
            .is_some_and(|(name, password)| context.accepts(name, password));
        context.operations.counts.auth_cmds += 1;
        if accepted {
            self.authenticated = true;
            self.started = false;
            reply::error_text(context.output.bytes, to, Status::NoError, "Authenticated");
            return AfterSasl::Step(Step::Continue(end));
        }
        context.operations.counts.auth_errors += 1;
        let status = Status::AuthError;
        commands::refuse(context, Refusal { to, status });
        AfterSasl::Step(Step::Delay(end))
    }
}

/// The data of PLAIN: the name to act as, which must be empty or the same, the name, and the password.
fn name_and_password(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut parts = data.splitn(3, |&byte| byte == 0);
    let (acts_as, name, password) = (parts.next()?, parts.next()?, parts.next()?);
    (acts_as.is_empty() || acts_as == name).then_some((name, password))
}

//! ASCII authentication: until the client has given a user of `--auth-file` and the password, nothing else is served.

use super::{InputStart, Step, TextSession};
use crate::protocol::memcached::text::authentication::{
    FAILURE, FirstLine, first_line, user_and_password,
};
use crate::protocol::memcached::text::reply::STORED;
use crate::service::memcached::context::TurnContext;
use crate::service::memcached::service_state::Shared;

impl InputStart {
    /// The start of a new connection's input.
    pub(super) fn of_connection(shared: &Shared) -> InputStart {
        match shared.auth_file.get() {
            Some(_) => InputStart::FirstLine,
            None => InputStart::Nothing,
        }
    }
}

impl TextSession {
    /// The line before the token.
    pub(super) fn first_line(&mut self, context: &mut TurnContext<'_>, input: &[u8]) -> Step {
        match first_line(input) {
            FirstLine::More => Step::Wait { needed: 0 },
            FirstLine::Close => Step::Close,
            FirstLine::Refused { reply, consumed } => {
                context.output.push(reply);
                Step::Continue(consumed)
            }
            FirstLine::Token { length, consumed } => {
                self.pending = InputStart::Token { length };
                Step::Continue(consumed)
            }
        }
    }

    /// The token: user name and password.
    pub(super) fn token(
        &mut self,
        context: &mut TurnContext<'_>,
        input: &[u8],
        length: usize,
    ) -> Step {
        let Some(token) = input.get(..length) else {
            return Step::Wait { needed: length };
        };
        self.pending = InputStart::FirstLine;
        let (name, password) = match user_and_password(token) {
            Ok(pair) => pair,
            Err(reply) => {
                context.output.push(reply);
                return Step::Continue(length);
            }
        };
        context.operations.counts.auth_cmds += 1;
        if context.accepts(name, password) {
            self.pending = InputStart::Nothing;
            context.output.push(STORED);
            return Step::Continue(length);
        }
        context.operations.counts.auth_errors += 1;
        context.output.push(FAILURE);
        Step::Delay(length)
    }
}

impl TurnContext<'_> {
    /// Whether the file has this user with this password.
    pub(in crate::service::memcached) fn accepts(&self, name: &[u8], password: &[u8]) -> bool {
        let file = self.shared.auth_file.get();
        let accepted = file.is_some_and(|file| file.accepts(name, password));
        if !accepted {
            log::warn!(
                "memcached {}: wrong user or password",
                self.connection.peer()
            );
        }
        accepted
    }
}

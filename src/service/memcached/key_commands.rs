//! `incr`, `decr`, `touch`, `delete` and `deln`.

use crate::protocol::memcached::text::{KeyAction, KeyCommand, reply};

use super::context::{TurnContext, with_path};
use super::operations::{Arithmetic, ArithmeticOutcome, DeleteOutcome};
use super::watch::DeleteVerb;

impl TurnContext<'_> {
    pub(super) fn key_command(&mut self, command: KeyCommand<'_>) {
        let operations = &mut self.operations;
        let reply = with_path(command.path, |names| match command.action {
            KeyAction::Increment(delta) => {
                KeyReply::of_number(operations.arithmetic(names, &Arithmetic::new(delta, false)))
            }
            KeyAction::Decrement(delta) => {
                KeyReply::of_number(operations.arithmetic(names, &Arithmetic::new(delta, true)))
            }
            KeyAction::Touch(exptime) => {
                KeyReply::Line(match operations.touch(names, exptime.into()) {
                    Some(_) => reply::TOUCHED,
                    None => reply::NOT_FOUND,
                })
            }
            KeyAction::Delete => {
                KeyReply::Line(match operations.delete(names, None, DeleteVerb::Delete) {
                    DeleteOutcome::Deleted => reply::DELETED,
                    _ => reply::NOT_FOUND,
                })
            }
        });
        match reply {
            KeyReply::Line(line) => self.output.reply(command.noreply, line),
            KeyReply::Number(_) if command.noreply => {}
            KeyReply::Number(number) => reply::number(self.output.bytes, number),
        }
    }
}

/// The reply to a command on one key.
enum KeyReply {
    Line(&'static [u8]),
    Number(u64),
}

impl KeyReply {
    fn of_number(outcome: ArithmeticOutcome) -> KeyReply {
        match outcome {
            ArithmeticOutcome::Now { number, .. } => KeyReply::Number(number),
            ArithmeticOutcome::NotFound | ArithmeticOutcome::Exists => {
                KeyReply::Line(reply::NOT_FOUND)
            }
            ArithmeticOutcome::NonNumeric => KeyReply::Line(reply::NON_NUMERIC),
            ArithmeticOutcome::NoMemory { .. } => KeyReply::Line(reply::OUT_OF_MEMORY),
        }
    }
}

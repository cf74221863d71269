//! CLIENT PAUSE: the commands of clients wait until a time, or until CLIENT UNPAUSE.
//!
//! A command that has to wait stays in its connection's input, and so do the commands behind it. The session tries it again every
//! 20 ms.
//! A read that is done in pieces goes on during a pause. A write that is done in pieces waits, and begins anew after the pause.
//!
//! Cost without a pause: one load for each command.

use super::context::Context;
use super::errors;
use super::session::CommandRunner;
use super::table::{CommandEntry, WRITE};
use crate::protocol::resp::parse_integer;

impl CommandRunner<'_> {
    /// Whether a command has to wait for the end of a pause.
    #[inline]
    pub(super) fn is_paused(&mut self, entry: &CommandEntry) -> bool {
        self.shared.pause.may_hold() && self.waits_for_pause(entry)
    }

    #[cold]
    fn waits_for_pause(&mut self, entry: &CommandEntry) -> bool {
        let writes = entry.command.is(WRITE) || entry.name == "exec" && self.queue_writes();
        let all = self.shared.pause.holds(self.shared.store.now_ms());
        all.is_some_and(|all| all || writes)
    }
}

pub(super) fn pause(ctx: &mut Context<'_>) {
    let all = match ctx.args.len() {
        3 => true,
        4 if ctx.args.get(3).eq_ignore_ascii_case(b"all") => true,
        4 if ctx.args.get(3).eq_ignore_ascii_case(b"write") => false,
        4 => {
            let text = "ERR CLIENT PAUSE mode must be WRITE or ALL";
            return ctx.reply.error(text);
        }
        _ => {
            let text = errors::wrong_subcommand(ctx.args);
            return ctx.reply.error(text);
        }
    };
    let error = match parse_integer(ctx.args.get(2)) {
        None => "ERR timeout is not an integer or out of range",
        Some(..0) => "ERR timeout is negative",
        Some(milliseconds) => {
            let now = ctx.store.now_ms();
            // A pause whose end can't be written as a time is no pause, as in Redis.
            let end = now.checked_add(milliseconds.unsigned_abs());
            if let Some(end) = end.filter(|end| *end <= i64::MAX as u64) {
                ctx.service.pause.begin(end, all, now);
            }
            return ctx.reply.ok();
        }
    };
    ctx.reply.error(error);
}

pub(super) fn unpause(ctx: &mut Context<'_>) {
    ctx.service.pause.end();
    ctx.reply.ok();
}

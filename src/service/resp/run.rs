//! The execution of one command: its context, the budget of its reply, and the next step if it has no reply yet.

use std::cell::Cell;
use std::time::Duration;

use super::client_state::{CLOSE, RESTRICTED};
use super::context::Context;
use super::large_reply::LargeReply;
use super::peers;
use super::reply_budget::CommandBudget;
use super::session::CommandRunner;
use super::table::{CommandEntry, READONLY};
use crate::protocol::resp::{CommandArgs, Reply};

impl CommandRunner<'_> {
    #[inline]
    pub(super) fn run(&mut self, entry: &'static CommandEntry, args: CommandArgs<'_>) {
        let start = self.out.len();
        let budget = CommandBudget {
            shared: self.shared,
            connection: self.connection,
            before: start - self.start,
            may_wait: entry.command.is(READONLY),
            waits: Cell::new(false),
        };
        let resp3 = self.client.resp3();
        let may_share = self.client.mode & !RESTRICTED == 0 && self.may_insert;
        let mut ctx = Context {
            store: &self.shared.store,
            service: self.shared,
            reply: Reply::within(self.out, resp3, budget.granted(), &budget),
            client: self.client,
            args,
            received: self.value.take(),
            insertions: may_share.then_some(&mut *self.insertions),
            fetches: Some(&mut *self.fetches),
            is_fetching: false,
            large: Some(&mut *self.large),
            earlier: Duration::ZERO,
            name: &entry.name,
        };
        peers::run(entry.command, &mut ctx);
        let overflowed = ctx.reply.overflowed();
        if ctx.is_fetching {
            return self.await_fetches(start);
        }
        if !ctx.earlier.is_zero() {
            self.calls.add_earlier(ctx.earlier);
        }
        self.fetches.clear();
        if self.large.as_deref().is_some_and(LargeReply::is_unfinished) {
            self.is_unfinished = true;
            return self.calls.forget_call();
        }
        if self.out.get(start) == Some(&b'-') {
            let statistics = &self.shared.statistics;
            statistics.add_failure(entry.number, &self.out[start..]);
        }
        if overflowed {
            self.out.truncate(start);
            self.insertions.take();
        }
        if overflowed && !self.client.drops_reply() {
            if budget.waits.get() {
                self.awaits_memory = true;
                self.calls.forget_call();
                return;
            }
            self.closing("the reply to one of its commands exceeds the limit");
            self.client.set(CLOSE, true);
        }
    }

    /// Whether the last command was not answered.
    pub(super) fn has_to_run_again(&self) -> bool {
        self.awaits_memory || self.awaits_fetches || self.is_unfinished
    }
}

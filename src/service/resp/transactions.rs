//! MULTI, EXEC, DISCARD, WATCH and UNWATCH.
//!
//! ```text
//!   WATCH a      the store begins to note changes of a for this client
//!   MULTI        from here on commands are checked and copied into the queue: +QUEUED
//!   SET b 1      an error now spoils the transaction: EXEC will answer EXECABORT
//!   EXEC         takes the store for itself, asks whether a has changed, runs the queue or answers null
//! ```
//!
//! The store notes every change of a watched key, also one that is undone later. [`Watcher`](crate::store::Watcher) describes the cost.
//! Each watched key is kept twice: here, and in its shard. EXEC looks for watched fields that have expired in pieces, and ends its turn after
//! each, as a [large read](super::fields_in_pieces) does. The queue runs at once.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::acl::{check, note_denial};
use super::client_state::{CLOSE, MULTI, REPLY_FILTERED, RESTRICTED};
use super::context::Context;
use super::errors;
use super::large_reply::{LargeReply, WatchedLook};
use super::monitor::show;
use super::peers;
use super::session::CommandRunner;
use super::slow_commands::note_slow;
use super::table::{CommandEntry, CommandSpec, EXCLUSIVE, FAST, IMMEDIATE, NO_MULTI, table};
use crate::protocol::resp::CommandArgs;

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("multi", 1, FAST | IMMEDIATE, multi).docs(
        GROUP,
        "1.2.0",
        "",
        "Begins a transaction: commands are queued until EXEC.",
    ),
    CommandSpec::new("exec", 1, IMMEDIATE | EXCLUSIVE, exec).docs(
        GROUP,
        "1.2.0",
        "",
        "Runs the queued commands as one.",
    ),
    CommandSpec::new("discard", 1, FAST | IMMEDIATE, discard).docs(
        GROUP,
        "2.0.0",
        "",
        "Drops the queued commands.",
    ),
    CommandSpec::new("watch", -2, FAST | IMMEDIATE, watch)
        .keys(1, -1, 1)
        .access(&["RO"])
        .docs(
            GROUP,
            "2.2.0",
            "key [key ...]",
            "Makes EXEC fail if one of the keys has changed by then.",
        ),
    CommandSpec::new("unwatch", 1, FAST, unwatch).docs(
        GROUP,
        "2.2.0",
        "",
        "Ends the watches of this client.",
    ),
];

const GROUP: &str = "transactions";

/// Bytes that a watched key takes beside its name, here and in the store.
const WATCH_OVERHEAD: usize = 128;

impl CommandRunner<'_> {
    /// Puts a command into the transaction, or refuses it.
    pub(super) fn queue(&mut self, entry: &'static CommandEntry, args: CommandArgs<'_>) {
        if entry.command.is(NO_MULTI) {
            return self.refuse(Some(entry), b"ERR Command not allowed inside a transaction");
        }
        let queue = &mut self.client.transaction().queue;
        queue.push(entry.number, args);
        let (length, size) = (queue.len(), queue.size());
        if size > self.shared.max_request() {
            self.closing("its transaction exceeds the limit");
            return self.client.set(CLOSE, true);
        }
        self.client.info.show_queue(length as i32, size);
        self.out.extend_from_slice(b"+QUEUED\r\n");
    }
}

fn multi(ctx: &mut Context<'_>) {
    if ctx.client.is(MULTI) {
        return ctx.reply.error("ERR MULTI calls can not be nested");
    }
    ctx.client.set(MULTI, true);
    ctx.client.info.queued.store(0, Relaxed);
    ctx.reply.ok();
}

fn exec(ctx: &mut Context<'_>) {
    if !ctx.client.is(MULTI) {
        return ctx.reply.error("ERR EXEC without MULTI");
    }
    let spoiled = ctx.client.is_spoiled();
    let Some(changed) = has_changed(ctx, spoiled) else {
        return;
    };
    let queued = ctx.client.info.queued_bytes.load(Relaxed) as usize;
    let queue = ctx.client.end_transaction(ctx.store);
    if spoiled {
        return ctx
            .reply
            .error("EXECABORT Transaction discarded because of previous errors.");
    }
    if changed {
        return ctx.reply.null_array();
    }
    // The client still has its queue while the commands run, so that a CLIENT LIST among them shows it.
    ctx.client.info.show_queue(queue.len() as i32, queued);
    let start = ctx.reply.position();
    ctx.reply.array(queue.len());
    drop_unwanted(ctx, start);
    for (number, args) in queue.iter() {
        let Some(entry) = table().entry(number) else {
            continue;
        };
        run_queued(ctx, entry, args);
        // If the reply has overflowed, the commands that follow still have their effect, as they
        // have been accepted.
    }
    ctx.client.info.show_queue(-1, 0);
    ctx.client.set(REPLY_FILTERED, true);
}

/// Whether watched keys have changed; `None` if EXEC has to go on with the look in its next turn. If it is `known` that the queue
/// doesn't run, nothing is looked at.
fn has_changed(ctx: &mut Context<'_>, known: bool) -> Option<bool> {
    if known {
        return Some(true);
    }
    let began = Instant::now();
    let begun = ctx.large.as_mut().and_then(|large| large.take());
    let mut watched = match begun.map(|large| *large) {
        Some(LargeReply::Watching(watched)) => watched,
        _ => WatchedLook::default(),
    };
    let changed = ctx.client.look_for_change(ctx.store, &mut watched.look);
    if changed.is_none() {
        watched.time += began.elapsed();
        ctx.keep(LargeReply::Watching(watched));
        return None;
    }
    ctx.earlier = watched.time;
    changed
}

/// Runs one command of a transaction.
fn run_queued(ctx: &mut Context<'_>, entry: &'static CommandEntry, args: CommandArgs<'_>) {
    let start = ctx.reply.position();
    let closes = ctx.client.is(CLOSE);
    let began = Instant::now();
    let mut one = Context {
        store: ctx.store,
        service: ctx.service,
        client: ctx.client,
        reply: ctx.reply.lend(),
        args,
        received: None,
        insertions: None,
        fetches: None,
        is_fetching: false,
        large: None,
        earlier: Duration::ZERO,
        name: &entry.name,
    };
    let denied = one
        .client
        .is(RESTRICTED)
        .then(|| check(one.client.user(), entry, args));
    match denied {
        Some(Err(denied)) => {
            note_denial(one.service, one.client, entry, args, denied, true);
            one.reply.error(errors::rules_changed(denied));
        }
        _ => peers::run(entry.command, &mut one),
    }
    let outcome = one.reply.outcome();
    ctx.reply.absorb(outcome);
    note_call(ctx, entry, args, (began.elapsed(), start));
    drop_unwanted(ctx, start);
    if closes {
        // The client has killed itself: as in Redis, it gets no further replies.
        ctx.reply.truncate(start);
    }
}

/// Notes a command of a transaction that has run: its time, and the start of its reply.
fn note_call(
    ctx: &Context<'_>,
    entry: &'static CommandEntry,
    args: CommandArgs<'_>,
    (time, start): (Duration, usize),
) {
    let (service, client) = (ctx.service, &ctx.client.info);
    service.statistics.add_calls(entry.number, 1, time);
    let reply = ctx.reply.since(start);
    service.statistics.add_failure(entry.number, reply);
    if service.slow_log().is_notable(time) {
        note_slow(service, client, entry, args, time);
    }
    if service.monitors.are_any() {
        show(service, client, entry, args);
    }
}

/// Drops the part of EXEC's reply from `start` on if replies are off, which a queued CLIENT REPLY may have changed. As in
/// Redis, the length at the head of the reply still counts it.
fn drop_unwanted(ctx: &mut Context<'_>, start: usize) {
    if ctx.client.drops_reply() {
        ctx.reply.truncate(start);
    }
}

fn discard(ctx: &mut Context<'_>) {
    if !ctx.client.is(MULTI) {
        return ctx.reply.error("ERR DISCARD without MULTI");
    }
    ctx.client.end_transaction(ctx.store);
    ctx.reply.ok();
}

fn watch(ctx: &mut Context<'_>) {
    if ctx.client.is(MULTI) {
        return ctx.reply.error("ERR WATCH inside MULTI is not allowed");
    }
    let db = ctx.db();
    for key in ctx.args.from(1).iter() {
        let transaction = ctx.client.transaction();
        // A key that is watched twice must be unchanged since the first time.
        ctx.store.watch(&mut transaction.watcher, db, key);
        transaction.watched_bytes += WATCH_OVERHEAD + 2 * key.len();
        if transaction.watched_bytes > ctx.service.max_request() {
            return ctx.close("its watched keys exceed the limit");
        }
    }
    ctx.client.show_watches();
    ctx.reply.ok();
}

fn unwatch(ctx: &mut Context<'_>) {
    // Inside EXEC there is no watch left to end.
    ctx.client.unwatch(ctx.store);
    ctx.reply.ok();
}

//! Commands on whole databases: SWAPDB, DBSIZE, FLUSHDB, FLUSHALL.

use super::arguments::database;
use super::context::{Context, ORIGIN_DATABASE};
use super::errors;
use super::peers;
use super::table::{CommandSpec, DANGEROUS, EXCLUSIVE, FAST, READONLY, WRITE};
use crate::origin::Answer;
use crate::protocol::resp::parse_integer;

const GROUP: &str = "server";

pub(super) const COMMANDS: &[CommandSpec] = &[
    CommandSpec::new("swapdb", 3, WRITE | FAST | EXCLUSIVE | DANGEROUS, swapdb).docs(
        GROUP,
        "4.0.0",
        "index1 index2",
        "Exchanges two databases.",
    ),
    CommandSpec::new("dbsize", 1, READONLY | FAST, dbsize).docs(
        GROUP,
        "1.0.0",
        "",
        "Counts the keys of the selected database.",
    ),
    CommandSpec::new("flushdb", -1, WRITE | EXCLUSIVE | DANGEROUS, flushdb).docs(
        GROUP,
        "1.0.0",
        "[ASYNC|SYNC]",
        "Removes every key of the selected database.",
    ),
    CommandSpec::new("flushall", -1, WRITE | EXCLUSIVE | DANGEROUS, flushall).docs(
        GROUP,
        "1.0.0",
        "[ASYNC|SYNC]",
        "Removes every key of every database.",
    ),
];

fn swapdb(ctx: &mut Context<'_>) {
    if ctx.service.peers.get().is_some() {
        return ctx
            .reply
            .error("ERR SWAPDB is not possible with peers, which share database 0");
    }
    let number = |index| i32::try_from(parse_integer(ctx.args.get(index))?).ok();
    let Some(first) = number(1) else {
        return ctx.reply.error("ERR invalid first DB index");
    };
    let Some(second) = number(2) else {
        return ctx.reply.error("ERR invalid second DB index");
    };
    match (database(first.into()), database(second.into())) {
        (Some(first), Some(second)) => {
            ctx.store.swap(first, second);
            ctx.reply.ok();
        }
        _ => ctx.reply.error(errors::DB_INDEX),
    }
}

fn dbsize(ctx: &mut Context<'_>) {
    ctx.reply.integer(ctx.store.len(ctx.db()) as i64);
}

fn flushdb(ctx: &mut Context<'_>) {
    if accepts_mode(ctx) && (ctx.db() != ORIGIN_DATABASE || are_peers_flushed(ctx)) {
        ctx.store.flush(ctx.db());
        ctx.reply.ok();
    }
}

fn flushall(ctx: &mut Context<'_>) {
    if accepts_mode(ctx) && are_peers_flushed(ctx) {
        ctx.store.flush_all();
        ctx.reply.ok();
    }
}

/// Has the peers remove their keys, too. If they have not done so, the command waits for them, or an error is answered. In a
/// transaction it doesn't wait.
fn are_peers_flushed(ctx: &mut Context<'_>) -> bool {
    let Some(peers) = ctx.service.peers.get() else {
        return true;
    };
    let Some(fetches) = &mut ctx.fetches else {
        peers.flush();
        return true;
    };
    match fetches.answer(b"flushall", || peers.flush()) {
        None => ctx.is_fetching = true,
        Some(Answer::Failed(why)) => peers::fail(ctx, &why),
        Some(Answer::Mine | Answer::Reply(_)) => return true,
    }
    false
}

/// Whether at most ASYNC or SYNC follows; answers the error otherwise. Both do the
/// same here: flushed keys are absent at once for every client.
fn accepts_mode(ctx: &mut Context<'_>) -> bool {
    let fits = match ctx.args.len() {
        1 => true,
        2 => [&b"async"[..], b"sync"]
            .iter()
            .any(|mode| ctx.args.get(1).eq_ignore_ascii_case(mode)),
        _ => false,
    };
    if !fits {
        ctx.reply.error(errors::SYNTAX);
    }
    fits
}
